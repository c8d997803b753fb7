"""Training sets as tar or folder: writing, reading back, describing."""

from livestock_utils.dataset.dataset_reading import extract, read_manifest, read_tables
from livestock_utils.dataset.writing import to_folder, write_data_yaml, write_split, write_tar

__all__ = ["extract", "read_manifest", "read_tables", "to_folder", "write_data_yaml", "write_split", "write_tar"]

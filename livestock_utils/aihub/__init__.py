"""AI Hub's archives: found, checked and read into the `images` and `boxes` tables."""

from livestock_utils.aihub.archives import ImageReader
from livestock_utils.aihub.data_folder import read_archives, read_test_archives
from livestock_utils.aihub.integrity import integrity_report, list_archives

__all__ = ["ImageReader", "integrity_report", "list_archives", "read_archives", "read_test_archives"]

"""The notebooks as a pipeline: text and .ipynb, parameters, headless runs, batches, the report."""

from livestock_utils.pipeline.driver import choose, execute, run

__all__ = ["choose", "execute", "run"]

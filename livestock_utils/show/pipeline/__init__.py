"""The notebooks as a pipeline: text and .ipynb, parameters, headless runs, batches, the report."""

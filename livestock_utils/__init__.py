"""Finding pigs and cows in barn photos with YOLOv5: a thin library under the notebooks."""

__version__ = "0.1.0"

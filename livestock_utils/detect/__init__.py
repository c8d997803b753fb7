"""The detector: settings, yolov5, training, prediction, tuning, search, export."""

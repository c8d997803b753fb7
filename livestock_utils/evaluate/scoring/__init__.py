"""Scores of detections: the contest's number, COCO's and yolov5's; submissions."""

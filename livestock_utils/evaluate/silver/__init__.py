"""Silver labels: made from predictions, judged, written as sets."""

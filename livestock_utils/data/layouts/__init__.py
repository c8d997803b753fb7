"""Labelled photos in the layouts that other tools write, read to the same tables; a file a layout.

A layout's file has `find` (its label files in a folder) and `read` (what they say)."""

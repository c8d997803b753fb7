"""What a reader sees: notebooks, displays, plots, words, the report. Imports all other wings."""

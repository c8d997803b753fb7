"""From folders and archives to tables, folds and training sets; the drawn sample. Imports core."""

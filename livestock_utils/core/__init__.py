"""What every wing stands on: photos, boxes, tables, files, errors. Imports no other wing."""

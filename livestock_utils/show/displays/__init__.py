"""What a notebook asks, one call each: a table, its figure, its verdict."""

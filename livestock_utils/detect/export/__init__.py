"""From weights to an edge device: formats, parity, cost, bundle."""

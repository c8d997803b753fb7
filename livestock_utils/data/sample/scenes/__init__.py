"""Drawn scenes: a barn, animals in it, and the picture that a camera takes of them."""

"""Where labels err: missing, loose, swapped; out to an annotation tool and back."""

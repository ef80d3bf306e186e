"""Words and values that all rooms share."""

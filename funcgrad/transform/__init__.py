"""Transformations: reverse mode, forward mode, batching, and the split of known from unknown."""

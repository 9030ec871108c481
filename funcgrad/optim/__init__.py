"""Gradient transformations: optimisers, schedules and what goes between them."""

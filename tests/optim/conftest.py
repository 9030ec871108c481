"""Which files here are no tests?  `record` needs optax and PyTorch, and is run by hand."""

collect_ignore = ["record.py"]

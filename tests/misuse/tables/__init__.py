"""The mistakes, a module per area; each has `ROWS`."""

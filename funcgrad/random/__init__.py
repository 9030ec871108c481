"""Random numbers from keys: threefry2x32, with `jax.random`'s names and streams."""

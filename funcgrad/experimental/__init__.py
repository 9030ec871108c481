"""Parts whose names may still move: `ode`."""

"""Structured primitives: operations that hold programs."""

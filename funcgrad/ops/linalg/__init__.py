"""The primitives of linear algebra, on stacks of matrices: every axis but the last two counts matrices."""

from funcgrad.ops.linalg import equations, factorizations, functions, reflections, small, solves, spectral

__all__ = ["equations", "factorizations", "functions", "reflections", "small", "solves", "spectral"]

"""Iterative solvers for linear systems: the submodule `linalg`."""

from funcgrad.scipy.sparse import linalg

__all__ = ["linalg"]

"""Minimisation in traced code: `minimize`, by BFGS and L-BFGS."""

from funcgrad.scipy.optimize._minimize import OptimizeResults, minimize

__all__ = ["OptimizeResults", "minimize"]

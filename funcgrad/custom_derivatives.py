"""JAX's module of the same name: functions with derivative rules of their own."""

from __future__ import annotations

from funcgrad.control.jvp_rules import custom_jvp
from funcgrad.control.rules import SymbolicZero
from funcgrad.control.vjp_rules import CustomVJPPrimal, custom_gradient, custom_vjp
from funcgrad.linearization import closure_convert

__all__ = ["CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp", "custom_vjp"]

"""JAX's module of the same name: functions with batching rules of their own."""

from __future__ import annotations

from funcgrad.control.rules import custom_vmap

__all__ = ["custom_vmap"]

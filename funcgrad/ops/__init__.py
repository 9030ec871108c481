"""The primitives: one declaration each, a file per family. Importing this package fills the registry."""

from funcgrad.ops import arithmetic, comparison, contraction, indexing, reduction, shape, transcendental

__all__ = ["arithmetic", "comparison", "contraction", "indexing", "reduction", "shape", "transcendental"]

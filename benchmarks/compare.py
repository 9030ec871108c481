"""Do the peers agree?  Every array of every peer is held against a float64 reference."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def worst_error(values: Mapping[str, np.ndarray], reference: Mapping[str, np.ndarray]) -> tuple[float, str]:
    """The largest ``max|value - reference| / max|reference|`` over all arrays, and that array's name.

    A missing array, another shape or a NaN that the reference does not have is an infinite error.
    """
    if values.keys() != reference.keys():
        return float("inf"), ", ".join(sorted(values.keys() ^ reference.keys()))
    return max(((_error(values[name], reference[name]), name) for name in reference), default=(0.0, ""))


def _error(value: np.ndarray, reference: np.ndarray) -> float:
    if value.shape != reference.shape:
        return float("inf")
    if not reference.size:
        return 0.0
    scale = float(np.max(np.abs(reference))) or 1.0
    error = float(np.max(np.abs(value.astype(np.float64) - reference)))
    return error / scale if np.isfinite(error) else float("inf")

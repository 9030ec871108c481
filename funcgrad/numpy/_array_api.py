"""What does the Array API standard ask of a namespace about itself?  Its version, its devices, dtypes and capabilities.

The standard: https://data-apis.org/array-api/2025.12.  Boolean masks and results whose shape depends on values work on
known arrays; inside `jit` and `vmap` they raise.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad.errors import at_line

VERSION = "2025.12"


class Info:
    """The inspection interface of the standard.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.numpy.__array_namespace_info__().default_device()
    'cpu'
    """

    def capabilities(self) -> dict[str, Any]:
        """What a library may rely on: masks and results of unknown shape only where values are known."""
        return {"boolean indexing": True, "data-dependent shapes": False, "max dimensions": 64}

    def default_device(self) -> str:
        """The CPU."""
        return "cpu"

    def devices(self) -> tuple[str, ...]:
        """All devices."""
        return ("cpu",)

    def default_dtypes(self, *, device: str | None = None) -> dict[str, np.dtype]:
        """The dtypes of results that no argument decides."""
        _check(device)
        return {
            "real floating": np.dtype(np.float64),
            "complex floating": np.dtype(np.complex128),
            "integral": np.dtype(np.intp),
            "indexing": np.dtype(np.intp),
        }

    def dtypes(self, *, device: str | None = None, kind: str | tuple[str, ...] | None = None) -> dict[str, np.dtype]:
        """The standard's dtypes, by name, all of them or those of a kind."""
        _check(device)
        info: Any = np.__array_namespace_info__()
        found: dict[str, np.dtype] = info.dtypes(kind=kind)
        return found


def _check(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise ValueError(f'Device not understood. Only "cpu" is allowed, but received: {device!r}{at_line()}')

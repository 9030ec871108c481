"""Running compiled programs: executables, and the dispatch behind `jit`."""

from funcgrad.runtime import (
    attention,
    convolution,
    factors,
    fourier,
    scanning,
    scattering,
    sorting,
    turning,
)  # what it knows, it enters into `calls.ROUTINES`

__all__ = ["attention", "convolution", "factors", "fourier", "scanning", "scattering", "sorting", "turning"]

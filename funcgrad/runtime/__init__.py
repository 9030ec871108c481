"""Running compiled programs: executables, and the dispatch behind `jit`."""

from funcgrad.runtime import convolution, sorting, turning  # what it knows, it enters into `calls.ROUTINES`

__all__ = ["convolution", "sorting", "turning"]

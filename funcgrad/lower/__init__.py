"""From programs to kernels: index maps, fusion, products, the plan of buffers, and the printed Python source."""

from funcgrad.lower import convolution, cumulative, small, sorting, windows  # what they know, they enter into `calls.WRITERS`

__all__ = ["convolution", "cumulative", "small", "sorting", "windows"]

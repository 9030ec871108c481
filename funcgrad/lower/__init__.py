"""From programs to kernels: index maps, fusion, products, the plan of buffers, and the printed Python source."""

from funcgrad.lower import (  # what they know, they enter into `calls.WRITERS`
    attention,
    convolution,
    cumulative,
    runs,
    searching,
    small,
    sorting,
    windows,
)

__all__ = ["attention", "convolution", "cumulative", "runs", "searching", "small", "sorting", "windows"]

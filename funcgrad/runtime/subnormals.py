"""What becomes of numbers too small for all their digits?  They are kept, or zeros where somebody says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from funcgrad.compile import native


@contextlib.contextmanager
def flush_subnormals() -> Iterator[None]:
    """A context, or a decorator, in which numbers below the smallest normal one (1e-38 in float32) are zeros.

    Many CPUs take a hundred times longer for an instruction that meets one. They come up where gradients vanish on the
    way back through a long loop, in averages that fade, and where exponentials of far points do.

    The CPU does it, for the thread that enters the block: in compiled programs and the threads that help them, and in
    all else that this thread computes, NumPy's functions too. JAX does so always, PyTorch after
    ``torch.set_flush_denormal(True)``. Constants of programs that are traced in the block can be zeros for good. On
    CPUs other than x86-64 and ARM64 the block changes nothing.

    Yields
    ------
    None
        What the thread did before is done again behind the block.

    Examples
    --------
    >>> import numpy as np, funcgrad as fg
    >>> half = fg.jit(lambda x: x / 2)
    >>> with fg.flush_subnormals():
    ...     float(half(np.float32(1.5e-38)))
    0.0
    >>> float(half(np.float32(1.5e-38))) > 0
    True
    """
    before = native.float_mode()
    native.set_float_mode(before | native.FLUSH)
    try:
        yield
    finally:
        native.set_float_mode(native.float_mode() & ~native.FLUSH | before & native.FLUSH)

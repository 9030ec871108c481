"""How are arrays shared with PyTorch, JAX and other libraries?  Through DLPack, without a copy, with JAX's names.

>>> import funcgrad as fg
>>> x = fg.numpy.arange(3.0)
>>> y = fg.dlpack.from_dlpack(x)  # or torch.from_dlpack(x), jax.numpy.from_dlpack(x)
>>> y[0] = 5.0
>>> x
Array([5., 1., 2.])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.array import Array
from funcgrad.capsules import exported, imported
from funcgrad.errors import at_line
from funcgrad.tracebacks import boundary

__all__ = ["from_dlpack", "is_supported_dtype", "to_dlpack"]


@boundary
def from_dlpack(external_array: Any, device: str | None = None, copy: bool | None = None) -> Array:
    """The array of another library in the same memory, as an `Array`: writing to one writes to the other.

    Parameters
    ----------
    external_array
        An object with ``__dlpack__`` and ``__dlpack_device__``, on the CPU: a tensor of PyTorch's, an array of JAX's,
        CuPy's, TensorFlow's ... It may have any strides, and bfloat16 elements. Or a capsule, which is read once.
    device
        ``"cpu"`` or None.
    copy
        True: a copy is made. False: there must be none. None: only if the producer must.

    Returns
    -------
    Array
        Read-only where the producer says so (JAX's arrays).

    Raises
    ------
    TypeError
        If the object does not speak DLPack.
    ValueError
        If `device` is another one.
    BufferError
        If the memory is on another device, of a dtype that NumPy has not, or the producer does not show it
        (a tensor that requires a gradient: ``tensor.detach()``).

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> fg.dlpack.from_dlpack(np.ones(2))
    Array([1., 1.])
    """
    return imported(external_array, device, copy).view(Array)


@boundary
def to_dlpack(
    x: Any,
    stream: None = None,
    src_device: str | None = None,
    dl_device: tuple[int, int] | None = None,
    max_version: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule of an array, for libraries that take no objects with ``__dlpack__``.

    Parameters
    ----------
    x
        An array of NumPy's or of ours.
    stream, src_device, dl_device
        There is one device, the CPU: None, ``"cpu"``, ``(1, 0)``.
    max_version
        The newest version that the consumer knows; None: one before versions, which cannot say that memory is
        read-only.
    copy
        True: of a copy.

    Returns
    -------
    capsule
        To be read once.

    Raises
    ------
    TypeError
        If `x` is no array.
    BufferError
        If the array cannot be shared: its elements are objects, or it is read-only and the version cannot say so.
    ValueError
        The device is not the CPU.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.dlpack.from_dlpack(fg.dlpack.to_dlpack(fg.numpy.arange(2)))
    Array([0, 1])
    """
    if src_device not in (None, "cpu"):
        raise ValueError(f'to_dlpack: unsupported device "{src_device}": arrays are on the "cpu"{at_line()}')
    options = {"stream": stream, "dl_device": dl_device, "max_version": max_version, "copy": copy}
    if isinstance(x, np.ndarray):
        return exported(x, **options)
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"to_dlpack takes an array, not {x!r} of type {type(x).__name__}{at_line()}")
    return x.__dlpack__(**options)


@boundary
def is_supported_dtype(dtype: Any) -> bool:
    """Whether arrays of this dtype can be shared.

    Returns
    -------
    bool
        A Python bool.

    Examples
    --------
    >>> is_supported_dtype("bfloat16")
    True
    """
    try:
        return np.dtype(dtype) in dtypes.ALL
    except TypeError:
        return False

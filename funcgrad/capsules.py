"""How do arrays cross to other libraries?  In DLPack's capsules, which NumPy makes and reads, but not of bfloat16.

A bfloat16 array crosses NumPy as one of uint16 in the same memory; the dtype that the capsule names is changed behind
NumPy, or before it. The places are those of ``dlpack.h`` (https://dmlc.github.io/dlpack/latest/c_api.html).
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from funcgrad.dtypes import BFLOAT16
from funcgrad.errors import at_line

CPU = 1  # kDLCPU
DEVICES = {2: "CUDA", 3: "pinned memory of CUDA", 4: "OpenCL", 7: "Vulkan", 8: "Metal", 10: "ROCm", 14: "oneAPI"}
VERSION = (1, 0)  # the newest protocol that is asked for

_ADDRESS, _OBJECT, _NAME = ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p
_is_valid = ctypes.PYFUNCTYPE(ctypes.c_int, _OBJECT, _NAME)(("PyCapsule_IsValid", ctypes.pythonapi))
_pointer = ctypes.PYFUNCTYPE(_ADDRESS, _OBJECT, _NAME)(("PyCapsule_GetPointer", ctypes.pythonapi))
_TENSOR = {b"dltensor": 0, b"dltensor_versioned": 32}  # where the DLTensor begins, by the capsule's name
_DEVICE, _DTYPE = 8, 20  # places in the DLTensor
_UINT16, _BFLOAT16 = b"\x01\x10\x01\x00", b"\x04\x10\x01\x00"  # code, bits, and one lane
_Capsule = type(np.empty(0).__dlpack__())


def exported(array: np.ndarray, **options: Any) -> Any:
    """A capsule of the array's memory; `options` are those of ``numpy.ndarray.__dlpack__``.

    Raises
    ------
    BufferError
        Another library cannot have this: an array of objects; one that is read-only, for a protocol that cannot say so;
        one with negative strides, at which PyTorch ends the process.
    """
    if not options.get("copy") and array.size and any(stride < 0 for stride in array.strides):
        raise BufferError(
            f"An array of strides {array.strides} is not shared through DLPack, since others take no negative ones: "
            f"share numpy.ascontiguousarray(x){at_line()}"
        )
    if array.dtype != BFLOAT16:
        return np.ndarray.__dlpack__(array, **options)
    capsule = np.ndarray.__dlpack__(array.view(np.ndarray).view(np.uint16), **options)
    _retype(capsule, _UINT16, _BFLOAT16)
    return capsule


def imported(source: Any, device: Any = None, copy: bool | None = None) -> np.ndarray:
    """An array of the memory that `source` shows: an object with ``__dlpack__``, or a capsule.

    Raises
    ------
    TypeError
        `source` is neither.
    ValueError
        `device` is not the CPU.
    BufferError
        The memory is another device's, or of a dtype that NumPy has not; or the producer does not show it.
    """
    if device not in (None, "cpu"):
        raise ValueError(f'from_dlpack: unsupported device "{device}": arrays are on the "cpu"{at_line()}')
    if not (hasattr(source, "__dlpack__") and hasattr(source, "__dlpack_device__")) and type(source) is not _Capsule:
        raise TypeError(
            f"from_dlpack takes an array of a library that speaks DLPack, not {type(source).__name__}: it has no "
            f"__dlpack__ and __dlpack_device__{at_line()}"
        )
    shown = _Shown(source)
    kind, number = shown.__dlpack_device__()
    if kind != CPU:
        where = DEVICES.get(kind, f"device type {int(kind)}")
        raise BufferError(
            f"from_dlpack: the array lies on {where} (number {number}); copy it to the CPU first (PyTorch: x.cpu(), "
            f'JAX: jax.device_put(x, jax.devices("cpu")[0])){at_line()}'
        )
    try:
        array = np.from_dlpack(shown, device=device, copy=copy)
    except RuntimeError as error:  # NumPy's, of a dtype that it has not
        name = type(source).__name__
        raise BufferError(f"from_dlpack: {name} has a dtype that NumPy has not: {error}{at_line()}") from None
    if copy and not array.flags.writeable:  # JAX's copies are as immutable as its arrays
        array = array.copy()
    return array.view(BFLOAT16) if shown.is_bfloat16 else array


class _Shown:
    """What NumPy reads in the place of another library's array.

    Attributes
    ----------
    is_bfloat16
        What was read says uint16, but is bfloat16.
    """

    def __init__(self, source: Any) -> None:
        self.source = source
        self.is_bfloat16 = False

    def __dlpack__(self, **options: Any) -> Any:
        capsule = self.source if type(self.source) is _Capsule else self.source.__dlpack__(**options)
        self.is_bfloat16 = _retype(capsule, _BFLOAT16, _UINT16)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        if type(self.source) is not _Capsule:
            kind, number = self.source.__dlpack_device__()
            return int(kind), int(number)
        tensor = _tensor(self.source)
        if not tensor:
            raise ValueError(f"from_dlpack: the capsule was read before, or is none of DLPack's{at_line()}")
        kind, number = (ctypes.c_int32 * 2).from_address(tensor + _DEVICE)
        return kind, number


def _tensor(capsule: Any) -> int:
    """The address of a capsule's DLTensor; 0 where somebody has taken it already."""
    for name, place in _TENSOR.items():
        if _is_valid(capsule, name):
            return int(_pointer(capsule, name)) + place
    return 0


def _retype(capsule: Any, old: bytes, new: bytes) -> bool:
    """Have a capsule say another dtype in the place of `old`; whether it said that."""
    tensor = _tensor(capsule)
    if not tensor or ctypes.string_at(tensor + _DTYPE, len(old)) != old:
        return False
    ctypes.memmove(tensor + _DTYPE, new, len(new))
    return True

"""Which BLAS does a program call?  The one that NumPy has already loaded, else SciPy's; found without `import scipy`.

Importing ``scipy.linalg`` costs a fifth of a second and 27 MB, loading the library behind it 3 ms, and NumPy's copy
nothing at all.  So three sources are tried in this order: the OpenBLAS inside NumPy's wheel, the OpenBLAS inside
SciPy's wheel, and the function pointers that ``scipy.linalg.cython_blas`` exports, which exist in every SciPy.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import NamedTuple

from funcgrad.compile.native import factors, gemm, reflections, spectral
from funcgrad.ops.extensions import extension_file

ROUTINES = (*gemm.ROUTINES, *factors.ROUTINES, *reflections.ROUTINES, *spectral.ROUTINES)

_capsule_name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))
_capsule_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)

NUMPY_CORE = importlib.import_module("numpy._core._multiarray_umath")
"""NumPy's extension module: what it depends on is its BLAS."""


class Blas(NamedTuple):
    """Addresses of routines.

    Attributes
    ----------
    source
        ``"numpy"``, ``"scipy"`` or ``"scipy.linalg.cython_blas"``.
    index_bits
        The width of its integers: sizes and leading dimensions must fit.
    addresses
        ``fg_sgemm``, ...; where there are such functions, ``fg_blas_get_threads``, ``fg_blas_set_threads`` and those of
        LAPACK that `factors` calls.
    core
        OpenBLAS's name of the CPU that its routines are for, else empty.
    """

    source: str
    index_bits: int
    addresses: dict[str, int]
    core: str = ""

    @property
    def controls(self) -> bool:
        """Whether its number of threads can be changed."""
        return "fg_blas_set_threads" in self.addresses


@functools.cache
def blas() -> Blas:
    """The BLAS of this process."""
    return _from_numpy() or _from_scipy() or _from_capsules()


def _from_numpy() -> Blas | None:
    return _from_openblas("numpy", str(NUMPY_CORE.__file__), "64_", 64)


def _from_scipy() -> Blas | None:
    path = extension_file("scipy.linalg.cython_blas")
    return None if path is None else _from_openblas("scipy", str(path), "", 32)


def _from_openblas(source: str, path: str, suffix: str, index_bits: int) -> Blas | None:
    """Look OpenBLAS's functions up through the extension module that depends on it.

    The names say the width of integers, so a BLAS under other names is left to `_from_capsules`.
    """
    names = {f"fg_{name}": f"scipy_{name}_{suffix}" for name in ROUTINES}
    names |= {f"fg_blas_{verb}_threads": f"scipy_openblas_{verb}_num_threads{suffix}" for verb in ("get", "set")}
    try:
        library = ctypes.CDLL(path)
        addresses = {ours: address_of(getattr(library, name)) for ours, name in names.items()}
        core = ctypes.CFUNCTYPE(ctypes.c_char_p)((f"scipy_openblas_get_corename{suffix}", library))()
        return Blas(source, index_bits, addresses, core.decode())
    except (OSError, AttributeError):
        return None


def _from_capsules() -> Blas:
    exported = importlib.import_module("scipy.linalg.cython_blas").__pyx_capi__
    addresses = {f"fg_{name}": capsule_pointer(exported[name]) for name in gemm.ROUTINES}
    return Blas("scipy.linalg.cython_blas", 32, addresses)


def address_of(function: object) -> int:
    """The address of a function that ctypes has found."""
    address = ctypes.cast(function, ctypes.c_void_p).value  # type: ignore[arg-type]
    assert address is not None
    return address


def capsule_pointer(capsule: object) -> int:
    """The pointer inside a PyCapsule."""
    return int(_capsule_pointer(capsule, _capsule_name(capsule)))

"""How does Python reach the native runtime?  One object that compiles it, links it and speaks to it."""

from __future__ import annotations

import atexit
import ctypes
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from funcgrad import config
from funcgrad.compile.aside import cores, several
from funcgrad.compile.compiler import native_library
from funcgrad.compile.engine import Address, Library
from funcgrad.compile.native import (
    attention,
    blas,
    blocks,
    driver,
    factors,
    fastcall,
    floats,
    fourier,
    gemm,
    halves,
    layout,
    loops,
    narrow,
    panels,
    parts,
    pool,
    reflections,
    slowcall,
    spectral,
    tiles,
)
from funcgrad.compile.native.descriptor import Descriptor
from funcgrad.compile.native.hosts import POLL, host_library
from funcgrad.compile.native.text import Module
from funcgrad.compile.native.workers import Workers
from funcgrad.compile.passes import Effort
from funcgrad.errors import at_line

Entry = Callable[[list[Any]], "list[Any] | int | None"]

_METH_O = 8
_ADDRESS, _WORD = ctypes.c_void_p, ctypes.c_int64
_PYTHON_SYMBOLS = (
    *("PyCapsule_GetPointer", "PyCapsule_GetContext", "PyCapsule_New", "PyEval_RestoreThread"),
    *("PyEval_SaveThread", "PyList_New", "PyLong_AsLongLongAndOverflow", "PyLong_FromLongLong"),
    *("PyObject_CallNoArgs", "PyObject_CallOneArg", "PyTuple_GetItem", "Py_DecRef", "Py_IncRef"),
)


class _MethodDef(ctypes.Structure):
    """CPython's ``PyMethodDef``."""

    _fields_ = (("name", ctypes.c_char_p), ("function", _ADDRESS), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p))


class Runtime:
    """The native runtime of this process; get it with `runtime`."""

    def __init__(self, threads: int) -> None:
        self._fast = layout.matches()
        module = Module()
        for part in (blocks, floats, pool, driver, *((fastcall,) if self._fast else ())):
            part.define(module)
        self._library = native_library("runtime", str(module), _python_symbols() if self._fast else {})
        # The code must outlive everything: results free their memory with it while the interpreter is taken down.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._library))
        self.run_address = self._library.address("fg_run")
        self.run: Callable[[int, int, int], int] = self._function("fg_run", _WORD, _ADDRESS, _WORD, _ADDRESS)
        self.float_mode: Callable[[], int] = self._function("fg_float_mode", _WORD)
        self.set_float_mode: Callable[[int], None] = self._function("fg_set_float_mode", None, _WORD)
        self._trim = self._function("fg_trim", None)
        self._usage = self._function("fg_blocks_usage", _WORD, _WORD)
        self._word = self._function("fg_pool_word", _WORD, _WORD)
        self._threads = threads
        self._workers = Workers(
            self._function("fg_worker", None, _WORD),
            self._function("fg_pool_resize", None, _WORD),
            self._function("fg_pool_reset", None),
        )
        self._method = _MethodDef(b"entry", 0, _METH_O, b"Run a compiled program on a list of leaves.")
        if self._fast:
            self._prepare_entries()
        self._survive_forks()
        atexit.register(self._workers.stop)

    def address(self, kernel: str) -> int:
        """The address of one of the runtime's own kernels."""
        return self._library.address(kernel)

    # Threads ----------------------------------------------------------------------------------------------------

    @property
    def threads(self) -> int:
        """How many threads share a kernel's pieces, the caller's included."""
        return self._threads

    def set_threads(self, count: int) -> None:
        self._threads = count
        if self._started():
            self._workers.grow_or_shrink(count - 1)

    def start_pool(self) -> None:
        """Start the workers unless they run already."""
        if not self._started():
            self._workers.grow_or_shrink(self._threads - 1)

    def _started(self) -> bool:
        return bool(self._word(pool.STARTED))

    def _survive_forks(self) -> None:
        if hasattr(os, "register_at_fork"):  # absent where processes cannot fork
            os.register_at_fork(after_in_child=self._function("fg_blocks_after_fork", None))
            os.register_at_fork(after_in_child=self._workers.forget)

    # Memory -----------------------------------------------------------------------------------------------------

    def trim(self) -> None:
        """Give memory that is kept for later results back to the system."""
        self._trim()

    def memory(self) -> dict[str, int]:
        """Bytes of large blocks: in use, the fading peak of that, and kept for later."""
        return {
            "in_use": self._usage(blocks.IN_USE),
            "peak": self._usage(blocks.PEAK),
            "kept": self._usage(blocks.KEPT),
        }

    # Calls ------------------------------------------------------------------------------------------------------

    @property
    def fast(self) -> bool:
        """Whether this interpreter's objects look as the fast call expects."""
        return self._fast

    def make_entry(self, descriptor: Descriptor) -> Entry:
        if not self._fast:
            return functools.partial(self.slow_call, descriptor)
        words = descriptor.words
        capsule = _capsule_new(words.ctypes.data, None, self._release_entry)
        # The capsule's destructor gives this reference back.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(words))
        _capsule_set_context(capsule, id(words))
        entry: Entry = _function_new(ctypes.byref(self._method), (capsule, *descriptor.keep), None)
        return entry

    def slow_call(self, descriptor: Descriptor, leaves: Sequence[Any]) -> list[Any] | int:
        if slowcall.is_parallel(descriptor):
            self.start_pool()
        return slowcall.call(self.run, descriptor, leaves)

    def _prepare_entries(self) -> None:
        self._method.function = self._library.address("fg_entry")
        self._release_entry = self._library.address("fg_release_entry")
        # Builtins point into the definition, and native code at the callable, until the process ends.
        self._start = self.start_pool
        for immortal in (self._method, self._start, _no_memory):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(immortal))
        objects = {
            fastcall.Object.NONE: None,
            fastcall.Object.TRUE: True,
            fastcall.Object.LIST: list,
            fastcall.Object.NDARRAY: np.ndarray,
            fastcall.Object.START_POOL: self._start,
            fastcall.Object.NO_MEMORY: _no_memory,
        }
        table = np.array([id(objects[which]) for which in fastcall.Object], np.int64)
        self._function("fg_set_objects", None, _ADDRESS)(table.ctypes.data)

    def _function(self, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
        return ctypes.CFUNCTYPE(result, *arguments)(self._library.address(name))


def _no_memory(size: int) -> NoReturn:
    """What native code calls where it gets no memory."""
    raise MemoryError(
        f"Unable to allocate {size:,} bytes for a result, or the temporaries, of a compiled program{at_line()}"
    )


@functools.cache
def loop_library(run_address: int) -> Library:
    """The kernels that run loops and branches; compiled (or read) when the first program has one."""
    module = Module()
    loops.define(module)
    return native_library("loops", str(module), {"fg_run": run_address, POLL: host_library().address(POLL)})


@functools.cache
def gemm_library(dtype: str, way: gemm.Way = gemm.Way.IN_BLOCKS) -> Library:
    """The kernels that multiply matrices of a dtype."""
    library = link_gemm(blas.blas(), _guard(), dtype, way)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library


def link_gemm(found: blas.Blas, guard: np.ndarray, dtype: str, way: gemm.Way = gemm.Way.IN_BLOCKS) -> Library:
    """The kernels on a BLAS."""
    module = Module()
    gemm.define(module, found.controls, (dtype,), way)
    symbols = found.addresses | {gemm.GUARD: guard.ctypes.data}
    if way is gemm.Way.TILED:
        symbols |= _tiles(dtype)
    elif way is gemm.Way.NARROW:
        symbols |= _narrow(dtype)
    return native_library("gemm", str(module), symbols)


@functools.cache
def factors_library(family: str, dtype: str) -> Library:
    """The kernels that factorize."""
    found = blas.blas()
    wanted = [_tiles, _factor_parts, *([_panels] if family == "eliminate" else [])]
    symbols = found.addresses | {gemm.GUARD: _guard().ctypes.data}
    for addresses in several([functools.partial(part, dtype) for part in wanted]):
        symbols |= addresses
    module = Module()
    gemm.define_guard(module, found.controls)
    if family == "qr":
        reflections.define(module, dtype)
    elif family in spectral.KERNELS:
        spectral.define(module, family, dtype)
    else:
        factors.define(module, family, dtype, found.index_bits)
    library = native_library(f"factors_{family}", str(module), symbols)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library


@functools.cache
def _factor_parts(dtype: str) -> dict[str, Address]:
    """What factorisations spend time in, but for products."""
    return _parts("factors", parts.define, dtype)


@functools.cache
def _panels(dtype: str) -> dict[str, Address]:
    """What LU spends time in besides."""
    return _parts("panels", panels.define, dtype)


def _parts(name: str, define: Callable[[Module, str], None], dtype: str) -> dict[str, Address]:
    module = Module(Effort.REGISTERS, plain=True)
    define(module, dtype)
    library = native_library(name, str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return {name: library.address(name) for name in module.defined()}


@functools.cache
def attention_library(dtype: str) -> Library:
    """The kernels that attend."""
    module = Module(Effort.REGISTERS)
    attention.define(module, dtype)
    library = native_library("attention", str(module), _tiles(dtype), module.parts())
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library


@functools.cache
def fourier_library(dtype: str, wanted: frozenset[str]) -> Library:
    """The kernels that transform lines of complex numbers, so many of `fourier.ALL`."""
    module, drivers = Module(Effort.REGISTERS, plain=True), Module()
    fourier.define(module, dtype, wanted, drivers)
    parts = [str(module), str(drivers)]
    library = native_library("fourier", "".join(parts), parts=parts)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library


@functools.cache
def halves_library(dtype: str) -> Library:
    """The kernel that makes spectra of real numbers of those of complex ones."""
    module = Module(Effort.REGISTERS, plain=True)
    halves.define(module, dtype)
    library = native_library("halves", str(module))
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library


@functools.cache
def _tiles(dtype: str) -> dict[str, Address]:
    """The product that needs no BLAS, and panels."""
    module = Module(Effort.REGISTERS, plain=True)
    tiles.define_turns(module, (dtype,))
    tiles.define(module, (dtype,))
    parts = module.parts([f"fg_tiles_{part}_{dtype}" for part in ("turn", "copy", "tile", "edge", "add")])
    library = native_library("tiles", str(module), parts=parts)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return {
        name: library.address(name) for name in (f"fg_tiles_{part}_{dtype}" for part in ("turn", "product", "edge"))
    }


@functools.cache
def _narrow(dtype: str) -> dict[str, Address]:
    """The product of few columns."""
    module, name = Module(Effort.REGISTERS), f"{gemm.OWN[gemm.Way.NARROW]}_{dtype}"
    narrow.define(module, (dtype,))
    parts = module.parts([f"fg_narrow_{rows}x1_{dtype}" for rows in tiles.heights()])
    library = native_library("narrow", str(module), parts=parts)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return {name: library.address(name)}


@functools.cache
def _guard() -> np.ndarray:
    """The words of the guard of BLAS's threads, for all dtypes."""
    words = np.zeros(len(gemm.Guard), np.int64)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(words))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=functools.partial(_forget_products, words))
    return words


def _forget_products(guard: np.ndarray) -> None:
    """Threads that the child does not have may have been inside of a product: BLAS gets its own threads back."""
    saved = int(guard[gemm.Guard.SAVED])
    if guard[gemm.Guard.USERS] > 0 and saved > 1:
        ctypes.CFUNCTYPE(None, ctypes.c_int32)(blas.blas().addresses["fg_blas_set_threads"])(saved)
    guard[:] = 0


def default_threads() -> int:
    """What the environment says, or one per core that this process may use."""
    return config.num_threads() or cores()


def _python_symbols() -> dict[str, int]:
    symbols = {name: blas.address_of(getattr(ctypes.pythonapi, name)) for name in _PYTHON_SYMBOLS}
    table = blas.capsule_pointer(blas.NUMPY_CORE._ARRAY_API)
    for symbol, index in (("fg_numpy_new", layout.NEW_FROM_DESCR), ("fg_numpy_set_base", layout.SET_BASE_OBJECT)):
        symbols[symbol] = ctypes.c_int64.from_address(table + 8 * index).value
    return symbols


def _python_function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


_capsule_new = _python_function("PyCapsule_New", ctypes.py_object, _ADDRESS, ctypes.c_char_p, _ADDRESS)
_capsule_set_context = _python_function("PyCapsule_SetContext", ctypes.c_int, ctypes.py_object, _ADDRESS)
_function_new = _python_function("PyCFunction_NewEx", ctypes.py_object, _ADDRESS, ctypes.py_object, ctypes.c_void_p)

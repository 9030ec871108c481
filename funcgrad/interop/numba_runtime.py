"""What does native code of Numba's ask for while it runs?  The program for shapes that it has not seen, and errors.

A *site* is what a function is for arguments of given types: two words, the address of a table, ``shift, first record
of each bucket``, and that of the routines below. A *record* is there for each combination of shapes: ``next, address of
the native function, sizes of the arguments, sizes of the results``, all in words of 64 bits. Its bucket is the hash of
the arguments' sizes, shifted right. Records are added by Python, and a larger table has its own; nothing is freed,
nothing changes but where buckets begin, so that native code needs no lock.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import os
import pickle
import secrets
import sys
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from funcgrad import forks, tree
from funcgrad.compile.native.standalone import Form
from funcgrad.interop.native_function import NativeFunction, traced_alone
from funcgrad.interop.numba_errors import Noting
from funcgrad.ir.types import ArrayType

NEXT, ADDRESS, SIZES = 0, 8, 16  # in a record
ROUTINES = 8  # in a site
RECORD, ERROR = 0, 1  # among the routines
FIND_SITE = (__name__, "find_site_4")
"""Where native code finds sites. The number is that of the layout, since Numba keeps code on the disk."""
NOBODY, RAISED = -1, -2  # no addresses
FACTOR = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: multiplicative hashing (Knuth)
FIRST_BITS, MOST_BITS = 3, 20  # of the number of buckets


class Spec(NamedTuple):
    """What a site knows of its arguments and results: their structure, and of each leaf the rank and dtype."""

    structure: tree.TreeDef
    arguments: tuple[tuple[int, np.dtype], ...]
    out_structure: tree.TreeDef
    results: tuple[tuple[int, np.dtype], ...]


class Site:
    """A function at arguments of given types."""

    def __init__(self, function: Callable[..., Any], spec: Spec) -> None:
        self.function, self.spec = function, spec
        self.records: dict[tuple[int, ...], np.ndarray] = {}
        self.natives: dict[int, NativeFunction] = {}
        self._kept: list[Any] = []  # tables, and the records of former ones
        self.head = np.array([0, _routines.ctypes.data], np.int64)
        self.address = int(self.head.ctypes.data)
        self._grow(FIRST_BITS)

    def record(self, sizes: tuple[int, ...]) -> int:
        """The address of the record for these sizes."""
        found = self.records.get(sizes)
        if found is None:
            found = self._make(sizes)
        return int(found.ctypes.data)

    def _make(self, sizes: tuple[int, ...]) -> np.ndarray:
        rest = iter(sizes)
        kinds = self.spec.arguments
        types = [ArrayType(tuple(next(rest) for _ in range(rank)), dtype) for rank, dtype in kinds]
        name = getattr(self.function, "__name__", "function")
        traced = traced_alone(name, self.function, self.spec.structure, types)
        outs = traced.program.output_types
        found = tuple((len(t.shape), t.dtype) for t in outs)
        if traced.out_structure != self.spec.out_structure or found != self.spec.results:
            raise TypeError(
                f"{name} returns {', '.join(map(str, outs))} for {', '.join(map(str, types))}: ranks and dtypes other "
                "than those that Numba compiled its caller for"
            )
        made = NativeFunction.of_leaves(name, traced, Form.STATUS)
        with _lock:
            if sizes not in self.records:
                dims = [n for t in outs for n in t.shape]
                self._add(sizes, np.array([0, made.address, *sizes, *dims], np.int64), made)
                bits = 64 - int(self._table[0])
                if len(self.records) > 1 << bits and bits < MOST_BITS:
                    self._grow(bits + 2)
            return self.records[sizes]

    def _add(self, sizes: tuple[int, ...], words: np.ndarray, native: NativeFunction) -> None:
        """Put a record into the table; it is whole before anybody can find it."""
        bucket = 1 + (hash_of(sizes) >> int(self._table[0]))
        words[0] = self._table[bucket]
        self.records[sizes], self.natives[int(words.ctypes.data)] = words, native
        self._table[bucket] = words.ctypes.data

    def _grow(self, bits: int) -> None:
        """Make a larger table, with records of its own: somebody may be walking along the former ones."""
        former = self.records
        self._table = np.zeros(1 + (1 << bits), np.int64)
        self._table[0] = 64 - bits
        self.records = {}
        for sizes, words in former.items():
            self._add(sizes, words.copy(), self.natives[int(words.ctypes.data)])
        self._kept += [self._table, former]
        self.head[0] = self._table.ctypes.data


def hash_of(sizes: tuple[int, ...]) -> int:
    """What native code computes."""
    found = 0
    for size in sizes:
        found = (found + size) * FACTOR & (1 << 64) - 1
    return found


_lock = forks.held(threading.RLock())
_sites: dict[Any, Site] = {}  # never forgotten: native code has their addresses
_by_address: dict[int, Site] = {}
_objects: list[Any] = []  # functions and types that native code of this process refers to
_SESSION = secrets.token_hex(8)


def site_for(function: Callable[..., Any], spec: Spec) -> Site:
    """The site of a function at arguments of these types."""
    with _lock:
        key = (id(function), spec)
        site = _sites.get(key)
        if site is None:
            site = _sites[key] = Site(function, spec)
            _by_address[site.address] = site
        return site


def names_of(function: Callable[..., Any], spec: Spec) -> tuple[str, str, bool]:
    """Texts by which native code finds a function and its types, and whether they are good in another process too.

    Both begin with the number of this process's object. Behind it, that of a function has the name of a global
    variable, ``module:file:name``; types are pickled.
    """
    pickled = ""
    with contextlib.suppress(pickle.PicklingError, AttributeError, TypeError):
        pickled = base64.b64encode(pickle.dumps(_plain(spec))).decode()
    label = label_of(function)
    return label, f"{_SESSION}:{_number(spec)}:{pickled}", bool(pickled) and not label.endswith(":")


def label_of(function: Callable[..., Any]) -> str:
    """The text by which a function is found."""
    return f"{_SESSION}:{_number(function)}:{_global_name(function) or '::'}"


def _number(value: Any) -> int:
    with _lock:
        _objects.append(value)
        return len(_objects) - 1


def _global_name(function: Callable[..., Any]) -> str:
    """The name of a global variable that holds a function, in any module that is a file."""
    own = sys.modules.get(getattr(function, "__module__", None) or "")
    for module in (own, *list(sys.modules.values())):
        if module is not None and _file(module):
            for name, value in list(getattr(module, "__dict__", {}).items()):  # anything can stand in sys.modules
                if value is function:
                    return f"{module.__name__}:{_file(module)}:{name}"
    return ""


def function_named(text: str) -> Callable[..., Any]:
    """The function of that name; a file may be a module in one process and the main program in another.

    Raises
    ------
    NameError
        There is none in this process.
    """
    session, number, module, file, name = text.split(":")
    if session == _SESSION:
        found: Callable[..., Any] = _objects[int(number)]
        return found
    homes = [m for m in list(sys.modules.values()) if _file(m) == file]
    if module in sys.modules and module != "__main__":
        homes.insert(0, sys.modules[module])
    for home in homes:
        if hasattr(home, name):
            found = getattr(home, name)
            return found
    raise NameError(f"a function compiled by Numba calls {name} of {module}, which is not imported")


def _file(module: Any) -> str:
    return os.path.basename(getattr(module, "__file__", None) or "").replace(":", "")


def _plain(spec: Spec) -> Any:
    """The specification in terms of what can be pickled: examples of the structures."""
    examples = [tree.unflatten(s, range(s.num_leaves)) for s in (spec.structure, spec.out_structure)]
    kinds = [[(rank, dtype.str) for rank, dtype in part] for part in (spec.arguments, spec.results)]
    return examples, kinds


def _types_named(text: str) -> Spec:
    session, number, pickled = text.split(":")
    if session == _SESSION:
        known: Spec = _objects[int(number)]
        return known
    examples, kinds = pickle.loads(base64.b64decode(pickled))
    arguments, results = (tuple((rank, np.dtype(short)) for rank, short in part) for part in kinds)
    return Spec(tree.structure(examples[0]), arguments, tree.structure(examples[1]), results)


# What native code calls; ctypes takes Python's lock ------------------------------------------------------------------


def find_site_4(name: str, text: str) -> int:
    """The address of a site; 0 after a failure."""
    with Noting():
        return site_for(function_named(name), _types_named(text)).address
    return 0


def _find_record(site: int, sizes: int) -> int:
    """The address of the record for sizes that lie at an address; 0 after a failure."""
    with Noting():
        found = _by_address[site]
        count = sum(rank for rank, _ in found.spec.arguments)
        return found.record(tuple((ctypes.c_int64 * count).from_address(sizes)) if count else ())
    return 0


def _note_error(site: int, record: int, status: int) -> None:
    """Have the exception behind a status wait, as that of a site or record that cannot be made does."""
    with Noting():
        _by_address[site].natives[record].check(status)


_WORD = ctypes.c_int64
_callbacks = (  # in the order of `RECORD` and `ERROR`
    ctypes.CFUNCTYPE(_WORD, _WORD, ctypes.c_void_p)(_find_record),
    ctypes.CFUNCTYPE(None, _WORD, _WORD, _WORD)(_note_error),
)
_routines = np.array([ctypes.cast(callback, ctypes.c_void_p).value for callback in _callbacks], np.int64)

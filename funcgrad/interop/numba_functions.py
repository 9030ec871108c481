"""What does Numba see when `@njit` code calls one of our functions?  A type that makes a native call of each site.

The types of the arguments choose the program; sizes are looked up at run time (`numba_runtime`). Between Numba's code
and the program stands a small `@njit` function, written for the types: it takes tuples apart, copies arrays that are
not in C order, makes the results, and calls.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numba
import numpy as np
from numba.core import errors, types
from numba.core.extending import NativeValue, models, register_model, unbox
from numba.core.imputils import lower_constant
from numba.np.numpy_support import as_dtype, from_dtype

from funcgrad import tree
from funcgrad.interop.native_function import traced_alone
from funcgrad.interop.numba_intrinsics import invoke_of, lookup_of, size
from funcgrad.interop.numba_runtime import Spec, function_named, label_of
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.runtime.dispatch import JitFunction

MOST_TRIALS = 256
LARGEST = 1024
SAMPLES = (3, 2, 5, 16, 1024)  # sizes with which most functions can be traced


class FunctionType(types.Callable, types.Opaque):
    """Numba's type of one of our functions: each has its own."""

    def __init__(self, function: Callable[..., Any], label: str = "") -> None:
        self.function, self.label = function, label
        self._calls: dict[tuple[Any, ...], Any] = {}
        super().__init__(f"funcgrad({getattr(function, '__name__', 'function')}, {id(function)})")

    @property
    def key(self) -> int:
        """Two of them are equal if the functions are the same."""
        return id(self.function)

    def __reduce__(self) -> Any:
        """In the index of Numba's cache a function is the global variable that holds it."""
        return _type_named, (self.label or label_of(self.function),)

    def call_for(self, args: tuple[Any, ...], names: tuple[str, ...] = ()) -> Any:
        """The `@njit` function that calls ours with arguments of these types, the last of which have names."""
        found = self._calls.get((args, names))
        if found is None:
            found = self._calls[args, names] = make_call(self.function, args, names)
        return found

    def get_call_type(self, context: Any, args: tuple[Any, ...], kws: dict[str, Any]) -> Any:
        """The signature of a call with arguments of these types."""
        names = tuple(sorted(kws))  # as pytrees have them
        plain = tuple(types.unliteral(t) for t in args)
        named = {key: types.unliteral(kws[key]) for key in names}
        call = self.call_for((*plain, *named.values()), names)
        template, pysig, folded, _ = call.get_call_template(plain, named)
        return template(context).apply(folded, {}).replace(pysig=pysig)

    def get_call_signatures(self) -> tuple[list[Any], bool]:
        """The signatures that were called, for messages."""
        return [s for call in self._calls.values() for s in call.nopython_signatures], True

    def get_impl_key(self, sig: Any) -> Any:
        """What Numba's lowering calls."""
        names = tuple(key for key in sig.pysig.parameters if not key.startswith(_PLACE)) if sig.pysig else ()
        return self.call_for(tuple(sig.args), names).get_overload(sig.args)


register_model(FunctionType)(models.OpaqueModel)


@unbox(FunctionType)
def _unbox(kind: Any, value: Any, c: Any) -> Any:
    return NativeValue(c.context.get_dummy_value())


@lower_constant(FunctionType)
def _constant(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return context.get_dummy_value()


_types: dict[int, FunctionType] = {}


def type_of(function: Callable[..., Any]) -> FunctionType:
    """The type of a function."""
    found = _types.get(id(function))
    if found is None:
        found = _types[id(function)] = FunctionType(function)
    return found


def _type_named(label: str) -> FunctionType:
    """The type of the function behind a label; one that is no other's where there is no such function, as in a process
    that has not imported its module.
    """
    try:
        return type_of(function_named(label))
    except NameError:
        return FunctionType(lambda: None, label)


def name(function: Callable[..., Any]) -> str:
    """What messages call a function."""
    return getattr(function, "__name__", repr(function))


# Typing ---------------------------------------------------------------------------------------------------------------


def make_call(function: Callable[..., Any], args: tuple[Any, ...], names: tuple[str, ...] = ()) -> Any:
    """An `@njit` function of arguments of these types that calls `function`; the last arguments have names."""
    if isinstance(function, JitFunction) and function._statics.taken(len(args) - len(names), names):
        raise errors.TypingError(
            f"{name(function)} is called inside @njit with a static argument, whose value is not known when Numba "
            "compiles: jit a function that closes over it, or leave it at its default"
        )
    leaves: list[tuple[str, Any]] = []
    examples = [_example(function, t, f"{_PLACE}{k}", leaves) for k, t in enumerate(args)]
    count = len(args) - len(names)
    example, named = tuple(examples[:count]), dict(zip(names, examples[count:], strict=True))
    kinds = [t for _, t in leaves]
    arguments = tuple((t.ndim, as_dtype(t.dtype)) if isinstance(t, types.Array) else (0, as_dtype(t)) for t in kinds)
    structure = tree.structure((example, named))
    traced = _traced(function, structure, arguments)
    outs = traced.program.output_types
    spec = Spec(structure, arguments, traced.out_structure, tuple((len(t.shape), t.dtype) for t in outs))
    for t in outs:
        _numba_dtype(function, t.dtype)
    writer = _Writer(function, spec, leaves)
    call = writer.compiled([f"{_PLACE}{k}" for k in range(len(args))])
    if not names:
        return call
    given = ", ".join([*(f"{_PLACE}{k}" for k in range(count)), *names])
    scope = {_CALL: call}
    exec(f"def call({given}):\n    return {_CALL}({given})\n", scope)
    return numba.njit(scope["call"])


_PLACE, _CALL = "_funcgrad_argument_", "_funcgrad_call"  # names that nobody's keywords have


def _example(function: Callable[..., Any], kind: Any, place: str, leaves: list[tuple[str, Any]]) -> Any:
    """An argument of the given type, whose leaves are numbers; `leaves` gets the expression and type of each."""
    if isinstance(kind, types.NoneType):
        return None
    if isinstance(kind, types.BaseTuple):
        parts = [_example(function, t, f"{place}[{k}]", leaves) for k, t in enumerate(kind.types)]
        named = isinstance(kind, types.BaseNamedTuple)
        return kind.instance_class(*parts) if named else tuple(parts)
    if isinstance(kind, types.Array) and not isinstance(kind.dtype, types.Record):
        leaves.append((place, kind))
        return 0
    if isinstance(kind, types.Number | types.Boolean):
        leaves.append((place, kind))
        return 0
    raise errors.TypingError(
        f"{name(function)} is called inside @njit with {kind}: it takes numbers, arrays, and tuples of them"
    )


def _traced(function: Callable[..., Any], structure: tree.TreeDef, kinds: Sequence[tuple[int, np.dtype]]) -> Any:
    """The function's program for some sizes: ranks and dtypes of results do not depend on them."""
    dims = sum(rank for rank, _ in kinds)
    first: Exception | None = None
    for sizes in _sizes(function, dims):
        rest = iter(sizes)
        given = [ArrayType(tuple(next(rest) for _ in range(rank)), dtype) for rank, dtype in kinds]
        try:
            return traced_alone(name(function), function, structure, given)
        except Exception as error:
            first = first or error
    shown = ", ".join(f"{dtype.name}{[':'] * rank if rank else ''}" for rank, dtype in kinds).replace("'", "")
    message, _, line = str(first).partition("\n  at ")
    if line and os.path.dirname(numba.__file__) not in line:
        message = str(first)
    raise errors.TypingError(
        f"{name(function)} cannot be traced for arguments of types {shown}: {type(first).__name__}: {message}"
    ) from first


def _sizes(function: Callable[..., Any], count: int) -> Iterator[tuple[int, ...]]:
    """Sizes to try: all equal, then those that the function names or closes over in all combinations."""
    found: dict[int, None] = {}
    _closed_over(function, found, set(), 6)
    known = [*SAMPLES[:1], *found, *SAMPLES[1:]]
    equal = [(n,) * count for n in known] if count else [()]
    yield from equal
    if count > 1:
        yield from itertools.islice(itertools.product([*found, *SAMPLES], repeat=count), MOST_TRIALS)


def _closed_over(value: Any, found: dict[int, None], seen: set[int], depth: int) -> None:
    """Note the sizes of arrays that a function reads (in closures, defaults, and global variables that it names) and
    the numbers in its code, which may be indices.
    """
    if depth == 0 or id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        found.update(dict.fromkeys(value.shape))
        return
    if isinstance(value, ArrayType):
        found.update(dict.fromkeys(value.shape))
        return
    parts: list[Any] = []
    if isinstance(value, Program):
        parts = [*value.input_types, *value.constants.values()]
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, functools.partial):
        parts = [value.func, *value.args, *value.keywords.values()]
    elif inspect.isfunction(value):
        cells = [cell.cell_contents for cell in value.__closure__ or () if cell_is_full(cell)]
        names = (n for c in _codes(value.__code__) for n in c.co_names)
        numbers = (n for c in _codes(value.__code__) for n in _integers(c.co_consts))
        found.update((m, None) for n in numbers for m in (n, n + 1))
        parts = [*cells, *(value.__defaults__ or ()), *(value.__globals__.get(n) for n in names)]
    elif callable(value) and hasattr(value, "__wrapped__"):
        parts = [value.__wrapped__]
    for part in parts:
        _closed_over(part, found, seen, depth - 1)


def _codes(outer: Any) -> Iterator[Any]:
    yield outer
    for constant in outer.co_consts:
        if inspect.iscode(constant):
            yield from _codes(constant)


def _integers(constants: tuple[Any, ...]) -> Iterator[int]:
    """The sizes among constants, also in shapes."""
    for constant in constants:
        if type(constant) is tuple:
            yield from _integers(constant)
        elif type(constant) is int and 0 < constant < LARGEST:
            yield constant


def cell_is_full(cell: Any) -> bool:
    """Whether a closure's variable has a value yet."""
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _numba_dtype(function: Callable[..., Any], dtype: np.dtype) -> Any:
    try:
        return from_dtype(dtype)
    except errors.NumbaError:
        raise errors.TypingError(f"{name(function)} returns {dtype.name}, a dtype that Numba does not have") from None


# The function between ------------------------------------------------------------------------------------------------


class _Writer:
    """Writes the `@njit` function that stands between."""

    def __init__(self, function: Callable[..., Any], spec: Spec, leaves: Sequence[tuple[str, Any]]) -> None:
        self.function, self.spec, self.leaves = function, spec, leaves
        self.scope: dict[str, Any] = {"np": np}
        self.lines: list[str] = []

    def compiled(self, parameters: Sequence[str]) -> Any:
        """The function, not yet compiled."""
        values, sizes = [], []
        for k, (place, kind) in enumerate(self.leaves):
            self.lines.append(f"v{k} = {self._prepared(place, kind)}")
            values.append(f"v{k}")
            sizes += [f"v{k}.shape[{axis}]" for axis in range(getattr(kind, "ndim", 0))]
        self.scope["lookup"] = lookup_of(self.function, self.spec)
        self.lines.append(f"site, record = lookup({_tuple(sizes)})")
        outs = self._results(len(sizes))
        kinds = [from_dtype(dtype) for rank, dtype in self.spec.results if not rank]
        self.scope["invoke"] = invoke_of(self.spec, kinds)
        arrays = [o for o in outs if o.startswith("r")]
        self.lines.append(f"answer = invoke(site, record, {_tuple(values)}, {_tuple(arrays)})")
        result = tree.unflatten(self.spec.out_structure, [_Name(o) for o in outs])
        self.lines.append(f"return {self._expression(result)}")
        body = "\n    ".join(self.lines)
        source = f"def call({', '.join(parameters)}):\n    {body}\n"
        exec(source, self.scope)
        call = self.scope["call"]
        call.__name__ = call.__qualname__ = f"call_of_{name(self.function)}".replace("<lambda>", "lambda")
        return numba.njit(call)

    @staticmethod
    def _prepared(place: str, kind: Any) -> str:
        """A leaf as it is handed over."""
        if not isinstance(kind, types.Array):
            return place
        if not kind.ndim:
            return f"{place}[()]"
        if not kind.aligned:
            return f"{place}.copy()"
        return place if kind.layout == "C" else f"np.ascontiguousarray({place})"

    def _results(self, first: int) -> list[str]:
        """Make the arrays of the results; the expressions of all of them."""
        outs: list[str] = []
        scalars = 0
        self.scope["size"] = size
        for k, (rank, dtype) in enumerate(self.spec.results):
            if not rank:
                outs.append(f"answer[{scalars}]")
                scalars += 1
                continue
            dims = _tuple([f"size(record, {first + axis})" for axis in range(rank)])
            first += rank
            self.scope[f"t{k}"] = dtype.type
            self.lines.append(f"r{k} = np.empty({dims}, t{k})")
            outs.append(f"r{k}")
        return outs

    def _expression(self, result: Any) -> str:
        """Python's expression for a result."""
        if isinstance(result, _Name) or result is None:
            return str(result)
        if isinstance(result, tuple):
            parts = [self._expression(part) for part in result]
            kind = type(result)
            if kind is tuple:
                return _tuple(parts)
            if hasattr(kind, "_fields"):
                named = f"k{len(self.scope)}"
                self.scope[named] = kind
                return f"{named}({', '.join(parts)})"
        raise errors.TypingError(
            f"{name(self.function)} returns a {type(result).__name__}: inside @njit, results are arrays, numbers and "
            "tuples of them"
        )


class _Name(str):
    """An expression in the place of a value."""


def _tuple(parts: Sequence[str]) -> str:
    return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

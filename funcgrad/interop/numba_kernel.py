"""How does a compiled program call a function of Numba's?  By a kernel that Numba compiles around it.

The kernel has the form of all kernels (see `compile.native`); its range counts examples of a batch. Its integers are
the status of a failure, and for each operand and result its `Lies`. It is compiled for ranks and dtypes, not for
sizes. What the function raises is kept for whoever reads the status.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import binding, ir
from numba.core import cgutils, errors, types
from numba.core.extending import intrinsic
from numba.np.numpy_support import as_dtype, from_dtype

from funcgrad import tree
from funcgrad.interop.numba_errors import error_of
from funcgrad.interop.numba_intrinsics import POINTER, hand_over

FAILED = "funcgrad_numba_failed"
_WORDS = types.CPointer(types.int64)
_SIGNATURE = types.void(_WORDS, _WORDS, types.int64, types.int64)

Kinds = tuple[tuple[int, np.dtype], ...]


class NumbaKernel:
    """A kernel around a function of Numba's, for operands and results of given ranks and dtypes."""

    def __init__(
        self, function: Any, structure: tree.TreeDef, arguments: Kinds, out_structure: tree.TreeDef, results: Kinds
    ) -> None:
        name = getattr(function, "__name__", "function")
        given = [numba_type(name, rank, dtype) for rank, dtype in arguments]
        frozen = [t.copy(readonly=True) if isinstance(t, types.Array) else t for t in given]
        writes = not _compiles(function, _signature(structure, frozen))
        given = given if writes else frozen
        _check(name, function, _signature(structure, given), out_structure, results)
        args = tree.unflatten(structure, [_Place(f"a{k}.copy()" if rank and writes else f"a{k}")
                                          for k, (rank, _) in enumerate(arguments)])  # fmt: skip
        target = _target(name, function, args, out_structure, len(given), results)
        cells = [types.Array(from_dtype(dtype), max(rank, 1), "C") for rank, dtype in results]
        signature = types.void(*given, *cells)
        target.compile(signature)
        source = "\n".join(_kernel_lines(arguments, results))
        guarded = _guarded(target, signature)
        scope: dict[str, Any] = {"carray": numba.carray, "pointer": _pointer, "guarded": guarded, "np": np}
        scope |= {f"t{k}": dtype.type for k, (_, dtype) in enumerate((*arguments, *results))}
        exec(source, scope)
        self._compiled = numba.cfunc(_SIGNATURE)(scope["kernel"])  # kept: programs hold its address
        self.address = int(self._compiled.address)


class Lies(NamedTuple):
    """Where an operand or result lies: the slot of its buffer, or 0 and the address of a known number; the bytes from
    one example to the next; the sizes.
    """

    slot: int
    base: int
    stride: int
    shape: tuple[int, ...]


def integers(status: int, places: Sequence[Lies]) -> list[int]:
    """The kernel's integers."""
    return [status, *(word for p in places for word in (p.slot, p.base, p.stride, *p.shape))]


class _Place(str):
    """An expression in the place of a value."""


def numba_type(name: str, rank: int, dtype: np.dtype) -> Any:
    """Numba's type of an operand or result of the function `name`."""
    try:
        scalar = from_dtype(dtype)
    except errors.NumbaError:
        scalar = None
    if scalar in (None, types.float16):  # the latter is one of Numba's types, but not on CPUs
        raise TypeError(f"numba_call: {name} cannot take or return {dtype.name}: Numba does not have it")
    return types.Array(scalar, rank, "C") if rank else scalar


def _signature(structure: tree.TreeDef, kinds: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(map(_as_numba, tree.unflatten(structure, kinds)))


def _resolved(function: Any, signature: tuple[Any, ...]) -> Any:
    """Numba's signature of a function that is called with arguments of these types; None where none fits."""
    template, _, folded, named = function.get_call_template(signature, {})
    return template(function.targetdescr.typing_context).apply(folded, named)


def _compiles(function: Any, signature: tuple[Any, ...]) -> bool:
    """Whether Numba has code for a function of arguments of these types."""
    try:
        return _resolved(function, signature) is not None
    except errors.NumbaError:
        return False


def _check(name: str, function: Any, signature: tuple[Any, ...], out_structure: tree.TreeDef, results: Kinds) -> None:
    """Whether the function, for these arguments, returns what was promised."""
    try:
        resolved = _resolved(function, signature)
    except errors.NumbaError as error:
        raise TypeError(f"numba_call: Numba cannot compile {name}{signature}: {error}") from error
    if resolved is None:
        raise TypeError(f"numba_call: Numba compiled {name} for {function.nopython_signatures}, not for {signature}")
    returned = resolved.return_type
    leaves = [(path, leaf) for path, leaf in zip(out_structure.paths(), results, strict=True)]
    if not leaves and not isinstance(returned, types.NoneType):
        raise TypeError(f"numba_call: {name} returns {returned}, and out_type promises nothing")
    for path, (rank, dtype) in leaves:
        found = _part(returned, path)
        have = None if found is None else _kind(found)
        if have != (rank, dtype):
            where = f" at {tree.key_string(path)}" if path else ""
            wanted = types.Array(from_dtype(dtype), rank, "C") if rank else from_dtype(dtype)
            raise TypeError(f"numba_call: {name} returns {found or returned}{where}, where out_type promises {wanted}")


def _as_numba(value: Any) -> Any:
    """The Numba type of an argument whose leaves are Numba types."""
    if value is None:
        return types.none
    if isinstance(value, types.Type):
        return value
    if not isinstance(value, tuple):
        raise TypeError(f"numba_call: arguments are arrays, numbers and tuples of them, not {type(value).__name__}")
    parts = [_as_numba(part) for part in value]
    return types.NamedTuple(parts, type(value)) if hasattr(value, "_fields") else types.Tuple(parts)


def _part(kind: Any, path: Sequence[Any]) -> Any:
    """The type of a part of a result; None where there is none."""
    for key in path:
        if not isinstance(kind, types.BaseTuple):
            return None
        names = getattr(kind, "fields", ())
        number = names.index(key) if isinstance(key, str) and key in names else key
        if not isinstance(number, int) or number >= len(kind.types):
            return None
        kind = kind.types[number]
    return kind


def _kind(kind: Any) -> tuple[int, np.dtype] | None:
    if isinstance(kind, types.Array):
        return kind.ndim, as_dtype(kind.dtype)
    return (0, as_dtype(types.unliteral(kind))) if isinstance(kind, types.Number | types.Boolean) else None


def _target(name: str, function: Any, args: Any, out_structure: tree.TreeDef, count: int, results: Kinds) -> Any:
    """The `@njit` function that calls `function` and puts the results where they belong."""
    scope: dict[str, Any] = {"function": function}
    given = ", ".join(_expression(a, scope) for a in args)
    lines = [f"y = function({given})"]
    for k, (path, (rank, _)) in enumerate(zip(out_structure.paths(), results, strict=True)):
        place = "y" + "".join(f".{key}" if isinstance(key, str) else f"[{key}]" for key in path)
        if rank:
            message = f"numba_call: {name} returned another shape than out_type promises"
            lines += [f"if {place}.shape != o{k}.shape:", f"    raise ValueError({message!r})"]
        lines += _copy(f"o{k}", place, rank)
    parameters = [f"a{k}" for k in range(count)] + [f"o{k}" for k in range(len(results))]
    body = "\n    ".join(lines)
    exec(f"def target({', '.join(parameters)}):\n    {body}\n", scope)
    return numba.njit(scope["target"])


def _copy(out: str, place: str, rank: int) -> Iterator[str]:
    """Copy a result, element by element: Numba takes seconds to compile an assignment of slices."""
    for axis in range(rank):
        yield f"{'    ' * axis}for i{axis} in range({out}.shape[{axis}]):"
    index = ", ".join(f"i{axis}" for axis in range(rank)) or "0"
    yield f"{'    ' * rank}{out}[{index}] = {place}{f'[{index}]' if rank else ''}"


def _expression(value: Any, scope: dict[str, Any]) -> str:
    """Python's expression for an argument."""
    if isinstance(value, _Place) or value is None:
        return str(value)
    parts = "".join(f"{_expression(part, scope)}, " for part in value)
    if not hasattr(value, "_fields"):
        return f"({parts})"
    named = f"k{len(scope)}"
    scope[named] = type(value)
    return f"{named}({parts})"


def _kernel_lines(arguments: Kinds, results: Kinds) -> Iterator[str]:
    yield "def kernel(bufs, ints, first, last):"
    yield "    for k in range(first, last):"
    at = 1
    names = [f"a{k}" for k in range(len(arguments))] + [f"o{k}" for k in range(len(results))]
    for k, (rank, _) in enumerate((*arguments, *results)):
        sizes = "".join(f"ints[{at + 3 + axis}], " for axis in range(rank)) or "1, "
        number = "[0]" if k < len(arguments) and not rank else ""
        start = f"(bufs[ints[{at}]] if ints[{at}] else ints[{at + 1}])"
        place = f"pointer({start} + k * ints[{at + 2}])"
        yield f"        {names[k]} = carray({place}, ({sizes}), t{k}){number}"
        at += 3 + rank
    yield f"        if guarded(({''.join(f'{name}, ' for name in names)})):"
    yield "            carray(pointer(bufs[0]), (1,), np.int64)[0] = ints[0]"
    yield "            break"


@intrinsic
def _pointer(typingctx: Any, address: Any) -> Any:
    """The memory at an address."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


def _guarded(target: Any, signature: Any) -> Any:
    """The intrinsic that calls `target` and tells whether it raised something, which is kept."""
    compiled = target.overloads[signature.args]

    @intrinsic
    def guarded(typingctx: Any, given: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            context.active_code_library.add_linking_library(compiled.library)
            kinds = zip(cgutils.unpack_tuple(builder, args[0]), given, signature.args, strict=True)
            values = [context.cast(builder, value, have, wanted) for value, have, wanted in kinds]
            status, _ = context.call_internal_no_propagate(builder, compiled.fndesc, signature, values)
            with builder.if_then(status.is_error, likely=False):
                _keep(context, builder, status)
            return status.is_error

        return types.boolean(given), generate

    return guarded


def _keep(context: Any, builder: Any, status: Any) -> None:
    """Hand an exception to Python, which keeps it."""
    api = context.get_python_api(builder)
    state = api.gil_ensure()
    context.call_conv.raise_error(builder, api, status)
    kind = ir.FunctionType(ir.VoidType(), [POINTER] * 2)
    hand_over(context, builder, api, cgutils.get_or_insert_function(builder.module, kind, FAILED))
    api.gil_release(state)


# What is kept --------------------------------------------------------------------------------------------------------

_local = threading.local()
_latest: list[BaseException] = []  # of any thread


def _failed(kind: int | None, value: int | None) -> None:
    _local.error = error_of(kind, value) or RuntimeError("a function of Numba's failed")
    _latest[:] = [_local.error]


def kept() -> BaseException:
    """What the last function on this thread raised, or on another one that ran a piece."""
    error = getattr(_local, "error", None) or _latest[-1]
    _local.error = None
    return error


_callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(_failed)
binding.add_symbol(FAILED, ctypes.cast(_callback, ctypes.c_void_p).value)

"""What native code stands where functions of Numba's call ours?  Three intrinsics: the record for given sizes, a size
of it, and the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic
from numba.np.numpy_support import as_dtype

from funcgrad.compile.native.standalone import VALUES
from funcgrad.dtypes import code
from funcgrad.interop.numba_errors import Failure
from funcgrad.interop.numba_hook import SITE
from funcgrad.interop.numba_runtime import (
    ADDRESS,
    ERROR,
    FACTOR,
    FIND_SITE,
    NEXT,
    NOBODY,
    RAISED,
    RECORD,
    ROUTINES,
    SIZES,
    Spec,
    names_of,
)

_NOBODY = (
    "a function that Numba kept on the disk calls funcgrad, which is not there, or of another version than the one "
    "that it was compiled with: remove the files of Numba's cache (__pycache__/*.nbi)"
)
WORD, BYTE = ir.IntType(64), ir.IntType(8)
POINTER = BYTE.as_pointer()


def word_at(builder: Any, place: Any, offset: int) -> Any:
    """The word that lies at an address (a word) plus an offset."""
    address = builder.add(place, WORD(offset)) if offset else place
    return builder.load(builder.inttoptr(address, WORD.as_pointer()))


@intrinsic
def size(typingctx: Any, record: Any, number: Any) -> Any:
    """A size of a record."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = builder.add(args[0], builder.mul(args[1], WORD(8)))
        return word_at(builder, place, SIZES)

    return types.int64(types.int64, types.int64), generate


def lookup_of(function: Callable[..., Any], spec: Spec) -> Any:
    """The intrinsic that finds the record for sizes: ``(site, record)``."""
    label, text, lasting = names_of(function, spec)

    @intrinsic
    def lookup(typingctx: Any, sizes: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            own = None if lasting else id(function)
            site = remembered(context, builder, SITE, FIND_SITE, (label, text), own)
            count = len(sizes)
            given = [builder.extract_value(args[0], k) for k in range(count)] if count else []
            record = _found(context, builder, site, given)
            with builder.if_then(builder.icmp_unsigned("==", record, WORD(0)), likely=False):
                context.call_conv.return_user_exc(builder, Failure)
            return context.make_tuple(builder, sig.return_type, [site, record])

        return types.UniTuple(types.int64, 2)(sizes), generate

    return lookup


def remembered(
    context: Any, builder: Any, name: str, where: tuple[str, str], texts: Sequence[str], own: int | None = None
) -> Any:
    """The address that a function of Python's returns for texts, which is asked for once; 0 after a failure.

    An address `own` that only this process knows keeps Numba from writing the code to the disk.
    """
    module = builder.module
    word = cgutils.add_global_variable(module, WORD, module.get_unique_name(name))
    word.linkage, word.initializer = "internal", WORD(0)
    with builder.if_then(builder.icmp_unsigned("==", builder.load(word), WORD(0)), likely=False):
        answer = _asked(context, builder, where, texts)
        nobody = builder.icmp_unsigned("==", answer, WORD(NOBODY))
        if own is not None:  # only what is used is still there when Numba looks for addresses
            place = context.add_dynamic_addr(builder, own, info="funcgrad")
            nobody = builder.or_(nobody, cgutils.is_null(builder, place))
        with builder.if_then(nobody, likely=False):
            context.call_conv.return_user_exc(builder, ImportError, (_NOBODY,))
        with builder.if_then(builder.icmp_unsigned("==", answer, WORD(RAISED)), likely=False):
            context.call_conv.return_exc(builder)
        builder.store(answer, word)
    return builder.load(word)


def _asked(context: Any, builder: Any, where: tuple[str, str], texts: Sequence[str]) -> Any:
    """Call a function of Python's by name, which imports what it needs: a symbol that is missing would end the process.
    `NOBODY` where there is no such function, `RAISED` where Python has an exception (as of Ctrl-C).
    """
    place = cgutils.alloca_once_value(builder, WORD(NOBODY))
    with undisturbed(context, builder) as api:
        home = api.import_module(context.insert_const_string(builder.module, where[0]))
        with builder.if_then(cgutils.is_not_null(builder, home)):
            ask = api.object_getattr_string(home, where[1])
            with builder.if_then(cgutils.is_not_null(builder, ask)):
                strings = [api.string_from_string(context.insert_const_string(builder.module, s)) for s in texts]
                answer = api.call_function_objargs(ask, strings)
                builder.store(WORD(RAISED), place)
                with builder.if_then(cgutils.is_not_null(builder, answer)):
                    builder.store(api.long_as_longlong(answer), place)
                    api.decref(answer)
                for value in (*strings, ask):
                    api.decref(value)
            api.decref(home)
        with builder.if_then(builder.icmp_unsigned("==", builder.load(place), WORD(NOBODY))):
            api.err_clear()
    return builder.load(place)


@contextmanager
def undisturbed(context: Any, builder: Any) -> Iterator[Any]:
    """Python's interface, with its lock. An exception that the thread has already, as of an iteration of a parallel
    loop, waits meanwhile.
    """
    api = context.get_python_api(builder)
    state = api.gil_ensure()
    with api.err_push(keep_new=True):
        yield api
    api.gil_release(state)


def hand_over(context: Any, builder: Any, api: Any, take: Any) -> None:
    """Take the exception that Python has, if any, and call the native function `take` with its type and its value."""
    parts = [cgutils.alloca_once(builder, api.pyobj) for _ in range(3)]
    for part in parts:
        builder.store(cgutils.get_null_value(api.pyobj), part)
    api.err_fetch(*parts)
    kind, value, trace = map(builder.load, parts)
    builder.call(take, [builder.bitcast(part, POINTER) for part in (kind, value)])
    for part in (kind, value, trace):
        api.decref(part)


def _routine(builder: Any, site: Any, number: int, result: Any, arguments: Sequence[Any]) -> Any:
    """A function of the runtime, whose addresses a site has."""
    address = word_at(builder, word_at(builder, site, ROUTINES), 8 * number)
    return builder.inttoptr(address, ir.FunctionType(result, arguments).as_pointer())


def _found(context: Any, builder: Any, site: Any, given: Sequence[Any]) -> Any:
    """Walk along the records of the sizes' bucket; ask Python for one that is not there. 0 after a failure."""
    place = cgutils.alloca_once_value(builder, WORD(0))
    with builder.if_then(builder.icmp_unsigned("!=", site, WORD(0))):
        _walk(context, builder, site, given, place)
    return builder.load(place)


def _walk(context: Any, builder: Any, site: Any, given: Sequence[Any], place: Any) -> None:
    """Leave the record for sizes in `place`."""
    hashed = WORD(0)
    for size in given:
        hashed = builder.mul(builder.add(hashed, size), WORD(FACTOR))
    table = word_at(builder, site, 0)
    bucket = builder.lshr(hashed, word_at(builder, table, 0))
    builder.store(word_at(builder, builder.add(table, builder.mul(bucket, WORD(8))), 8), place)
    head, body, following, missing, end = (
        builder.append_basic_block(f"records.{part}") for part in ("head", "body", "next", "missing", "end")
    )
    builder.branch(head)
    builder.position_at_end(head)
    record = builder.load(place)
    builder.cbranch(builder.icmp_unsigned("==", record, WORD(0)), missing, body)
    builder.position_at_end(body)
    equal = cgutils.true_bit
    for k, size in enumerate(given):
        equal = builder.and_(equal, builder.icmp_unsigned("==", size, word_at(builder, record, SIZES + 8 * k)))
    builder.cbranch(equal, end, following)
    builder.position_at_end(following)
    builder.store(word_at(builder, record, NEXT), place)
    builder.branch(head)
    builder.position_at_end(missing)
    sizes = cgutils.alloca_once(builder, WORD, size=WORD(max(len(given), 1)))
    for k, size in enumerate(given):
        builder.store(size, builder.gep(sizes, [WORD(k)]))
    ask = _routine(builder, site, RECORD, WORD, [WORD, POINTER])
    with undisturbed(context, builder):
        builder.store(builder.call(ask, [site, builder.bitcast(sizes, POINTER)]), place)
    builder.branch(end)
    builder.position_at_end(end)


def invoke_of(spec: Spec, scalars: Sequence[Any]) -> Any:
    """The intrinsic that calls a record's function: the results that are numbers."""

    @intrinsic
    def invoke(typingctx: Any, site: Any, record: Any, values: Any, arrays: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            site, record, values, arrays = args
            given = [_handed(context, builder, t, builder.extract_value(values, k)) for k, t in enumerate(sig.args[2])]
            made = iter(
                [_data(context, builder, t, builder.extract_value(arrays, k)) for k, t in enumerate(sig.args[3])]
            )
            cells = [cgutils.alloca_once(builder, context.get_data_type(t)) for t in scalars]
            rest = iter(cells)
            given += [next(made) if rank else builder.bitcast(next(rest), POINTER) for rank, _ in spec.results]
            kind = ir.FunctionType(WORD, [v.type for v in given])
            function = builder.inttoptr(word_at(builder, record, ADDRESS), kind.as_pointer())
            status = builder.call(function, given)
            with builder.if_then(builder.icmp_unsigned("!=", status, WORD(0)), likely=False):
                _raise(context, builder, site, record, status)
            found = [context.unpack_value(builder, t, cell) for t, cell in zip(scalars, cells, strict=True)]
            return context.make_tuple(builder, sig.return_type, found)

        return types.Tuple(list(scalars))(site, record, values, arrays), generate

    return invoke


def _handed(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """A leaf as the native function takes it."""
    if isinstance(kind, types.Array):
        return _data(context, builder, kind, value)
    if code(as_dtype(kind)) in VALUES:
        return context.get_value_as_data(builder, kind, value)
    cell = cgutils.alloca_once_value(builder, context.get_value_as_data(builder, kind, value))
    return builder.bitcast(cell, POINTER)


def _data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return builder.bitcast(context.make_array(kind)(context, builder, value).data, POINTER)


def _raise(context: Any, builder: Any, site: Any, record: Any, status: Any) -> None:
    """Leave with the exception behind a status."""
    note = _routine(builder, site, ERROR, ir.VoidType(), [WORD] * 3)
    with undisturbed(context, builder):
        builder.call(note, [site, record, status])
    context.call_conv.return_user_exc(builder, Failure)

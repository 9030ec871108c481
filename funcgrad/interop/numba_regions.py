"""What if a function of ours fails within `prange`?  The thread that runs the loop raises the error behind the loop.

Numba's workers lose what is raised on them, and on the loop's own thread Python finds an exception that nobody
raised. So code that shares such a loop out counts the errors before and behind it. Of loops that run at the same time,
each raises the latest error: one that failed never passes for one that did not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from funcgrad.interop.numba_errors import ACTIVE, FAILED, FIND_FAILURES, TAKE, Failure
from funcgrad.interop.numba_intrinsics import POINTER, WORD, hand_over, remembered, word_at


def watched(call_gufunc: Callable[..., Any], lowerer: Any, *rest: Any) -> None:
    """Emit the code of a parallel loop, between two looks at the errors of Numba's threads."""
    context, builder = lowerer.context, lowerer.builder
    looked = context.compile_internal(builder, _before, _LOOKED(), ())
    call_gufunc(lowerer, *rest)
    context.compile_internal(builder, _behind, types.none(_LOOKED), (looked,))


_LOOKED = types.UniTuple(types.int64, 2)  # the address of the counter, and what it said


def _before() -> Any:
    return _enter()


def _behind(looked: Any) -> None:
    _leave(looked)


def _now_active(builder: Any, counter: Any, more: int) -> None:
    place = builder.inttoptr(builder.add(counter, WORD(8 * ACTIVE)), WORD.as_pointer())
    builder.atomic_rmw("add", place, WORD(more), "seq_cst")


@intrinsic
def _enter(typingctx: Any) -> Any:
    """The counter, and how many errors there were."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        counter = remembered(context, builder, "funcgrad.failures", FIND_FAILURES, ())
        _now_active(builder, counter, 1)
        return context.make_tuple(builder, sig.return_type, [counter, word_at(builder, counter, 8 * FAILED)])

    return _LOOKED(), generate


@intrinsic
def _leave(typingctx: Any, looked: Any) -> Any:
    """Raise what was raised since then, or what Python has on this thread."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        counter, before = cgutils.unpack_tuple(builder, args[0])
        api = context.get_python_api(builder)
        state = api.gil_ensure()
        here = cgutils.is_not_null(builder, api.err_occurred())
        failed = builder.or_(here, builder.icmp_unsigned("!=", word_at(builder, counter, 8 * FAILED), before))
        with builder.if_then(failed, likely=False):
            take = ir.FunctionType(ir.VoidType(), [POINTER] * 2).as_pointer()
            hand_over(context, builder, api, builder.inttoptr(word_at(builder, counter, 8 * TAKE), take))
        api.gil_release(state)
        _now_active(builder, counter, -1)
        with builder.if_then(failed, likely=False):
            context.call_conv.return_user_exc(builder, Failure)
        return context.get_dummy_value()

    return types.none(looked), generate

"""Which operation gave NaN?  What `debug_nans` and `debug_infs` do.

Outside `jit`, each operation on traced values is looked at as it happens, forward and backward. A jitted function runs
as ever; when a result holds NaN, its program is run again by the interpreter, equation by equation, into the bodies of
loops and branches, and the first equation whose result holds NaN where its operands hold none is the one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import config, tree
from funcgrad.dtypes import BFLOAT16
from funcgrad.errors import NonFiniteError, SourceLocation, at_line, user_location
from funcgrad.ir.interpret import interpret, patience
from funcgrad.ir.primitive import Primitive, Values
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Equation, Program
from funcgrad.ir.types import type_of_value
from funcgrad.ops.families import collapse
from funcgrad.runtime.switches import watch_calls
from funcgrad.trace.frame import Frame, running
from funcgrad.trace.function import leaf_types
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.jvp import Forward
from funcgrad.transform.vjp import Elementwise, Tape
from funcgrad.transform.vmap import Batch

OWN_LINES = ("custom", "structured")  # families whose rules run functions of the user's


class Bad(NamedTuple):
    """A number that is not finite: which switch looks for it, what it is, and where in which type it stands."""

    switch: str
    what: str
    where: str


def _looking() -> bool:
    return (config.debug_nans.value or config.debug_infs.value) and patience.watch is None


def find(values: Sequence[Any]) -> Bad | None:
    """The first number among known arrays that the switches look for."""
    for x in values:
        if not isinstance(x, (np.ndarray, np.generic, float, complex)):
            continue
        x = np.asarray(x)
        if x.dtype == BFLOAT16:
            x = x.astype(np.float32)
        if x.dtype.kind not in "fc" or np.isfinite(x).all():
            continue
        for switch, what, test in ((config.debug_nans, "nan", np.isnan), (config.debug_infs, "inf", np.isinf)):
            found = test(x)
            if switch.value and found.any():
                index = [int(k) for k in np.unravel_index(int(np.argmax(found)), x.shape)]
                place = f"at index {index} of " if index else "as "
                return Bad(switch.name, what, f"{place}{type_of_value(x)}")
    return None


def _error(bad: Bad, name: str, operands: Sequence[Any], source: SourceLocation | None, backward: bool) -> Exception:
    direction = " in the backward pass" if backward else ""
    return NonFiniteError(
        f"{bad.switch}: invalid value ({bad.what}) encountered in {name}{direction}, {bad.where}{_ranges(operands)}"
        f"{at_line(source)}"
    )


def _ranges(operands: Sequence[Any]) -> str:
    """Between which numbers the operands lie."""
    texts = []
    for x in operands:
        if isinstance(x, (np.ndarray, np.generic, float)) and np.asarray(x).dtype.kind == "f" and np.size(x):
            low, high = float(np.min(x)), float(np.max(x))
            texts.append(f"{low:.6g}" if low == high else f"{low:.6g} to {high:.6g}")
    return f"; its operands: {', '.join(texts)}" if texts else ""


# Programs, run again -------------------------------------------------------------------------------------------------


class _Again:
    """Runs equations for the interpreter, and stops at the one that made the first bad number."""

    def __init__(self) -> None:
        self.carried: Exception | None = None  # of the first equation whose operands held it already

    def __call__(self, equation: Equation, inputs: Values) -> Values:
        """The outputs of an equation; what only prints was seen the first time."""
        if equation.primitive.name == "debug_callback":
            return ()
        outputs = equation.primitive.refer(inputs, dict(equation.params))
        bad = find(outputs)
        if bad is None:
            return outputs
        source = equation.source
        backward = source is not None and source.backward
        error = _error(bad, equation.primitive.name, inputs, source, backward)
        if find(inputs) is None:
            raise error
        self.carried = self.carried or error
        return outputs


def _run_again(run: Callable[[], Any]) -> Exception | None:
    """What the interpreter finds; the error of the first equation that a bad number went through, if it came in."""
    again = _Again()
    before, patience.watch = patience.watch, again
    try:
        run()
    finally:
        patience.watch = before
    return again.carried


def _explain(program: Program, leaves: Sequence[Any], paths: Sequence[str], bad: Bad) -> None:
    """Raise the error for a program whose results are bad."""
    types = [v.type for v in program.inputs]
    arrays = [x if isinstance(x, np.ndarray) else t.dtype.type(x) for x, t in zip(leaves, types, strict=True)]
    carried = _run_again(lambda: interpret(program, arrays))
    for path, x in zip(paths, arrays, strict=True):
        given = find([x])
        if given is not None:
            raise NonFiniteError(
                f"{given.switch}: {path} holds {given.what} already, {given.where}, and it reaches a result{at_line()}"
            )
    raise carried or NonFiniteError(
        f"{bad.switch}: a result holds {bad.what}, {bad.where}, in compiled code only: the interpreter, which rounds "
        f"otherwise, does not come to it{at_line()}"
    )


def _watch_call(call: Callable[..., Any], jitted: Any, *args: Any, **kwargs: Any) -> Any:
    """A call of a jitted function whose results are looked at."""
    kept: Any = (args, kwargs)
    if jitted._donated:
        kept = tree.map(lambda x: np.array(x) if isinstance(x, np.ndarray) else x, kept)
    result = call(jitted, *args, **kwargs)
    found = tree.leaves(result)
    if not _looking() or any(type(x) is Tracer for x in found):
        return result
    bad = find(found)
    if bad is None:
        return result
    fun, args, kwargs, key = jitted._statics.without(*kept)
    leaves, structure = tree.flatten((args, kwargs))
    types = leaf_types("debug_nans", leaves, structure)
    paths = [f"argument {p[1]}{tree.key_string(tuple(p[2:]))}" for p in structure.paths()]
    _explain(jitted._trace(fun, structure, types, (structure, key) if key else structure).program, leaves, paths, bad)
    return result


# Operations on known values, as they happen --------------------------------------------------------------------------


def _known(outputs: Sequence[Any]) -> Iterator[Any]:
    for out in outputs:
        payload = out.payload if type(out) is Tracer else out
        yield from payload if isinstance(payload, tuple) else (payload,)


def _watched_process(original: Callable[..., Values]) -> Callable[..., Values]:
    @functools.wraps(original)
    def process(self: Frame, primitive: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
        if not _looking():
            return original(self, primitive, inputs, params)
        before = running.source
        if primitive.family not in OWN_LINES:
            running.source = before or user_location()
        try:
            outputs = original(self, primitive, inputs, params)
            bad = find(list(_known(outputs)))
            if bad is not None:
                source = running.source
                backward = source is not None and source.backward
                raise _error(bad, primitive.name, list(_known(inputs)), source, backward)
            return outputs
        finally:
            running.source = before

    return process


def _watched_compute(self: Primitive, inputs: Values, params: dict[str, Any]) -> Values:
    """An operation on arrays, outside of any frame."""
    outputs = _compute(self, inputs, params)
    if not _looking():
        return outputs
    bad = find(outputs)
    if bad is None:
        return outputs
    if inner_programs(params):
        carried = _run_again(lambda: self.reference(*inputs, **params))
        if carried is not None:
            raise carried
    if find(inputs) is None:
        source = running.source
        raise _error(bad, self.name, inputs, source, source is not None and source.backward)
    return outputs


def _watched_note(
    self: Tape, primitive: Primitive, values: Any, sources: Any, params: Any, weak: Any, line: Any
) -> Any:
    """A note on the tape whose pullback's results are looked at."""
    if not _looking():
        return _note(self, primitive, values, sources, params, weak, line)
    count = len(self.notes)
    line = line or (None if primitive.family in OWN_LINES else user_location())
    outputs = _note(self, primitive, values, sources, params, weak, line)
    if len(self.notes) > count:
        operands, outs, pullback, source, custom = self.notes[-1]
        pull = _of_elements(pullback, operands) if isinstance(pullback, Elementwise) else pullback

        def checked(cotangents: Values) -> Values:
            found = pull(cotangents)
            bad = find(list(_known(found))) if _looking() else None
            if bad is not None:
                raise _error(bad, f"the derivative of {primitive.name}", list(_known(values)), source, True)
            return found

        self.notes[-1] = (operands, outs, checked, source, custom)
    return outputs


def _of_elements(pullback: Elementwise, sources: Sequence[Any]) -> Callable[[Values], Values]:
    """The pullback of an operation on elements, as a function."""

    def pull(cotangents: Values) -> Values:
        (ct,) = cotangents
        terms: list[Any] = []
        for k, x in enumerate(sources):
            partial = pullback.partials[k] if k < len(pullback.partials) else None
            term = None
            if x is not None and partial is not None:
                term = partial(ct, pullback.output, *pullback.operands, **pullback.params)
                term = collapse(term, np.shape(x) if not hasattr(x, "shape") else x.shape)
            terms.append(term)
        return tuple(terms)

    return pull


# Switching on and off ------------------------------------------------------------------------------------------------

_compute, _note = Primitive.compute, Tape._note
_processes = {kind: kind.process for kind in (Tape, Forward, Batch)}
_active: set[str] = set()


def _changed(switch: config.Switch, calls: Callable[[bool], None]) -> Callable[[bool], None]:
    def changed(active: bool) -> None:
        calls(active)
        (_active.add if active else _active.discard)(switch.name)
        for kind, process in _processes.items():
            kind.process = _watched_process(process) if _active else process  # type: ignore[method-assign]
        Primitive.compute = _watched_compute if _active else _compute  # type: ignore[method-assign]
        Tape._note = _watched_note if _active else _note  # type: ignore[method-assign]

    return changed


def install() -> None:
    """Connect the switches, and take the environment's word."""
    calls = watch_calls(config.debug_nans, _watch_call)
    config.debug_nans.changed = _changed(config.debug_nans, calls)
    config.debug_infs.changed = _changed(config.debug_infs, watch_calls(config.debug_infs, _watch_call))
    for switch in (config.debug_nans, config.debug_infs, config.disable_jit):
        switch.start()

"""How do functions with derivative or batching rules of their own look?  The primitives ``custom_jvp_call``,
``custom_vjp_call`` and ``custom_vmap_call``, and what their rules become under other transformations.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from funcgrad.control.live import Live, apply, infer, run
from funcgrad.dtypes import is_inexact
from funcgrad.errors import UnexpectedTracerError, at_line
from funcgrad.ir.interpret import interpret
from funcgrad.ir.primitive import Pullback, Values
from funcgrad.ops.families import Operation, repeat, zeros_like
from funcgrad.trace.frame import type_of
from funcgrad.transform.jvp import jvp_values, level_of
from funcgrad.transform.vjp import instantiate, vjp_values
from funcgrad.transform.vmap import vmap_values

Flags = Sequence[bool]
CLOSED_OVER = (
    "Detected differentiation of a {} function with respect to a closed-over value. The rule only says how to "
    "differentiate with respect to its arguments: make the value an argument (or see closure_convert).{}"
)


def _reference(*inputs: Any, program: Any, rule: Any) -> Values:
    return run(program, inputs) if isinstance(program, Live) else tuple(interpret(program, inputs))


# custom_jvp_call -----------------------------------------------------------------------------------------------------


class JvpRule(Protocol):
    """``rule(inputs, tangents) -> (outputs, output tangents)`` for flat values; None is a zero tangent."""

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]: ...

    def after(self, count: int) -> JvpRule: ...


class DerivedJvp:
    """A JVP rule made from another one."""

    def __init__(self, rule: JvpRule) -> None:
        self.rule = rule

    def __repr__(self) -> str:
        return repr(self.rule)

    def after(self, count: int) -> JvpRule:
        """The rule for operands behind `count` values that the function closes over."""
        return JvpAfter(self, count)

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]:
        raise NotImplementedError


class JvpAfter(DerivedJvp):
    """A JVP rule that does not know the first `count` operands: values that the function closes over."""

    def __init__(self, rule: JvpRule, count: int) -> None:
        super().__init__(rule)
        self.count = count

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]:
        if any(t is not None for t in tangents[: self.count]):
            raise UnexpectedTracerError(CLOSED_OVER.format("custom_jvp", at_line()))
        return self.rule(inputs[self.count :], tangents[self.count :])


class BatchedJvp(DerivedJvp):
    """A JVP rule for a batch of examples."""

    def __init__(self, rule: JvpRule, size: int, batched: Flags) -> None:
        super().__init__(rule)
        self.size, self.batched = size, tuple(batched)

    def __call__(self, inputs: Values, tangents: Values) -> tuple[Values, Values]:
        moving = [t is not None for t in tangents]
        count = len(inputs)

        def example(*values: Any) -> list[Any]:
            given = iter(values[count:])
            outputs, moved = self.rule(values[:count], tuple(next(given) if m else None for m in moving))
            return [*outputs, *map(instantiate, moved, outputs)]

        flags = [*self.batched, *(b for b, m in zip(self.batched, moving, strict=True) if m)]
        results = vmap_values(example, self.size, [*inputs, *(t for t in tangents if t is not None)], flags)
        half = len(results) // 2
        return tuple(results[:half]), tuple(results[half:])


def _jvp_call_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    outputs, moved = params["rule"](tuple(inputs), tuple(tangents))
    if level_of(outputs) > level_of(inputs):  # the rule computed them together with the tangents
        outputs = apply(custom_jvp_call, lambda *xs: run(params["program"], xs), inputs, params["rule"])
    return tuple(outputs), moved


def _jvp_call_vjp(inputs: Values, wanted: Flags, params: dict[str, Any]) -> tuple[Values, Pullback]:
    """The rule is linear in the tangents: its transpose is its pullback, wherever that is taken, as at zero."""
    zeros = [zeros_like(x) for x, w in zip(inputs, wanted, strict=True) if w]

    def moved(*tangents: Any) -> tuple[list[Any], int]:
        given = iter(tangents)
        outputs, pushed = params["rule"](tuple(inputs), tuple(next(given) if w else None for w in wanted))
        return [*outputs, *map(instantiate, pushed, outputs)], len(outputs)

    results, count, pull = vjp_values(moved, zeros)

    def pullback(cotangents: Values) -> Values:
        smooth = (is_inexact(type_of(x).dtype) for x in results[:count])
        given = [ct if s else None for ct, s in zip(cotangents, smooth, strict=True)]
        found = iter(pull([*(None for _ in given), *given]))
        return tuple(next(found) if w else None for w in wanted)

    return tuple(results[:count]), pullback


def _jvp_call_batch(size: int, inputs: Values, batched: Flags, params: dict[str, Any]) -> Any:
    def examples(*values: Any) -> list[Any]:
        return vmap_values(lambda *ys: run(params["program"], ys), size, values, batched)

    outputs = apply(custom_jvp_call, examples, inputs, BatchedJvp(params["rule"], size, batched))
    return tuple(outputs), (True,) * len(outputs)


custom_jvp_call = Operation(
    name="custom_jvp_call",
    family="custom",
    reference=_reference,
    infer=infer,
    jvp=_jvp_call_jvp,
    vjp=_jvp_call_vjp,
    batch=_jvp_call_batch,
    multiple=True,
)


# custom_vjp_call -----------------------------------------------------------------------------------------------------


class Saved(NamedTuple):
    """What a forward rule leaves: outputs, flat residuals, and what tells how to read them."""

    outputs: Values
    residuals: Values
    state: Any


class VjpRule(Protocol):
    """``forward(inputs, wanted)`` and ``backward(saved, cotangents)``, the cotangents of the inputs; None is zero."""

    def forward(self, inputs: Values, wanted: Flags) -> Saved: ...

    def backward(self, residuals: Values, state: Any, cotangents: Values) -> Values: ...

    def after(self, count: int) -> VjpRule: ...


class VjpAfter:
    """A VJP rule that does not know the first `count` operands: values that the function closes over."""

    def __init__(self, rule: VjpRule, count: int) -> None:
        self.rule, self.count = rule, count
        self.both_modes = getattr(rule, "both_modes", False)

    def __repr__(self) -> str:
        return repr(self.rule)

    def after(self, count: int) -> VjpRule:
        """The rule behind more of them."""
        return VjpAfter(self, count)

    def forward(self, inputs: Values, wanted: Flags) -> Saved:
        """The inner rule, of its own operands."""
        if any(wanted[: self.count]):
            raise UnexpectedTracerError(CLOSED_OVER.format("custom_vjp", at_line()))
        return self.rule.forward(inputs[self.count :], wanted[self.count :])

    def backward(self, residuals: Values, state: Any, cotangents: Values) -> Values:
        """Nothing for what is closed over."""
        return (*(None for _ in range(self.count)), *self.rule.backward(residuals, state, cotangents))


class BatchedVjp:
    """A VJP rule for a batch of examples."""

    def __init__(self, rule: VjpRule, size: int, batched: Flags) -> None:
        self.rule, self.size, self.batched = rule, size, tuple(batched)
        self.both_modes = getattr(rule, "both_modes", False)

    def __repr__(self) -> str:
        return repr(self.rule)

    def after(self, count: int) -> VjpRule:
        """The rule behind values that the function closes over."""
        return VjpAfter(self, count)

    def forward(self, inputs: Values, wanted: Flags) -> Saved:
        """The rule for every example; residuals are batches."""
        states: list[Any] = []

        def example(*values: Any) -> list[Any]:
            outputs, residuals, state = self.rule.forward(values, wanted)
            states.append((state, len(outputs)))
            return [*outputs, *residuals]

        results = vmap_values(example, self.size, inputs, self.batched)
        state, count = states[0]
        return Saved(tuple(results[:count]), tuple(results[count:]), state)

    def backward(self, residuals: Values, state: Any, cotangents: Values) -> Values:
        """The rule for every example; what all examples share collects the sum."""
        given = [ct is not None for ct in cotangents]
        found: list[bool] = []
        count = len(residuals)

        def example(*values: Any) -> list[Any]:
            rest = iter(values[count:])
            pulled = self.rule.backward(values[:count], state, tuple(next(rest) if g else None for g in given))
            found.extend(ct is not None for ct in pulled)
            return [ct for ct in pulled if ct is not None]

        moving = [ct for ct in cotangents if ct is not None]
        results = iter(vmap_values(example, self.size, [*residuals, *moving], [True] * (count + len(moving))))
        full = [next(results) if f else None for f in found]
        pairs = zip(full, self.batched, strict=True)
        return tuple(ct if ct is None or b else np.sum(ct, axis=0) for ct, b in pairs)


def _vjp_call_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    if getattr(params["rule"], "both_modes", False):  # forward mode is that of the function itself
        outputs, moved = jvp_values(lambda *xs: run(params["program"], xs), inputs, tangents)
        return tuple(outputs), tuple(moved)
    raise TypeError(
        f"can't apply forward-mode autodiff (jvp) to a custom_vjp function ({params['rule']!r}): use custom_jvp, which "
        f"serves both modes{at_line()}"
    )


def _vjp_call_vjp(inputs: Values, wanted: Flags, params: dict[str, Any]) -> tuple[Values, Pullback]:
    rule: VjpRule = params["rule"]
    outputs, residuals, state = rule.forward(tuple(inputs), tuple(wanted))

    def pullback(cotangents: Values) -> Values:
        found = rule.backward(residuals, state, cotangents)
        return tuple(ct if w else None for ct, w in zip(found, wanted, strict=True))

    return tuple(outputs), pullback


def _vjp_call_batch(size: int, inputs: Values, batched: Flags, params: dict[str, Any]) -> Any:
    def examples(*values: Any) -> list[Any]:
        return vmap_values(lambda *ys: run(params["program"], ys), size, values, batched)

    outputs = apply(custom_vjp_call, examples, inputs, BatchedVjp(params["rule"], size, batched))
    return tuple(outputs), (True,) * len(outputs)


custom_vjp_call = Operation(
    name="custom_vjp_call",
    family="custom",
    reference=_reference,
    infer=infer,
    jvp=_vjp_call_jvp,
    vjp=_vjp_call_vjp,
    batch=_vjp_call_batch,
    multiple=True,
)


# custom_vmap_call ----------------------------------------------------------------------------------------------------


class VmapRule(Protocol):
    """``rule(size, batched, inputs) -> (outputs, which of them are batched)`` for flat values."""

    def __call__(self, size: int, batched: Flags, inputs: Values) -> tuple[Values, Flags]: ...

    def after(self, count: int) -> VmapRule: ...


class VmapAfter:
    """A batching rule that does not know the first `count` operands: values that the function closes over."""

    def __init__(self, rule: VmapRule, count: int) -> None:
        self.rule, self.count = rule, count

    def __repr__(self) -> str:
        return repr(self.rule)

    def after(self, count: int) -> VmapRule:
        """The rule behind more of them."""
        return VmapAfter(self, count)

    def __call__(self, size: int, batched: Flags, inputs: Values) -> tuple[Values, Flags]:
        if any(batched[: self.count]):
            raise UnexpectedTracerError(
                f"A custom_vmap function closes over a value that is batched: make the value an argument.{at_line()}"
            )
        return self.rule(size, batched[self.count :], inputs[self.count :])


class PushedVmap:
    """The batching rule of a function's JVP: the JVP of its batching rule."""

    def __init__(self, rule: VmapRule, moving: Flags) -> None:
        self.rule, self.moving = rule, tuple(moving)

    def __repr__(self) -> str:
        return repr(self.rule)

    def after(self, count: int) -> VmapRule:
        """The rule behind values that the function closes over."""
        return VmapAfter(self, count)

    def __call__(self, size: int, batched: Flags, inputs: Values) -> tuple[Values, Flags]:
        count = len(self.moving)
        given, given_flags = iter(inputs[count:]), iter(batched[count:])
        tangents = [next(given) if m else None for m in self.moving]
        moving = [next(given_flags) if m else False for m in self.moving]
        full = [b or m for b, m in zip(batched[:count], moving, strict=True)]
        primals = [x if b or not f else repeat(x, size) for x, b, f in zip(inputs, batched, full, strict=False)]
        pairs = zip(tangents, moving, full, strict=True)
        tangents = [t if t is None or m or not f else repeat(t, size) for t, m, f in pairs]
        flags: list[Flags] = []

        def outputs_of(*values: Any) -> Values:
            outputs, out_batched = self.rule(size, full, values)
            flags.append(out_batched)
            return outputs

        outputs, moved = jvp_values(outputs_of, primals, tangents)
        return (*outputs, *map(instantiate, moved, outputs)), [*flags[0], *flags[0]]


def _vmap_call_jvp(inputs: Values, tangents: Values, params: dict[str, Any]) -> tuple[Values, Values]:
    program: Any = params["program"]
    moving = [t is not None for t in tangents]
    count = len(inputs)

    def pushed(*values: Any) -> list[Any]:
        given = iter(values[count:])
        each = [next(given) if m else None for m in moving]
        outputs, moved = jvp_values(lambda *ys: run(program, ys), values[:count], each)
        return [*outputs, *map(instantiate, moved, outputs)]

    given = [t for t in tangents if t is not None]
    results = apply(custom_vmap_call, pushed, [*inputs, *given], PushedVmap(params["rule"], moving))
    half = len(results) // 2
    outputs, moved = results[:half], results[half:]
    if level_of(outputs) > level_of(inputs):
        outputs = apply(custom_vmap_call, lambda *xs: run(program, xs), inputs, params["rule"])
    return tuple(outputs), tuple(t if is_inexact(type_of(t).dtype) else None for t in moved)


def _vmap_call_vjp(inputs: Values, wanted: Flags, params: dict[str, Any]) -> tuple[Values, Pullback]:
    """Reverse mode differentiates the function; the batches of its operations are as anybody's."""
    variables = [x for x, w in zip(inputs, wanted, strict=True) if w]

    def function(*values: Any) -> tuple[Values, None]:
        given = iter(values)
        return run(params["program"], [next(given) if w else x for x, w in zip(inputs, wanted, strict=True)]), None

    outputs, _, pull = vjp_values(function, variables)

    def pullback(cotangents: Values) -> Values:
        found = iter(pull(cotangents))
        return tuple(next(found) if w else None for w in wanted)

    return tuple(outputs), pullback


def _vmap_call_batch(size: int, inputs: Values, batched: Flags, params: dict[str, Any]) -> Any:
    outputs, flags = params["rule"](size, tuple(batched), tuple(inputs))
    return tuple(outputs), tuple(flags)


custom_vmap_call = Operation(
    name="custom_vmap_call",
    family="custom",
    reference=_reference,
    infer=infer,
    jvp=_vmap_call_jvp,
    vjp=_vmap_call_vjp,
    batch=_vmap_call_batch,
    multiple=True,
)

__all__ = ["JvpRule", "Live", "Saved", "VjpRule", "VmapRule", "custom_jvp_call", "custom_vjp_call", "custom_vmap_call"]

"""How does a program carry its error along?  `Run` runs one with rules that note what fails.

The error is a number, 0 as long as nothing has failed, else which check was the first to fail, and the arguments of
the messages. Loops carry it, branches return it, calls hand it up. Functions with rules of the user's are run once more
for the error; a derivative rule returns its own (`_checked_rules`).
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import numpy as fnp
from funcgrad import tree
from funcgrad.control import check as control
from funcgrad.control.bodies import parts as scan_parts
from funcgrad.control.bodies import program_of, strong
from funcgrad.control.while_loop import parts as while_parts
from funcgrad.dtypes import is_inexact
from funcgrad.errors import SourceLocation, at_line
from funcgrad.experimental import _checked_rules as rules
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Equation, Literal, Program
from funcgrad.ir.types import ArrayType
from funcgrad.ops.comparison import stop_gradient
from funcgrad.ops.families import zero
from funcgrad.trace.builder import evaluate
from funcgrad.trace.frame import bind, running, type_of
from funcgrad.trace.tracer import Tracer
from funcgrad.transform.partial import needed


class ErrorCategory(enum.Enum):
    """What can be checked."""

    USER = "user"
    NAN = "nan"
    INDEX = "index"
    DIV = "division"


Category = frozenset[ErrorCategory]
IN_RULES: Category = frozenset({ErrorCategory.USER, ErrorCategory.INDEX})  # reverse mode calls rules at zero tangents
ORDERS = 2  # of derivatives that collect what a rule checks which calls its own function: each holds the next one


class Entry(NamedTuple):
    """One check of a program: what it says when it fails, and for which line."""

    message: control.Message
    source: SourceLocation | None

    def text(self, values: Sequence[Any]) -> str:
        """The message, with the user's line."""
        return f"{self.message.text(values)}{at_line(self.source) if self.source else ''}"


class Run:
    """Runs a program and collects its error.

    Parameters
    ----------
    wanted
        What is looked for.
    orders
        How deep rules within rules are looked into.

    Attributes
    ----------
    code
        0, or the number of the first entry that failed.
    entries, payload
        The checks met so far, and the arguments of their messages.
    changed
        Whether anything in the program is not run as it is.
    """

    def __init__(self, wanted: Category, orders: int = ORDERS) -> None:
        self.wanted, self.orders, self.changed = wanted, orders, False
        self.code: Any = np.int64(0)
        self.entries: list[Entry] = []
        self.payload: list[tuple[Any, ...]] = []

    def outputs(self, program: Program, arguments: Sequence[Any]) -> list[Any]:
        """The program's outputs."""
        env: dict[Any, Any] = dict(zip(program.inputs, arguments, strict=True)) | dict(program.constants)
        before = running.source
        try:
            for equation in program.equations:
                running.source = equation.source or before
                inputs = [a.value if isinstance(a, Literal) else env[a] for a in equation.inputs]
                rule = RULES.get(equation.primitive.name, Run.other)
                env.update(zip(equation.outputs, rule(self, equation, inputs), strict=True))
        finally:
            running.source = before
        return [a.value if isinstance(a, Literal) else env[a] for a in program.outputs]

    def held(self, program: Program) -> Held | None:
        """See `checked_program`."""
        return checked_program(program, self.wanted, self.orders)

    def quiet(self, program: Program) -> Program:
        """See `quiet_program`."""
        return quiet_program(program, self.wanted, self.orders)

    def note(self, bad: Any, format: str, source: SourceLocation | None, *values: Any) -> None:
        """One more check, which failed if `bad`."""
        message = control.Message(format, tree.structure((values, {})))
        self._note(bad, Entry(message, source), values)

    def _note(self, bad: Any, entry: Entry, values: Sequence[Any]) -> None:
        self.changed = True
        self.entries.append(entry)
        self.payload.append(tuple(values))
        self.code = fnp.where(bad & (self.code == 0), np.int64(len(self.entries)), self.code)

    def adopt(self, code: Any, payload: Sequence[Sequence[Any]], entries: Sequence[Entry]) -> None:
        """The checks of an inner program, which has run."""
        self.changed = True
        if not entries:
            return
        before = len(self.entries)
        self.entries += entries
        self.payload += map(tuple, payload)
        self.code = fnp.where((self.code == 0) & (code > 0), code + before, self.code)

    # Rules: (equation, inputs) -> outputs -----------------------------------------------------------------------------

    def other(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """Any operation: it runs as it is, and programs that it holds run without checks."""
        primitive = equation.primitive
        outputs = bind(primitive, *inputs, **self._quiet_params(equation.params))
        if ErrorCategory.DIV in self.wanted and primitive.name in ("div", "rem"):
            self.note(fnp.any(_fixed(inputs[1]) == 0), "division by zero", equation.source)
        return self._without_nan(equation, outputs)

    def _without_nan(self, equation: Equation, outputs: Sequence[Any]) -> Sequence[Any]:
        if ErrorCategory.NAN in self.wanted:
            smooth = [x for x in outputs if is_inexact(type_of(x).dtype)]
            if smooth:
                bad = functools.reduce(fnp.logical_or, (fnp.any(fnp.isnan(_fixed(x))) for x in smooth))
                self.note(bad, f"nan generated by primitive: {equation.primitive.name}.", equation.source)
        return outputs

    def _quiet_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters of an equation, whose programs check nothing."""
        quiet = mapped(self.quiet, params)
        self.changed |= quiet != params
        return quiet

    def with_rules(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """A function with rules of the user's: it keeps them, and runs once more for the error."""
        self._aside(equation.params["program"], inputs)
        return self.other(equation, inputs)

    def _aside(self, program: Program, inputs: Sequence[Any]) -> None:
        held = self.held(program)
        if held is not None:
            fixed = [stop_gradient(x) for x in inputs]
            self.adopt(*held.taken_apart(evaluate(without_effects(held.program), fixed, bind)))

    def derivative(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """Likewise, with a rule that may run in its place: that returns what is checked in it."""
        params, types = equation.params, tuple(map(type_of, inputs))
        found = rules.traced(equation.primitive.name, params["rule"], types) if self.orders else None
        held = found and checked_program(found.program, self.wanted & IN_RULES, self.orders - 1)
        if not found or not held:
            return self.with_rules(equation, inputs)
        self.changed = True
        self._aside(params["program"], inputs)
        quiet, none, own = self.quiet(params["program"]), held.zeros(), len(equation.outputs)
        program = program_of(lambda *values: [*evaluate(quiet, values, bind), *none], quiet.input_types)
        outputs = bind(equation.primitive, *inputs, program=program, rule=found.with_error(held.program))
        self.adopt(*held.of_state(outputs[own:]))
        return self._without_nan(equation, outputs[:own])

    def check(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """A check of the user's."""
        self.changed = True
        if ErrorCategory.USER not in self.wanted:
            return ()
        ok, *values = inputs
        count = len(type_of(ok).shape)
        if count:  # under vmap: the first example that fails
            flat = fnp.reshape(ok, -1)
            first = fnp.argmax(fnp.logical_not(flat))
            values = [fnp.reshape(x, (-1, *type_of(x).shape[count:]))[first] for x in values]
            ok = fnp.all(flat)
        message: control.Message = equation.params["message"]
        self._note(fnp.logical_not(ok), Entry(message, None if message.source else equation.source), values)
        return ()

    def index(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """An index that must be within bounds: the nearest one that is, if it is not."""
        (i,), size = inputs, equation.params["size"]
        if ErrorCategory.INDEX not in self.wanted or not size:
            return bind(equation.primitive, i, **equation.params)
        low = -size if equation.primitive.name == "check_index" else equation.params.get("least", 0)
        outside = (i < low) | (i >= size)
        where = fnp.argmax(fnp.reshape(outside, -1)) if type_of(i).shape else None
        first = i if where is None else fnp.reshape(i, -1)[where]
        format = f"out-of-bounds indexing: index {{}} is out of bounds for axis with size {size}"
        self.note(fnp.any(outside), format, equation.source, first)
        return (fnp.clip(fnp.where(i < 0, i + size, i) if low else i, 0, size - 1),)

    def call(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """A call of a program."""
        held = self.held(equation.params["program"])
        if held is None:
            return bind(equation.primitive, *inputs, **equation.params)
        outputs = bind(equation.primitive, *inputs, **{**equation.params, "program": held.program})
        self.adopt(*held.taken_apart(outputs))
        return outputs[: held.own]

    def scan(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """A loop: the error is carried along."""
        params = dict(equation.params)
        held = self.held(params["program"])
        if held is None:
            return bind(equation.primitive, *inputs, **params)
        given, n, extra = scan_parts(inputs, params), params["carry"], held.width

        def body(*values: Any) -> list[Any]:
            first = params["consts"] + n
            state, own = values[first : first + extra], (*values[:first], *values[first + extra :])
            results = evaluate(held.program, own, bind)
            return [*results[:n], *held.first(state, results), *results[n : held.own]]

        types = [*map(type_of, (*given.consts, *given.carry)), *held.types]
        slices = [ArrayType(type_of(x).shape[1:], type_of(x).dtype) for x in given.xs]
        params |= {"program": program_of(body, [*strong(types), *slices]), "carry": n + extra}
        outputs = bind(equation.primitive, *given.consts, *given.carry, *held.zeros(), *given.xs, **params)
        self.adopt(*held.of_state(outputs[n : n + extra]))
        return [*outputs[:n], *outputs[n + extra :]]

    def while_(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """A loop of unknown length: the error of its condition and of its body is carried along."""
        params = dict(equation.params)
        held = self.held(_body_and_condition(equation))
        test = self.held(params["cond"])
        if test is not None:  # before the first iteration
            before = while_parts(inputs, params)
            self.adopt(*test.taken_apart(evaluate(test.program, [*before.cond, *before.carry], bind)))
        if held is None:
            return bind(equation.primitive, *inputs, **params)
        given, n, extra = while_parts(inputs, params), len(params["body"].outputs), held.width
        quiet, fixed = self.quiet(params["cond"]), (*given.cond, *given.body)

        def cond(*values: Any) -> list[Any]:
            return evaluate(quiet, [*values[: len(given.cond)], *values[len(given.cond) :][:n]], bind)

        def body(*values: Any) -> list[Any]:
            own, state = values[: len(fixed) + n], values[len(fixed) + n :]
            results = evaluate(held.program, own, bind)
            return [*results[:n], *held.first(state, results)]

        carry = [*strong([type_of(x) for x in given.carry]), *held.types]
        kinds = strong([type_of(x) for x in fixed])
        params |= {
            "cond": program_of(cond, [*kinds[: len(given.cond)], *carry]),
            "body": program_of(body, [*kinds, *carry]),
            "body_consts": len(fixed),
        }
        operands = (*given.cond, *fixed, *given.carry, *held.zeros())
        outputs = bind(equation.primitive, *operands, **params)
        self.adopt(*held.of_state(outputs[n : n + extra]))
        return outputs[:n]

    def cond(self, equation: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
        """Branches: each returns the error of all, of which only its own can be set."""
        branches = equation.params["branches"]
        held = [self.held(branch) for branch in branches]
        if not any(held):
            return bind(equation.primitive, *inputs, **equation.params)
        entries = [entry for one in held if one for entry in one.entries]
        count = len(branches[0].outputs)

        def branch(which: int) -> Program:
            offset = sum(len(one.entries) for one in held[:which] if one)

            def run(*values: Any) -> list[Any]:
                own = held[which]
                results = evaluate(own.program if own else branches[which], values, bind)
                code = fnp.where(results[count] > 0, results[count] + offset, 0) if own else np.int64(0)
                payload = [
                    results[count + 1 :] if k == which else map(zero, one.types[1:])
                    for k, one in enumerate(held)
                    if one
                ]
                return [*results[:count], code, *(x for group in payload for x in group)]

            return program_of(run, branches[which].input_types)

        outputs = bind(equation.primitive, *inputs, branches=tuple(map(branch, range(len(branches)))))
        rest = iter(outputs[count + 1 :])
        payload = [tuple(next(rest) for _ in types) for one in held if one for types in one.payload]
        self.adopt(outputs[count], payload, entries)
        return outputs[:count]


RULES: dict[str, Callable[[Run, Equation, Sequence[Any]], Sequence[Any]]] = {
    "check": Run.check,
    **dict.fromkeys(("check_index", "check_entry", "check_label"), Run.index),
    "jit": Run.call,
    "checkpoint": Run.call,
    "custom_jvp_call": Run.derivative,
    "custom_vjp_call": Run.derivative,
    "custom_vmap_call": Run.with_rules,
    "custom_linear_solve": Run.call,  # what it returns behind the solution has no derivative
    "scan": Run.scan,
    "while": Run.while_,
    "cond": Run.cond,
}


class Held(NamedTuple):
    """An inner program that returns its error behind its outputs.

    Attributes
    ----------
    program
        ``inputs -> (outputs, code, payload)``.
    own
        The number of its own outputs.
    entries
        Its checks.
    payload
        The types of the arguments of their messages.
    """

    program: Program
    own: int
    entries: tuple[Entry, ...]
    payload: tuple[tuple[ArrayType, ...], ...]

    @property
    def types(self) -> list[ArrayType]:
        """Of the error: its code and its payload."""
        return [ArrayType((), np.dtype(np.int64)), *(t for group in self.payload for t in group)]

    @property
    def width(self) -> int:
        """The number of values that the error is."""
        return len(self.types)

    def zeros(self) -> list[Any]:
        """No error."""
        return [np.zeros(t.shape, t.dtype) for t in self.types]

    def taken_apart(self, outputs: Sequence[Any]) -> tuple[Any, list[tuple[Any, ...]], tuple[Entry, ...]]:
        """Code, payload and entries from what the program returned."""
        return self.of_state(outputs[self.own :])

    def of_state(self, state: Sequence[Any]) -> tuple[Any, list[tuple[Any, ...]], tuple[Entry, ...]]:
        """Likewise from the values of the error."""
        rest = iter(state[1:])
        return state[0], [tuple(next(rest) for _ in group) for group in self.payload], self.entries

    def first(self, state: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
        """The error after one more iteration: the one before, if there was one."""
        new = outputs[self.own :]
        return [fnp.where(state[0] > 0, old, after) for old, after in zip(state, new, strict=True)]


@functools.lru_cache(maxsize=512)
def checked_program(program: Program, wanted: Category, orders: int) -> Held | None:
    """A program with its error; None where it is the program itself."""
    run = Run(wanted, orders)

    def function(*values: Any) -> list[Any]:
        outputs = run.outputs(program, values)
        return [*outputs, run.code, *(x for group in run.payload for x in group)]

    made = program_of(function, program.input_types)
    types = iter(strong(made.output_types[len(program.outputs) + 1 :]))
    payload = tuple(tuple(next(types) for _ in group) for group in run.payload)
    return Held(made, len(program.outputs), tuple(run.entries), payload) if run.changed else None


@functools.lru_cache(maxsize=512)
def quiet_program(program: Program, wanted: Category, orders: int) -> Program:
    """A program that does what the checked one does, and tells nobody."""
    held = checked_program(program, wanted, orders)
    return program if held is None else needed(held.program.replace(outputs=held.program.outputs[: held.own]))


def mapped(change: Callable[[Program], Program], params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an equation, with the programs among them changed."""
    held = {key: params[key] for key, _, _ in inner_programs(params)}
    return {**params, **{key: tuple(map(change, x)) if type(x) is tuple else change(x) for key, x in held.items()}}


@functools.lru_cache(maxsize=512)
def without_effects(program: Program) -> Program:
    """A program without prints and other calls that return nothing: they are made where its results are used."""

    def inner(equation: Equation) -> Equation:
        params = mapped(without_effects, equation.params)
        return equation if params == equation.params else equation.replace(params=params)

    return program.replace(equations=tuple(inner(e) for e in program.equations if e.outputs or not e.primitive.impure))


def _body_and_condition(equation: Equation) -> Program:
    """One iteration of a loop, and its condition afterwards, whose result is of no interest."""
    cond, body = equation.params["cond"], equation.params["body"]
    first = equation.params["cond_consts"]

    def both(*values: Any) -> list[Any]:
        state = evaluate(body, values[first:], bind)
        evaluate(cond, [*values[:first], *state], bind)
        return state

    return program_of(both, [*cond.input_types[:first], *body.input_types])


def _fixed(x: Any) -> Any:
    """A value without its derivative: errors have none."""
    return stop_gradient(x) if type(x) is Tracer else x

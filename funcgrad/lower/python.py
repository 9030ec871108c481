"""How does a lowered program read as Python?  One function per kernel, and ``run``, which calls them in order.

The source is self-contained (but for operations without a kernel, whose references it calls): ``exec`` it and call
``run(*arrays)``. It runs as it stands, slowly, and is what tests
hold against the native code; every kernel function also compiles under ``numba.njit``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.dtypes import code
from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import Call
from funcgrad.lower.chains import apart
from funcgrad.lower.complex import in_memory
from funcgrad.lower.convolution import Convolution
from funcgrad.lower.geometry import Lie
from funcgrad.lower.loops import (
    Branch,
    Check,
    Constant,
    Instruction,
    Kernel,
    Load,
    Loop,
    Op,
    Operand,
    Store,
    Value,
    While,
)
from funcgrad.lower.plan import Plan
from funcgrad.lower.products import Matrix, Product
from funcgrad.lower.python_regions import body_functions, region_lines
from funcgrad.lower.scalar import INSTRUCTIONS, SPECIAL
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured

NAMES = {
    "b1": "np.bool_", "i1": "np.int8", "i2": "np.int16", "i4": "np.int32", "i8": "np.int64",
    "u1": "np.uint8", "u2": "np.uint16", "u4": "np.uint32", "u8": "np.uint64",
    "f2": "np.float16", "f4": "np.float32", "f8": "np.float64", "c8": "np.complex64", "c16": "np.complex128",
    "V2": "ml_dtypes.bfloat16",
}  # fmt: skip

HELPERS = {
    **{
        name: f"from scipy.special import {name}\n"  # not for numba
        for name in (call[: call.index("(")] for call in SPECIAL.values())
    },
    "logistic": "def logistic(x):\n    e = np.exp(-abs(x))\n    return 1 / (1 + e) if x >= 0 else e / (1 + e)\n",
    "quotient": (
        "def quotient(x, y):  # truncates; all bits set for a divisor of 0\n"
        "    if y == 0:\n        return ~(x ^ x)\n"
        "    q = x // y\n    return q + 1 if q < 0 and q * y != x else q\n"
    ),
    "remainder": (
        "def remainder(x, y):  # the sign of x; x itself for a divisor of 0\n"
        "    return x if y == 0 else np.fmod(x, y)\n"
    ),
    "shift_left": "def shift_left(x, n, bits):\n    return x << n if 0 <= n < bits else x ^ x\n",
    "shift_right": (
        "def shift_right(x, n, bits):\n"
        "    if 0 <= n < bits:\n        return x >> n\n"
        "    return ~(x ^ x) if x < 0 else x ^ x\n"
    ),
    "bit_count": (
        "def bit_count(x, bits):\n    count = 0\n"
        "    for k in range(bits):\n        count += (x >> k) & 1\n    return count\n"
    ),
    "saturated": (
        "def saturated(x, low, high):  # a float as an integer: saturates, NaN becomes 0\n"
        "    return 0 if x != x else high if x >= high else low if x <= low else int(x)\n"
    ),
}
EXACT = frozenset(("i8", "f4", "f8", "f2", "b1"))  # dtypes that Python's operators keep, under numba as well


def print_plan(plan: Plan) -> str:
    """The Python source of a plan."""
    names, bodies = kernel_names(plan)
    kernels = [body.replace("def (", f"def {name}(", 1) for body, name in bodies.items()]
    regions = [step for step in plan.steps if isinstance(step, Structured)]
    inner = [source for number, step in enumerate(regions) for source in body_functions(step, number, print_plan)]
    text = "\n\n".join([*kernels, *inner, _run(plan, names)])
    used = [source for name, source in HELPERS.items() if f"{name}(" in text]
    modules = (*(("ml_dtypes",) if "ml_dtypes." in text else ()), "numpy as np")
    imports = "import math\n\n" + "".join(f"import {module}\n" for module in modules)
    if any(isinstance(step, Call) for step in plan.steps):
        imports += "\nfrom funcgrad.ir.primitive import registry\n"
    if re.search(r"(?<![.\w])(inf|nan)\b", text):  # as Python spells numbers
        imports += "from math import inf, nan\n"
    return "\n\n".join([imports, *used, text])


def kernel_names(plan: Plan) -> tuple[dict[int, str], dict[str, str]]:
    """The name of each kernel by the id of its step, and of each distinct one by its text under no name."""
    bodies: dict[str, str] = {}
    names: dict[int, str] = {}
    for step in apart(plan.steps):
        if isinstance(step, KernelStep):
            names[id(step)] = bodies.setdefault(print_kernel(step.kernel, ""), f"kernel_{len(bodies)}")
    return names, bodies


# Kernels -------------------------------------------------------------------------------------------------------------


def print_kernel(kernel: Kernel, name: str) -> str:
    """The Python source of one kernel: its buffers, its sizes,
    and the range of its outermost loop are the arguments.
    """
    return _KernelPrinter(kernel).text(name)


class _KernelPrinter:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names: dict[Value, str] = {kernel.first: "first", kernel.last: "last"}
        self.names |= {v: f"n{number}" for number, v in enumerate(kernel.sizes)}
        self.lines: list[str] = []
        self.counts = {"i": 0, "v": 0, "s": 0}

    def text(self, name: str) -> str:
        buffers = [f"{'out' if b.written else 'x'}{number}" for number, b in enumerate(self.kernel.buffers)]
        self.buffers = buffers
        sizes = [self.names[v] for v in self.kernel.sizes]
        head = f"def {name}({', '.join([*buffers, *sizes, 'first', 'last', 'status'])}):"
        self.block(self.kernel.body, "    ")
        return "\n".join([head, *(self.lines or ["    pass"]), ""])

    def fresh(self, value: Value, kind: str) -> str:
        self.names[value] = f"{kind}{self.counts[kind]}"
        self.counts[kind] += 1
        return self.names[value]

    def operand(self, x: Operand) -> str:
        return self.names[x] if isinstance(x, Value) else _constant(x)

    def block(self, body: Sequence[Instruction], indent: str) -> None:
        for instruction in body:
            PRINTERS[type(instruction)](self, instruction, indent)

    def op(self, instruction: Op, indent: str) -> None:
        operands = [self.operand(x) for x in instruction.operands]
        source, target = instruction.operands[-1].dtype, instruction.result.dtype
        spelling = _spelling(instruction.name, source, target)
        bits = 8 * np.dtype(source).itemsize
        text = spelling.format(
            *map(_grouped, operands) if spelling[0] in "{-~n" else operands, dtype=NAMES[target], bits=bits
        )
        self.lines.append(f"{indent}{self.fresh(instruction.result, 'v')} = {text}")

    def load(self, instruction: Load, indent: str) -> None:
        place = f"{self.buffers[instruction.buffer]}[{self.operand(instruction.index)}]"
        self.lines.append(f"{indent}{self.fresh(instruction.result, 'v')} = {place}")

    def store(self, instruction: Store, indent: str) -> None:
        place = f"{self.buffers[instruction.buffer]}[{self.operand(instruction.index)}]"
        self.lines.append(f"{indent}{place} = {self.operand(instruction.value)}")

    def loop(self, loop: Loop, indent: str) -> None:
        for carry in loop.carries:
            name = self.fresh(carry.inner, "s")
            self.lines.append(f"{indent}{name} = {self.operand(carry.initial)}")
        start = self.operand(loop.start)
        bounds = self.operand(loop.stop) if start == "0" else f"{start}, {self.operand(loop.stop)}"
        self.lines.append(f"{indent}for {self.fresh(loop.index, 'i')} in range({bounds}):")
        before = len(self.lines)
        self.block(loop.body, indent + "    ")
        if loop.carries:
            left = ", ".join(self.names[c.inner] for c in loop.carries)
            right = ", ".join(self.operand(c.next) for c in loop.carries)
            self.lines.append(f"{indent}    {left} = {right}")
        if len(self.lines) == before:
            self.lines.append(f"{indent}    pass")
        for carry in loop.carries:
            self.names[carry.result] = self.names[carry.inner]

    def branch(self, branch: Branch, indent: str) -> None:
        names = [self.fresh(result, "s") for result, _, _ in branch.merges]
        for head, body, which in (
            (f"if {self.operand(branch.condition)}:", branch.then, 1),
            ("else:", branch.orelse, 2),
        ):
            self.lines.append(indent + head)
            self.block(body, indent + "    ")
            for name, merge in zip(names, branch.merges, strict=True):
                self.lines.append(f"{indent}    {name} = {self.operand(merge[which])}")
            if not body and not names:
                self.lines.append(f"{indent}    pass")

    def while_(self, loop: While, indent: str) -> None:
        self.lines.append(f"{indent}while True:")
        self.block(loop.test, indent + "    ")
        self.lines.append(f"{indent}    if not {self.operand(loop.condition)}:")
        self.lines.append(f"{indent}        break")
        self.block(loop.body, indent + "    ")

    def check(self, instruction: Check, indent: str) -> None:
        self.lines.append(f"{indent}if not {self.operand(instruction.condition)} and status[0] == 0:")
        self.lines.append(f"{indent}    status[0] = {self.operand(instruction.code)}")


PRINTERS: dict[type, Any] = {
    Op: _KernelPrinter.op,
    Load: _KernelPrinter.load,
    Store: _KernelPrinter.store,
    Loop: _KernelPrinter.loop,
    Branch: _KernelPrinter.branch,
    While: _KernelPrinter.while_,
    Check: _KernelPrinter.check,
}


def _spelling(name: str, source: str, target: str) -> str:
    """The Python text of an instruction, so that NumPy's scalars and numba's give a result of the right type."""
    if name == "not" and target == "b1":
        return "not {0}"
    if name == "bitcast":  # of what may be a number of Python's
        return f"{NAMES[source]}({{0}}).view({{dtype}})"
    if name == "remainder" and target[0] == "f":
        return "np.fmod({0}, {1})"
    if name == "cast":
        if source[0] == "f" and target[0] in "iu":
            limits = np.iinfo(np.dtype(target))
            return f"{{dtype}}(saturated({{0}}, {limits.min}, {limits.max}))"
        return INSTRUCTIONS[name].python
    spelling = INSTRUCTIONS[name].python
    plain = target in EXACT or spelling.startswith("{dtype}") or name in ("select", "max", "min", "bitcast")
    return spelling if plain else f"{{dtype}}({spelling})"


def _constant(x: Constant) -> str:
    if x.dtype in ("i8", "b1"):
        return repr(x.value)
    special = isinstance(x.value, float) and not np.isfinite(x.value)
    value = ("-np.inf" if x.value < 0 else "np.inf" if x.value > 0 else "np.nan") if special else repr(x.value)
    return f"{NAMES[x.dtype]}({value})"


def _grouped(text: str) -> str:
    return text if text.isidentifier() or "(" in text or text.lstrip("-").isdigit() else f"({text})"


# The driver ----------------------------------------------------------------------------------------------------------


def _run(plan: Plan, names: dict[int, str]) -> str:
    program = plan.program
    buffers: dict[Var, str] = {v: f"a{number}" for number, v in enumerate(program.inputs)}
    lines = [f"def run({', '.join(buffers.values())}):"]
    for t, (v, name) in zip(plan.arguments, buffers.items(), strict=True):
        flat = f"np.ascontiguousarray({name}, {NAMES[code(t.dtype)]}).reshape(-1)"
        lines.append(f"    {name} = {flat}{_seen_as(t, v.type)}  # {t}")
    lines.append("    status = np.zeros(1, np.int64)")
    for number, (v, value) in enumerate(program.constants.items()):
        buffers[v] = f"c{number}"
        lines.append(f"    c{number} = np.array({value.tolist()!r}, {NAMES[code(v.type.dtype)]}).reshape(-1)")
    regions = [step for step in plan.steps if isinstance(step, Structured)]
    for v, value in ((v, value) for region in regions for v, value in region.constants.items()):
        buffers[v] = f"d{len(buffers)}"
        lines.append(f"    {buffers[v]} = np.array({value.tolist()!r}, {NAMES[code(v.type.dtype)]}).reshape(-1)")
    for v in dict.fromkeys((*plan.outputs, *plan.offsets)):
        if v in buffers:  # an argument that is changed in place
            continue
        buffers[v] = f"b{len(buffers)}"
        kind = in_memory(v.type)
        lines.append(f"    {buffers[v]} = np.empty({kind.size}, {NAMES[code(kind.dtype)]})  # {v.type}")

    def array(v: Var, kind: ArrayType | None = None) -> str:
        kind = kind or v.type
        return f"{buffers[v]}{_seen_as(in_memory(v.type), kind)}.reshape({kind.shape})"

    for step in apart(plan.steps):
        if isinstance(step, KernelStep):
            lines += _kernel_call(step, names[id(step)], buffers)
        elif isinstance(step, Call):
            lines += _reference_call(step, buffers)
        elif isinstance(step, Structured):
            lines += region_lines(step, regions.index(step), array)
        else:
            lines.append(_product_call(step, buffers))
    errors = [error for error, _ in plan.failures]
    if any(errors):
        lines += [
            "    if status[0]:",
            f"        raise [{', '.join(map(_exception, errors))}][status[0] - {plan.first_status}]",
        ]
    results = [
        f"{buffers[v]}{_seen_as(in_memory(v.type), t)}.reshape({t.shape})"
        for v, t in zip(plan.outputs, plan.results, strict=True)
    ]
    return "\n".join([*lines, f"    return ({''.join(r + ', ' for r in results)})", ""])


def _exception(error: BaseException | None) -> str:
    kind = next(base.__name__ for base in type(error).__mro__ if base.__module__ in ("builtins", "numpy.linalg"))
    return f"{'np.linalg.' * isinstance(error, np.linalg.LinAlgError)}{kind}({str(error)!r})" if error else "None"


def _kernel_call(step: KernelStep, name: str, buffers: dict[Var, str]) -> list[str]:
    sizes = (
        repr(n) if v.dtype != "f4" else f"np.float32({n!r})" for v, n in zip(step.kernel.sizes, step.sizes, strict=True)
    )
    arguments = ", ".join([*(buffers[v] for v in step.buffers), *sizes])
    joined = f"{arguments}, " if arguments else ""
    if not step.chunk:
        return [f"    {name}({joined}0, {step.total}, status)"]
    return [
        f"    for start in range(0, {step.total}, {step.chunk}):  # pieces may run on several threads",
        f"        {name}({joined}start, min(start + {step.chunk}, {step.total}), status)",
    ]


def _reference_call(step: Call, buffers: dict[Var, str]) -> list[str]:
    """A call of the primitive's reference on arrays of the operands' shapes."""
    if isinstance(step, Convolution):
        return [_convolution_call(step, buffers)]
    primitive, params = step.equation.primitive, step.equation.params
    operands = [
        f"{_typed(buffers[a], kind)}.reshape({kind.shape})" if isinstance(a, Var) else _number(a.value)
        for a, operand in zip(step.inputs, step.equation.inputs, strict=True)
        for kind in [a.type if a.type.size == 1 < operand.type.size else operand.type]  # one number for all
    ]
    given = ", ".join([*operands, *(f"{key}={_parameter(value)}" for key, value in params.items())])
    results = [f"{_typed(buffers[v], v.type)}[:]" for v in step.equation.outputs]
    call = f'registry["{primitive.name}"].reference({given})'
    if not primitive.multiple:
        return [f"    {results[0]} = np.ravel({call})"]
    return [f"    {', '.join(results)}, = map(np.ravel, {call})"]


def _seen_as(source: ArrayType, target: ArrayType) -> str:
    """What makes a buffer of one type one of another: complex numbers are pairs of real ones."""
    return "" if source.dtype == target.dtype else f".view({NAMES[code(target.dtype)]})"


def _typed(name: str, kind: ArrayType) -> str:
    """A buffer as arrays of this type see it."""
    return f"{name}{_seen_as(in_memory(kind), kind)}"


def _convolution_call(step: Convolution, buffers: dict[Var, str]) -> str:
    """A call of the reference on operands and a result as they lie."""
    (x, w), (out,) = step.equation.inputs, step.equation.outputs
    shapes = x.type.shape, w.type.shape, out.type.shape
    views = (_lying(lie, shape, front, buffers) for lie, shape, front in zip(step.lies, shapes, (2, 1, 2), strict=True))
    left, right, result = views
    given = ", ".join(f"{key}={_parameter(value)}" for key, value in step.equation.params.items())
    return f'    {result}[...] = registry["{step.equation.primitive.name}"].reference({left}, {right}, {given})'


def _lying(lie: Lie, shape: tuple[int, ...], front: int, buffers: dict[Var, str]) -> str:
    """An operand as it lies in its buffer; `front`: how many axes stand before space."""
    rank = len(shape) - 3
    space = lie.space[1:2] if rank == 1 else lie.space[3 - rank :]
    strides = (*lie.ends[:front], *space, *lie.ends[front:])
    steps = "".join(f"{stride} * {buffers[lie.var]}.itemsize, " for stride in strides)
    return f"np.lib.stride_tricks.as_strided({buffers[lie.var]}[{lie.offset}:], {shape}, ({steps}))"


def _number(value: np.generic) -> str:
    return f"np.{value.dtype.name}({value.item()!r})"


def _parameter(value: object) -> str:
    if isinstance(value, tuple):
        return f"({''.join(_parameter(v) + ', ' for v in value)})"
    return f"np.dtype({value.str!r})" if isinstance(value, np.dtype) else repr(value)


def _product_call(step: Product, buffers: dict[Var, str]) -> str:
    left, right, out = (
        _matrix(a, _typed(buffers[a.var], step.out.type), step, rows, columns)
        for a, rows, columns in ((step.x, step.m, step.k), (step.y, step.k, step.n), (step.target, step.m, step.n))
    )
    product = f"np.matmul({left}, {right})"
    if step.lie is None:
        product, out = f"{product}.reshape(-1)", _typed(buffers[step.out], step.out.type)
    factor = "" if step.alpha == 1 else f"{NAMES[step.dtype]}({step.alpha!r}) * "
    return f"    {out}[{'...' if step.lie else ':'}] {'+=' if step.beta else '='} {factor}{product}"


def _matrix(x: Matrix, name: str, step: Product, rows: int, columns: int) -> str:
    strides = [*x.strides, *((1, x.leading) if x.transposed else (x.leading, 1))]
    shape = [step.batch // max(step.inner, 1), step.inner, rows, columns]
    if step.batch == step.inner:
        shape, strides = shape[1:], strides[1:]
    size = f"{name}.itemsize"
    steps = ", ".join(f"{stride} * {size}" for stride in strides)
    return f"np.lib.stride_tricks.as_strided({name}[{x.offset}:], {tuple(shape)}, ({steps}))"

"""Which native steps factorize one large matrix, or solve by it?  Panels and products in turns (`native.factors`).

Stacks, matrices below `LEAST`, complex numbers, and CPUs on which products in tiles are no gain stay with the NumPy
reference.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence

import numpy as np

from funcgrad.compile.native import Step, factors_address, tiles_replace_blas
from funcgrad.compile.native.parts import BEHIND, WIDTH, Parameter
from funcgrad.compile.native.reflections import WIDTH as REFLECTIONS
from funcgrad.compile.native.vectors import REALS
from funcgrad.dtypes import code
from funcgrad.ir.program import Atom, Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.calls import FAILURES, WRITERS, Call
from funcgrad.lower.schedule import KernelStep
from funcgrad.runtime.calls import ROUTINES, Slots

LEAST = 96  # rows and columns
PIECE = 2**14  # elements that are worth handing to a thread
INT32 = np.dtype(np.int32)
ROOM = {
    "lu": ("panel",),
    "solve": ("factors", "pivots", "panel"),
    "cholesky": ("panel",),
    "triangular_solve": ("sides",),
    "qr": ("factors", "reflections", "triangles", "room"),
    "eigh": ("factors", "reflections", "triangles", "room", "lines", "indices"),
    "svd": ("factors", "reflections", "triangles", "room", "lines", "indices", "other"),
}
FAMILIES = {
    "lu": "eliminate",
    "solve": "eliminate",
    "triangular_solve": "eliminate",
    "cholesky": "cholesky",
    "qr": "qr",
    "eigh": "eigh",
    "svd": "svd",
}
"""By operation: memory that steps need besides operands and results, and the module of kernels."""


def is_large(matrix: ArrayType) -> bool:
    """Whether there are kernels for a matrix."""
    known = matrix.ndim == 2 and code(matrix.dtype) in REALS
    return known and min(matrix.shape) >= LEAST and tiles_replace_blas()


FIRST = {"eliminate": "begin", "eigh": "mirror"}
"""By family: a kernel, if not ``copy``."""


class _Steps:
    """Native steps in order."""

    def __init__(self, call: Call, matrix: ArrayType, slots: dict[Parameter, int]) -> None:
        self.dtype, self.family = code(matrix.dtype), FAMILIES[call.equation.primitive.name]
        rows, columns = matrix.shape
        self.words = dict.fromkeys(Parameter, 0) | {Parameter(which): slot for which, slot in slots.items()}
        self.words |= {Parameter.ROWS: rows, Parameter.COLUMNS: columns, Parameter.STATUS: call.status}
        self.steps: list[Step] = []

    def add(self, kernel: str, total: int = 1, chunk: int = 0, **words: int) -> None:
        """Append a step, of which threads share pieces of `chunk`."""
        found = self.words | {Parameter[name.upper()]: value for name, value in words.items()}
        shared = chunk if chunk < total else 0
        self.steps.append(
            Step(factors_address(self.family, kernel, self.dtype), [found[p] for p in Parameter], total, shared)
        )

    def panels(self, most: int = WIDTH) -> Sequence[tuple[int, int]]:
        """Where panels begin, and how wide they are."""
        rows, columns = self.words[Parameter.ROWS], self.words[Parameter.COLUMNS]
        size = min(rows, columns)
        return [(at, min(most, size - at)) for at in range(0, size, most)]

    def eliminate(self, sides: int = 0) -> None:
        """Factorize the matrix with exchanges of rows, and eliminate from so many right sides: columns like others."""
        rows, columns = self.words[Parameter.ROWS], self.words[Parameter.COLUMNS]
        panels = self.panels()
        self.add("begin", rows, -(-2 * PIECE // columns), width=panels[0][1], sides=sides)
        for at, width in panels:
            self.add("update", columns + sides, WIDTH, at=at, width=width, sides=sides)  # and the next panel


def start(steps: Sequence[object]) -> None:
    """Have the kernels that factorize compiled (or read) on another thread, while those of the program are."""
    for call in steps:
        if isinstance(call, Call) and call.equation.primitive.name in ROOM and _has_room(call):
            _start(FAMILIES[call.equation.primitive.name], code(call.equation.inputs[0].type.dtype))


@functools.cache
def _start(family: str, dtype: str) -> None:
    work = functools.partial(factors_address, family, FIRST.get(family, "copy"), dtype)
    threading.Thread(target=work, name="funcgrad-factors", daemon=True).start()


def lu_steps(call: Call, slots: Slots) -> list[Step] | None:
    """Those of both factors in one matrix, exchanges, and the permutation that they make."""
    if not _has_room(call):
        return None
    (x, panel), outputs = call.inputs, call.equation.outputs
    names = "X PANEL FACTORS PIVOTS ORDER".split()
    steps = _Steps(call, outputs[0].type, _slots(slots, names, (x, panel, *outputs)))
    steps.eliminate()
    steps.add("order")
    return steps.steps


def solve_steps(call: Call, slots: Slots) -> list[Step] | None:
    """Those of factors that nobody else wants, and of the solution."""
    if not _has_room(call):
        return None
    a, b, factors, pivots, panel = call.inputs
    (x,) = call.equation.outputs
    names = "X FACTORS PIVOTS PANEL OTHER OUT".split()
    steps = _Steps(call, a.type, _slots(slots, names, (a, factors, pivots, panel, b, x)))
    steps.eliminate(x.type.shape[1])
    _over_sides(steps, "solve", x.type)
    return steps.steps


def triangular_steps(call: Call, slots: Slots) -> list[Step] | None:
    """The step of a triangle on either side of one matrix."""
    (a, b, *room), (x,), params = call.inputs, call.equation.outputs, call.equation.params
    left, matrix = params["left_side"], call.equation.inputs[0].type
    if not (is_large(matrix) and x.type.size and (left or room)):
        return None
    steps = _Steps(call, matrix, _slots(slots, "FACTORS X OUT ROOM".split(), (a, b, x, *room)))
    flags = {"lower": params["lower"], "transposed": params["transpose_a"], "unit": params["unit_diagonal"]}
    flags = {name: int(flag) for name, flag in flags.items()}
    _over_sides(steps, "triangle" if left else "across", x.type if left else room[0].type, **flags)
    return steps.steps


def _over_sides(steps: _Steps, kernel: str, x: ArrayType, **flags: int) -> None:
    """A step that threads share by right sides."""
    n, sides = x.shape
    chunk = -(-PIECE // (n * WIDTH)) * WIDTH
    steps.add(kernel, sides, chunk, sides=sides, **flags)


def cholesky_steps(call: Call, slots: Slots) -> list[Step] | None:
    """Those of the lower factor."""
    if not _has_room(call):
        return None
    (x, panel), (out,) = call.inputs, call.equation.outputs
    steps = _Steps(call, out.type, _slots(slots, "X PANEL FACTORS".split(), (x, panel, out)))
    n = out.type.shape[0]
    whole = -(-2 * PIECE // n)
    steps.add("copy", n, whole)
    for at, width in steps.panels():
        steps.add("block", at=at, width=width)
        below = n - at - width
        if below:
            steps.add("below", below, WIDTH, at=at, width=width)
            steps.add("remove", below, WIDTH, at=at, width=width)
    steps.add("clear", n, whole)
    return steps.steps


def qr_steps(call: Call, slots: Slots) -> list[Step] | None:
    """Those of an orthonormal basis, and the upper triangle."""
    if not _has_room(call):
        return None
    (x, *room), (q, r) = call.inputs, call.equation.outputs
    names = "X FACTORS PANEL TRIANGLES ROOM OUT R".split()
    steps = _Steps(call, call.equation.inputs[0].type, _slots(slots, names, (x, *room, q, r)))
    (rows, columns), size = call.equation.inputs[0].type.shape, r.type.shape[0]
    whole = -(-2 * PIECE // columns)
    steps.add("copy", rows, whole)
    steps.add("begin", rows, whole)
    panels = steps.panels(REFLECTIONS)
    for at, width in panels:
        steps.add("reflect", at=at, width=width)
        if at + width < columns:
            steps.add("apply", columns, WIDTH, at=at, width=width)
    for at, width in reversed(panels):
        steps.add("build", size, WIDTH, at=at, width=width)
    return steps.steps


def eigh_steps(call: Call, slots: Slots) -> list[Step] | None:
    """Those of values in order, and of vectors."""
    if not _has_room(call):
        return None
    (x, *room), (values, vectors) = call.inputs, call.equation.outputs
    names = "X FACTORS PANEL TRIANGLES ROOM R ORDER VALUES OUT".split()
    steps = _Steps(call, vectors.type, _slots(slots, names, (x, *room, values, vectors)))
    n = vectors.type.shape[0]
    steps.add("mirror", n, WIDTH)
    steps.add("tridiagonal")
    steps.add("vectors", n, WIDTH)
    _turned_back(steps, below=1, line=1)
    return steps.steps


def svd_steps(call: Call, slots: Slots) -> list[Step] | None:
    """Those of vectors from both sides, and values in order."""
    if not _has_room(call):
        return None
    (x, *room), (u, values, vh) = call.inputs, call.equation.outputs
    names = "X FACTORS PANEL TRIANGLES ROOM R ORDER OTHER OUT VALUES".split()
    steps = _Steps(call, u.type, _slots(slots, names, (x, *room, u, values)))
    n, (matrix, mirrored, *_, other) = u.type.shape[0], (slots[v] for v in room if isinstance(v, Var))
    steps.add("copy", n, -(-2 * PIECE // n))
    steps.add("bidiagonal")
    steps.add("mirror", n, WIDTH, slot_x=matrix)
    _turned_back(steps, below=1, line=2)
    steps.add("vectors", n, WIDTH, slot_factors=other, slot_out=mirrored)
    _turned_back(steps, below=0, line=1, slot_panel=matrix, slot_out=mirrored)
    steps.add("vectors", n, WIDTH, slot_factors=mirrored, slot_out=slots[vh])
    return steps.steps


def _turned_back(steps: _Steps, **words: int) -> None:
    """What reflections make of vectors: those that begin so far below the diagonal, with factors in that line."""
    n = steps.words[Parameter.ROWS]
    count = n - words["below"]
    panels = [(at, min(WIDTH, count - at)) for at in range(0, count, WIDTH)]
    steps.add("blocks", len(panels), 1, **words)
    for at, width in reversed(panels):
        steps.add("back", n, WIDTH, at=at, width=width, **words)


def _slots(slots: Slots, names: Sequence[str], atoms: Sequence[Atom]) -> dict[Parameter, int]:
    pairs = zip(names, atoms, strict=False)  # some calls have no room
    return {Parameter[f"SLOT_{name}"]: slots[atom] for name, atom in pairs if isinstance(atom, Var)}


# Memory as more operands ----------------------------------------------------------------------------------------------


def _with_room(call: Call) -> Sequence[KernelStep | Call] | None:
    """The call with room for a panel, and for what `solve` leaves behind."""
    matrix = call.equation.inputs[0].type
    if not is_large(matrix) or not all(v.type.size for v in call.equation.outputs):
        return None
    rows, columns = matrix.shape
    params, name = call.equation.params, call.equation.primitive.name
    if name in ("solve", "eigh", "svd") and matrix.dtype != np.float64:  # NumPy computes those of float32 in float64
        return None
    if (name == "svd" and rows != columns) or (params.get("full_matrices") and rows > columns):
        return None
    if params.get("left_side") or False in (params.get(wanted) for wanted in ("compute_vectors", "compute_uv")):
        return None
    sizes = {
        "panel": (3 * rows + BEHIND) * WIDTH,
        "reflections": rows * min(rows, columns),
        "room": 2 * REFLECTIONS * columns,
    }
    sizes["triangles"] = (min(rows, columns) + REFLECTIONS) * REFLECTIONS
    scratch: dict[str, ArrayType] = {}
    if name in ("eigh", "svd"):
        sizes |= {"room": 3 * rows * rows + 2 * WIDTH * rows, "lines": 3 * rows, "triangles": (rows + WIDTH) * WIDTH}
        scratch |= {"indices": ArrayType((8 * rows,), np.dtype(np.int64)), "other": matrix}
    sides = call.equation.inputs[-1].type
    scratch |= {"pivots": ArrayType((columns,), INT32), "factors": matrix, "sides": sides.with_shape(sides.shape[::-1])}
    scratch |= {which: ArrayType((size,), matrix.dtype) for which, size in sizes.items()}
    room = [Var(scratch[which]) for which in ROOM[name]]
    equation = call.equation.replace(inputs=(*call.equation.inputs, *room))
    return [Call(equation, (*call.inputs, *room), call.status)]


def _has_room(call: Call) -> bool:
    """Whether the call is one that `_with_room` has made."""
    name = call.equation.primitive.name
    return len(call.inputs) == len(ROOM[name]) + (2 if name in ("solve", "triangular_solve") else 1)


def _enter(name: str) -> None:
    before = WRITERS.get(name)
    WRITERS[name] = lambda call: (before(call) if before else None) or _with_room(call)


for _name in ROOM:
    _enter(_name)
ROUTINES["lu"] = lu_steps
ROUTINES["solve"] = solve_steps
ROUTINES["triangular_solve"] = triangular_steps
ROUTINES["cholesky"] = cholesky_steps
ROUTINES["qr"] = qr_steps
ROUTINES["eigh"] = eigh_steps
ROUTINES["svd"] = svd_steps
FAILURES["svd"] = lambda: np.linalg.LinAlgError("SVD did not converge")
FAILURES["eigh"] = lambda: np.linalg.LinAlgError("Eigenvalues did not converge")

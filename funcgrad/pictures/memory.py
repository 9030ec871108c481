"""Which buffer lies where, and from which step to which?  The plan of memory, over the steps of a program.

A temporary is a rectangle: as wide as the steps from the one that writes it to the last one that reads it, as high as
its bytes, at its place in the arena; what stands beside it at the same height lies in the same memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from funcgrad.ir.program import Var
from funcgrad.ir.types import ArrayType
from funcgrad.lower.plan import Plan, buffers_of
from funcgrad.lower.structured import Structured
from funcgrad.pictures.kernels import Plans, Reading, access, bodies, step_family
from funcgrad.pictures.names import size
from funcgrad.pictures.scene import Area, Group, Outline, Part, Text
from funcgrad.pictures.themes import fitting, text_width
from funcgrad.runtime.profiling.explain import Line
from funcgrad.runtime.profiling.text import count

WIDTH = 900.0  # of the steps, unless there are few or many
LEAST_STEP, MOST_STEP = 3.0, 90.0
LEFT, RIGHT, GAP = 86.0, 26.0, 30.0
TOTAL_HEIGHT, ARENA_HEIGHT = 90.0, 300.0
ROW, LEAST_ROW = 34.0, 5.0  # heights of what lies outside of the arena: the largest, the smallest
TITLE = 26.0
MOST_LIVES = 1500  # rectangles: the largest
NAMED_STEPS = 60  # steps whose names have room
MOST_CHARTS = 12
MOST_BEFORE = 12  # names of what lay at a temporary's place before it
SLANT = 50.0  # degrees, of steps' names


class Life(NamedTuple):
    """A buffer: its name and type, what it is (argument, constant, result, temporary), where in the arena it begins,
    the first and the last step that use it, the family of what writes it, and whose lines that are.
    """

    name: str
    type: ArrayType
    kind: str
    offset: int
    first: int
    last: int
    family: str
    writer: str
    lines: tuple[Line, ...]


class Chart(NamedTuple):
    """The memory of a plan: its steps by name, its buffers, the bytes of its arena, and what was left out."""

    title: str
    steps: tuple[str, ...]
    lives: tuple[Life, ...]
    arena: int
    messages: tuple[str, ...] = ()

    def alive(self) -> list[int]:
        """The bytes in use at each step: what lies outside of the arena always, temporaries during their lives."""
        fixed = sum(life.type.nbytes for life in self.lives if life.kind != "temporary")
        changes = [0] * (len(self.steps) + 1)
        for life in self.lives:
            if life.kind == "temporary":
                changes[life.first] += life.type.nbytes
                changes[life.last + 1] -= life.type.nbytes
        total, out = fixed, []
        for change in changes[:-1]:
            total += change
            out.append(total)
        return out


def charts(
    plan: Plan, inputs: Sequence[str], outputs: Sequence[str], title: str, plans: Plans | None = None
) -> Iterator[Chart]:
    """The chart of a plan, whose arguments and results have names, and those of its loops' and branches' bodies."""
    plans = plans or Plans()
    yield _chart(plans.read(plan), inputs, outputs, title)
    for number, step in enumerate(plan.steps):
        if isinstance(step, Structured):
            for body in bodies(step):
                what = f"{step.equation.primitive.name}{f', {body.title}' if body.title else ''}"
                inside = f"{title}, step {number}: {what}" if title else f"Step {number}: {what}"
                yield from charts(body.plan, body.inputs, body.outputs, inside, plans)


def _chart(reading: Reading, inputs: Sequence[str], outputs: Sequence[str], title: str) -> Chart:
    plan, names, explained = reading
    uses: dict[Var, tuple[int, int]] = {}
    writers: dict[Var, int] = {}
    for number, step in enumerate(plan.steps):
        for v in buffers_of(step):
            uses[v] = (uses.get(v, (number, number))[0], number)
        for v in access(step).writes:
            writers.setdefault(v, number)
    last = max(len(plan.steps) - 1, 0)
    arenas = {
        arena: f"temporaries of {names.steps[id(s)]}"
        for s in plan.steps
        if isinstance(s, Structured)
        for arena in s.arenas
    }

    def life(v: Var, kind: str, name: str = "") -> Life:
        first, end = uses.get(v, (0, 0))
        by = writers.get(v, first if kind == "temporary" else None)
        family, writer, lines = "value", "", ()  # type: tuple[str, str, tuple[Line, ...]]
        if by is not None and plan.steps:
            step = plan.steps[by]
            told = explained[id(step)]
            family, lines = step_family(step, told.equations), told.lines
            writer = f"{names.steps[id(step)]} (step {by})"
        if kind in ("argument", "constant"):
            first = 0
        if kind == "result":
            end = last
        own = name or arenas.get(v) or names.short(v)
        return Life(own, v.type, kind, plan.offsets.get(v, 0), first, end, family, writer, lines)

    program = plan.program
    lives = [life(v, "argument", inputs[k] if k < len(inputs) else "") for k, v in enumerate(program.inputs)]
    lives += [life(v, "constant") for v in program.constants]
    given = {*program.inputs, *program.constants}
    called = dict(zip(plan.outputs, outputs, strict=False))
    lives += [life(v, "result", called.get(v, "")) for v in dict.fromkeys(plan.outputs) if v not in given]
    lives += [life(v, "temporary") for v in plan.offsets]
    return Chart(title, tuple(names.steps[id(step)] for step in plan.steps), tuple(lives), plan.arena_bytes)


# Drawing --------------------------------------------------------------------------------------------------------------


class Drawn(NamedTuple):
    """A chart as a group, its size, and what is told of each rectangle."""

    group: Group
    width: float
    height: float
    told: list[tuple[Group, Life]]


def draw(chart: Chart) -> Drawn:
    """The chart: bytes in use, the arena, and what lies outside of it."""
    steps = max(len(chart.steps), 1)
    each = min(max(WIDTH / steps, LEAST_STEP), MOST_STEP)
    across = max(each * steps, 240.0)
    each = across / steps
    group = Group(kind="chart")
    told: list[tuple[Group, Life]] = []
    y = 0.0
    if chart.title:
        group.parts.append(Text(0, y + 14, chart.title, "title"))
        y += TITLE
    for part in (_total, _arena, _outside):
        below = part(chart, group, told, y, each)
        y = below + GAP if below > y else y
    y = _steps(chart, group, y - GAP + 6, each)
    texts = [p.x + text_width(p.text, p.role) for p in group.parts if isinstance(p, Text) and p.anchor == "start"]
    return Drawn(group, max([LEFT + across + RIGHT, *texts]), y, told)


def _heading(group: Group, y: float, text: str) -> float:
    group.parts.append(Text(LEFT, y + 12, text, "label"))
    return y + 20


def _total(chart: Chart, group: Group, told: list[tuple[Group, Life]], y: float, each: float) -> float:
    alive = chart.alive()
    peak = max(alive, default=0)
    if not peak:
        return y
    at = alive.index(peak)
    y = _heading(group, y, f"Bytes in use: {count(peak)}B at the most, in step {at}")
    bottom = y + TOTAL_HEIGHT
    group.parts += _axis(y, bottom, peak, each * len(alive))
    points = [(LEFT, bottom)]
    for number, value in enumerate(alive):
        level = bottom - TOTAL_HEIGHT * value / peak
        points += [(LEFT + each * number, level), (LEFT + each * (number + 1), level)]
    points.append((LEFT + each * len(alive), bottom))
    group.parts.append(Outline(tuple(points), "total", closed=True))
    return bottom


def _arena(chart: Chart, group: Group, told: list[tuple[Group, Life]], y: float, each: float) -> float:
    lives = sorted((life for life in chart.lives if life.kind == "temporary"), key=lambda v: -v.type.nbytes)
    if not lives:
        return _heading(group, y, "No temporaries") if chart.steps else y
    together = sum(life.type.nbytes for life in lives)
    text = f"Temporaries: {len(lives):,} of {count(together)}B together lie in {count(chart.arena)}B"
    if len(lives) > MOST_LIVES:
        text += f" (the largest {MOST_LIVES:,} are drawn)"
    y = _heading(group, y, text)
    height = min(ARENA_HEIGHT, max(40.0, 26.0 * len(lives)))
    bottom = y + height
    group.parts += _axis(y, bottom, chart.arena, each * len(chart.steps))
    for life in lives[:MOST_LIVES]:
        tall = max(height * life.type.nbytes / chart.arena, 1.0)
        top = bottom - height * life.offset / chart.arena - tall
        _rectangle(group, told, life, LEFT + each * life.first, top, each * (life.last - life.first + 1), tall)
    return bottom


def _outside(chart: Chart, group: Group, told: list[tuple[Group, Life]], y: float, each: float) -> float:
    lives = [life for life in chart.lives if life.kind != "temporary"]
    if not lives:
        return y
    largest = max(life.type.nbytes for life in lives)
    total = sum(life.type.nbytes for life in lives)
    dropped = len(lives) - MOST_LIVES
    lives = sorted(lives, key=lambda v: -v.type.nbytes)[:MOST_LIVES] if dropped > 0 else lives
    y = _heading(group, y, f"Arguments, constants and results: {count(total)}B, and the steps that use them")
    for life in lives:
        tall = max(ROW * math.sqrt(life.type.nbytes / largest), LEAST_ROW) if largest else LEAST_ROW
        if len(lives) <= 24:
            tall = max(tall, 15.0)
        group.parts.append(Area(LEFT, y, each * max(len(chart.steps), 1), tall, "pale", 2))
        start, stop = LEFT + each * life.first, LEFT + each * (life.last + 1)
        _rectangle(group, told, life, start, y, stop - start, tall, LEFT + each * max(len(chart.steps), 1))
        group.parts.append(Text(LEFT - 8, y + tall / 2 + 4, life.kind if tall >= 12 else "", "small", "end"))
        y += tall + 3
    return y - 3


def _rectangle(
    group: Group,
    told: list[tuple[Group, Life]],
    life: Life,
    x: float,
    y: float,
    width: float,
    height: float,
    free: float = 0.0,
) -> None:
    """A buffer; its name may stand beside it, from `LEFT` to `free`, if there is nothing else."""
    inside = 0.5 if min(width, height) > 3 else 0.0
    shape = Area(0, 0, width - 2 * inside, height - 2 * inside, life.family, 2)
    own = Group(x + inside, y + inside, [shape], "node", {"family": life.family})
    if height >= 13:
        text, base = f"{life.name} {life.type} {size(life.type)}", height / 2 + 3
        wide = text_width(text, "small") + 10
        if wide > width and x + width + wide <= free:
            own.parts.append(Text(width + 4, base, text, "small"))
        elif wide > width and free and x - wide >= LEFT:
            own.parts.append(Text(-6, base, text, "small", "end"))
        else:
            text = fitting(text, "small", width - 10)
            own.parts += [Text(5, base, text, "small")] if len(text) > 2 else []
    group.parts.append(own)
    told.append((own, life))


def _axis(top: float, bottom: float, most: int, across: float) -> Iterator[Part]:
    for share in (0.0, 0.5, 1.0):
        y = bottom - (bottom - top) * share
        yield Outline(((LEFT, y), (LEFT + across, y)), "grid")
        yield Text(LEFT - 8, y + 4, f"{count(most * share)}B", "small", "end")


def _steps(chart: Chart, group: Group, y: float, each: float) -> float:
    """The steps' numbers and names, below."""
    if not chart.steps:
        group.parts.append(Text(LEFT, y + 14, "No steps: results are arguments or constants", "label"))
        return y + 24
    every = max(1, math.ceil(18 / each))
    for number in range(0, len(chart.steps), every):
        group.parts.append(Text(LEFT + each * (number + 0.5), y + 12, str(number), "small", "middle"))
    y += 18
    if len(chart.steps) > NAMED_STEPS or each < 12:
        group.parts.append(Text(LEFT, y + 12, "steps", "label"))
        return y + 18
    names = [fitting(name, "small", 110) for name in chart.steps]
    longest = max(text_width(name, "small") for name in names)
    if longest < each - 6:
        at = [Text(LEFT + each * (k + 0.5), y + 10, name, "small", "middle") for k, name in enumerate(names)]
        below = y + 16
    else:
        at = [Text(LEFT + each * (k + 0.5) + 4, y + 8, name, "small", "end", -SLANT) for k, name in enumerate(names)]
        below = y + 14 + longest * math.sin(math.radians(SLANT))
    group.parts += at
    return below


class Arena:
    """Which temporaries of a chart lay earlier where others lie?"""

    def __init__(self, chart: Chart) -> None:
        self._lives = [v for v in chart.lives if v.kind == "temporary"]
        found = [(v.offset, v.offset + v.type.nbytes, v.last) for v in self._lives]
        self._begins, self._ends, self._last = np.array(found, np.int64).reshape(-1, 3).T

    def before(self, life: Life) -> list[str]:
        """The names of the first few."""
        shared = (self._begins < life.offset + life.type.nbytes) & (life.offset < self._ends)
        return [self._lives[k].name for k in np.flatnonzero(shared & (self._last < life.first))[:MOST_BEFORE]]


def details(life: Life, chart: Chart, arena: Arena) -> list[tuple[str, str]]:
    """What is told of a buffer."""
    rows = [
        (life.kind.capitalize(), f"{life.name}: {life.type}"),
        ("Bytes", f"{life.type.nbytes:,} ({size(life.type)})"),
    ]
    if life.kind == "temporary":
        rows.append(("Place", f"bytes {life.offset:,} to {life.offset + life.type.nbytes:,} of the arena"))
        before = arena.before(life)
        rows += [("Before it, there", ", ".join(before))] if before else []
    if chart.steps:
        first, last = chart.steps[life.first], chart.steps[life.last]
        rows.append(("Steps", f"{life.first} ({first}) to {life.last} ({last})"))
    rows += [("Written by", life.writer)] if life.writer else []
    return rows

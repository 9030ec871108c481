"""What must a call know?  Everything about one compiled program, in one table of 64-bit words.

The fast call and the slow call both work from a `Descriptor`.  Its `words` are

=============  ========================================================================================
header         `Header`; the tables' positions are bytes from the start
inputs         per leaf: `InputWord`, then its dims
outputs        per result: `OutputWord`, then its dims
template       per slot: value, 1 where the value counts from the start of the frame
steps          per step: kernel, address of its integers, total, chunk
integers       of all steps
=============  ========================================================================================

A *frame* is the memory of one running call: the table of buffer addresses, the status word, one cell per input for
a scalar's value, and the arena of temporaries.  A program keeps one frame; calls that overlap make their own.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import at_line

CELL = 16
"""Bytes for the value of a scalar input: the widest is complex128."""

ALIGNMENT = 64


class Header(IntEnum):
    """The first words."""

    N_INPUTS = 0
    N_OUTPUTS = 1
    N_SLOTS = 2
    N_STEPS = 3
    INPUTS = 4
    OUTPUTS = 5
    TEMPLATE = 6
    STEPS = 7
    FRAME_BYTES = 8
    FRAME = 9  # the idle frame, or 0; exchanged atomically
    STATUS = 10  # where the status word is in a frame
    CELLS = 11  # where the scalars are in a frame
    RELEASE_GIL = 12
    PARALLEL = 13  # some step has pieces
    RESULT_TYPE = 14  # the ndarray subclass of results, accepted as input as well


class InputWord(IntEnum):
    """A leaf's record; its dims follow."""

    KIND = 0
    SLOT = 1
    GUARD = 2  # the address of the dtype of an array, of the type of a scalar
    LOW = 3  # the integers that fit; for `Kind.COPY`, whether the scalar has a second word
    HIGH = 4
    RANK = 5


class OutputWord(IntEnum):
    """A result's record; its dims follow."""

    SLOT = 0
    DTYPE = 1
    BYTES = 2
    DONOR = 3  # 1 + the input whose memory it takes over, or 0
    RANK = 4


class Kind(IntEnum):
    """What an input must be, and how its value is stored."""

    ARRAY = 0
    COPY = 1  # a NumPy scalar of exactly the guarded type, or a Python complex
    FLOAT_TO_F8 = 2
    FLOAT_TO_F4 = 3
    INT_TO_INT = 4  # any integer type: the low bytes are the value; low <= value <= high
    INT_TO_F8 = 5
    INT_TO_F4 = 6
    BOOL_TO_INT = 7
    BOOL_TO_F8 = 8
    BOOL_TO_F4 = 9


class ArrayInput(NamedTuple):
    """A leaf that is an array of this dtype and shape."""

    slot: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


class ScalarInput(NamedTuple):
    """A leaf that is a Python number or NumPy scalar (of exactly this type), handed over as `dtype`."""

    slot: int
    type: type
    dtype: np.dtype[Any]


class Output(NamedTuple):
    """A result; `donor`: the input (its number) that it is written over, in the same slot."""

    slot: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    donor: int | None = None


class Step(NamedTuple):
    """One kernel call: see `driver`."""

    kernel: int
    ints: Sequence[int]
    total: int
    chunk: int

    @property
    def is_shared(self) -> bool:
        """Whether it runs in pieces."""
        return self.chunk != 0 and self.chunk < self.total


@dataclass(frozen=True, eq=False)
class Descriptor:
    """One compiled program, ready to be called; make it with `describe`."""

    inputs: tuple[ArrayInput | ScalarInput, ...]
    outputs: tuple[Output, ...]
    words: np.ndarray
    keep: tuple[object, ...]
    result_type: type[np.ndarray]

    def header(self, which: Header) -> int:
        return int(self.words[which])

    def table(self, which: Header, count: int) -> np.ndarray:
        first = self.header(which) // 8
        return self.words[first : first + count]


def describe(
    inputs: Sequence[ArrayInput | ScalarInput],
    outputs: Sequence[Output],
    slots_template: Sequence[np.ndarray | int | None],
    steps: Sequence[Step],
    arena_bytes: int = 0,
    *,
    parallel: bool = False,
    release_gil: bool = True,
    result_type: type[np.ndarray] = np.ndarray,
    keep: Sequence[object] = (),
) -> Descriptor:
    """Lay a compiled program out for `make_entry` and `slow_call`.

    Parameters
    ----------
    inputs, outputs
        The leaves of the arguments and of the results, in order.
    slots_template
        Per slot: an array (a constant: C-contiguous, kept alive), an int (a temporary: its byte offset in
        the arena, which starts at a multiple of 64), or None (slot 0, inputs and outputs).
    steps
        The kernels to run; see `driver`.
    arena_bytes
        The size of the arena.
    parallel
        Whether threads share steps within steps.
    release_gil
        Whether other Python threads may run meanwhile: worth 0.1 microseconds unless the program is tiny.
    result_type
        `numpy.ndarray` or the subclass of it that results have.
    keep
        What must live as long as the entry, such as the libraries of the kernels.
    """
    layout = _frame_layout(len(slots_template), len(inputs), arena_bytes)
    tables = {
        Header.INPUTS: [word for spec in inputs for word in _input_words(spec)],
        Header.OUTPUTS: [word for spec in outputs for word in _output_words(spec)],
        Header.TEMPLATE: _template_words(slots_template, inputs, layout),
        Header.STEPS: [0] * (4 * len(steps)),
    }
    header = {
        Header.N_INPUTS: len(inputs),
        Header.N_OUTPUTS: len(outputs),
        Header.N_SLOTS: len(slots_template),
        Header.N_STEPS: len(steps),
        Header.FRAME_BYTES: layout["end"],
        Header.STATUS: layout["status"],
        Header.CELLS: layout["cells"],
        Header.RELEASE_GIL: int(release_gil),
        Header.PARALLEL: int(parallel or any(step.is_shared for step in steps)),
        Header.RESULT_TYPE: id(result_type),
    }
    position = len(Header)
    for which, table in tables.items():
        header[which] = 8 * position
        position += len(table)
    words = np.zeros(position + sum(len(step.ints) for step in steps), np.int64)
    words[: len(Header)] = [header.get(which, 0) for which in Header]
    for which, table in tables.items():
        words[header[which] // 8 :][: len(table)] = as_words(table)
    _place_steps(words, header[Header.STEPS] // 8, position, steps)
    constants = [slot for slot in slots_template if isinstance(slot, np.ndarray)]
    guards = [spec.type for spec in inputs if isinstance(spec, ScalarInput)]
    dtypes = [_native(spec.dtype) for spec in (*inputs, *outputs)]
    kept = (*keep, *constants, *guards, *dtypes, result_type)
    return Descriptor(tuple(inputs), tuple(outputs), words, kept, result_type)


def new_frame(descriptor: Descriptor) -> tuple[np.ndarray, int]:
    """A frame of its own for one slow call: its memory, and its address."""
    memory = np.empty(descriptor.header(Header.FRAME_BYTES) + ALIGNMENT, np.uint8)
    address = -(-memory.ctypes.data // ALIGNMENT) * ALIGNMENT
    count = descriptor.header(Header.N_SLOTS)
    template = descriptor.table(Header.TEMPLATE, 2 * count).reshape(count, 2)
    table = (ctypes.c_int64 * count).from_address(address)
    table[:] = (template[:, 0] + template[:, 1] * address).tolist()
    return memory, address


def _frame_layout(n_slots: int, n_inputs: int, arena_bytes: int) -> dict[str, int]:
    status = 8 * n_slots
    cells = -(-(status + 8) // CELL) * CELL
    arena = -(-(cells + CELL * n_inputs) // ALIGNMENT) * ALIGNMENT
    return {"status": status, "cells": cells, "arena": arena, "end": arena + arena_bytes}


def _template_words(
    template: Sequence[np.ndarray | int | None], inputs: Sequence[ArrayInput | ScalarInput], layout: dict[str, int]
) -> list[int]:
    pairs = [(0, 0)] * len(template)
    for slot, value in enumerate(template):
        if isinstance(value, np.ndarray):
            if not value.flags.c_contiguous:
                raise ValueError(f"the constant in slot {slot} is not contiguous")
            pairs[slot] = (value.ctypes.data, 0)
        elif value is not None:
            pairs[slot] = (layout["arena"] + value, 1)
    pairs[0] = (layout["status"], 1)
    for index, spec in enumerate(inputs):
        if isinstance(spec, ScalarInput):
            pairs[spec.slot] = (layout["cells"] + CELL * index, 1)
    return [word for pair in pairs for word in pair]


def _place_steps(words: np.ndarray, table: int, integers: int, steps: Sequence[Step]) -> None:
    """Fill the steps in; the words do not move any more, so addresses into them are good."""
    base: int = words.ctypes.data
    rows: list[int] = []
    numbers: list[int] = []
    for step in steps:
        rows += [step.kernel, base + 8 * (integers + len(numbers)), step.total, step.chunk]
        numbers += step.ints
    words[table : table + len(rows)] = as_words(rows)
    words[integers : integers + len(numbers)] = as_words(numbers)


def as_words(numbers: Sequence[int]) -> np.ndarray:
    """Integers of a program as native code takes them."""
    try:
        return np.array(numbers, np.int64)
    except OverflowError:
        raise ValueError(
            f"an array of the program is too big: integers of 64 bits do not count its bytes or elements{at_line()}"
        ) from None


def _input_words(spec: ArrayInput | ScalarInput) -> list[int]:
    if isinstance(spec, ArrayInput):
        return [Kind.ARRAY, spec.slot, id(_native(spec.dtype)), 0, 0, len(spec.shape), *spec.shape]
    kind = _scalar_kind(spec)
    low, high = int(spec.dtype.itemsize > 8), 0  # for `COPY`: whether there is a second word
    if kind is Kind.INT_TO_INT:
        limits = np.iinfo(spec.dtype)
        low, high = int(limits.min), min(int(limits.max), 2**63 - 1)
    return [kind, spec.slot, id(spec.type), low, high, 0]


def _output_words(spec: Output) -> list[int]:
    dtype = _native(spec.dtype)
    size = dtype.itemsize * math.prod(spec.shape)
    donor = 0 if spec.donor is None else spec.donor + 1
    return [spec.slot, id(dtype), size, donor, len(spec.shape), *spec.shape]


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """NumPy's own object for a dtype: arrays are compared with it by identity."""
    return np.dtype(dtype.type)


_PYTHON_KINDS = {
    (float, "f8"): Kind.FLOAT_TO_F8,
    (float, "f4"): Kind.FLOAT_TO_F4,
    (int, "f8"): Kind.INT_TO_F8,
    (int, "f4"): Kind.INT_TO_F4,
    (bool, "f8"): Kind.BOOL_TO_F8,
    (bool, "f4"): Kind.BOOL_TO_F4,
    (bool, "b1"): Kind.BOOL_TO_INT,
    **{(int, f"{sign}{size}"): Kind.INT_TO_INT for sign in "iu" for size in (1, 2, 4, 8)},
    **{(bool, f"{sign}{size}"): Kind.BOOL_TO_INT for sign in "iu" for size in (1, 2, 4, 8)},
}


def _scalar_kind(spec: ScalarInput) -> Kind:
    code = f"{spec.dtype.kind}{spec.dtype.itemsize}"
    if issubclass(spec.type, np.generic) and np.dtype(spec.type) == spec.dtype and spec.dtype.kind in "biufc":
        return Kind.COPY
    if spec.type is complex and code == "c16":  # its two doubles stand where NumPy's scalar has them
        return Kind.COPY
    kind = _PYTHON_KINDS.get((spec.type, code))
    if kind is None:
        raise ValueError(f"a {spec.type.__name__} is not handed over as {spec.dtype}")
    return kind

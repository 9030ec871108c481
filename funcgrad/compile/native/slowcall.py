"""What if a leaf is not quite what was compiled for, or the interpreter is unusual?  The same call, in Python.

`call` accepts what the fast call refuses but the program can use: other strides, other byte orders, subclasses, weak
scalars.  It converts and copies; it never changes a value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad.compile.native.descriptor import ArrayInput, Descriptor, Header, ScalarInput, new_frame

_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def is_parallel(descriptor: Descriptor) -> bool:
    """Whether some step of the program has pieces."""
    return bool(descriptor.header(Header.PARALLEL))


class Prepared(NamedTuple):
    """A program about to run on given leaves.

    Attributes
    ----------
    steps, length, frame
        What ``fg_run`` takes.
    table
        The buffers' addresses, in the frame.
    results
        Where it puts its results.
    keep
        What must live until it has run.
    """

    steps: int
    length: int
    frame: int
    table: np.ndarray
    results: list[np.ndarray]
    keep: tuple[object, ...]


def prepare(descriptor: Descriptor, leaves: Sequence[Any]) -> Prepared:
    """Convert the leaves, and make room for the results and a frame.

    Raises
    ------
    TypeError, ValueError, OverflowError
        A leaf's dtype, its shape, or its value is not what the program takes.
    """
    if len(leaves) != len(descriptor.inputs):
        raise TypeError(f"{len(descriptor.inputs)} leaves expected, {len(leaves)} given")
    arrays = [_as_input(spec, leaf) for spec, leaf in zip(descriptor.inputs, leaves, strict=True)]
    results = [np.ndarray.__new__(descriptor.result_type, spec.shape, spec.dtype) for spec in descriptor.outputs]
    for output, result in zip(descriptor.outputs, results, strict=True):
        if output.donor is not None:
            result[...] = arrays[output.donor]
    memory, frame = new_frame(descriptor)
    bufs = memory[frame - memory.ctypes.data :][: 8 * descriptor.header(Header.N_SLOTS)].view(np.int64)
    for spec, array in zip((*descriptor.inputs, *descriptor.outputs), (*arrays, *results), strict=True):
        bufs[spec.slot] = array.ctypes.data
    status = descriptor.header(Header.STATUS)
    memory[frame - memory.ctypes.data + status :][:8] = 0
    steps = descriptor.words.ctypes.data + descriptor.header(Header.STEPS)
    return Prepared(steps, descriptor.header(Header.N_STEPS), frame, bufs, results, (memory, arrays))


def regular(descriptor: Descriptor, leaves: Sequence[Any]) -> list[Any]:
    """The leaves with arrays as the fast call takes them; raises as `prepare`."""
    pairs = zip(descriptor.inputs, leaves, strict=True)
    return [_as_input(spec, leaf) if isinstance(spec, ArrayInput) else leaf for spec, leaf in pairs]


def call(run: Callable[[int, int, int], int], descriptor: Descriptor, leaves: Sequence[Any]) -> list[Any] | int:
    """Run a program: its list of results, or the positive status of the kernel that failed; raises as `prepare`."""
    ready = prepare(descriptor, leaves)
    return run(ready.steps, ready.length, ready.frame) or list(ready.results)


def _as_input(spec: ArrayInput | ScalarInput, leaf: Any) -> np.ndarray:
    """`leaf` as an aligned, contiguous array of the wanted dtype."""
    shape = spec.shape if isinstance(spec, ArrayInput) else ()
    array = np.asarray(leaf)
    weak = type(leaf) in (bool, int, float, complex)
    wanted = spec.dtype
    if weak:
        allowed = _RANK.get(array.dtype.kind, 1) <= _RANK[wanted.kind]
    else:
        allowed = np.can_cast(array.dtype, wanted, "equiv")
    if not allowed:
        raise TypeError(f"a leaf of dtype {array.dtype} is given where the program takes {wanted}")
    if array.shape != shape:
        raise ValueError(f"a leaf of shape {array.shape} is given where the program takes {shape}")
    if weak:
        return np.array(leaf, wanted)
    return np.require(array, wanted, ["C", "A"]).view(np.ndarray)

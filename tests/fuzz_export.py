"""Is there a file that `funcgrad.export` should refuse and does not?  ``python -m tests.fuzz_export --minutes 20``.

Files are changed at random; one that takes the reader along a way from line to line that no other has taken is kept,
and changed further. What is read without a complaint is written, read and written again, and sometimes called, between
red zones. A finding is any exception but `ExportError`, a file that is another one after that, an access outside of a
buffer, or a call that does not end.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import random
import signal
import struct
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad.errors import MemoryCheckError
from funcgrad.export import Exported, ExportError, deserialize
from funcgrad.ir.primitive import registry
from funcgrad.ir.printer import inner_programs
from funcgrad.ir.program import Program
from tests.export import files, mutations

WATCHED = (str(Path(fg.export.__file__).parent), str(Path(fg.__file__).parent / "ir"))
SECONDS = 20  # that reading or calling may take
SMALL = 1 << 16  # elements in a program that is called
NO_HEADER = (ValueError, IndexError, struct.error)  # what stops a change of one that is no longer there
CALLED = 0.05  # the part of the files without a fault that are called

Edge = tuple[int, int, int]  # a code object's id, and two lines that follow each other in it


class Coverage:
    """The ways from line to line in the watched folders, while it is entered."""

    def __init__(self) -> None:
        self.edges: set[Edge] = set()
        self._watched: dict[str, bool] = {}

    def __enter__(self) -> Coverage:
        self._before = sys.gettrace()
        sys.settrace(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _called(self, frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        name = frame.f_code.co_filename
        watched = self._watched.get(name)
        if watched is None:
            watched = self._watched[name] = name.startswith(WATCHED)
        if not watched:
            return None
        number, last, edges = id(frame.f_code), 0, self.edges

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                edges.add((number, last, last := frame.f_lineno))
            return line

        return line


class Finding(AssertionError):
    """A file that should have been refused."""


@contextlib.contextmanager
def ended(seconds: int) -> Iterator[None]:
    """Raise where something takes longer."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Finding(f"more than {seconds} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def grafted(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """A file some part of whose header stands in another one, or is the name of a primitive."""
    (header, arrays), (donor, _) = mutations.parts(data), mutations.parts(other)
    node, key = rng.choice(list(mutations.places(header)))
    giver, place = rng.choice(list(mutations.places(donor)))
    node[key] = rng.choice(list(registry)) if isinstance(node[key], str) else copy.deepcopy(giver[place])
    return mutations.signed(header, arrays)


def changed(rng: random.Random, data: bytes, corpus: list[bytes]) -> bytes:
    """The next file."""
    if rng.random() < 0.5:
        with contextlib.suppress(*NO_HEADER):
            return grafted(rng, data, rng.choice(corpus))
    with contextlib.suppress(*NO_HEADER):
        return mutations.changed(rng, data, corpus)
    return data[: rng.randrange(len(data))]


def sizes(program: Program) -> int:
    """The elements of all arrays of a program, loops unrolled."""
    total = sum(v.type.size for equation in program.equations for v in equation.outputs)
    for equation in program.equations:
        rounds = int(equation.params.get("length", 1))
        total += rounds * sum(sizes(inner) for _, _, inner in inner_programs(equation.params))
    return total


def called(one: Exported) -> None:
    """Call what was read, on zeros, between red zones: whatever it raises, it keeps to its memory, and ends."""
    kinds = [((*(n if isinstance(n, int) else 4 for n in spec.shape),), spec.dtype) for spec in one.in_avals]
    if sum(int(np.prod(shape, dtype=object)) for shape, _ in kinds) > SMALL:
        return
    leaves = [np.zeros(shape, dtype) for shape, dtype in kinds]
    args, kwargs = fg.tree.unflatten(one.in_tree, leaves)
    try:
        if sizes(fg.make_jaxpr(lambda *a, **k: one.call(*a, **k))(*args, **kwargs)) <= SMALL:
            with fg.config.check_memory(), np.errstate(all="ignore"):
                fg.jit(one.call)(*args, **kwargs)
    except (Finding, MemoryCheckError):
        raise
    except Exception:  # a program may be nonsense that its types do not tell
        return


def written(one: Exported) -> bytes:
    """The file, with the derivatives that there are."""
    _, (data,) = one.__reduce__()
    return bytes(data)


def tried(rng: random.Random, data: bytes) -> str:
    """What becomes of a file: refused, read, or called."""
    try:
        one = deserialize(data)
    except ExportError:
        return "refused"
    again = written(one)
    if written(deserialize(again)) != again:
        raise Finding("written and read, it is another one")
    if rng.random() > CALLED:
        return "read"
    called(one)
    return "called"


def campaign(seed: int, minutes: float, most: int, folder: Path | None = None) -> tuple[Counter[str], int, int]:
    """Try so many files, or for so long: what became of them, the ways that were taken, and the files kept for them."""
    rng, coverage = random.Random(seed), Coverage()
    whole = list(files.data().values())
    corpus = list(whole)
    outcomes: Counter[str] = Counter()
    end = time.monotonic() + 60 * minutes
    for number in range(most):
        if time.monotonic() > end:
            break
        given = number < len(files.data())
        data = whole[number] if given else changed(rng, rng.choice(rng.choice((whole, corpus))), corpus)
        before, outcome = len(coverage.edges), "found"
        try:
            with coverage, ended(SECONDS):
                outcome = tried(rng, data)
        except Exception as error:
            print(f"file {number} of seed {seed}: {type(error).__name__}: {error}")
            traceback.print_exc(limit=-4)
            if folder is not None:
                (folder / f"found_{seed}_{number}.fgx").write_bytes(data)
        outcomes[outcome] += 1
        if len(coverage.edges) > before and not given:
            corpus.append(data)
            whole += [data] if outcome in ("read", "called") else []
    return outcomes, len(coverage.edges), len(corpus)


def main() -> int:
    """What the command line asks for; 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where files that should have been refused are written")
    given = parser.parse_args()
    begin = time.process_time()
    outcomes, edges, kept = campaign(given.seed, given.minutes, sys.maxsize, given.folder)
    print(f"{outcomes.total()} files in {time.process_time() - begin:.0f} s of CPU time: {dict(outcomes)}")
    print(f"{edges} ways from line to line, {kept} files kept")
    return int(outcomes["found"] > 0)


if __name__ == "__main__":
    sys.exit(main())

"""Where does the time of a function go?  `profile`: every step of its compiled program, measured and explained."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad import tree
from funcgrad.errors import TracerError, at_line
from funcgrad.runtime.dispatch import JitFunction, jit
from funcgrad.runtime.executable import Executable, executable_for
from funcgrad.runtime.profiling import page, picture, text
from funcgrad.runtime.profiling.explain import Line
from funcgrad.runtime.profiling.measure import TimedExecutable, repeated
from funcgrad.runtime.profiling.roofline import Machine, machine
from funcgrad.runtime.profiling.rows import Row, rows
from funcgrad.trace.function import ShapeDtypeStruct
from funcgrad.trace.tracer import Tracer
from funcgrad.tracebacks import boundary

__all__ = ["Line", "Machine", "Profile", "Row", "profile"]


class Profile:
    """Where the time of a call went; made by `profile`. ``print`` shows it as a table, notebooks as a page.

    Attributes
    ----------
    name
        Of the function.
    rows
        A `Row` per step, in the order in which they run; a loop stands before the steps of its body.
    seconds
        The median time of a call, from Python, that of preparing arguments and results included.
    repetitions
        How many calls were measured.
    machine
        What the machine can do.
    footprint
        Bytes that the program works on: arguments, results, constants and temporaries.
    value
        The function's value.
    """

    def __init__(
        self,
        name: str,
        rows: Sequence[Row],
        seconds: float,
        repetitions: int,
        machine: Machine,
        footprint: int,
        value: Any = None,
    ) -> None:
        self.name = name
        self.rows = tuple(rows)
        self.seconds = seconds
        self.repetitions = repetitions
        self.machine = machine
        self.footprint = footprint
        self.value = value

    @property
    def steps_seconds(self) -> float:
        """The time of all steps."""
        return sum(row.seconds for row in self.rows if not row.depth)

    def __str__(self) -> str:
        return text.table(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return page.fragment(self)

    def to_html(self, path: str | Path) -> None:
        """Write a page that needs nothing else: table (a click on a heading sorts), bars, and roofline plot.

        Parameters
        ----------
        path
            Of the file.

        Examples
        --------
        >>> import tempfile
        >>> import funcgrad as fg
        >>> import numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "profile.html")
        ...     fg.profile(lambda x: np.sum(np.sin(x)))(np.ones(1000)).to_html(path)
        ...     path.read_text(encoding="utf-8").splitlines()[0]
        '<!DOCTYPE html>'
        """
        Path(path).write_text(page.page(self), encoding="utf-8")

    def to_png(self, path: str | Path) -> None:
        """Draw the time of each step, and the roofline plot; `to_html` has a page instead, which needs no matplotlib.

        Parameters
        ----------
        path
            Of the file; its name says which format (``.png``, ``.svg``, ``.pdf``).

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        """
        picture.draw(self, path)


@boundary
def profile(fun: Callable[..., Any], *, repetitions: int | None = None) -> Callable[..., Profile]:
    """Measure where the time of a function goes.

    The function is compiled as `jit` does it; then its program runs again and again on the given arguments, each step
    of it under a native clock: kernels, products, calls of what has no kernel, loops, and the steps of their bodies.

    Parameters
    ----------
    fun
        A jitted function, or one that `jit` takes.
    repetitions
        How many calls are measured, after one that is not. Left out: what fits into 0.3 seconds, but at least 3.

    Returns
    -------
    callable
        With the arguments of `fun`; its result is a `Profile`.

    Raises
    ------
    TypeError
        If `fun` is not callable.
    ValueError
        If `repetitions` is less than 1.

    Notes
    -----
    Side effects (callbacks, `debug.print`) happen at every repetition. Donated arguments stay as they are: a program
    that writes results over them is measured as if it did not.

    The first profile of a process measures the machine too, which takes a few hundred milliseconds.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> result = fg.profile(lambda x, w: np.tanh(x @ w))(np.ones((64, 32)), np.ones((32, 16)))
    >>> [(row.name, row.computes, row.flops) for row in result.rows]
    [('product', '64×32 @ 32×16', 65536), ('kernel_0', 'tanh over 64×16', 1024)]
    """
    if not callable(fun):
        raise TypeError(f"profile takes a function, not {fun!r} of type {type(fun).__name__}{at_line()}")
    if repetitions is not None and repetitions < 1:
        raise ValueError(f"profile: repetitions must be at least 1, not {repetitions}{at_line()}")
    jitted = fun if isinstance(fun, JitFunction) else jit(fun)

    @functools.wraps(fun)
    def profiled(*args: Any, **kwargs: Any) -> Profile:
        lowered = jitted.lower(*args, **kwargs)
        leaves = jitted.leaves(*args, **kwargs)
        if any(type(leaf) is Tracer or isinstance(leaf, ShapeDtypeStruct) for leaf in leaves):
            raise TracerError(f"profile takes known arrays, for it runs the function at once{at_line()}")
        executable = TimedExecutable(lowered.program)
        times = executable.measure(leaves, repetitions)
        here = machine()
        footprint = lowered.memory_analysis()["peak_size_in_bytes"]
        return Profile(
            getattr(fun, "__name__", repr(fun)),
            tuple(rows(executable.timed, times, here, footprint)),
            _whole(executable_for(lowered.program), leaves, repetitions),
            len(times.samples),
            here,
            footprint,
            lowered.unflatten(times.results),
        )

    return profiled


def _whole(executable: Executable, leaves: Sequence[Any], repetitions: int | None) -> float:
    """The median time of a call from Python."""

    entry, _ = executable.entry_for(leaves)
    direct = isinstance(entry(list(leaves)), list)  # nothing to convert

    def run() -> float:
        before = time.perf_counter()
        if direct:
            entry(list(leaves))
        else:
            executable(leaves)
        return time.perf_counter() - before

    run()
    return float(np.median(repeated(run, repetitions)))

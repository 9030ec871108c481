"""How far has a training come?  A progress bar by `tqdm`, in terminals and in notebooks."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np

from funcgrad.errors import at_line
from funcgrad.training._optional import needed


class Progress:
    """A bar over an iterable, or one that `update` moves; made by `progress`. A context manager that closes the bar.

    Attributes
    ----------
    bar
        The `tqdm` object.

    Examples
    --------
    >>> import io
    >>> import funcgrad as fg
    >>> with fg.training.progress(total=3, file=io.StringIO()) as bar:
    ...     bar.show(loss=0.25)
    ...     bar.update(2)
    ...     bar.write("a line that stays")
    a line that stays
    >>> bar.bar.n
    2
    >>> bar.close()  # the block has done so
    """

    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def __iter__(self) -> Iterator[Any]:
        """The elements of the iterable; the bar moves with each."""
        return iter(self.bar)

    def __len__(self) -> int:
        """How many steps there are."""
        return len(self.bar)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def update(self, steps: int = 1) -> None:
        """Move the bar.

        Parameters
        ----------
        steps
            By how many steps.
        """
        self.bar.update(steps)

    def show(self, **values: Any) -> None:
        """Show numbers beside the bar.

        Parameters
        ----------
        **values
            Python's numbers, or 0-d arrays, by the names to show them under.
        """
        self.bar.set_postfix_str(", ".join(f"{name}={_short(name, value)}" for name, value in values.items()))

    def write(self, text: str) -> None:
        """Print a line that stays, above the bar.

        Parameters
        ----------
        text
            The line.
        """
        self.bar.write(text)

    def close(self) -> None:
        """End the bar. Closing it once more does nothing."""
        self.bar.close()


def progress(
    iterable: Iterable[Any] | None = None,
    *,
    total: int | None = None,
    description: str = "",
    unit: str = "step",
    disable: bool | None = False,
    leave: bool = True,
    file: TextIO | None = None,
) -> Progress:
    """A progress bar: in a terminal a line on standard error, in a notebook a widget (a line, without `ipywidgets`).

    Parameters
    ----------
    iterable
        What to go through; without it, `Progress.update` moves the bar.
    total
        The number of steps; by default the iterable's length, where it has one.
    description
        A text before the bar.
    unit
        What a step is called.
    disable
        Whether to show nothing; None: nothing unless standard error is a terminal.
    leave
        Whether the bar stays when it has ended.
    file
        Where to draw, instead of standard error.

    Returns
    -------
    Progress
        An iterable over the same elements, and a context manager.

    Raises
    ------
    ModuleNotFoundError
        If `tqdm` is not installed.
    TypeError
        If `iterable` cannot be iterated.

    Examples
    --------
    >>> import io
    >>> import funcgrad as fg
    >>> with fg.training.progress(range(3), description="epoch 1", file=io.StringIO()) as bar:
    ...     for step in bar:
    ...         bar.show(loss=1 / (step + 1))
    """
    if iterable is not None and not isinstance(iterable, Iterable):
        raise TypeError(f"progress takes an iterable, not {iterable!r} of type {type(iterable).__name__}{at_line()}")
    with needed("tqdm", "progress"):
        if in_notebook() and file is None:
            from tqdm.notebook import tqdm
        else:
            from tqdm.std import tqdm
    return Progress(
        tqdm(iterable, desc=description or None, total=total, unit=unit, disable=disable, leave=leave, file=file)
    )


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel that can show widgets."""
    interactive = sys.modules.get("IPython")
    shell = interactive.get_ipython() if interactive is not None else None
    return shell is not None and "IPKernelApp" in shell.config and importlib.util.find_spec("ipywidgets") is not None


def _short(name: str, value: Any) -> str:
    value = np.asarray(value)
    if value.shape:
        raise ValueError(f"Progress.show shows numbers, but {name} has the shape {value.shape}{at_line()}")
    return f"{value[()]:.4g}" if value.dtype.kind == "f" else str(value[()])

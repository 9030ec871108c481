"""How does a function look inside?  `visualize`: its program, its gradient, its kernels and its memory as pictures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.api import vjp
from funcgrad.dtypes import is_inexact
from funcgrad.errors import at_line
from funcgrad.ir.names import argument_names, distinct
from funcgrad.ir.program import Program
from funcgrad.ir.types import ArrayType
from funcgrad.pictures import page, png, svg
from funcgrad.pictures.draw import Section, View, view
from funcgrad.pictures.kernels import Plans, graph_of_plan, kernels_by_equation, like
from funcgrad.pictures.layout import lay_out
from funcgrad.pictures.memory import MOST_CHARTS, charts
from funcgrad.pictures.names import result_names
from funcgrad.pictures.programs import graph_of, total
from funcgrad.pictures.themes import THEMES
from funcgrad.runtime.dispatch import JitFunction, jit
from funcgrad.runtime.stages import Lowered
from funcgrad.trace.frame import type_of
from funcgrad.trace.function import ShapeDtypeStruct, uncollected
from funcgrad.tracebacks import boundary

__all__ = ["Picture", "visualize"]

VIEWS = ("program", "kernels", "memory")
LAYOUTS = ("auto", "builtin", "dot")
FRAME = 640  # pixels: the height of a page in a notebook


class Subject(NamedTuple):
    """A program to be drawn, what it is called, and the names of its arguments and results."""

    title: str
    lowered: Lowered
    inputs: list[str]
    outputs: list[str]


class Picture:
    """How a function looks inside; made by `visualize`. Notebooks show it as a page.

    Attributes
    ----------
    name
        Of the function.

    Examples
    --------
    >>> import tempfile
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> picture = fg.visualize(np.tanh)(1.0)
    >>> picture.svg("kernels").splitlines()[-1], picture.html().splitlines()[0]
    ('</svg>', '<!DOCTYPE html>')
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture.save(Path(folder, "tanh.svg"))
    ...     Path(folder, "tanh.svg").stat().st_size > 0
    True
    """

    def __init__(self, name: str, subjects: Sequence[Subject], limit: int, layout: str) -> None:
        self.name = name
        self._subjects = tuple(subjects)
        self._limit = limit
        self._layout = layout
        self._plans = Plans()
        self._sections: dict[str, list[Section]] = {}
        self._views: dict[tuple[str, bool], View] = {}

    def __repr__(self) -> str:
        counts = [f"{s.title}, {_plural(total(s.lowered.program), 'operation')}" for s in self._subjects]
        return f"<picture of {'; '.join(counts)}>"

    @boundary
    def svg(self, view: str = "program", theme: str = "auto") -> str:
        """A drawing as SVG; who points at something is told its type, its bytes and the lines behind it.

        Parameters
        ----------
        view
            ``"program"``: arguments, operations and results. ``"kernels"``: what runs, and the operations that each
            kernel holds. ``"memory"``: which buffer lies where, from which step to which.
        theme
            ``"light"``, ``"dark"``, or ``"auto"``: as the reader prefers.

        Returns
        -------
        str
            The text of an SVG file.

        Raises
        ------
        ValueError
            There is no such view or theme.
        """
        _one_of("svg", "view", view, VIEWS)
        _one_of("svg", "theme", theme, THEMES)
        return svg.svg(self._view(view).scene, theme)

    @boundary
    def png(self, path: str | Path, view: str = "program", theme: str = "light", scale: float = 2.0) -> None:
        """Draw a PNG file; `save` does it for a name that ends with ``.png``.

        Parameters
        ----------
        path
            Of the file.
        view
            As in `svg`.
        theme
            ``"light"`` or ``"dark"``.
        scale
            Pixels for each pixel of the SVG; less for pictures that would become too large.

        Raises
        ------
        ModuleNotFoundError
            If matplotlib is not installed.
        ValueError
            There is no such view or theme, or the scale is not positive.
        """
        _one_of("png", "view", view, VIEWS)
        _one_of("png", "theme", theme, THEMES[1:])
        if not scale > 0:
            raise ValueError(f"Picture.png: scale must be positive, not {scale!r}{at_line()}")
        png.png(self._view(view).scene, path, theme, scale)

    @boundary
    def html(self) -> str:
        """A page that needs nothing else: all views, with search, zoom, details, and inner programs that fold.

        Returns
        -------
        str
            The text of an HTML file.
        """
        views = [(name, self._view(name, headed=False)) for name in VIEWS]
        return uncollected(page.page, self.name, views)

    @boundary
    def save(self, path: str | Path, view: str = "program", theme: str | None = None) -> None:
        """Write a file; its name says which kind: ``.svg``, ``.png`` or ``.html`` (all views).

        Parameters
        ----------
        path
            Of the file.
        view, theme
            As in `svg` and `png`.

        Raises
        ------
        ModuleNotFoundError
            For a PNG, if matplotlib is not installed.
        ValueError
            The name ends with something else, or there is no such view or theme.
        """
        kind = Path(path).suffix.lower()
        if kind == ".png":
            self.png(path, view, theme or "light")
        elif kind in (".svg", ".html", ".htm"):
            text = self.svg(view, theme or "auto") if kind == ".svg" else self.html()
            Path(path).write_text(text, encoding="utf-8", errors="backslashreplace")  # names of files may be no UTF-8
        else:
            raise ValueError(
                f"Picture.save: the name must end with .svg, .png or .html, not {Path(path).name!r}{at_line()}"
            )

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_html_(self) -> str:
        """The page in a frame, so that neither a notebook's rules nor another picture's reach it."""
        return (
            f'<iframe srcdoc="{escape(self.html())}" title="{escape(f"Picture of {self.name}")}" '
            f'style="width: 100%; height: {FRAME}px; border: 0"></iframe>'
        )

    def _view(self, name: str, headed: bool = True) -> View:
        if (name, headed) not in self._views:
            self._views[name, headed] = uncollected(self._drawn, name, headed)
        return self._views[name, headed]

    def _drawn(self, name: str, headed: bool) -> View:
        if name not in self._sections:
            self._sections[name] = [part for subject in self._subjects for part in self._made(name, subject)]
        return view(f"{self.name}: {TITLES[name]}", self._sections[name], headed)

    def _made(self, name: str, subject: Subject) -> list[Section]:
        """The parts of a view that show one program, laid out."""
        title = subject.title if len(self._subjects) > 1 else ""
        lowered = subject.lowered
        if name == "program":
            held = kernels_by_equation(lowered.plan, self._plans)
            graph = graph_of(
                lowered.program,
                self._limit,
                subject.inputs,
                subject.outputs,
                lambda equation: ", ".join(held.get(like(equation), ())),
            )
            return [Section(title, lay_out(graph, self._layout))]
        if name == "kernels":
            graph = graph_of_plan(lowered.plan, subject.inputs, subject.outputs, self._limit, self._plans)
            return [Section(title, lay_out(graph, self._layout))]
        found = list(charts(lowered.plan, subject.inputs, subject.outputs, title, self._plans))
        if len(found) > MOST_CHARTS:
            message = f"{_plural(len(found) - MOST_CHARTS, 'more chart')} of loops and branches not drawn"
            found = [found[0]._replace(messages=(message,)), *found[1:MOST_CHARTS]]
        return [Section("", chart) for chart in found]


TITLES = {"program": "program", "kernels": "kernels", "memory": "memory over time"}


@boundary
def visualize(
    fun: Callable[..., Any],
    *,
    gradient: bool = False,
    limit: int = 1000,
    layout: str = "auto",
) -> Callable[..., Picture]:
    """Draw the program of a function, its kernels, and the memory that they use.

    The function is traced and lowered as `jit` does it; nothing is compiled, and nothing runs.

    Parameters
    ----------
    fun
        A jitted function, or one that `jit` takes: ``visualize(grad(f))`` draws a gradient.
    gradient
        Whether the gradient is drawn beside the function: by all positional arguments of real or complex dtypes. Of a
        function that returns no scalar the pullback is drawn, with cotangents as arguments.
    limit
        The most operations that are drawn one by one, in a program and in its kernels; larger ones are summarised, and
        the picture says so.
    layout
        ``"dot"``: places by Graphviz. ``"builtin"``: by a layout of our own. ``"auto"``: by Graphviz where it is
        installed and the picture is not large.

    Returns
    -------
    callable
        With the arguments of `fun` (arrays or `ShapeDtypeStruct`); its result is a `Picture`.

    Raises
    ------
    TypeError
        If `fun` is not callable, or `limit` no integer.
    ValueError
        If `limit` is less than 1, or `layout` is none of these.

    Examples
    --------
    >>> import tempfile
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> picture = fg.visualize(lambda x, w: np.tanh(x @ w))(np.ones((64, 32)), np.ones((32, 16)))
    >>> picture
    <picture of <lambda>, 2 operations>
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     picture.save(f"{folder}/layer.html")
    """
    if not callable(fun):
        raise TypeError(f"visualize takes a function, not {fun!r} of type {type(fun).__name__}{at_line()}")
    if not hasattr(limit, "__index__"):
        raise TypeError(f"visualize: limit must be an integer, not {limit!r} of type {type(limit).__name__}{at_line()}")
    if limit < 1:
        raise ValueError(f"visualize: limit must be at least 1, not {limit}{at_line()}")
    _one_of("visualize", "layout", layout, LAYOUTS)
    jitted = fun if isinstance(fun, JitFunction) else jit(fun)
    name = getattr(fun, "__name__", type(fun).__name__)

    @boundary
    @functools.wraps(fun)
    def visualized(*args: Any, **kwargs: Any) -> Picture:
        fixed = jitted._statics.among(len(args))
        lowered = jitted.lower(*args, **kwargs)
        inputs = argument_names(fun, lowered._in_structure, fixed)
        subjects = [Subject(name, lowered, inputs, result_names(lowered._out_structure))]
        if gradient:
            moving, given, keywords, _ = jitted._statics.without(args, kwargs)
            subjects.append(_gradient(subjects[0], moving, given, keywords))
        return Picture(name, subjects, limit, layout)

    return visualized


def _gradient(subject: Subject, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Subject:
    """The gradient of a function of a real number, or the pullback of another one."""
    lowered, names = subject.lowered, iter(subject.inputs)
    named = [[(next(names), _type_of(leaf)) for leaf in tree.leaves(arg)] for arg in args]
    smooth = [k for k, leaves in enumerate(named) if any(is_inexact(t.dtype) for _, t in leaves)]
    types = lowered.program.output_types
    if not smooth or not any(is_inexact(t.dtype) for t in types):
        raise TypeError(
            f"visualize: {subject.title} has no gradient: its arguments have the types "
            f"{', '.join(map(str, lowered.program.input_types))}, its results {', '.join(map(str, types))}{at_line()}"
        )
    scalar = len(types) == 1 and not types[0].shape and types[0].dtype.kind != "c"
    cotangents = [] if scalar else [ShapeDtypeStruct(t.shape, t.dtype) for t in types]

    def gradient(given: tuple[Any, ...], keywords: dict[str, Any], cotangents: Sequence[Any]) -> Any:
        def of_smooth(*values: Any) -> Any:
            known = dict(zip(smooth, values, strict=True))
            return fun(*(known.get(k, x) for k, x in enumerate(given)), **keywords)

        _, pull = vjp(of_smooth, *(given[k] for k in smooth))
        seeds = [np.ones((), types[0].dtype)] if scalar else cotangents
        return pull(tree.unflatten(lowered._out_structure, seeds))

    found = jit(gradient).lower(args, kwargs, cotangents)
    found.program = _called_alike(found.program, lowered.program)
    inputs = [*subject.inputs, *(f"cotangent of {name}" for name in subject.outputs if cotangents)]
    outputs = [f"gradient of {name}" for k in smooth for name, _ in named[k]]
    return Subject(f"{'gradient' if scalar else 'pullback'} of {subject.title}", found, inputs, outputs)


def _called_alike(program: Program, other: Program) -> Program:
    """`program` with the names of `other` for its first inputs, which are those of `other`."""
    arguments = zip(program.inputs, other.inputs, strict=False)
    names = {mine: other.names[theirs] for mine, theirs in arguments if other.names and theirs in other.names}
    rest = {v: name for v, name in (program.names or {}).items() if v not in names}
    return program.replace(names=distinct(names | rest))


def _type_of(leaf: Any) -> ArrayType:
    """The type of an argument, which may be a description only."""
    return ArrayType(leaf.shape, leaf.dtype) if isinstance(leaf, ShapeDtypeStruct) else type_of(leaf)


def _one_of(function: str, name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        where = function if function == "visualize" else f"Picture.{function}"
        raise ValueError(f"{where}: {name} must be one of {', '.join(map(repr, known))}, not {value!r}{at_line()}")


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

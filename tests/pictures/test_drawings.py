"""How do pictures look, and what can be done with them?  Room, contrasts, files, pages, and mistakes in use."""

from __future__ import annotations

import re
import struct
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import TracerBoolConversionError
from funcgrad.lower.calls import is_alias
from funcgrad.lower.index import is_view
from funcgrad.pictures import page
from funcgrad.pictures.draw import FOLD, PAD
from funcgrad.pictures.kernels import graph_of_plan
from funcgrad.pictures.layout import Placed, lay_out, shown
from funcgrad.pictures.programs import graph_of
from funcgrad.pictures.scene import Area, Text, flat
from funcgrad.pictures.themes import DARK, FAMILIES, LIGHT, SHAPES, TEXTS, fitting, text_width
from funcgrad.runtime.profiling.explain import explain
from funcgrad.runtime.structured import everywhere
from tests.pictures.cases import CASES, VIEWS, array, by_title, kept, picture

# Drawings -------------------------------------------------------------------------------------------------------------


def placed_graphs(placed: Placed) -> Iterator[Placed]:
    yield placed
    for node in placed.nodes:
        for held in node.held:
            yield from placed_graphs(held.placed)


@pytest.mark.parametrize("name", CASES)
def test_texts_have_room_and_nodes_do_not_touch(name: str) -> None:
    for subject in kept(name)._subjects:
        plan = subject.lowered.plan
        graphs = [
            graph_of(subject.lowered.program, 1000, subject.inputs, subject.outputs),
            graph_of_plan(plan, subject.inputs, subject.outputs),
        ]
        for placed in (p for graph in graphs for p in placed_graphs(lay_out(graph, "builtin"))):
            for node in placed.nodes:
                width = node.folded[0] if node.held else node.width
                title, hint, note = shown(node.node, width)
                assert title == node.node.title, "titles are shown as a whole"
                used = text_width(title, "title") + (6 + text_width(hint, "hint") if hint else 0)
                assert used + (FOLD if node.node.inner else 0) <= width - 2 * PAD + 0.1
                assert text_width(note, "note") <= width - 2 * PAD + 0.1
                for held in node.held:
                    assert held.x + held.placed.width <= node.width
                    assert held.y + held.placed.height <= node.height
            for k, a in enumerate(placed.nodes):
                for b in placed.nodes[:k]:
                    apart = a.x + a.width <= b.x or b.x + b.width <= a.x
                    assert apart or a.y + a.height <= b.y or b.y + b.height <= a.y


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", CASES)
def test_svg(name: str, view: str) -> None:
    text = kept(name).svg(view)
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("viewBox", "").split()[2:] == [root.get("width"), root.get("height")]
    assert not re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?(?!#)\w+:", text), "nothing is loaded"
    scene = kept(name)._view(view).scene
    for part, x, _ in flat(scene.root):
        if isinstance(part, Area):
            assert x + part.x >= -0.01
            assert x + part.x + part.width <= scene.width + 0.01
        if isinstance(part, Text) and not part.angle:
            wide = text_width(part.text, part.role)
            left = x + part.x - {"start": 0, "middle": wide / 2, "end": wide}[part.anchor]
            assert left >= -0.5
            assert left + wide <= scene.width + 0.5, part.text
    assert kept(name).svg(view) == text


def test_themes() -> None:
    drawn = kept("one")
    light, dark, auto = (drawn.svg(theme=theme) for theme in ("light", "dark", "auto"))
    assert LIGHT["elementwise"] in light
    assert "prefers-color-scheme" not in light
    assert DARK["elementwise"] in dark
    assert LIGHT["elementwise"] not in dark
    assert "prefers-color-scheme: dark" in auto


def luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_contrasts(palette: dict[str, str]) -> None:
    """As the Web Content Accessibility Guidelines ask for: 4.5 for texts, 3 for outlines."""
    assert LIGHT.keys() == DARK.keys()
    grounds = [palette[SHAPES[family].fill] for family in FAMILIES] + [palette["surface"], palette["inside"]]
    for ground in grounds:
        for font in TEXTS.values():
            assert contrast(palette[font.colour], ground) >= 4.5
    for family in FAMILIES:
        assert contrast(palette[SHAPES[family].stroke], palette["surface"]) >= 3
    assert contrast(palette["edge"], palette["surface"]) >= 3
    fills = [palette[family] for family in FAMILIES]
    assert len(set(fills)) == len(fills)


def test_names_are_escaped() -> None:
    drawn = fg.visualize(lambda **words: words["<b>&"])(**{"<b>&": 1.0})
    ElementTree.fromstring(drawn.svg())
    assert "<b>&" not in drawn.svg()
    text = drawn.html()
    assert "<b>" not in text
    assert "<title>Picture of &lt;lambda&gt;</title>" in text


def test_texts_are_shortened() -> None:
    assert fitting("wide enough", "title", 500) == "wide enough"
    short = fitting("not wide enough for all of it", "note", 60)
    assert short.endswith("…")
    assert text_width(short, "note") <= 60
    assert fitting("x", "title", 1) == ""


def tape(x: Any) -> Any:
    return fg.lax.while_loop(lambda c: np.sum(c) < 100.0, lambda c: c * 1.5 + np.sin(c), x)


def nested(x: Any) -> Any:
    def inner(c: Any, _: Any) -> Any:
        return fg.lax.cond(np.sum(c) > 1, np.sin, lambda v: v * 2, c), None

    def outer(c: Any, _: Any) -> Any:
        return fg.lax.scan(inner, c, None, length=2)[0] * 1.5, np.sum(c)

    return fg.lax.scan(outer, x, None, length=3)


@fg.custom_vjp
def clipped(x: Any) -> Any:
    return x


clipped.defvjp(lambda x: (x, ()), lambda _, ct: (np.clip(ct, -1, 1),))
PLACES = ("NHWC", "HWIO", "NHWC")
VECTOR, MATRIX, IMAGE = array(5), array(4, 4), array(2, 8, 8, 3)
KINDS = {
    "tape": (lambda x: np.sum(tape(x)), (VECTOR,)),
    "nested loops": (lambda x: np.sum(nested(x)[0]), (VECTOR,)),
    "factorisation": (lambda a, b: np.sum(np.linalg.solve(a, b)), (array(40, 40), array(40))),
    "sort": (lambda x: np.sum(np.sort(x) ** 2), (VECTOR,)),
    "transform": (lambda x: np.sum(np.abs(np.fft.fft(x))), (VECTOR,)),
    "complex": (lambda z: np.sum(np.abs(z * z)), (array(5, dtype=np.complex128),)),
    "convolution": (
        lambda x, w: np.sum(
            fg.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        ),
        (IMAGE, array(3, 3, 3, 4)),
    ),
    "gather and scatter": (lambda x: np.sum(x.at[np.array([1, 1, 2])].add(x[:3])), (VECTOR,)),
    "custom rule": (lambda x: np.sum(clipped(x) ** 2), (VECTOR,)),
    "checkpoint": (lambda x: np.sum(fg.checkpoint(np.sin)(x)), (VECTOR,)),
    "callback": (lambda x: np.sum(fg.pure_callback(np.sin, x, fg.lax.stop_gradient(x))) + np.sum(x), (VECTOR,)),
    "batch": (lambda x: np.sum(fg.vmap(fg.grad(lambda r: np.sum(np.tanh(r))))(x)), (MATRIX,)),
    "chain": (lambda x, w: np.sum(np.tanh(x @ w + 1)), (array(4096, 64), array(64, 1024))),
    "numbers": (lambda x: np.sum(x) * 0 + 1, (VECTOR,)),
    "empty arrays": (lambda x: np.sum(x * 2), (array(0, 3),)),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_of_programs(name: str) -> None:
    function, arguments = KINDS[name]
    drawn = fg.visualize(function, gradient=True, layout="builtin")(*arguments)
    for view in VIEWS:
        ElementTree.fromstring(drawn.svg(view))
    for subject in drawn._subjects:
        steps = [node for node in graph_of_plan(subject.lowered.plan, (), ()).nodes if node.family != "value"]
        assert len(steps) == len(subject.lowered.plan.steps)
        for plan in everywhere(subject.lowered.plan):
            held = {e for told in explain(plan).values() for e in told.equations}
            missing = [e.primitive.name for e in plan.program.equations if not (e in held or is_view(e) or is_alias(e))]
            assert missing == []
    assert "</html>" in drawn.html()


def test_a_loop_in_one_kernel_shows_its_body() -> None:
    graph = graph_of_plan(fg.visualize(nested)(np.ones(5))._subjects[0].lowered.plan, (), ())
    (kernel,) = [node for node in graph.nodes if node.title.startswith("kernel")]
    assert kernel.family == "loop"
    assert by_title(kernel.inner[0].graph, "cond")


# Files ----------------------------------------------------------------------------------------------------------------


def pixels(path: Path) -> tuple[int, int]:
    """A PNG file's size; its parts are checked."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, kinds = 8, []
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        assert (
            zlib.crc32(data[at + 4 : at + 8 + length])
            == struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0]
        )
        kinds.append(kind)
        at += 12 + length
    assert kinds[-1] == b"IEND"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.image import imread

    drawn = kept("one")
    scene = drawn._view("program").scene
    for theme, palette in (("light", LIGHT), ("dark", DARK)):
        path = tmp_path / f"{theme}.png"
        drawn.png(path, theme=theme, scale=1.0)
        assert pixels(path) == (int(scene.width), int(scene.height))
        image = np.round(imread(path) * 255).astype(int)
        colours = {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in image[..., :3].reshape(-1, 3)}
        assert {palette["surface"], palette["elementwise"], palette["elementwise-line"], palette["edge"]} <= colours
    for view in VIEWS:
        drawn.save(tmp_path / f"{view}.png", view)


def test_png_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match=r"Picture\.png needs .* pip install matplotlib \(svg and html need"):
        kept("one").png(tmp_path / "a.png")


def test_save(tmp_path: Path) -> None:
    drawn = kept("one")
    drawn.save(tmp_path / "a.svg", "memory", "dark")
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == drawn.svg("memory", "dark")
    drawn.save(tmp_path / "a.html")
    assert (tmp_path / "a.html").read_text(encoding="utf-8") == drawn.html()
    with pytest.raises(ValueError, match=r"Picture\.save: the name must end with \.svg, \.png or \.html, not 'a\.pdf'"):
        drawn.save(tmp_path / "a.pdf")


@pytest.mark.parametrize("name", CASES)
def test_a_page_needs_nothing_else(name: str) -> None:
    text = kept(name).html()
    assert text.startswith("<!DOCTYPE html>")
    for attribute in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert attribute == "data:,"
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "@import" not in text


def test_notebooks() -> None:
    drawn = kept("one")
    frame = drawn._repr_html_()
    (inside,) = re.findall(r'srcdoc="([^"]*)"', frame)
    assert unescape(inside) == drawn.html()
    assert drawn._repr_svg_() == drawn.svg()
    assert repr(drawn) == "<picture of sin, 1 operation>"
    assert repr(kept("mlp_gradient")) == "<picture of loss, 11 operations; gradient of loss, 28 operations>"


def test_scripts_cannot_be_closed_by_names() -> None:
    view = kept("one")._view("program", headed=False)
    view.notes.told[0].rows.append(("Name", "</script><b>"))
    try:
        assert "</script><b>" not in page.page("f", [("program", view)])
    finally:
        view.notes.told[0].rows.pop()


# Use ------------------------------------------------------------------------------------------------------------------


def test_nothing_runs() -> None:
    seen: list[Any] = []

    def f(x: Any) -> Any:
        fg.debug.callback(seen.append, x)
        return np.sin(x)

    drawn = fg.visualize(f)(np.ones(3))
    for view in VIEWS:
        drawn.svg(view)
    fg.visualize(f)(array(3)).html()
    assert not seen


BAD = {
    "no function": (lambda: fg.visualize(3), TypeError, "visualize takes a function, not 3 of type int"),
    "limit": (lambda: fg.visualize(np.sin, limit=0), ValueError, "visualize: limit must be at least 1, not 0"),
    "layout": (lambda: fg.visualize(np.sin, layout="neato"), ValueError, "visualize: layout must be one of 'auto'"),
    "view": (lambda: kept("one").svg("tree"), ValueError, "Picture.svg: view must be one of 'program'"),
    "theme": (lambda: kept("one").svg(theme="red"), ValueError, "Picture.svg: theme must be one of 'auto'"),
    "no theme for files": (lambda: kept("one").png("x", theme="auto"), ValueError, "Picture.png: theme must be one"),
    "scale": (lambda: kept("one").png("x", scale=0), ValueError, "Picture.png: scale must be positive, not 0"),
    "argument": (lambda: fg.visualize(np.sin)("a"), TypeError, "argument 0"),
    "condition": (lambda: fg.visualize(lambda x: x if x > 0 else -x)(1.0), TracerBoolConversionError, "cond"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name: str) -> None:
    call, error, message = BAD[name]
    with pytest.raises(error, match=re.escape(message)) as caught:
        call()
    assert __file__ in str(caught.value)


def test_graphviz_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from funcgrad.pictures import graphviz

    monkeypatch.setattr(graphviz, "command", lambda: None)
    with pytest.raises(FileNotFoundError, match="layout='dot' needs Graphviz"):
        picture("one", layout="dot").svg()
    assert picture("one", layout="auto").svg() == kept("one").svg()


def test_graphviz_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    from funcgrad.pictures import graphviz

    monkeypatch.setattr(graphviz, "command", lambda: "/nowhere/dot")
    with pytest.raises(RuntimeError, match="visualize: Graphviz failed: "):
        picture("one", layout="dot").svg()
    assert picture("one", layout="auto").svg() == kept("one").svg()


def test_it_is_imported_when_asked_for() -> None:
    assert fg._late["visualize"] == "pictures"
    assert fg.visualize.__module__ == "funcgrad.pictures"
    assert "visualize" in fg.__all__


def test_methods_and_statics() -> None:
    class Model:
        @fg.jit
        def __call__(self: Any, x: Any) -> Any:
            return np.sin(x)

    drawn = fg.visualize(Model().__call__)
    assert callable(drawn)
    jitted = fg.jit(lambda x, n, y: x * n + y, static_argnames="n")
    first = fg.visualize(jitted)(1.0, n=3, y=np.ones(2))._subjects[0]
    assert first.inputs == ["x", "y"]
    assert fg.visualize(lambda *values: values[0])(1.0, 2.0)._subjects[0].inputs == ["values0", "values1"]

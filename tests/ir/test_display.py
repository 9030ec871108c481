"""What do people see of a program?  Aligned listings, names of theirs, colours in terminals only, HTML that folds."""

from __future__ import annotations

import html.parser
import io
import re
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.ir import display
from funcgrad.ir.parser import parse_program
from funcgrad.ir.program import Program


def loss(params: Any, x: Any, *rest: Any, scale: Any = 1.0) -> Any:
    (w, b) = params["out"]
    return np.sum(fg.jit(np.tanh)(x @ w + b)) * scale + rest[0]


def program() -> Program:
    params = {"out": (np.ones((4, 2)), np.ones(2))}
    return fg.make_jaxpr(loss)(params, np.ones((3, 4)), 1.0, scale=2.0)


def test_names_and_alignment() -> None:
    assert program().as_text() == (
        "{ lambda ; params_out_0:f64[4,2] params_out_1:f64[2] x:f64[3,4] rest_0:f64[]* scale:f64[]*. let\n"
        "    a:f64[3,2] = dot_general[dimension_numbers=(((1,),(0,)),((),()))] x params_out_0\n"
        "    b:f64[3,2] = broadcast_in_dim[broadcast_dimensions=(1,) shape=(3,2)] params_out_1\n"
        "    c:f64[3,2] = add a b\n"
        "    d:f64[3,2] = jit[name=tanh] c\n"
        "      program={ lambda ; a:f64[3,2]. let\n"
        "          b:f64[3,2] = tanh a\n"
        "        in (b,) }\n"
        "    e:f64[]    = reduce_sum[axes=(0,1)] d\n"
        "    f:f64[]    = mul e scale\n"
        "    g:f64[]    = add f rest_0\n"
        "  in (g,) }"
    )
    assert repr(program()) == program().as_text()
    assert str(parse_program(program().as_text())) == str(program())


def test_names_of_the_user_do_not_change_the_canonical_text() -> None:
    def one(first: Any, second: Any) -> Any:
        return first - second

    def other(a: Any, b: Any) -> Any:
        return a - b

    assert str(fg.make_jaxpr(one)(1.0, 2.0)) == str(fg.make_jaxpr(other)(1.0, 2.0))


@pytest.mark.parametrize(
    ("function", "arguments", "options", "names"),
    [
        (lambda b, a: np.sin(b) * a, (1.0, 2.0), {}, ["b", "a", "c", "d"]),  # fresh names keep out of the way
        (lambda x, n, y: x + y * n, (1.0, 2, 3.0), {"static_argnums": 1}, ["x", "y", "a", "b"]),
        (lambda d: d["in"] + d["let"], ({"in": 1.0, "let": 2.0},), {}, ["d_in", "d_let", "a"]),
        (lambda _, inf: _ + inf, (1.0, 2.0), {}, ["__1", "inf_1", "a"]),
        (lambda d: d[0] + d["0"], ({0: 1.0, "0": 2.0},), {}, ["d_0", "d_0_1", "a"]),
        (lambda **named: named["a b"], (), {}, []),
        (np.sin, (1.0,), {}, ["x", "a"]),
        (fg.grad(lambda weight: weight**2), (1.0,), {}, ["weight"]),
    ],
)
def test_names(function: Any, arguments: Any, options: Any, names: list[str]) -> None:
    keywords = {} if arguments else {"a b": 1.0}
    text = fg.make_jaxpr(function, **options)(*arguments, **keywords).as_text()
    assert re.findall(r"([^\W\d]\w*):f64\[\]\*?(?=[ .])", text)[: len(names)] == (names or [])
    assert str(parse_program(text)) == str(fg.make_jaxpr(function, **options)(*arguments, **keywords))


def test_lowered_programs_have_names_too() -> None:
    assert "weights:f64[]" in repr(fg.jit(lambda weights: weights * 2).lower(1.0).program)


def test_sources_stand_in_a_column() -> None:
    lines = program().as_text(source=True).splitlines()
    columns = {line.index("# ") for line in lines if "# " in line}
    assert len(columns) <= 2  # one for each program
    assert all("test_display.py:" in line for line in lines if " = " in line)


def test_long_heads_are_wrapped_and_long_left_sides_stand_out() -> None:
    many = [np.ones(3)] * 40
    wide = fg.make_jaxpr(lambda xs: fg.jit(lambda: [x + 1 for x in xs])())(many)
    lines = wide.as_text().splitlines()
    head = lines[: next(k for k, line in enumerate(lines) if line.endswith("let")) + 1]
    assert len(head) > 3
    assert max(map(len, head)) <= display.WRAPPED + 4
    assert str(parse_program(wide.as_text())) == str(wide)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO) -> str:
    program().show(file=stream)
    return stream.getvalue()


def test_colours_in_terminals_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    plain = program().as_text() + "\n"
    coloured = shown(Terminal())
    assert "\033[" in coloured
    assert re.sub(r"\033\[[\d;]*m", "", coloured) == plain
    assert program().as_text(color=True) + "\n" == coloured
    assert shown(io.StringIO()) == plain
    monkeypatch.setenv("TERM", "dumb")
    assert shown(Terminal()) == plain
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert shown(io.StringIO()) == shown(Terminal()) == coloured
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert shown(Terminal()) == plain


def test_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    program().show(source=True)
    assert capsys.readouterr().out == program().as_text(source=True) + "\n"


def test_ipython() -> None:
    class Printer:
        text = staticmethod(lambda text: found.append(text))

    found: list[str] = []
    program()._repr_pretty_(Printer(), False)
    assert found == [program().as_text()]


class Page(html.parser.HTMLParser):
    """Checks that elements are closed in order, and collects the text and what can be folded."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.seen: list[str] = []
        self.titles: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.open.append(tag)
        self.seen.append(tag)
        self.titles += [value for name, value in attributes if name == "title"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def test_html_folds_inner_programs() -> None:
    page = Page(program()._repr_html_())
    assert page.seen.count("details") == page.seen.count("summary") == 1
    assert "program (1 equation: tanh)" in page.text
    assert "e:f64[]    = reduce_sum[axes=(0,1)] d" in page.text
    assert any("test_display.py:" in title for title in page.titles)
    assert "script" not in page.seen


def test_html_escapes() -> None:
    def body(x: Any) -> Any:
        return fg.ad_checkpoint.checkpoint_name(x, '<b>&"x"')

    named = fg.make_jaxpr(lambda x: fg.jit(body)(x) + fg.jit(lambda y: y)(x))(1.0)
    text = named._repr_html_()
    assert "<b>" not in text
    page = Page(text)
    assert """name='<b>&"x"'""" in page.text
    assert "jit[name=<lambda>]" in page.text


def test_html_of_long_programs_folds_the_rest() -> None:
    def long(x: Any) -> Any:
        for _ in range(display.FOLDED_AT + 7):
            x = np.sin(x)
        return x

    page = Page(fg.make_jaxpr(long)(np.float64(1))._repr_html_())
    assert "7 more equations" in page.text
    assert page.text.count("= sin ") == display.FOLDED_AT + 7

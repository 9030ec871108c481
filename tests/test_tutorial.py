"""Does the tutorial say what happens?  Its code is run, its outputs are compared, and each line of its listing is
computed and held against the NumPy that stands beside it.
Run with ``FUNCGRAD_UPDATE_DOCS=1`` to write outputs and listing anew.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from funcgrad.ir.program import Literal, Program
from funcgrad.runtime.dispatch import jit
from funcgrad.simplify import simplify

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r"(?:<!-- (?P<kind>[\w: ]+) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```\n", re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]\d+)?")

# Beside each line of the listing: what it is, and its value by the names of section 4.
INPUTS = "W1, W2, b1, b2, x, t"
BESIDE: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("x W1", lambda v: v.x @ v.W1),
    ("b1 on every row", lambda v: np.tile(v.b1, (4, 1))),
    ("a = x W1 + b1", lambda v: v.a),
    ("h = tanh(a)", lambda v: v.h),
    ("h W2", lambda v: v.h @ v.W2),
    ("b2 on every row", lambda v: np.tile(v.b2, (4, 1))),
    ("z = h W2 + b2", lambda v: v.z),
    ("e = z - t", lambda v: v.e),
    ("e e", lambda v: v.e * v.e),
    ("the sum of squares", lambda v: np.sum(v.e * v.e)),
    ("half of it", lambda v: 0.5 * np.sum(v.e * v.e)),
    ("L, the error", lambda v: v.L),
    ("step 1: e / 2n, for one factor", lambda v: v.e / 8),
    ("step 1, 2: and for the other: e_bar = z_bar", lambda v: v.z_bar),
    ("step 3: b2_bar, the sum over rows", lambda v: v.b2_bar),
    ("step 4: h_bar = z_bar W2^T", lambda v: v.h_bar),
    ("step 4: W2_bar = h^T z_bar", lambda v: v.W2_bar),
    ("step 5: 1 - h", lambda v: 1 - v.h),
    ("step 5: 1 + h", lambda v: 1 + v.h),
    ("step 5: the derivative of tanh", lambda v: 1 - v.h**2),
    ("step 5: a_bar = h_bar (1 - h) (1 + h)", lambda v: v.a_bar),
    ("step 6: b1_bar, the sum over rows", lambda v: v.b1_bar),
    ("step 6: W1_bar = x^T a_bar", lambda v: v.W1_bar),
)


def beside(listing: str) -> str:
    """The listing with the derivation to the right of it."""
    head, *lines, last = listing.splitlines()
    assert len(lines) == len(BESIDE), "the program has changed: write anew what stands beside it"
    width = max(map(len, lines)) + 2
    annotated = [f"{line:<{width}}# {text}" for line, (text, _) in zip(lines, BESIDE, strict=True)]
    return "\n".join([f"{head}  # {INPUTS}", *annotated, f"{last:<{width}}# L, {bars()}"]) + "\n"


def bars() -> str:
    return ", ".join(f"{name}_bar" for name in ("W1", "W2", "b1", "b2"))


def run(page: str) -> tuple[dict[str, Any], list[tuple[re.Match[str], str]]]:
    """The names that the page's code defines, and each block that shows something, with what it should show."""
    namespace: dict[str, Any] = {"__name__": "tutorial"}
    expected: list[tuple[re.Match[str], str]] = []
    printed = ""
    for number, block in enumerate(BLOCK.finditer(page)):
        if block["language"] == "python":
            assert not printed, f"the output of the block above this one is not shown: {printed}"
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block["text"], f"tutorial, block {number}", "exec"), namespace)
            printed = out.getvalue()
        elif block["kind"] == "listing":
            expected.append((block, beside(namespace["listing"])))
        else:
            expected.append((block, printed))
            printed = ""
    return namespace, expected


@pytest.fixture(scope="module")
def tutorial() -> tuple[dict[str, Any], list[tuple[re.Match[str], str]]]:
    return run(PAGE.read_text(encoding="utf-8"))


def test_the_code_and_what_it_shows(tutorial: Any) -> None:
    _, expected = tutorial
    if os.environ.get("FUNCGRAD_UPDATE_DOCS"):
        page = PAGE.read_text(encoding="utf-8")
        for block, text in reversed(expected):
            page = page[: block.start("text")] + text + page[block.end("text") :]
        PAGE.write_text(page, encoding="utf-8")
        return
    for block, text in expected:
        if block["kind"] == "output: about":  # trainings: rounding differs between processors, and is magnified
            assert NUMBER.sub("#", block["text"]) == NUMBER.sub("#", text)
            shown, computed = ([float(n) for n in NUMBER.findall(part)] for part in (block["text"], text))
            np.testing.assert_allclose(computed, shown, rtol=0.1)
        else:
            assert block["text"] == text


def test_the_training_reaches_what_the_page_says(tutorial: Any) -> None:
    namespace, _ = tutorial
    assert namespace["accuracy"](namespace["params"], namespace["test"]) >= 0.95


class Values:
    """The names of `by_hand`, at the point of the page."""

    def __init__(self, namespace: dict[str, Any], params: Any, x: Any, t: Any) -> None:
        source = re.search(r"    # forward.*?(?=    return L)", PAGE.read_text(encoding="utf-8"), re.DOTALL)
        assert source is not None
        self.__dict__.update(params, x=x, t=t, n=len(x))
        exec(re.sub(r"(?m)^    ", "", source[0]), {"np": np}, self.__dict__)


def test_every_line_is_what_stands_beside_it(tutorial: Any) -> None:
    namespace, _ = tutorial
    loss, fg = namespace["loss"], namespace["fg"]
    rng = np.random.default_rng(1)
    params = {"W1": (2, 3), "W2": (3, 1), "b1": (3,), "b2": (1,)}
    params = {name: rng.normal(size=shape) for name, shape in params.items()}
    x, t = rng.normal(size=(4, 2)), rng.normal(size=(4, 1))
    function = jit(fg.value_and_grad(loss))
    program: Program = simplify(function.trace(params, x, t).program)
    assert beside(str(program)) == beside(namespace["listing"])
    values = Values(namespace, params, x, t)
    env: dict[Any, Any] = dict(zip(program.inputs, [*params.values(), x, t], strict=True))
    for equation, (text, by_hand) in zip(program.equations, BESIDE, strict=True):
        inputs = tuple(a.value if isinstance(a, Literal) else env[a] for a in equation.inputs)
        (env[equation.outputs[0]],) = equation.primitive.refer(inputs, dict(equation.params))
        np.testing.assert_allclose(env[equation.outputs[0]], by_hand(values), rtol=1e-12, err_msg=text)
    results = [env[a] for a in program.outputs]
    for result, name in zip(results, ("L", *bars().split(", ")), strict=True):
        np.testing.assert_allclose(result, getattr(values, name), rtol=1e-12)

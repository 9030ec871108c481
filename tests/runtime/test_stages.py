"""What can be seen of a compilation?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import funcgrad as fg


@fg.jit
def function(x: Any, *, scale: Any) -> Any:
    return {"out": np.exp(x * 1.0) * scale}


def lowered() -> Any:
    return function.lower(np.ones((3, 50)), scale=2.0)


@pytest.mark.parametrize(
    ("dialect", "parts"),
    [
        ("ir", ["{ lambda ;", "exp", "mul", "f64[3,50]"]),
        ("simplified", ["{ lambda ;", "exp"]),
        ("python", ["def kernel_0(", "np.exp(", "def run("]),
        ("llvm", ["define", "@kernel_0", "double"]),
        ("optimized", ["define", "@kernel_0", "fmul"]),
        ("assembly", ["kernel_0"]),
    ],
)
def test_listings(dialect: str, parts: list[str]) -> None:
    text = lowered().as_text(dialect)
    assert all(part in text for part in parts)
    assert lowered().as_text(dialect) == text
    assert lowered().compile().as_text(dialect) == text


def test_simplified_is_shorter() -> None:
    assert lowered().as_text("simplified").count("mul") < lowered().as_text().count("mul")


def test_an_unknown_dialect() -> None:
    with pytest.raises(ValueError, match=r"'ir', .*'assembly', not 'fortran'"):
        lowered().as_text("fortran")


def test_lowering_runs_nothing_and_takes_descriptions() -> None:
    text = function.lower(fg.ShapeDtypeStruct((3, 50), np.float64), scale=2.0).as_text("python")
    assert text == lowered().as_text("python")


def test_compiled() -> None:
    compiled = lowered().compile()
    x = np.linspace(0, 1, 150).reshape(3, 50)
    np.testing.assert_allclose(compiled(x, scale=3.0)["out"], np.exp(x) * 3, rtol=1e-15)
    assert compiled.cost_analysis() == lowered().cost_analysis()
    assert compiled.memory_analysis() == lowered().memory_analysis()


def test_a_compiled_program_takes_what_it_was_compiled_for() -> None:
    compiled = lowered().compile()
    with pytest.raises(TypeError, match="structure"):
        compiled(np.ones((3, 50)))
    with pytest.raises((TypeError, ValueError), match=r"shape|dtype"):
        compiled(np.ones((3, 51)), scale=2.0)
    with pytest.raises((TypeError, ValueError), match=r"dtype|type"):
        compiled(np.ones((3, 50), "c16"), scale=2.0)

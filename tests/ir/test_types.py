"""What types do values have, and how do types read?"""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from funcgrad.ir.primitive import Primitive, registry
from funcgrad.ir.types import ArrayType, type_of_value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.zeros((2, 3), np.float32), "f32[2,3]"),
        (np.float16(1), "f16[]"),
        (np.zeros(0, bool), "bool[0]"),
        (np.uint8(1), "u8[]"),
        (np.zeros(2, np.complex64), "c64[2]"),
        (1, "i64[]*"),
        (1.0, "f64[]*"),
        (1j, "c128[]*"),
        (True, "bool[]"),
        (np.zeros(2, ">f4"), "f32[2]"),
    ],
)
def test_types_of_values(value: object, text: str) -> None:
    assert str(type_of_value(value)) == text


@pytest.mark.parametrize(
    "value", ["a", None, [1.0], {}, np.array("abc"), np.array([None]), np.array("2020", "M8[D]"), object()]
)
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(TypeError, match=r"is not"):
        type_of_value(value)


def test_sizes() -> None:
    kind = ArrayType((2, 3), np.dtype("f4"), True)
    assert (kind.ndim, kind.size, kind.nbytes) == (2, 6, 24)
    assert kind.with_shape((6,)) == ArrayType((6,), np.dtype("f4"), False)


def test_primitives_are_registered_once() -> None:
    with pytest.raises(ValueError, match="registered already"):
        Primitive(name="sin", family="nondifferentiable", reference=np.sin, infer=lambda x: x)


def test_a_missing_derivative_is_an_error() -> None:
    with pytest.raises(ValueError, match="not declared nondifferentiable"):
        Primitive(name="a primitive of this test", family="elementwise", reference=np.sin, infer=lambda x: x)
    assert "a primitive of this test" not in registry


def test_primitives_are_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(registry["sin"])) is registry["sin"]

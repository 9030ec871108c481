"""Does the verifier catch every kind of malformed program?"""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import ProgramError
from funcgrad.ir.check import check
from funcgrad.ir.primitive import registry
from funcgrad.ir.program import Equation, Literal, Program, Var
from funcgrad.ir.types import ArrayType

F8 = ArrayType((3,), np.dtype("f8"))


def equation(name: str, inputs: tuple[Var | Literal, ...], outputs: tuple[Var, ...], **params: object) -> Equation:
    """An equation without a source."""
    return Equation(registry[name], inputs, outputs, params)


def test_good_programs_pass() -> None:
    program = fg.make_jaxpr(fg.value_and_grad(lambda x: np.sum(np.sin(x) * np.arange(3.0))))(np.ones(3))
    assert check(program) is program


def test_read_before_definition() -> None:
    a, b, c = Var(F8), Var(F8), Var(F8)
    with pytest.raises(ProgramError, match=r"read before it is defined, in an equation of add"):
        check(Program((a,), (equation("add", (a, b), (c,)),), (c,)))


def test_order_matters() -> None:
    a, b, c = Var(F8), Var(F8), Var(F8)
    with pytest.raises(ProgramError, match="read before it is defined"):
        check(Program((a,), (equation("sin", (b,), (c,)), equation("sin", (a,), (b,))), (c,)))


def test_defined_twice() -> None:
    a, b = Var(F8), Var(F8)
    with pytest.raises(ProgramError, match="defined twice"):
        check(Program((a,), (equation("sin", (a,), (b,)), equation("cos", (a,), (b,))), (b,)))
    with pytest.raises(ProgramError, match="defined twice"):
        check(Program((a, a), (), (a,)))
    with pytest.raises(ProgramError, match="defined twice"):
        check(Program((a,), (equation("sin", (a,), (a,)),), (a,)))


def test_wrong_output_type() -> None:
    a = Var(F8)
    for kind in (ArrayType((4,), np.dtype("f8")), ArrayType((3,), np.dtype("f4"))):
        b = Var(kind)
        with pytest.raises(ProgramError, match="outputs are declared"):
            check(Program((a,), (equation("sin", (a,), (b,)),), (b,)))


def test_wrong_number_of_outputs() -> None:
    a, b, c = Var(F8), Var(F8), Var(F8)
    with pytest.raises(ProgramError, match="outputs are declared"):
        check(Program((a,), (equation("sin", (a,), (b, c)),), (b,)))


def test_operands_that_do_not_fit() -> None:
    a, b, c = Var(F8), Var(ArrayType((4,), np.dtype("f8"))), Var(F8)
    with pytest.raises(ProgramError, match="operands have shapes"):
        check(Program((a, b), (equation("add", (a, b), (c,)),), (c,)))


def test_wrong_number_of_operands() -> None:
    a, b = Var(F8), Var(F8)
    with pytest.raises(ProgramError, match=r"sin takes 1 operands?, not 2"):
        check(Program((a,), (equation("sin", (a, a), (b,)),), (b,)))


def test_undefined_output() -> None:
    with pytest.raises(ProgramError, match="an output of type"):
        check(Program((), (), (Var(F8),)))


def test_constants_are_what_they_say() -> None:
    a = Var(F8)
    with pytest.raises(ProgramError, match="constant of type"):
        check(Program((), (), (a,), {a: np.zeros(4)}))
    with pytest.raises(ProgramError, match="constant of type"):
        check(Program((), (), (a,), {a: np.zeros(3, np.float32)}))


@pytest.mark.parametrize("value", [np.zeros(3), 1.0, np.float32(1)], ids=["array", "Python number", "other dtype"])
def test_literals_are_numpy_scalars(value: object) -> None:
    kind = ArrayType((), np.dtype("f8"))
    b = Var(kind)
    with pytest.raises(ProgramError, match="is not a NumPy scalar"):
        check(Program((), (equation("sin", (Literal(value, kind),), (b,)),), (b,)))  # type: ignore[arg-type]
    with pytest.raises(ProgramError, match="is not a NumPy scalar"):
        check(Program((), (), (Literal(value, kind),)))  # type: ignore[arg-type]


def test_inner_programs_are_checked() -> None:
    a, b, c = Var(F8), Var(F8), Var(F8)
    inner = Program((a,), (), (b,))  # b is not defined
    x = Var(F8)
    with pytest.raises(ProgramError, match="not defined"):
        check(Program((x,), (Equation(registry["jit"], (x,), (c,), {"program": inner, "name": "f"}),), (c,)))


def test_messages_name_the_users_line() -> None:
    program = fg.make_jaxpr(lambda x: np.sin(x))(np.ones(3))
    with pytest.raises(ProgramError, match=r"test_check\.py:\d+"):
        check(program.replace(equations=(program.equations[0], program.equations[0])))

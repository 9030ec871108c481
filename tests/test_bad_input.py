"""What does a user see who does something wrong?  One table: the exception, what it says, the remedy, and the user's line."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import errors

X = np.arange(6.0).reshape(2, 3)
HERE = "test_bad_input.py"
leaks: list[Any] = []


class Row(NamedTuple):
    """A mistake: its exception (also a standard one), and what the message must say."""

    name: str
    call: Callable[[], Any]
    error: type[Exception]
    says: tuple[str, ...]


def in_jit(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
    return lambda: fg.jit(function)(*(arguments or (2.0,)))


def leak() -> Any:
    leaks.clear()
    fg.jit(lambda x: leaks.append(x) or x)(2.0)
    return leaks[0]


def leaked_from_grad() -> Any:
    leaks.clear()
    fg.grad(lambda x: (leaks.append(x * 1.0), x * x)[1])(2.0)
    return leaks[0]


def write(x: Any) -> Any:
    x[0] = 1
    return x


def write_tracer_into_array(x: Any) -> Any:
    out = np.zeros(3)
    out[1] = x
    return out


def add_tracer_to_array(x: Any) -> Any:
    out = np.zeros(3)
    out += x
    return out


def branch(x: Any) -> Any:
    if x > 0:
        return x
    return -x


def loop(x: Any) -> Any:
    while x < 10:
        x = x * 2
    return x


def donated() -> Any:
    function = fg.jit(lambda x: x + 1, donate_argnums=0)
    x = function(np.ones(3))
    function(x)
    return x


FORBIDDEN = ("where", "cond", "static")  # the remedies inside jit

TABLE = [
    # arguments that are no arrays
    Row("jit of a string", in_jit(lambda x: x, "abc"), TypeError, ("argument 0", "'abc'", "str", "static_argn")),
    Row("jit of an object in a tree", in_jit(lambda x: x, {"a": [1.0, object()]}), TypeError, ("argument 0", "['a'][1]", "object", "pytree")),
    Row("jit of a keyword", lambda: fg.jit(lambda *, name: name)(name="abc"), TypeError, ("argument 'name'", "str")),
    Row("jit of an array of strings", in_jit(lambda x: x, np.array(["a"])), TypeError, ("argument 0", "<U1")),
    Row("jit of an array of objects", in_jit(lambda x: x, np.array([None])), TypeError, ("argument 0", "object")),
    Row("grad of a string", lambda: fg.grad(lambda x: x)("abc"), TypeError, ("argument 0", "'abc'", "str")),
    Row("jit returns a string", in_jit(lambda x: {"a": "text"}), TypeError, ("return", "['a']", "'text'")),
    Row("jit of no function", lambda: fg.jit(3), TypeError, ("takes a function", "3", "int")),
    Row("grad of no function", lambda: fg.grad(3), TypeError, ("takes a function", "3", "int")),
    Row("vmap of no function", lambda: fg.vmap(3), TypeError, ("takes a function", "3", "int")),
    # argnums and statics
    Row("argnums too large", lambda: fg.grad(lambda x: x, argnums=2)(1.0), TypeError, ("argnums=2", "at least 3", "only 1")),
    Row("argnums too small", lambda: fg.grad(lambda x: x, argnums=-2)(1.0), TypeError, ("argnums=-2", "only 1")),
    Row("argnums twice", lambda: fg.grad(lambda x, y: x, argnums=(0, -2))(1.0, 2.0), ValueError, ("argnums=(0, -2)", "twice")),
    Row("argnums of a name", lambda: fg.grad(lambda x: x, argnums="x")(1.0), TypeError, ("argnums", "'x'")),
    Row("argnums of a float", lambda: fg.grad(lambda x: x, argnums=1.0)(1.0), TypeError, ("argnums", "1.0")),
    Row("an unhashable static", lambda: fg.jit(lambda x, n: x, static_argnums=1)(1.0, [3]), ValueError, ("static", "not hashable", "[3]", "list", "tuple")),
    Row("an unhashable static keyword", lambda: fg.jit(lambda x, *, n: x, static_argnames="n")(1.0, n={}), ValueError, ("'n'", "not hashable", "dict")),
    Row("static_argnums of a name", lambda: fg.jit(lambda x: x, static_argnums="x"), TypeError, ("static_argnums", "'x'")),
    Row("static_argnums too large", lambda: fg.jit(lambda x: x, static_argnums=1), ValueError, ("static_argnums", "1")),
    Row("an unknown static_argnames", lambda: fg.jit(lambda x: x, static_argnames="y"), ValueError, ("'y'", "['x']")),
    # what grad can differentiate
    Row("grad of a vector", lambda: fg.grad(lambda x: x * 2)(X), TypeError, ("scalar-output", "(2, 3)", "np.sum", "vjp")),
    Row("grad of a pair", lambda: fg.grad(lambda x: (x, x))(1.0), TypeError, ("scalar-output", "pytree")),
    Row("grad of None", lambda: fg.grad(lambda x: None)(1.0), TypeError, ("scalar-output",)),
    Row("grad of an integer", lambda: fg.grad(lambda x: x * 2)(3), TypeError, ("argument 0", "int64", "float", "allow_int")),
    Row("grad of integers", lambda: fg.grad(lambda x: np.sum(x["a"]))({"a": np.arange(3)}), TypeError, ("argument 0['a']", "int64", "allow_int")),
    Row("grad of a bool", lambda: fg.grad(lambda x: x * 2)(True), TypeError, ("argument 0", "bool")),
    Row("grad of complex", lambda: fg.grad(lambda x: x * 2)(3j), TypeError, ("output", "complex128", "holomorphic=True")),
    Row("holomorphic grad of a float", lambda: fg.grad(lambda x: x * 2, holomorphic=True)(3.0), TypeError, ("argument 0", "float64", "complex")),
    Row("holomorphic grad of a real function", lambda: fg.grad(abs, holomorphic=True)(3j), TypeError, ("output", "float64", "is holomorphic")),
    Row("grad with integer output", lambda: fg.grad(lambda x: np.argmax(x))(X), TypeError, ("output", "int64")),
    Row("grad without aux", lambda: fg.grad(lambda x: x, has_aux=True)(1.0), TypeError, ("has_aux", "pair")),
    # shapes, as NumPy says it
    Row("sum of shapes", in_jit(lambda x: x + np.ones(4), X), ValueError, ("(2, 3)", "(4,)")),
    Row("product of shapes", in_jit(lambda x: x @ x, X), ValueError, ("2", "3")),
    Row("dot of shapes", in_jit(lambda x: np.dot(x, np.ones(4)), X), ValueError, ("(2, 3)", "(4,)")),
    Row("reshape", in_jit(lambda x: x.reshape(4), X), ValueError, ("6", "4")),
    Row("axis", in_jit(lambda x: np.sum(x, axis=2), X), np.exceptions.AxisError, ("axis 2", "2")),
    Row("concatenate", in_jit(lambda x: np.concatenate([x, np.ones((2, 4))]), X), ValueError, ("3", "4")),
    Row("stack", in_jit(lambda x: np.stack([x, np.ones(3)]), X), ValueError, ("shape",)),
    Row("broadcast_to", in_jit(lambda x: np.broadcast_to(x, (4, 3)), X), ValueError, ("(2, 3)", "(4, 3)")),
    Row("transpose", in_jit(lambda x: np.transpose(x, (0, 0)), X), ValueError, ("ax",)),
    Row("too many indices", in_jit(lambda x: x[0, 0, 0], X), IndexError, ("3", "2")),
    Row("index", in_jit(lambda x: x[5], X), IndexError, ("5", "size 2")),
    Row("index by a float", in_jit(lambda x: x[1.0], X), IndexError, ("integer", "float64")),
    Row("traced index", in_jit(lambda x, i: x[i], X, 7), IndexError, ("out of bounds", "size 2")),
    Row("traced mask", in_jit(lambda x: x[x > 0], X), errors.NonConcreteBooleanIndexError, ("where",)),
    Row("no axis to walk", in_jit(lambda x: list(x)), TypeError, ("0-d",)),
    Row("max of nothing", in_jit(lambda x: np.max(x[:0]), X), ValueError, ("zero-size", "identity")),
    # values of traced arrays
    Row("if", in_jit(branch), errors.TracerBoolConversionError, ("bool[]", "if", *FORBIDDEN)),
    Row("while", in_jit(loop), errors.TracerBoolConversionError, ("while", *FORBIDDEN)),
    Row("and", in_jit(lambda x: x and 1), errors.TracerBoolConversionError, FORBIDDEN),
    Row("not", in_jit(lambda x: not x), errors.TracerBoolConversionError, FORBIDDEN),
    Row("min of Python", in_jit(lambda x: min(x, 3.0)), errors.TracerBoolConversionError, FORBIDDEN),
    Row("float", in_jit(lambda x: float(x)), errors.ConcretizationTypeError, ("float()", "f64[]", "static")),
    Row("int", in_jit(lambda x: int(x)), errors.ConcretizationTypeError, ("int()", "static")),
    Row("complex", in_jit(lambda x: complex(x)), errors.ConcretizationTypeError, ("complex()", "static")),
    Row("range", in_jit(lambda n: sum(range(n)), 3), errors.TracerIntegerConversionError, ("i64[]", "static")),
    Row("list index", in_jit(lambda n: [1, 2][n], 1), errors.TracerIntegerConversionError, ("index", "static")),
    Row("a shape", in_jit(lambda n: np.zeros(n), 3), TypeError, ("integer", "Tracer<i64[]")),  # NumPy's own message
    Row("a shape of funcgrad.numpy", in_jit(lambda n: fg.numpy.zeros((n,)), 3), errors.TracerIntegerConversionError, ("static",)),
    Row("item", in_jit(lambda x: x.item()), errors.ConcretizationTypeError, (".item()", "static")),
    Row("np.array", in_jit(lambda x: np.array([x, 1.0])), errors.TracerArrayConversionError, ("np.stack",)),
    Row("np.asarray", in_jit(lambda x: np.asarray(x)), errors.TracerArrayConversionError, ("NumPy array",)),
    Row("math.sin", in_jit(lambda x: math.sin(x)), TypeError, ("float()", "np.sin")),
    Row("format", in_jit(lambda x: f"{x:.3f}"), errors.ConcretizationTypeError, ("format", "static")),
    Row("hash", in_jit(lambda x: {x: 1}), TypeError, ("unhashable",)),
    Row("in vmap", lambda: fg.vmap(branch)(X[0]), errors.TracerBoolConversionError, ("where",)),
    Row("grad in jit", in_jit(fg.grad(branch)), errors.TracerBoolConversionError, FORBIDDEN),
    # writing
    Row("write into a tracer", in_jit(write, X), TypeError, ("cannot be written", "np.where")),
    Row("write into a tracer of grad", lambda: fg.grad(lambda x: np.sum(write(x)))(X), TypeError, ("cannot be written", "np.where")),
    Row("add a tracer in place", in_jit(add_tracer_to_array), TypeError, ("in-place", "x = x + y")),
    Row("out=", in_jit(lambda x: np.add(x, 1, out=np.zeros(()))), TypeError, ("out=", "x = x + y")),
    Row("np.add.at", in_jit(lambda x: np.add.at(np.zeros(3), 0, x)), TypeError, ("np.add.at",)),
    # tracers and arrays that are over
    Row("a leaked tracer", lambda: leak() + 1, errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer in another trace", lambda: fg.jit(lambda y: y + leaks[0])(1.0) if leak() is not None else 0, errors.UnexpectedTracerError, ("ended", "Return")),
    Row("a leaked tracer as a condition", lambda: bool(leak()), errors.UnexpectedTracerError, ("ended",)),
    Row("a leaked tracer of grad", lambda: leaked_from_grad() + 1, errors.UnexpectedTracerError, ("ended",)),
    Row("a leaked tracer as an argument", lambda: fg.jit(lambda x: x)(leak()), errors.UnexpectedTracerError, ("ended",)),
    Row("a donated array", lambda: donated() + 1, errors.DonatedBufferError, ("given away", "donate_argnums", "result")),
    Row("a donated array in jit", lambda: fg.jit(np.sin)(donated()), errors.DonatedBufferError, ("given away", "donate_argnums")),
    # functions
    Row("NumPy without a counterpart", in_jit(lambda x: np.save("x", x), X), TypeError, ("save", "traced")),
    Row("a ufunc without a counterpart", in_jit(lambda x: np.isnat(x)), TypeError, ("isnat", "traced")),
    Row("an unknown dialect", lambda: fg.jit(np.sin).lower(1.0).as_text("c"), ValueError, ("'c'", "'python'")),
    Row("vmap over different sizes", lambda: fg.vmap(lambda x, y: x)(X, np.ones(5)), ValueError, ("2, 5",)),
    Row("vmap along no axis", lambda: fg.vmap(lambda x: x, in_axes=3)(X), ValueError, ("axis 3", "(2, 3)")),
    Row("jvp of another shape", lambda: fg.jvp(np.sin, (X,), (X[0],)), ValueError, ("f64[2,3]", "f64[3]")),
    Row("vjp of another shape", lambda: fg.vjp(np.sin, X)[1](X[0]), ValueError, ("f64[2,3]", "f64[3]")),
]  # fmt: skip
NO_LINE = {"an unknown dialect", "a shape"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name.replace(" ", "-"))
def test_mistakes(row: Row) -> None:
    with pytest.raises(row.error) as caught:
        row.call()
    message = str(caught.value)
    for part in row.says:
        assert part in message, message
    if row.name not in NO_LINE:
        assert HERE in message, message
    fg.jit(np.sin)(0.5)  # nothing is left behind
    assert fg.grad(np.sin)(0.0) == 1


def test_the_line_is_the_one_of_the_mistake() -> None:
    with pytest.raises(
        errors.TracerBoolConversionError, match=rf"{HERE}:{branch.__code__.co_firstlineno + 1} \(in branch\)"
    ):
        fg.jit(branch)(1.0)
    with pytest.raises(TypeError, match=rf"{HERE}:{write.__code__.co_firstlineno + 1} \(in write\)"):
        fg.jit(write)(X)


def test_writing_a_tracer_into_an_array() -> None:
    """NumPy's message, but the cause says what to do."""
    with pytest.raises(ValueError, match="setting an array element") as caught:
        fg.jit(write_tracer_into_array)(1.0)
    assert isinstance(caught.value.__cause__, errors.ConcretizationTypeError)
    for part in ("np.stack", "np.where", f"{HERE}:{write_tracer_into_array.__code__.co_firstlineno + 2} "):
        assert part in str(caught.value.__cause__)


def test_a_missing_function() -> None:
    with pytest.raises(AttributeError, match=r"busday_count is not in funcgrad\.numpy yet"):
        fg.numpy.busday_count  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        fg.numpy.nonsense  # noqa: B018


def test_the_values_are_known_under_grad() -> None:
    """The same functions, outside of jit."""
    assert fg.grad(branch)(-3.0) == -1
    assert fg.grad(loop)(3.0) == 4
    assert fg.grad(lambda x: x * float(x))(3.0) == 3
    assert fg.grad(lambda x: x * min(x, 2.0))(3.0) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_numbers_are_no_mistake(bad: float) -> None:
    x = np.array([1.0, bad, -2.0, 0.0])

    def function(x: Any) -> Any:
        return (
            np.sum(x),
            np.max(x),
            np.argmax(x),
            x / x,
            np.sqrt(x),
            np.log(x),
            x @ x,
            np.where(x > 0, x, 0),
            np.mean(x),
            np.hypot(x, x[::-1] * np.nan),
        )

    with np.errstate(all="ignore"):
        expected = function(x)
    for result, value in zip(fg.jit(function)(x), expected, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-14)
    gradient = fg.jit(fg.grad(lambda x: np.sum(x * x)))(x)
    np.testing.assert_array_equal(gradient, 2 * x)


def test_random_numbers_are_drawn_once_per_trace() -> None:
    rng = np.random.default_rng(0)
    function = fg.jit(lambda x: x + rng.normal(size=3))
    np.testing.assert_array_equal(function(0.0), function(0.0))


SCRIPT = """
import sys, warnings
import numpy as np
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import funcgrad as fg
    for scale in (2.0, 3.0):
        value, grad = fg.jit(fg.value_and_grad(lambda x: np.sum(np.tanh(x * scale))))(np.ones(4))
        assert abs(value - 4 * np.tanh(scale)) < 1e-12, value
        np.testing.assert_allclose(fg.jit(lambda x: np.sin(x) @ np.exp(x))(np.ones(4)), 4 * np.sin(1) * np.e)
for w in caught:
    print(w.category.__name__, w.message)
"""


def run(directory: Path, before: str = "") -> list[str]:
    """Run a program in a process of its own with this cache directory; its warnings."""
    environment = os.environ | {"FUNCGRAD_CACHE_DIR": str(directory), "FUNCGRAD_CACHE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", before + SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def one_warning(lines: list[str], *parts: str) -> None:
    assert len(lines) == 1, lines
    assert lines[0].startswith("CacheWarning")
    for part in (*parts, "FUNCGRAD_CACHE_DIR"):
        assert part in lines[0]


def test_a_good_cache_directory_is_silent(tmp_path: Path) -> None:
    assert run(tmp_path / "new" / "cache") == []
    assert run(tmp_path / "new" / "cache") == []
    assert list((tmp_path / "new" / "cache").iterdir())


def test_a_cache_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    one_warning(run(tmp_path / "file"), str(tmp_path / "file"))


def test_a_read_only_cache_directory(tmp_path: Path) -> None:
    """Also as root, whom permissions do not stop."""
    refuse = "import tempfile\ndef mkstemp(*a, **k): raise PermissionError(13, 'Permission denied')\ntempfile.mkstemp = mkstemp\n"
    one_warning(run(tmp_path, refuse), str(tmp_path), "Permission denied")


def test_a_full_disk(tmp_path: Path) -> None:
    full = "import os\ndef replace(*a, **k): raise OSError(28, 'No space left on device')\nos.replace = replace\n"
    one_warning(run(tmp_path, full), "No space left")


def test_a_damaged_cache(tmp_path: Path) -> None:
    """Every file cut short, flipped or emptied: each is made anew, nothing is said."""
    run(tmp_path)
    files = sorted(tmp_path.iterdir())
    assert files
    for number, path in enumerate(files):
        data = path.read_bytes()
        path.write_bytes((data[: len(data) // 2], data[:-9] + b"!" * 9, b"", data + b"x")[number % 4])
    assert run(tmp_path) == []
    assert run(tmp_path) == []

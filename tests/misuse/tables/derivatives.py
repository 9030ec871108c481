"""What can be differentiated."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import math
from typing import Any

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)


def closing_over(a: Any) -> Any:
    """A rule says nothing of what its function closes over."""
    f = fg.custom_jvp(lambda x: a * x)
    f.defjvp(lambda primals, tangents: (a * primals[0], a * tangents[0]))
    return f(1.0)


ROWS = [
    # warnings, which are errors in tests
    Row("float under grad", lambda: fg.grad(lambda x: float(x) * x)(1.0), errors.LostDerivativeWarning, ("float()", "constant", "stop_gradient")),
    Row("math.sin under grad", lambda: fg.grad(lambda x: math.sin(x) * x)(1.0), errors.LostDerivativeWarning, ("np.sin(x) for math.sin(x)",)),
    Row("item under jvp", lambda: fg.jvp(lambda x: x.item() * x, (1.0,), (1.0,)), errors.LostDerivativeWarning, (".item()", "stop_gradient")),
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
    Row("jvp of another shape", lambda: fg.jvp(np.sin, (X,), (X[0],)), ValueError, ("f64[2,3]", "f64[3]")),
    Row("vjp of another shape", lambda: fg.vjp(np.sin, X)[1](X[0]), ValueError, ("f64[2,3]", "f64[3]")),
    Row("grad of an array of integers", lambda: fg.grad(lambda x: np.sum(x))(np.arange(3)), TypeError, ("argument 0", "int64", "float")),
    Row("grad of a list of numbers and a string", lambda: fg.grad(lambda x: x[0])([1.0, "a"]), TypeError, ("argument 0[1]", "'a'")),
    Row("grad of several outputs", lambda: fg.grad(lambda x: [x, x])(1.0), TypeError, ("scalar-output",)),
    Row("grad of a dictionary", lambda: fg.grad(lambda x: {"loss": x})(1.0), TypeError, ("scalar-output", "pytree", "has_aux")),
    Row("grad of a function that prints and returns nothing", lambda: fg.grad(lambda x: print(end=""))(1.0), TypeError, ("scalar-output", "None")),
    Row("grad of a vector of one element", lambda: fg.grad(lambda x: x * 2)(np.ones(1)), TypeError, ("scalar-output", "(1,)")),
    Row("has_aux of three", lambda: fg.grad(lambda x: (x, x, x), has_aux=True)(1.0), TypeError, ("has_aux", "pair")),
    Row("has_aux of value_and_grad", lambda: fg.value_and_grad(lambda x: x, has_aux=True)(1.0), TypeError, ("has_aux", "pair")),
    Row("grad by a keyword", lambda: fg.grad(lambda x: x, argnums="x")(1.0), TypeError, ("argnums", "'x'")),
    Row("grad of a Python number's text", lambda: fg.grad(lambda x: len(x))("abc"), TypeError, ("argument 0", "'abc'")),
    Row("grad returning a NumPy integer", lambda: fg.grad(lambda x: np.int64(3))(1.0), TypeError, ("output", "int64")),
    Row("jacfwd of integers", lambda: fg.jacfwd(lambda x: x * 2)(np.arange(3)), TypeError, ("jacfwd", "int64", "float")),
    Row("jacrev of integers", lambda: fg.jacrev(lambda x: x * 2)(np.arange(3)), TypeError, ("jacrev", "int64", "allow_int")),
    Row("hessian of complex", lambda: fg.hessian(lambda x: x)(1j), TypeError, ("complex128", "holomorphic")),
    Row("jvp of lists", lambda: fg.jvp(np.sin, [1.0], [1.0, 2.0]), TypeError, ("primals", "tangents", "structure")),
    Row("jvp of a number", lambda: fg.jvp(np.sin, 1.0, 1.0), TypeError, ("tuple",)),
    Row("jvp of another dtype", lambda: fg.jvp(np.sin, (np.float32(1),), (np.float64(1),)), (TypeError, ValueError), ("f32[]", "f64[]")),
    Row("a cotangent of another structure", lambda: fg.vjp(lambda x: (x, x), 1.0)[1](1.0), ValueError, ("cotangent", "structure")),
    Row("a cotangent of another dtype", lambda: fg.vjp(np.sin, np.float32(1))[1](1j), (TypeError, ValueError), ("cotangent", "complex", "f32[]")),
    Row("linear_transpose of sin", lambda: fg.linear_transpose(np.sin, 1.0)(1.0), TypeError, ("linear", "sin")),
    Row("linearize with another tangent", lambda: fg.linearize(np.sin, V)[1](np.ones(4)), ValueError, ("tangent", "f64[3]")),
    Row("a derivative through pure_callback", lambda: fg.grad(lambda x: fg.pure_callback(np.sin, x, x))(1.0), ValueError, ("custom_jvp", "stop_gradient")),
    Row("a derivative through np.asarray", lambda: fg.grad(lambda x: np.sum(np.asarray(x)))(V), errors.TracerArrayConversionError, ("np.stack",)),
    Row("a derivative through math", lambda: fg.vmap(fg.grad(lambda x: math.exp(x)))(V), errors.ConcretizationTypeError, ("np.sin", "float()")),
    Row("custom derivative of what it closes over", lambda: fg.grad(closing_over)(2.0), errors.UnexpectedTracerError, ("closed-over", "argument")),
]  # fmt: skip

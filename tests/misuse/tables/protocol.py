"""NumPy functions and other libraries on traced arrays; dtypes."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np
from scipy import integrate

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)

ROWS = [
    Row("NumPy without a counterpart", in_jit(lambda x: np.save("x", x), X), TypeError, ("save", "traced")),
    Row("a ufunc without a counterpart", in_jit(lambda x: np.isnat(x)), TypeError, ("isnat", "traced")),
    Row("an unknown dialect", lambda: fg.jit(np.sin).lower(1.0).as_text("c"), ValueError, ("'c'", "'python'")),
    Row("np.random on a tracer", in_jit(lambda x: np.random.default_rng(0).normal(x)), errors.TracerArrayConversionError, ("NumPy array",)),
    Row("np.vectorize", in_jit(lambda x: np.vectorize(lambda v: v + 1.0)(x), V), (TypeError, errors.TracerError), ("np.",)),
    Row("np.savetxt", in_jit(lambda x: np.savetxt("never", x), V), TypeError, ("save",)),
    Row("np.frombuffer", in_jit(lambda x: np.frombuffer(x), V), (TypeError, BufferError, ValueError), (), line=False),
    Row("a list of tracers in np.sum", in_jit(lambda x: np.sum([x, x])), errors.TracerArrayConversionError, ("np.stack",)),
    Row("scipy on a tracer", in_jit(lambda x: integrate.trapezoid(bytes(x), 3.0)), TypeError, (), line=False),
    Row("np.linalg.eig of a matrix that is not square", in_jit(lambda x: np.linalg.eig(x), X), np.linalg.LinAlgError, ("square",)),
    Row("np.linalg.norm of an unknown order", in_jit(lambda x: np.linalg.norm(x, "abc"), X), ValueError, ("order",)),
    Row("np.pad of an unknown mode", in_jit(lambda x: np.pad(x, 1, mode="mirror"), V), (ValueError, NotImplementedError), ("mode",)),
    Row("np.convolve of an unknown mode", in_jit(lambda x: np.convolve(x, x, mode="all"), V), ValueError, ("mode",)),
    Row("bitwise and of floats", in_jit(lambda x: x & 1), TypeError, ("float64", "integers", "astype")),
    Row("negative of a bool", in_jit(lambda x: -x, True), TypeError, ("bool",)),
    Row("subtraction of bools", in_jit(lambda x: x - x, True), TypeError, ("bool",)),
    Row("a shift of floats", in_jit(lambda x: x << 1), TypeError, ("float64", "integers", "astype")),
    Row("addition of a string", in_jit(lambda x: x + "a"), TypeError, ("str",), line=False),
    Row("addition of None", in_jit(lambda x: x + None), TypeError, ("NoneType",), line=False),
    Row("a dtype of dates", in_jit(lambda x: x.astype("datetime64[s]"), V), TypeError, ("datetime64", "not supported")),
    Row("float128", in_jit(lambda x: x.astype(np.longdouble), V), TypeError, ("not supported",)),
    Row("dlpack of a tracer", in_jit(lambda x: x.__dlpack__(), V), BufferError, ("memory", "DLPack")),
    Row("strides", in_jit(lambda x: x.strides, V), AttributeError, ("strides", "memory")),
    Row("a name that NumPy has and fg.numpy has not", lambda: fg.numpy.busday_count, AttributeError, ("busday_count", "NumPy's own"), line=False),
    Row("a name that nobody has", lambda: fg.numpy.nonsense, AttributeError, ("nonsense",), line=False),
    Row("an attribute of a tracer that arrays lack", in_jit(lambda x: x.cuda()), AttributeError, ("cuda",), line=False),
]  # fmt: skip

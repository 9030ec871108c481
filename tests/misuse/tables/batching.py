"""Axes of vmap, and collective operations."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)

ROWS = [
    Row("vmap over different sizes", lambda: fg.vmap(lambda x, y: x)(X, np.ones(5)), ValueError, ("2, 5",)),
    Row("vmap along no axis", lambda: fg.vmap(lambda x: x, in_axes=3)(X), ValueError, ("axis 3", "(2, 3)")),
    Row("vmap of a scalar", lambda: fg.vmap(lambda x: x)(1.0), ValueError, ("scalar", "in_axes")),
    Row("vmap over nothing", lambda: fg.vmap(lambda x: x, in_axes=None)(V), ValueError, ("axis_size", "in_axes")),
    Row("vmap of too few axes", lambda: fg.vmap(lambda x, y: x, in_axes=(0,))(X, X), ValueError, ("in_axes", "2")),
    Row("vmap of a prefix that does not fit", lambda: fg.vmap(lambda d: d["a"], in_axes=({"b": 0},))({"a": X}), ValueError, ("in_axes", "prefix")),
    Row("vmap of an axis that is a float", lambda: fg.vmap(lambda x: x, in_axes=0.0)(X), TypeError, ("in_axes", "0.0")),
    Row("out_axes of no axis", lambda: fg.vmap(lambda x: x, out_axes=3)(X), ValueError, ("out_axes", "3")),
    Row("out_axes None of what differs", lambda: fg.vmap(lambda x: x, out_axes=None)(X), ValueError, ("out_axes", "None", "axis")),
    Row("out_axes of a string", lambda: fg.vmap(lambda x: x, out_axes="a")(X), TypeError, ("out_axes", "'a'")),
    Row("out_axes that do not fit the output", lambda: fg.vmap(lambda x: x, out_axes=(0, 0, 0))(X), ValueError, ("out_axes", "prefix")),
    Row("vmap of sizes named", lambda: fg.vmap(lambda d: d["a"])({"a": X, "b": V}), ValueError, ("['a']", "['b']", "2", "3")),
    Row("axis_size that is wrong", lambda: fg.vmap(lambda x: x, axis_size=5)(X), ValueError, ("axis_size", "5", "2")),
    Row("psum without a name", lambda: fg.vmap(lambda x: fg.lax.psum(x, "i"))(V), NameError, ("unbound axis name", "axis_name='i'")),
    Row("psum over another name", lambda: fg.vmap(lambda x: fg.lax.psum(x, "j"), axis_name="i")(V), NameError, ("unbound axis name", "'j'")),
    Row("psum in jit without vmap", in_jit(lambda x: fg.lax.psum(x, "batch")), NameError, ("unbound axis name", "vmap")),
    Row("spmd_axis_name", lambda: fg.vmap(lambda x: x, spmd_axis_name="x"), NotImplementedError, ("one device", "axis_name")),
    Row("vmap of a callback without a method", lambda: fg.vmap(lambda x: fg.pure_callback(np.sin, x, x))(V), NotImplementedError, ("vmap_method", "sequential")),
    Row("float of an example", lambda: fg.vmap(lambda x: float(x))(V), errors.ConcretizationTypeError, ("vmap", "in_axes=None")),
    Row("an ordered callback under vmap", lambda: fg.vmap(lambda x: fg.debug.print("{}", x, ordered=True))(V), ValueError, ("ordered=False",)),
]  # fmt: skip

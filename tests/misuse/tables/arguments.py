"""What jit, grad and vmap take: arrays, and numbers of arguments."""
# ruff: noqa: E501 - a row of the table is a line

from __future__ import annotations

import numpy as np

import funcgrad as fg
from funcgrad import errors
from tests.misuse.rows import Row, in_jit

X = np.arange(6.0).reshape(2, 3)
V = np.arange(1.0, 4.0)


class Plain:
    """A class that is no pytree."""


ROWS = [
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
    Row("a class that is no pytree", in_jit(lambda p: p, Plain()), TypeError, ("Plain", "static", "register")),
    Row("None where an array is needed", in_jit(lambda x: np.sin(x), None), TypeError, ("NoneType",), line=False),
    Row("a set", in_jit(lambda x: x, {1.0}), TypeError, ("set", "static")),
    Row("a list of lists of unequal lengths", in_jit(lambda x: np.sum(x), [[1.0], [1.0, 2.0]]), (TypeError, ValueError, errors.TracerError), ()),
    Row("a method as a static that is a list", lambda: fg.jit(lambda f, x: f(x), static_argnums=0)([np.sin], 1.0), ValueError, ("not hashable", "tuple")),
    Row("an array as a static", lambda: fg.jit(lambda x, n: x, static_argnums=1)(1.0, np.ones(3)), ValueError, ("not hashable", "traced")),
    Row("a missing argument", lambda: fg.jit(lambda x, y: x + y)(1.0), TypeError, ("missing", "'y'"), line=False),
    Row("an unknown keyword", lambda: fg.jit(lambda x: x)(1.0, z=2.0), TypeError, ("'z'",), line=False),
    Row("donate_argnums of a name", lambda: fg.jit(lambda x: x, donate_argnums="x"), TypeError, ("donate_argnums", "'x'")),
    Row("jit returns a function", in_jit(lambda x: lambda y: x), TypeError, ("return", "function")),
    Row("jit returns a class", in_jit(lambda x: {"m": Plain()}), TypeError, ("return", "['m']", "Plain")),
    Row("jit of an unknown way to compile", lambda: fg.jit(np.sin, compile="later"), ValueError, ("'later'", "'background'")),
    Row("argnums beyond keywords", lambda: fg.grad(lambda x: x)(x=1.0), TypeError, ("argnums=0", "position")),
    Row("lower of a string", lambda: fg.jit(np.sin).lower("a"), TypeError, ("argument 0", "'a'")),
    Row("a compiled program of other types", lambda: fg.jit(np.sin).lower(1.0).compile()({"a": 1.0}), TypeError, ("structure",)),
    Row("eval_shape of a string", lambda: fg.eval_shape(np.sin, "a"), TypeError, ("argument 0", "'a'")),
    Row("make_jaxpr of no function", lambda: fg.make_jaxpr(1.0), TypeError, ("takes a function", "1.0")),
    Row("an integer that no dtype holds", in_jit(lambda x: x, 2**70), (OverflowError, TypeError), ("argument 0", "int64", "static")),
    Row("a string dtype", in_jit(lambda x: x.astype("text"), V), TypeError, ("text",)),
]  # fmt: skip

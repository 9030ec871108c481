"""Are pytrees what JAX's are?"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import pytest

import funcgrad as fg
from funcgrad import tree, tree_util

TREE = {"b": [1, (2, None)], "a": collections.OrderedDict(z=3, y=4)}


def test_order_and_none() -> None:
    leaves, structure = tree.flatten(TREE)
    assert leaves == [3, 4, 1, 2]
    assert tree.unflatten(structure, leaves) == TREE
    assert tree.leaves(None) == []
    assert tree.structure(TREE) == structure != tree.structure([1])


def test_map_reduce_all() -> None:
    assert tree.map(lambda x, y: x + y, TREE, TREE) == {"b": [2, (4, None)], "a": collections.OrderedDict(z=6, y=8)}
    assert tree.reduce(lambda x, y: x + y, TREE) == 10
    assert tree.reduce(lambda x, y: x + y, TREE, 5) == 15
    assert tree.all([True, {"a": 1}])
    assert not tree.all([True, 0])
    assert tree.map(len, ["ab", "c"], is_leaf=lambda x: isinstance(x, str)) == [2, 1]
    assert tree.leaves([(1, 2), 3], is_leaf=lambda x: isinstance(x, tuple)) == [(1, 2), 3]
    with pytest.raises(ValueError, match=r"."):
        tree.map(lambda x, y: x, {"a": 1}, {"b": 1})


def test_paths() -> None:
    assert tree.paths(TREE) == [("a", "z"), ("a", "y"), ("b", 0), ("b", 1, 0)]
    assert [tree.key_string(p) for p in tree.paths(TREE)][:3] == ["['a']['z']", "['a']['y']", "['b'][0]"]
    assert tree.map_with_path(lambda path, x: (path, x), [5]) == [((tree_util.SequenceKey(0),), 5)]


def test_key_paths() -> None:
    pair = collections.namedtuple("pair", "x y")

    @tree.register_dataclass
    @dataclasses.dataclass
    class Layer:
        w: Any
        b: Any
        name: str = dataclasses.field(metadata={"static": True}, default="dense")

    @tree_util.register_pytree_with_keys_class
    class Named:
        def __init__(self, item: Any) -> None:
            self.item = item

        def tree_flatten_with_keys(self) -> Any:
            return ((tree_util.GetAttrKey("item"), self.item),), None

        @classmethod
        def tree_unflatten(cls, aux: Any, children: Any) -> Any:
            return cls(*children)

    @tree_util.register_pytree_node_class
    class Box(Named):
        def tree_flatten(self) -> Any:
            return (self.item,), None

    whole = {"a": [1, pair(2, 3)], "l": Layer(4, Box(5)), "n": Named(6)}
    found, structure = tree_util.tree_flatten_with_path(whole)
    assert [tree_util.keystr(path) for path, _ in found] == [
        *("['a'][0]", "['a'][1].x", "['a'][1].y", "['l'].w", "['l'].b[<flat index 0>]", "['n'].item"),
    ]
    assert [x for _, x in found] == [1, 2, 3, 4, 5, 6]
    assert structure == tree.structure(whole)
    assert tree_util.keystr(found[1][0], simple=True, separator="/") == "a/1/x"
    assert tree.leaves_with_path(whole) == found
    summed = tree_util.tree_map_with_path(lambda path, x, y: (len(path), x + y), {"a": [1]}, {"a": [2]})
    assert summed == {"a": [(2, 3)]}


def test_other_functions_of_tree_util() -> None:
    assert tree_util.all_leaves([1, "a"])
    assert not tree_util.all_leaves([1, (2,)])
    one = tree.structure({"a": 0})
    both = tree_util.treedef_tuple([one, tree.structure(0)])
    assert tree_util.treedef_children(both)[0] == one
    assert tree_util.treedef_is_leaf(tree_util.treedef_children(both)[1])
    assert tree_util.tree_broadcast((1, 2), ((0, 0), 0)) == ((1, 1), 2)
    assert tree_util.tree_reduce_associative(lambda x, y: f"({x}{y})", list("abcde")) == "(((ab)(cd))e)"
    assert tree_util.tree_reduce_associative(lambda x, y: x, [], identity=3) == 3
    with pytest.raises(TypeError, match="identity"):
        tree_util.tree_reduce_associative(lambda x, y: x, [])

    @tree_util.register_static
    class Mode(str):
        __slots__ = ()

    assert fg.jit(lambda mode, x: x * (2 if mode == "b" else 1))(Mode("b"), 3.0) == 6
    assert fg.jit(lambda f, x: f(x))(tree_util.Partial(lambda a, x: a * x, 2.0), 3.0) == 6


def test_transpose_and_prefix() -> None:
    outer, inner = tree.structure([0, 0]), tree.structure({"a": 0, "b": 0})
    assert tree.transpose(outer, inner, [{"a": 1, "b": 2}, {"a": 3, "b": 4}]) == {"a": [1, 3], "b": [2, 4]}
    assert tree.broadcast_prefix((1, 2), ({"a": 0, "b": 0}, 0)) == [1, 1, 2]


def test_named_tuples() -> None:
    pair = collections.namedtuple("pair", "x y")
    assert tree.map(lambda v: v + 1, pair(1, 2)) == pair(2, 3)


def test_registration() -> None:
    class Box:
        def __init__(self, item: Any) -> None:
            self.item = item

    tree.register_pytree_node(Box, lambda box: ((box.item,), "aux"), lambda aux, children: Box(*children))
    assert tree.leaves([Box(1), Box({"a": 2})]) == [1, 2]
    assert tree.map(lambda v: v * 2, Box(4)).item == 8
    with pytest.raises(ValueError, match="already"):
        tree.register_pytree_node(Box, lambda box: ((box.item,), None), lambda aux, children: Box(*children))


def test_dataclasses() -> None:
    @tree.register_dataclass
    @dataclasses.dataclass(frozen=True)
    class Auto:
        w: Any
        n: int = dataclasses.field(metadata={"static": True}, default=3)

    @dataclasses.dataclass
    class Named:
        x: Any
        kind: str

    tree_util.register_dataclass(Named, data_fields=["x"], meta_fields=["kind"])
    assert tree.map(lambda v: -v, Auto(1.0)) == Auto(-1.0)
    assert tree.map(lambda v: -v, Named(1.0, "k")) == Named(-1.0, "k")
    assert tree.structure(Auto(1.0, 4)) != tree.structure(Auto(1.0, 5))


def test_older_names() -> None:
    assert tree_util.tree_leaves(TREE) == tree.leaves(TREE)
    assert tree_util.tree_map(lambda v: v, TREE) == TREE
    assert set(tree_util.__all__) <= set(dir(tree_util))
    assert fg.tree is tree

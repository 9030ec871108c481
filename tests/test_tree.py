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
    assert tree.map_with_path(lambda path, x: (path, x), [5]) == [((0,), 5)]


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

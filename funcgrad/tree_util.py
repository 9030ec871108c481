"""JAX's older names for pytrees: ``tree_map``, ``tree_flatten``, ... ; see `funcgrad.tree`."""

from __future__ import annotations

from funcgrad.tree import (
    TreeDef,
    register_dataclass,
    register_pytree_node,
    register_pytree_node_class,
)
from funcgrad.tree import all as tree_all
from funcgrad.tree import flatten as tree_flatten
from funcgrad.tree import leaves as tree_leaves
from funcgrad.tree import map as tree_map
from funcgrad.tree import map_with_path as tree_map_with_path
from funcgrad.tree import reduce as tree_reduce
from funcgrad.tree import structure as tree_structure
from funcgrad.tree import transpose as tree_transpose
from funcgrad.tree import unflatten as tree_unflatten

PyTreeDef = TreeDef

__all__ = [
    "PyTreeDef",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "tree_all",
    "tree_flatten",
    "tree_leaves",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
]

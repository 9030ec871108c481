"""Did a user's function return what can be traced?  Its leaves, or an error that names the one that is no array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad import tree
from funcgrad.errors import at_line
from funcgrad.trace.frame import type_of

RETURNS = "must return arrays and numbers (or pytrees of them)"


def checked_leaves(claim: str, output: Any) -> tuple[list[Any], tree.TreeDef]:
    """The leaves and the structure of an output; `claim` says who must return what, for the message."""
    leaves, structure = tree.flatten(output)
    check_leaves(claim, leaves, structure)
    return leaves, structure


def check_leaves(claim: str, leaves: Sequence[Any], structure: tree.TreeDef) -> None:
    """A `TypeError`, with its key path, for a leaf that is neither an array nor a number."""
    for number, leaf in enumerate(leaves):
        try:
            type_of(leaf)
        except TypeError as error:
            path = structure.paths()[number]
            where = f" at {tree.key_string(path)}" if path else ""
            raise TypeError(f"{claim}, but{where}: {error}{at_line()}") from None

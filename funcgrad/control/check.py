"""How does a check of the user's look in a program?  The primitive ``check``, which ``experimental.checkify`` collects.

Where nobody collects it, it raises: at once on known values, and from compiled code when the program runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from funcgrad import tree
from funcgrad.control.callback import staged
from funcgrad.errors import CheckError, SourceLocation, at_line
from funcgrad.ir.primitive import Values
from funcgrad.ir.types import ArrayType
from funcgrad.ops.families import Operation, repeat
from funcgrad.trace.frame import bind


class Message(NamedTuple):
    """What a failed check says: a format, the structure of its ``(args, kwargs)``, the line (None: the equation's)."""

    format: str
    structure: tree.TreeDef
    source: SourceLocation | None = None

    def text(self, values: Sequence[Any]) -> str:
        """The message for values of the arguments."""
        args, kwargs = tree.unflatten(self.structure, [np.asarray(x)[()] for x in values])
        line = at_line(self.source) if self.source else ""
        return self.format.format(*args, **kwargs) + line


def _reference(ok: Any, *values: Any, message: Message, debug: bool) -> Values:
    failed = np.flatnonzero(~np.asarray(ok, bool))
    if failed.size and not debug:
        index = np.unravel_index(failed[0], np.shape(ok))
        raise CheckError(message.text([np.asarray(x)[index] for x in values]))
    return ()


def _infer(ok: ArrayType, *values: ArrayType, message: Message, debug: bool) -> tuple[ArrayType, ...]:
    if ok.dtype != np.bool_:
        raise TypeError(f"check: the condition is a boolean, not {ok}")
    return ()


def _batch(size: int, inputs: Values, batched: Sequence[bool], params: dict[str, Any]) -> Any:
    """One check for all examples; the message tells of the first one that fails."""
    full = [x if b else repeat(x, size) for x, b in zip(inputs, batched, strict=True)]
    return bind(check, *full, **params), ()


check: Operation = Operation(
    name="check",
    family="nondifferentiable",
    reference=_reference,
    infer=_infer,
    batch=_batch,
    evaluate=staged(lambda: check),
    impure=True,
    multiple=True,
)

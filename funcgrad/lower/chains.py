"""Which kernel follows a product band by band?  One that reads each row of the product once, while it is in the cache.

A bias and an activation after a product read and write all of it again. Where the inner dimension is long that is
nothing (measured: 0.8 % of a product of 128 x 512 x 784, 1.5 % of 2048 x 512 x 512); where it is short, and the result
larger than the cache, it is not (15 % of 4096 x 1024 x 64, 46 % of 4096 x 1024 x 16): there the product and the kernel
take turns on bands of rows, in one buffer if nothing else reads the product (13 % and 11 % then).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from funcgrad.ir.program import Var
from funcgrad.lower.loops import Constant, Kernel, Load, Loop, Op, Operand, Store, Value, operands, walk
from funcgrad.lower.products import Product
from funcgrad.lower.schedule import KernelStep

LONGEST = 128  # inner dimension of a product whose result is worth keeping in the cache
LEAST_BYTES = 1 << 20  # of a result that does not stay there by itself
BAND_BYTES = 1 << 18
LEAST_ROWS = 16


@dataclass(frozen=True, eq=False, slots=True)
class Chain:
    """A product and the kernel that follows, in bands of rows.

    Attributes
    ----------
    scale
        How many steps of the kernel's range there are in a row.
    band
        How many rows are worked on at a time.
    """

    product: Product
    tail: KernelStep
    scale: int
    band: int

    @property
    def buffers(self) -> tuple[Any, ...]:
        """The buffers that the steps read and write."""
        return (self.product.x.var, self.product.y.var, self.product.out, *self.tail.buffers)


def apart(steps: Sequence[Any]) -> list[Any]:
    """The steps, a chain as the product and the kernel that it is made of."""
    return [x for step in steps for x in ((step.product, step.tail) if isinstance(step, Chain) else (step,))]


def chained(steps: Sequence[Any], outputs: Collection[Var]) -> list[Any]:
    """The steps, those that can take turns joined."""
    out: list[Any] = []
    for number, step in enumerate(steps):
        before = out[-1] if out else None
        if isinstance(before, Product) and isinstance(step, KernelStep):
            chain = _chain(before, step)
            if chain is not None:
                later = (v for s in apart(steps[number + 1 :]) for v in _buffers(s))
                kept = before.beta or before.out in outputs or before.out in set(later)  # or something is added to it
                out[-1] = chain if kept else _in_place(chain)
                continue
        out.append(step)
    return out


def _buffers(step: Any) -> Sequence[Any]:
    return (step.x.var, step.y.var) if isinstance(step, Product) else step.buffers


def _in_place(chain: Chain) -> Chain:
    """The chain whose kernel writes over the product, if there is a result of its type, stored where it is read."""
    kernel, buffers = chain.tail.kernel, chain.tail.buffers
    source = buffers.index(chain.product.out)
    everything = list(walk(kernel.body))
    places = {i.index for i in everything if isinstance(i, Load) and i.buffer == source}
    for number, (buffer, var) in enumerate(zip(kernel.buffers, buffers, strict=True)):
        if not buffer.written or var.type.nbytes != chain.product.out.type.nbytes:
            continue
        stores = {i.index for i in everything if isinstance(i, Store) and i.buffer == number}
        read = any(isinstance(i, Load) and i.buffer == number for i in everything)
        if len(places) == 1 and stores == places and not read and buffer.dtype == kernel.buffers[source].dtype:
            tail = dataclasses.replace(
                chain.tail,
                kernel=kernel._replace(aliased=True),
                buffers=tuple(var if v is chain.product.out else v for v in buffers),
            )
            return dataclasses.replace(chain, product=chain.product._replace(out=var), tail=tail)
    return chain


def _chain(product: Product, tail: KernelStep) -> Chain | None:
    rows, width = product.batch * product.m, product.n * product.out.type.dtype.itemsize
    if (
        product.lie
        or product.k > LONGEST
        or rows * width < LEAST_BYTES
        or product.out not in tail.buffers
        or tail.total % rows
    ):
        return None
    scale = tail.total // rows
    if scale not in (1, product.n) or not _keeps_to_rows(tail, product.out, product.n if scale == 1 else 1):
        return None
    return Chain(product, tail, scale, max(LEAST_ROWS, BAND_BYTES // width))


def _keeps_to_rows(step: KernelStep, var: Var, width: int) -> bool:
    """Whether each step of the kernel's range reads only its own `width` elements of a buffer, and none is written."""
    kernel = step.kernel
    outer = kernel.body[-1] if kernel.body else None
    if not isinstance(outer, Loop) or (outer.start, outer.stop) != (kernel.first, kernel.last) or outer.carries:
        return False
    number = step.buffers.index(var)
    everything = list(walk(kernel.body))
    if kernel.buffers[number].written or _mentions_range(kernel, outer):
        return False
    made = {i.result: i for i in everything if isinstance(i, Op)}
    inner = {i.index: i for i in everything if isinstance(i, Loop) and i is not outer}
    extents = dict(zip(kernel.sizes, step.sizes, strict=True))
    loads = [i for i in everything if isinstance(i, Load) and i.buffer == number]
    return all(_own(load.index, outer.index, width, made, inner, extents) for load in loads)


def _mentions_range(kernel: Kernel, outer: Loop) -> bool:
    """Whether anything but the outermost loop's bounds depends on which piece this is."""
    ends = {kernel.first, kernel.last}
    return any(x in ends for i in walk(kernel.body) if i is not outer for x in operands(i))


def _own(
    index: Operand, row: Value, width: int, made: dict[Any, Op], inner: dict[Any, Loop], extents: dict[Any, Any]
) -> bool:
    """Whether an index is ``row * width`` plus the index of a loop over at most `width` (``row`` itself for 1)."""
    if width == 1:
        return index == row

    def number(x: Operand) -> Any:
        return x.value if isinstance(x, Constant) else extents.get(x)

    op = made.get(index)
    if op is None or op.name != "add":
        return False
    start, column = op.operands
    base, loop = made.get(start), inner.get(column)
    if base is None or loop is None or base.name != "mul" or base.operands[0] != row:
        return False
    return bool(number(base.operands[1]) == width and number(loop.start) == 0 and number(loop.stop) == width)

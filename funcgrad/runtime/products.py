"""How does a product of matrices run?  As a step that BLAS or tiles compute, cut into pieces as its sizes say."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable

from funcgrad.compile.native import Step, gemm_address, gemm_integers, gemm_way
from funcgrad.compile.native.blocking import Block
from funcgrad.compile.native.gemm import Way
from funcgrad.ir.program import Var
from funcgrad.lower.products import Product

PIECE_FLOPS = 4e6  # multiplications and additions of a product's piece that is worth handing over
LINES, LEAST_LINES = 16, 64  # rows or columns in each piece: a multiple, and at least
MANY_LINES = 512  # in a piece when there are more than `SOME_PIECES`: every piece packs the other operand anew
SOME_PIECES, MOST_PIECES = 4, 16  # two for each thread of a small machine: one that is interrupted leaves its second


def start(products: Iterable[Product]) -> None:
    """Have the kernels of a program's products compiled (or read) while its own are."""
    for dtype, way in {(product.dtype, _way(product, _shared(product))[0]) for product in products}:
        _start(dtype, way)


@functools.cache
def _start(dtype: str, way: Way) -> None:
    threading.Thread(target=gemm_address, args=(dtype, "batch", way), name="funcgrad-products", daemon=True).start()


def native_step(product: Product, slots: dict[Var, int], band: int = 0) -> Step:
    """A library product; with `band` in pieces of so many rows."""
    m, n, k, x, y, out = product.m, product.n, product.k, product.x, product.y, product.target
    over, lines, chunk = shared = ("rows", product.batch * m, band) if band else _shared(product)
    way, block = _way(product, shared)
    integers = gemm_integers(
        (slots[x.var], slots[y.var], slots[out.var]),
        (m, n, k),
        product.dtype,
        transposed=(x.transposed, y.transposed),
        leading=(x.leading, y.leading, out.leading),
        strides=(x.strides[1], y.strides[1], out.strides[1]),
        offsets=(x.offset, y.offset, out.offset),
        inner=product.inner,
        outer=(x.strides[0], y.strides[0], out.strides[0]),
        alpha=product.alpha,
        beta=product.beta,
        block=block,
    )
    return Step(gemm_address(product.dtype, over, way), integers, lines, chunk)


def _way(product: Product, shared: tuple[str, int, int]) -> tuple[Way, Block]:
    over, _, chunk = shared
    m, n, k, x, y = product.m, product.n, product.k, product.x, product.y
    narrow = over == "columns" and n % LINES == 0  # else the last piece has another width
    piece = (min(m, chunk) if over == "rows" else m, min(n, chunk) if narrow else n, k)
    return gemm_way(piece, product.dtype, (x.transposed, y.transposed), (x.leading, product.target.leading))


def _shared(product: Product) -> tuple[str, int, int]:
    """What a product is cut along, its longer side (as sizes say) when it is worth several threads, how much of that
    there is, and how much in a piece.
    """
    rows = product.batch * product.m
    over, lines = ("columns", product.n) if product.batch == 1 and product.n > product.m else ("rows", rows)
    pieces = min(lines // LEAST_LINES, max(SOME_PIECES, lines // MANY_LINES), MOST_PIECES)
    worth = PIECE_FLOPS / 4 if min(product.m, product.n, product.k) < 32 else PIECE_FLOPS  # small ones multiply slower
    pieces = min(pieces, int(2.0 * rows * product.n * product.k / worth))
    if pieces < 2:
        return "batch", product.batch, 0
    chunk = -(-lines // pieces)
    return over, lines, -(-chunk // LINES) * LINES

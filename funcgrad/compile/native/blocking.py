"""Into which blocks is a product cut so that BLAS need not copy its operands?

OpenBLAS copies ("packs") both operands of a product before it multiplies, in code that for a transposed operand is not
vectorised; with few rows that takes longer than the multiplication. For CPUs with AVX-512 it has routines that read
the operands where they lie, and calls them for products of up to 10⁶ multiplications. Larger ones get there in blocks.

Measured with OpenBLAS 0.3.31 on one thread of a Xeon with AVX-512 (times as parts of the whole product's, with
operands that begin at a cache line; a product is ``m x n x k``):

===============================  =======  =======
product                          float32  float64
===============================  =======  =======
8 x 512 x 512                       0.33     0.54
32 x 512 x 128                      0.62     0.74
128 x 512 x 128                     0.84     0.91
256 x 256 x 256                     0.86     0.86
128 x 512 x 2048, A transposed      0.82     1.03
8 x 512 x 512, B transposed         0.17     0.41
32 x 128 x 512, B transposed        0.46     0.59
===============================  =======  =======

Over 900 products that `block` cuts, of each dtype, the means were 0.48 to 0.74. Vectors that lie across cache lines
take 1.5 times as long, so blocks are left to BLAS whole there, with the same bits: terms are added in the same order
where alpha is 1, beta 0 or 1, and rows of C are whole lines (8,289 products of 8,289). Dot products, which gain in any
place, add in an order of their own, everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

LINE = 64  # bytes of a cache line, and of a vector
LARGEST = 1_000_000  # multiplications of a product that OpenBLAS computes without copies
CORES = frozenset(("SkylakeX", "Cooperlake", "SapphireRapids"))  # OpenBLAS's names of CPUs with such routines
STEP, WIDTH = 16, 64  # rows of a block, or a multiple of them; columns, unless the product has fewer
DOTS = 32  # rows of a block of dot products, and columns, or half as many
TERMS = 256  # of the sums that a block adds up, at most


class Shape(NamedTuple):
    """``alpha * op(A)[m, k] @ op(B)[k, n] + beta * C[m, n]`` in row-major order, the bytes of an element, and whether
    the products are only added up: alpha is 1, and beta 0 or 1.
    """

    m: int
    n: int
    k: int
    a_transposed: bool
    b_transposed: bool
    itemsize: int
    plain: bool = True


class Block(NamedTuple):
    """Rows and columns of C, and terms of its sums, in a block; zeros where the product is left whole."""

    rows: int
    columns: int
    terms: int


WHOLE = Block(0, 0, 0)


def block(shape: Shape) -> Block:
    """The largest block of a product, or `WHOLE`."""
    if shape.m <= 1 or shape.n <= 1 or shape.k < 32:
        return WHOLE
    return _dots(shape) if shape.b_transposed and not shape.a_transposed else _vectors(shape)


def _vectors(shape: Shape) -> Block:
    """Where the columns of B, or the rows of A, are read in vectors."""
    m, n, k = shape[:3]
    if m * n * k <= LARGEST or not shape.plain or n * shape.itemsize % LINE:
        return WHOLE
    few = (m <= 32 and n <= 1024) or (m <= 256 and n <= 512)
    short = k <= 64 and n <= 512 and m * n * shape.itemsize <= 1 << 20
    if not (few or short):
        return WHOLE
    terms = _even(k, TERMS)
    return Block(min(m, LARGEST // (terms * WIDTH * STEP) * STEP), min(n, WIDTH), terms)


def _dots(shape: Shape) -> Block:
    """Where both operands lie along k: the routine takes up to 1,024 dot products at a time, and all of k."""
    m, n, k = shape[:3]
    if k < (64 if m <= 32 else 128) or m * shape.itemsize > 200 or n * k * shape.itemsize > 1 << 21:
        return WHOLE
    columns = LARGEST // (DOTS * k) // STEP * STEP
    if not columns or (m * n <= DOTS**2 and m * n * k <= LARGEST):
        return WHOLE
    return Block(min(m, DOTS), min(n, columns, DOTS), k)


def _even(count: int, most: int) -> int:
    """A whole cut into as few parts of the same size as can be."""
    return -(-count // -(-count // most))

"""Which products are better computed without BLAS, or by BLAS in blocks?  On CPUs with AVX-512, most.

OpenBLAS copies ("packs") both operands of a product before it multiplies, in code that for a transposed operand is not
vectorised. For CPUs with AVX-512 it has routines that read the operands where they lie, and calls them for products of
up to 10⁶ multiplications; they are as fast as tiles, unless B is transposed. Larger products are `tiled` (see `tiles`),
but not where C is narrow, so that tiles would be cut off, or where a transposed A lies across so many cache lines that
they push each other out, and C has many columns, for which BLAS's copies of A pay (1.1 times BLAS's time). With few
rows and a transposed B there is a better way: dot products by BLAS in blocks, a fifth to nine tenths of its time for
the whole.

Measured with OpenBLAS 0.3.31 on one thread of a Xeon with AVX-512, whose peak is 172 and 86 GFLOP/s (times of tiles as
parts of BLAS's, with operands 16 bytes behind the begin of a cache line; a product is ``m x n x k``):

==============================  =======  =======
product                         float32  float64
==============================  =======  =======
8 x 512 x 512                      0.49     0.65
32 x 512 x 128                     0.67     0.71
128 x 512 x 784                    0.88     0.91
128 x 100 x 512                    0.99     0.82
512 x 512 x 512                    0.99     1.03
256 x 512 x 256, A transposed      0.92     0.96
784 x 512 x 128, A transposed      0.88     0.86
512 x 128 x 512, A transposed      0.93     0.80
50176 x 64 x 288                   0.63     0.57
32 x 512 x 128, B transposed       0.51     0.76
128 x 512 x 256, B transposed      0.77     0.86
512 x 512 x 64, B transposed       0.88     0.91
==============================  =======  =======

Columns that do not fill a tile are `narrow`, where BLAS packs, where B is small and transposed, and where a vector or
two are filled. BLAS also waits for rows of A or C that lie far apart (those of one member of a batch that stands
between the axes, say); tiles ask for them ahead.

==================================================  =======  =======
product, narrow / BLAS                              float32  float64
==================================================  =======  =======
20000 x 10 x 10                                           –     0.56
10 x 10 x 20000, A transposed                             –     0.43
20000 x 28 x 28                                        0.63        –
28 x 28 x 20000, A transposed                          0.50        –
2000 x 12 x 500, 2000 x 28 x 500                       0.64     0.46
1000 x 10 x 10 of a batch                                 –     0.78
1000 x 10 x 10 of a batch, B transposed                0.67     0.48
1000 x 20 x 20 of a batch, B transposed                0.72     0.69
the same, rows of A and C 25 times as far apart        0.56     0.35
1000 x 32 x 32, rows as far apart (tiled)              0.37     0.44
==================================================  =======  =======

Where the operands lie, and how a product is cut for threads, changes no bit of what tiles compute.
"""

from __future__ import annotations

from typing import NamedTuple

LARGEST = 1_000_000  # multiplications of a product that OpenBLAS computes without copies
CORES = frozenset(("SkylakeX", "Cooperlake", "SapphireRapids"))  # OpenBLAS's names of CPUs with such routines
WIDTH = 128  # bytes of a row of a tile
FAR = 1 << 20  # bytes over which the columns of a transposed A may lie, or rows: half of the second-level cache
SEVERAL = 256  # columns of C, for which a transposed A that lies so far apart is better written down than copied
LEAST = 6  # columns that are worth a narrow tile, where A is not small
STEP, DOTS = 16, 32  # columns of a block of dot products, or a multiple of them; rows, and columns at most


class Shape(NamedTuple):
    """``op(A)[m, k] @ op(B)[k, n]`` in row-major order, the bytes of an element, and how far apart the rows of A,
    and those of C, lie in memory, in elements.
    """

    m: int
    n: int
    k: int
    a_transposed: bool
    b_transposed: bool
    itemsize: int
    leading: int
    out_leading: int


class Block(NamedTuple):
    """Rows and columns of C in a block; zeros where the product is left whole."""

    rows: int
    columns: int


WHOLE = Block(0, 0)


def far(shape: Shape) -> bool:
    """Whether rows of A or C lie so far apart that BLAS, which asks for none of them ahead, waits for most."""
    apart = max(shape.leading * (shape.leading > shape.k), shape.out_leading * (shape.out_leading > shape.n))
    return not shape.a_transposed and shape.m >= DOTS and shape.m * apart * shape.itemsize > FAR


def fits(shape: Shape, share: float = 3 / 4) -> bool:
    """Whether the columns of C fill the tiles of `tiles`, or nearly so."""
    width = WIDTH // shape.itemsize
    return shape.n >= share * -(-shape.n // width) * width


def narrow(shape: Shape) -> bool:
    """Whether a product takes less time in tiles of no more columns than there are."""
    m, n, k = shape[:3]
    width, packed, double = WIDTH // shape.itemsize, m * n * k > LARGEST, shape.itemsize == 8
    if min(m, n) <= 1 or n == width or n >= 2 * width or (fits(shape) and n > width and (packed or far(shape))):
        return False
    if shape.a_transposed:
        if shape.b_transposed:
            return n < width and packed and m >= 2 * DOTS and k <= DOTS
        most = n >= LEAST and packed and (double or min(m, k) <= 128)
        return n < width and (most or (2 * n > width and k >= 256))
    if shape.b_transposed:
        return m >= 2 * DOTS and (k <= 2 * DOTS or far(shape) or (packed and double and m >= 2 * k))
    return (n >= LEAST and (packed or far(shape))) or width < 2 * n < 2 * width


def tiled(shape: Shape) -> bool:
    """Whether a product takes less time in tiles."""
    m, n, k = shape[:3]
    if min(m, n) <= 1 or not fits(shape):
        return False
    if shape.a_transposed and k * shape.leading * shape.itemsize > FAR and (n > SEVERAL or not fits(shape, 7 / 8)):
        return False
    if shape.b_transposed and not shape.a_transposed:
        many = 8 * m * n * k > LARGEST and (m >= DOTS or (m >= DOTS // 2 and k <= 128) or k < 64)
        return many or far(shape)
    return m * n * k > LARGEST or far(shape)


def block(shape: Shape) -> Block:
    """The largest block of a product that is not tiled, or `WHOLE`."""
    m, n, k = shape[:3]
    if min(m, n) <= 1 or not shape.b_transposed or shape.a_transposed:
        return WHOLE
    if k < (64 if m <= 32 else 128) or m * shape.itemsize > 200 or n * k * shape.itemsize > 1 << 21:
        return WHOLE
    columns = LARGEST // (DOTS * k) // STEP * STEP
    if not columns or (m * n <= DOTS**2 and m * n * k <= LARGEST):
        return WHOLE
    return Block(min(m, DOTS), min(n, columns, DOTS))

"""How does a program multiply matrices?  Kernels that call BLAS, one thread per call, on batches or on ranges of rows;
or `tiles`, or `narrow` ones, in its place, as `blocking` decides.

Their integers are, in the order of `Parameter`: three slots, the row-major problem
``C[m, n] = alpha * op(A)[m, k] @ op(B)[k, n] + beta * C``, per operand the distance between batch members and the
offset of the first, in elements, and likewise for stacks of so many members (the heads of each example of a batch).
``fg_gemm_f4``, ... (per dtype) run over the batch members ``first ... last``; ``fg_gemm_rows_f4``, ... over rows of C,
those of all members one after another (``batch * m`` of them), and ``fg_gemm_columns_f4``, ... over columns of the
only member's C, so that the pool can share one product out: along the longer side, since every piece packs all of the
other operand.  A product whose inner dimension is the long one is shared out as a batch over blocks of k, whose
members write partial sums.

BLAS is column-major, so it is asked for ``C.T = op(B).T @ op(A).T``.  Numbers are handed over as addresses of 64-bit
words: a routine that reads 32-bit integers, and one that reads 64-bit integers, both see the right number there on a
little-endian machine, as do float32 and float64 scalars. Complex scalars take two words where they need them.

BLAS's own threads stay out of it.  They wait for each other by spinning, which on a busy machine was seen to turn half
a millisecond into twenty, and their number changes the last bits of a result.  While any kernel of ours runs, BLAS
has one thread; then it has its own number again, for NumPy's products.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import Enum, IntEnum
from typing import NamedTuple

from funcgrad.compile.native.blocking import WHOLE, Block
from funcgrad.compile.native.text import Function, Module, Value
from funcgrad.compile.native.vectors import REALS

Parameter = IntEnum(
    "Parameter",
    "SLOT_A SLOT_B SLOT_C M N K TRANS_A TRANS_B LDA LDB LDC ALPHA ALPHA_END BETA BETA_END "
    "STRIDE_A STRIDE_B STRIDE_C OFFSET_A OFFSET_B OFFSET_C INNER OUTER_A OUTER_B OUTER_C "
    "BLOCK_ROWS BLOCK_COLUMNS",
    start=0,
)


class Way(Enum):
    """How a product of matrices is computed: by BLAS, as a whole or in blocks, or without it."""

    WHOLE, IN_BLOCKS, TILED, NARROW = range(4)


OWN = {Way.TILED: "fg_tiles_product", Way.NARROW: "fg_narrow_product"}
"""The ways that need no BLAS, and what multiplies then."""

SIZES = (Parameter.M, Parameter.N, Parameter.K, Parameter.LDA, Parameter.LDB, Parameter.LDC)
"""What BLAS takes as integers of its own."""

DTYPES = {"f4": ("s", "float", 4), "f8": ("d", "double", 8), "c8": ("c", "float", 8), "c16": ("z", "double", 16)}
"""dtype: (BLAS's letter, LLVM's type of a number or of its parts, bytes)."""

ROUTINES = tuple(f"{letter}{routine}" for letter, _, _ in DTYPES.values() for routine in ("gemm", "gemv"))
"""What BLAS must have; the external symbols are ``fg_sgemm``, ..."""

_KERNEL = {"bufs": "ptr", "ints": "ptr", "first": "i64", "last": "i64"}
GUARD = "fg_blas_guard"  # the words that say who uses BLAS: one block, of which every dtype's kernels know
Guard = IntEnum("Guard", "LOCK USERS SAVED", start=0)
_LOCK, _USERS, _SAVED = (8 * which for which in Guard)


def integers(
    slots: tuple[int, int, int],
    sizes: tuple[int, int, int],
    dtype: str,
    *,
    transposed: tuple[bool, bool] = (False, False),
    leading: tuple[int, int, int] | None = None,
    alpha: float = 1.0,
    beta: float = 0.0,
    strides: tuple[int, int, int] = (0, 0, 0),
    offsets: tuple[int, int, int] = (0, 0, 0),
    inner: int = 1 << 62,
    outer: tuple[int, int, int] = (0, 0, 0),
    block: Block = WHOLE,
) -> list[int]:
    """The integers of one product, in the order of `Parameter`.

    `slots`, `leading`, `strides`, `offsets` and `outer` are those of A, B and C; `sizes` is (m, n, k).  Without
    `leading` the stored matrices are contiguous.  Members of the batch are `strides` apart; after `inner` of them the
    next stack begins, `outer` from the last one.  BLAS is called block by block (see `blocking`).
    """
    m, n, k = sizes
    plain = (m if transposed[0] else k, k if transposed[1] else n, n)
    scalars = [word for value in (alpha, beta) for word in _words(value, dtype)]
    last = (*strides, *offsets, max(inner, 1), *outer, *block)
    return [*slots, *sizes, *map(int, transposed), *(leading or plain), *scalars, *last]


def _words(value: float, dtype: str) -> tuple[int, int]:
    """A number of the dtype, as the integers whose low bytes it is."""
    form = "<f" if DTYPES[dtype][1] == "float" else "<d"
    return struct.unpack("<qq", struct.pack(form, value).ljust(16, b"\0"))


def define(module: Module, controls: bool, dtypes: Iterable[str] = DTYPES, way: Way = Way.IN_BLOCKS) -> None:
    """Define the kernels; `controls`: whether ``fg_blas_get_threads`` and ``fg_blas_set_threads`` exist."""
    define_guard(module, controls)
    for dtype in dtypes:
        _define_kernels(module, dtype)
        _define_part(module, dtype, way if dtype in REALS else Way.WHOLE)
        _define_scale(module, dtype)


def _define_kernels(module: Module, dtype: str) -> None:
    with module.function(f"fg_gemm_{dtype}", "void", **_KERNEL) as f:
        f.call("fg_blas_enter", returns="void")
        with f.range(f.last - f.first) as step:
            batch = f.first + step
            whole = 0, _word(f, Parameter.M), 0, _word(f, Parameter.N)
            f.call(f"fg_gemm_part_{dtype}", f.bufs, f.ints, batch, *whole, returns="void")
        f.call("fg_blas_leave", returns="void")
        f.ret()
    with module.function(f"fg_gemm_rows_{dtype}", "void", **_KERNEL) as f:
        f.call("fg_blas_enter", returns="void")
        m = _word(f, Parameter.M)
        row = f.variable("i64", f.first)
        with f.while_(lambda: row.get() < f.last):
            batch = row.get() // m
            within = row.get() - batch * m
            here, wanted = m - within, f.last - row.get()
            rows = f.select(here < wanted, here, wanted)
            band = within, rows, 0, _word(f, Parameter.N)
            f.call(f"fg_gemm_part_{dtype}", f.bufs, f.ints, batch, *band, returns="void")
            row.set(row.get() + rows)
        f.call("fg_blas_leave", returns="void")
        f.ret()
    with module.function(f"fg_gemm_columns_{dtype}", "void", **_KERNEL) as f:
        f.call("fg_blas_enter", returns="void")
        columns = 0, _word(f, Parameter.M), f.first, f.last - f.first
        f.call(f"fg_gemm_part_{dtype}", f.bufs, f.ints, 0, *columns, returns="void")
        f.call("fg_blas_leave", returns="void")
        f.ret()


class _Part(NamedTuple):
    """A part of one member of the batch: the operands' addresses, and those of what differs from the whole."""

    f: Function
    dtype: str
    rows: Value
    columns: Value
    a: Value
    b: Value
    c: Value

    @property
    def letter(self) -> str:
        """That of BLAS's routines."""
        return DTYPES[self.dtype][0]

    def place(self, which: int) -> Value:
        """The address of a parameter."""
        p = Parameter
        own = {p.M: self.rows, p.N: self.columns}.get(p(which))
        return self.f.ints + 8 * which if own is None else own

    def flag(self, which: int, inverted: bool = False) -> Value:
        """The address of BLAS's ``'N'`` or ``'T'``."""
        f = self.f
        yes, no = ("N", "T") if inverted else ("T", "N")
        chosen = f.select(_word(f, which).is_not(0), f.constant("i64", ord(yes)), f.constant("i64", ord(no)))
        return f.variable("i64", chosen).place

    def strides(self, trans: int, leading: int) -> tuple[Value, Value]:
        """The distances of an operand's rows and columns, as it is multiplied."""
        f = self.f
        as_is, one, far = _word(f, trans).is_(0), f.constant("i64", 1), _word(f, leading)
        return f.select(as_is, far, one), f.select(as_is, one, far)

    def increment(self, trans: int, leading: int, column: bool) -> Value:
        """The address of the distance between the elements of a vector: 1 or its leading dimension."""
        f = self.f
        one, far = f.constant("i64", 1), _word(f, leading)
        transposed = _word(f, trans).is_not(0)
        chosen = f.select(transposed, one, far) if column else f.select(transposed, far, one)
        return f.variable("i64", chosen).place


def _define_part(module: Module, dtype: str, way: Way) -> None:
    """``fg_gemm_part``: a block of C, by the routine that fits."""
    size = DTYPES[dtype][2]
    p = Parameter
    block = dict.fromkeys(("batch", "row", "rows", "column", "columns"), "i64")
    with module.function(f"fg_gemm_part_{dtype}", "void", bufs="ptr", ints="ptr", **block) as f:
        n = f.columns
        with f.if_((f.rows <= 0) | (n <= 0)):
            f.ret()
        a_row = f.select(_word(f, p.TRANS_A).is_(0), f.row * _word(f, p.LDA), f.row)
        b_column = f.select(_word(f, p.TRANS_B).is_(0), f.column, f.column * _word(f, p.LDB))
        part = _Part(
            f,
            dtype,
            f.variable("i64", f.rows).place,
            f.variable("i64", f.columns).place,
            _operand(f, (p.SLOT_A, p.OFFSET_A, p.OUTER_A, p.STRIDE_A), size) + a_row * size,
            _operand(f, (p.SLOT_B, p.OFFSET_B, p.OUTER_B, p.STRIDE_B), size) + b_column * size,
            _operand(f, (p.SLOT_C, p.OFFSET_C, p.OUTER_C, p.STRIDE_C), size)
            + (f.row * _word(f, p.LDC) + f.column) * size,
        )
        # BLAS refuses leading dimensions of 0, so an empty sum is ours.
        with f.if_(_word(f, p.K) <= 0):
            f.call(f"fg_scale_{dtype}", f.ints, part.c, f.rows, n, returns="void")
            f.ret()
        with f.if_(n.is_(1)):
            _matrix_vector(part)
            f.ret()
        with f.if_(f.rows.is_(1)):
            _vector_matrix(part)
            f.ret()
        if way is Way.IN_BLOCKS:
            with f.if_(_word(f, p.BLOCK_ROWS).is_not(0)):
                _blocks(part, size)
                f.ret()
        if way in OWN:
            _without_blas(part, OWN[way])
        else:
            _product(part)
        f.ret()


def _word(f: Function, which: int) -> Value:
    return f.load(f.ints, 8 * which)


def _operand(f: Function, parameters: tuple[int, int, int, int], size: int) -> Value:
    slot, offset, outer, stride = (_word(f, p) for p in parameters)
    inner = _word(f, Parameter.INNER)
    stack = f.batch // inner
    place = offset + stack * outer + (f.batch - stack * inner) * stride
    return f.load(f.bufs, slot * 8, "ptr") + place * size


def _product(part: _Part) -> None:
    p, at = Parameter, part.place
    part.f.call(
        f"fg_{part.letter}gemm",
        *(part.flag(p.TRANS_B), part.flag(p.TRANS_A)),
        *(at(p.N), at(p.M), at(p.K), at(p.ALPHA), part.b, at(p.LDB), part.a, at(p.LDA), at(p.BETA), part.c, at(p.LDC)),
        returns="void",
    )


def _without_blas(part: _Part, routine: str) -> None:
    """The product in tiles."""
    f, p = part.f, Parameter
    alpha, beta = (_scalar(part, which) for which in (p.ALPHA, p.BETA))
    f.call(
        f"{routine}_{part.dtype}",
        *(f.load(part.rows), f.load(part.columns), _word(f, p.K)),
        *(part.a, *part.strides(p.TRANS_A, p.LDA), part.b, *part.strides(p.TRANS_B, p.LDB)),
        *(alpha, beta, part.c, _word(f, p.LDC)),
        returns="void",
    )


def _scalar(part: _Part, which: int) -> Value:
    return part.f.load(part.place(which), 0, DTYPES[part.dtype][1])


def _blocks(part: _Part, size: int) -> None:
    """The product, block by block."""
    f, p = part.f, Parameter
    a_row, b_column = part.strides(p.TRANS_A, p.LDA)[0], part.strides(p.TRANS_B, p.LDB)[1]
    with (
        f.in_parts(f.load(part.rows), _word(f, p.BLOCK_ROWS)) as (row, rows),
        f.in_parts(f.load(part.columns), _word(f, p.BLOCK_COLUMNS)) as (column, columns),
    ):
        a, b = part.a + row * a_row * size, part.b + column * b_column * size
        c = part.c + (row * _word(f, p.LDC) + column) * size
        height, width = (f.variable("i64", length).place for length in (rows, columns))
        _product(part._replace(rows=height, columns=width, a=a, b=b, c=c))


def _matrix_vector(part: _Part) -> None:
    """One column: ``c = op(A) @ b``, where BLAS sees a row-major A as its transpose."""
    p = Parameter
    stored_as_is = _word(part.f, p.TRANS_A).is_(0)
    lengths = part.place(p.K), part.place(p.M)
    matrix = part.flag(p.TRANS_A, inverted=True), stored_as_is, lengths, part.a, part.place(p.LDA)
    _gemv(part, matrix, (part.b, part.increment(p.TRANS_B, p.LDB, column=True)), part.place(p.LDC))


def _vector_matrix(part: _Part) -> None:
    """One row: ``c = op(B).T @ a``; B's transpose is what BLAS sees anyway."""
    p = Parameter
    stored_as_is = _word(part.f, p.TRANS_B).is_(0)
    lengths = part.place(p.N), part.place(p.K)
    matrix = part.flag(p.TRANS_B), stored_as_is, lengths, part.b, part.place(p.LDB)
    one = part.f.variable("i64", 1).place
    _gemv(part, matrix, (part.a, part.increment(p.TRANS_A, p.LDA, column=False)), one)


def _gemv(
    part: _Part,
    matrix: tuple[Value, Value, tuple[Value, Value], Value, Value],
    vector: tuple[Value, Value],
    c_increment: Value,
) -> None:
    """`matrix`: flag, whether it is stored untransposed, its column-major rows and columns then, address, leading."""
    f, p = part.f, Parameter
    flag, stored_as_is, (rows, columns), address, leading = matrix
    f.call(
        f"fg_{part.letter}gemv",
        *(flag, f.select(stored_as_is, rows, columns), f.select(stored_as_is, columns, rows)),
        *(part.place(p.ALPHA), address, leading, *vector, part.place(p.BETA), part.c, c_increment),
        returns="void",
    )


def _define_scale(module: Module, dtype: str) -> None:
    """``fg_scale(ints, c, rows, columns)``: ``C *= beta``, a real number, and zero, whatever C holds, for beta = 0."""
    _, real, size = DTYPES[dtype]
    parts = 2 if dtype[0] == "c" else 1
    with module.function(f"fg_scale_{dtype}", "void", ints="ptr", c="ptr", rows="i64", columns="i64") as f:
        beta = f.load(f.ints, 8 * Parameter.BETA, real)
        zero = f.constant(real, "0.0")
        is_zero = f.emit("i1", f"fcmp oeq {beta}, {zero.name}")
        with f.range(f.rows) as row, f.range(f.columns * parts) as column:
            place = f.c + (row * _word(f, Parameter.LDC) * parts + column) * (size // parts)
            scaled = f.emit(real, f"fmul {f.load(place, 0, real)}, {beta.name}")
            f.store(f.select(is_zero, zero, scaled), place)
        f.ret()


def define_guard(module: Module, controls: bool) -> None:
    """``fg_blas_enter`` and ``fg_blas_leave``: BLAS has one thread while anyone is in between."""
    with module.function("fg_blas_enter", "void") as f:
        if controls:
            guard = _lock(f)
            with f.if_(f.load(guard, _USERS).is_(0)):
                threads = f.call("fg_blas_get_threads", returns="i32")
                f.store(f.cast_int(threads, "i64"), guard, _SAVED)
                with f.if_(threads.is_not(1)):
                    f.call("fg_blas_set_threads", f.constant("i32", 1), returns="void")
            f.store(f.load(guard, _USERS) + 1, guard, _USERS)
            f.atomic_store(0, guard, _LOCK)
        f.ret()
    with module.function("fg_blas_leave", "void") as f:
        if controls:
            guard = _lock(f)
            f.store(f.load(guard, _USERS) - 1, guard, _USERS)
            with f.if_(f.load(guard, _USERS).is_(0)):
                saved = f.load(guard, _SAVED)
                with f.if_(saved > 1):
                    f.call("fg_blas_set_threads", f.cast_int(saved, "i32"), returns="void")
            f.atomic_store(0, guard, _LOCK)
        f.ret()


def _guard(f: Function) -> Value:
    return f.module.outside(f, GUARD)


def _lock(f: Function) -> Value:
    guard = _guard(f)
    with f.loop():
        with f.if_(f.compare_exchange(guard, _LOCK, 0, 1)):
            f.break_()
        f.call("sched_yield", returns="i32")
    return guard

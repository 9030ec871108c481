"""How does a program become an object file?  Its kernels, tables and constants in one module, with what runs them.

Addresses in a program's tables know what lies there (`engine.Address`): here they become symbols again. The driver,
memory, loops, products and sorts are those of `support`, which needs nothing but C's library: everything runs on the
calling thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from funcgrad.compile import engine
from funcgrad.compile.engine import Address, Symbol
from funcgrad.compile.native import attention, driver, gemm, hosts, loops, own_blas, own_sort, tiles
from funcgrad.compile.native.standalone import STRAIGHT, Layout, core, declarations, integers_of, status_form
from funcgrad.compile.native.text import Module
from funcgrad.compile.native.vectors import REALS
from funcgrad.compile.passes import Effort

HEADER = 64  # bytes before a block of memory; also its alignment
BLAS = ("own", "cblas")


def object_code(layout: Layout, name: str, messages: Mapping[int, str], blas: str = "own") -> bytes:
    """An object file with the functions `name` and ``name_message``.

    Parameters
    ----------
    layout
        A portable one.
    name
        An identifier of C's; `NameTaken` is raised where the code has another function of that name.
    messages
        What ``name_message`` says, by status.
    blas
        Where products come from: ``"own"`` loops, or ``"cblas"``, the functions of that name.
    """
    image = _Image()
    text = "\n".join([*image.main(layout), *_messages(messages)])
    parts = [(text, {"fg_call": name, "fg_message": f"{name}_message"}), *image.parts.items()]
    for module in _support(image.needed, blas):
        parts.append((str(module), {n: n for n in module.defined()}))
    return engine.to_linked_object(parts, (name, f"{name}_message"))


class _Image:
    """What a program refers to.

    Attributes
    ----------
    parts
        Modules, each with the names that its definitions get.
    needed
        Names that the runtime defines.
    """

    def __init__(self) -> None:
        self.parts: dict[str, dict[str, str]] = {}
        self.needed: set[str] = set()
        self._tables: dict[int, str] = {}
        self._lines: list[str] = []

    def main(self, layout: Layout) -> Iterator[str]:
        """The text of the program's function."""
        words, starts = integers_of(layout.steps)
        kernels = {step.kernel: self.symbol(step.kernel) for step in layout.steps}
        yield self._words("integers", words)
        if len(layout.steps) > STRAIGHT:
            rows = zip(layout.steps, starts, strict=True)
            table = [x for s, k in rows for x in (s.kernel, f"ptrtoint (ptr {_after('integers', k)} to i64)")
                     + (s.total, s.chunk)]  # fmt: skip
            yield self._words("steps", table)
        for k, value in enumerate(layout.template):
            if isinstance(value, np.ndarray):
                yield f'@constant_{k} = internal constant [{value.nbytes} x i8] c"{_bytes(value)}", align 64'
        yield from self._lines
        yield from core(layout, kernels, starts)
        yield from status_form(layout)
        yield from declarations(["fg_share", "fg_run", "fg_alloc", "fg_free"])
        for symbol in dict.fromkeys([*kernels.values(), *self._symbols()]):
            if symbol not in self._tables.values():
                yield f"declare void @{symbol}(ptr, ptr, i64, i64) nounwind"

    def symbol(self, address: int) -> str:
        """The name in the object of what lies at an address."""
        assert isinstance(address, Address)
        of = address.of
        assert of is not None
        if not isinstance(of, Symbol):
            return self._table(of)
        if of.name.startswith(_OURS):
            self.needed.add(of.name)
            return of.name
        names = self.parts.setdefault(of.text, {})
        return names.setdefault(of.name, f"part{len(self.parts)}_{of.name}")

    def _table(self, words: Sequence[int]) -> str:
        name = self._tables.get(id(words))
        if name is None:
            name = self._tables[id(words)] = f"words_{len(self._tables)}"
            self._lines.append(self._words(name, words))
        return name

    def _symbols(self) -> Iterator[str]:
        yield from self.needed
        for names in self.parts.values():
            yield from names.values()

    def _words(self, name: str, words: Sequence[int | str]) -> str:
        values = ", ".join(f"i64 {self._word(word)}" for word in words)
        return f"@{name} = internal constant [{len(words)} x i64] [{values}], align 8"

    def _word(self, word: int | str) -> str:
        return f"ptrtoint (ptr @{self.symbol(word)} to i64)" if isinstance(word, Address) else str(word)


def _after(name: str, words: int) -> str:
    return f"getelementptr (i8, ptr @{name}, i64 {8 * words})"


def _bytes(value: np.ndarray) -> str:
    return "".join(map("\\{:02X}".format, value.tobytes()))


def _messages(messages: Mapping[int, str]) -> Iterator[str]:
    """``const char *fg_message(int64_t status)``."""
    cases = []
    for k, (status, message) in enumerate({**messages, 1 << 63: "an unknown status"}.items()):
        text = message.encode()
        shown = "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:02X}" for b in text)
        yield f'@text_{k} = internal constant [{len(text) + 1} x i8] c"{shown}\\00"'
        cases.append((k, status))
    yield "define ptr @fg_message(i64 %status) nounwind {"
    yield f"  %mine = icmp slt i64 %status, 0\n  %low = and i64 %status, {(1 << loops.COUNT_BITS) - 1}"
    yield "  %code = select i1 %mine, i64 %status, i64 %low"
    *known, (other, _) = cases
    targets = " ".join(f"i64 {status}, label %case{k}" for k, status in known)
    yield f"  switch i64 %code, label %case{other} [{targets}]"
    for k, _ in cases:
        yield f"case{k}:\n  ret ptr @text_{k}"
    yield "}"


# What runs it ---------------------------------------------------------------------------------------------------------

_OURS = ("fg_chain", "fg_gemm_", "fg_attention_", "fg_sort_", *loops.KERNELS, hosts.POLL)


def _support(needed: set[str], blas: str) -> Iterator[Module]:
    """The modules that define what a program needs."""
    runtime = Module()
    driver.define(runtime)
    _define_share(runtime)
    _define_memory(runtime)
    if any(name in loops.KERNELS or name.startswith(hosts.POLL) for name in needed):
        hosts.define_polls(runtime, python=False)
        loops.define(runtime)
    products = sorted({name.split("_")[-1] for name in needed if name.startswith("fg_gemm_")})
    gemm.define(runtime, False, products, gemm.Way.WHOLE if blas == "cblas" else gemm.Way.TILED)
    yield runtime
    attending = {name.split("_")[-1] for name in needed if name.startswith("fg_attention_")}
    real = sorted(attending | ({*products} & {*REALS} if blas == "own" else set()))
    if real:
        registers = Module(Effort.REGISTERS)
        tiles.define_turns(registers, real)
        tiles.define(registers, real)
        for dtype in sorted(attending):
            attention.define(registers, dtype)
        yield registers
    fast = Module(Effort.ALL)
    own_blas.define(fast, products, blas == "cblas")
    for name in sorted(needed):
        if name.startswith("fg_sort_"):
            own_sort.define(fast, name)
    yield fast


def _define_share(module: Module) -> None:
    """``fg_share(kernel, ints, total, chunk, bufs)``: the same pieces that threads would share, one after the other."""
    kinds = {"kernel": "ptr", "ints": "ptr", "total": "i64", "chunk": "i64", "bufs": "ptr"}
    with module.function("fg_share", "void", **kinds) as f:
        with f.range((f.total + f.chunk - 1) // f.chunk) as piece:
            first = piece * f.chunk
            rest = f.total - first
            last = f.select(rest < f.chunk, f.total, first + f.chunk)
            f.call(f.kernel, f.bufs, f.ints, first, last, returns="void")
        f.ret()


def _define_memory(module: Module) -> None:
    """``fg_alloc(bytes)`` and ``fg_free``: aligned memory of C's library."""
    with module.function("fg_alloc", "ptr", bytes="i64") as f:
        whole = f.call("malloc", f.bytes + 2 * HEADER, returns="ptr")
        with f.if_(whole.is_(0)):
            f.ret(f.constant("ptr", 0))
        place = f.pointer((f.cast_int(whole, "i64") + 2 * HEADER - 1) & -HEADER)
        f.store(whole, place + (-8))
        f.ret(place)
    with module.function("fg_free", "void", block="ptr") as f:
        f.call("free", f.load(f.block + (-8), 0, "ptr"), returns="void")
        f.ret()

"""Is each kernel compiled once, whoever asks for it?"""

from __future__ import annotations

import ctypes
import gc
import re
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import config
from funcgrad.compile import compiler, engine
from funcgrad.compile.compiler import Code, canonical, compile_kernels, native_library, symbol_of
from funcgrad.compile.native.text import Module
from funcgrad.lower.loops import Constant, Kernel
from tests.compile.builder import elementwise, run


def scaled(factor: float) -> Kernel:
    return elementwise(lambda b, x: b.op("mul", x, Constant(factor, "f8")), ["f8"], "f8")


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The texts that LLVM compiles, starting from empty caches."""
    texts: list[str] = []
    original = engine.to_object

    def recording(text: str) -> bytes:
        texts.append(text)
        return original(text)

    monkeypatch.setattr(engine, "to_object", recording)
    monkeypatch.setenv(config.CACHE_DIR, str(tmp_path / "cache"))
    monkeypatch.delenv(config.CACHE, raising=False)
    kept = dict(compiler._entries)
    compiler.clear()
    yield texts
    compiler.clear()
    compiler._entries.update(kept)


def check(code: Code, factor: float) -> None:
    x, out = np.arange(10.0), np.zeros(10)
    assert run(code.address, [x, out], [], 0, 10) == 0
    np.testing.assert_array_equal(out, factor * x)


def test_many_kernels(compiled: list[str]) -> None:
    codes = compile_kernels([scaled(k) for k in range(6)])
    for k, code in enumerate(codes):
        check(code, k)
    assert len(compiled) == 6
    assert compile_kernels([]) == []


def test_equal_kernels_are_compiled_once(compiled: list[str]) -> None:
    first, second, other = compile_kernels([scaled(2.0), scaled(2.0), scaled(3.0)])
    assert first == second != other
    assert compile_kernels([scaled(3.0)]) == [other]
    assert len(compiled) == 2


def test_the_disk_keeps_them(compiled: list[str]) -> None:
    compile_kernels([scaled(2.0)])
    compiler.clear()
    (code,) = compile_kernels([scaled(2.0)])
    check(code, 2.0)
    assert len(compiled) == 1


def test_threads_that_ask_at_once_share_one_compilation(compiled: list[str]) -> None:
    barrier = threading.Barrier(8)
    results: list[list[Code]] = []

    def ask() -> None:
        barrier.wait()
        results.append(compile_kernels([scaled(k) for k in range(3)]))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(result == results[0] for result in results)
    assert len(compiled) == 3


def test_a_failure_is_raised_and_not_remembered(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(engine, "load", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("no memory")))
        with pytest.raises(RuntimeError, match="no memory"):
            compile_kernels([scaled(2.0), scaled(3.0)])
    codes = compile_kernels([scaled(2.0), scaled(3.0)])
    check(codes[1], 3.0)


def test_what_nobody_holds_is_unloaded(compiled: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (held,) = compile_kernels([scaled(2.0)])
    dropped = weakref.ref(compile_kernels([scaled(3.0)])[0])
    compiler.clear()
    gc.collect()
    assert dropped() is None
    check(held, 2.0)
    monkeypatch.setattr(compiler, "MOST_KERNELS", 2)
    compile_kernels([scaled(k) for k in range(5)])
    compile_kernels([scaled(7)])
    assert len(compiler._entries) == 2


def test_a_compiled_function_outlives_the_caches() -> None:
    f = fg.jit(lambda x: np.exp(x) * 0.37)
    entry = f.lower(np.ones(70)).compile()
    expected = f(np.ones(70))
    fg.clear_caches()
    gc.collect()
    np.testing.assert_array_equal(entry(np.ones(70)), expected)
    np.testing.assert_array_equal(f(np.ones(70)), expected)


def test_symbols_carry_the_hash(compiled: list[str]) -> None:
    compile_kernels([scaled(2.0)])
    symbol = symbol_of(canonical(scaled(2.0)))
    assert f"define void @{symbol}(" in compiled[0]
    assert symbol != symbol_of(canonical(scaled(3.0)))


def test_modules_written_by_hand_are_cached_too(compiled: list[str]) -> None:
    text = (
        "declare i64 @fg_outside(i64)\ndefine i64 @fg_twice(i64 %x) {\n"
        "  %y = call i64 @fg_outside(i64 %x)\n  %z = add i64 %y, %y\n  ret i64 %z\n}\n"
    )
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    for offset in (1, 2):  # the code is the same for every address that it is linked to
        outside = function(lambda x, offset=offset: x + offset)
        address = ctypes.cast(outside, ctypes.c_void_p).value
        assert address is not None
        library = native_library("test", text, {"fg_outside": address})
        assert function(library.address("fg_twice"))(5) == 2 * (5 + offset)
    assert len(compiled) == 1
    with pytest.raises(RuntimeError, match="'broken'"):
        native_library("broken", "define nonsense")


def test_a_module_in_two_parts_is_one_library_and_each_part_is_cached(
    compiled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("funcgrad.compile.native.text.cores", lambda: 2)
    module = Module()
    for name, times in (("fg_part_double", 2), ("fg_part_triple", 3)):
        with module.function(name, "i64", x="i64") as f:
            f.ret(f.x * times)
    with module.function("fg_part_all", "i64", x="i64") as f:
        double = module.reference(f, "fg_part_double")
        f.ret(f.call("fg_part_triple", f.call(double, f.x)))
    second, first = module.parts(["fg_part_triple"])
    assert re.findall(r"^define i64 @(\w+)", first, re.M) == ["fg_part_triple"]
    assert re.findall(r"^define i64 @(\w+)", second, re.M) == ["fg_part_double", "fg_part_all"]
    function = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    for _ in range(2):
        library = native_library("parts", str(module), parts=(first, second))
        assert function(library.address("fg_part_all"))(7) == 42
        address = library.address("fg_part_double")
        assert isinstance(address.of, engine.Symbol)
        assert address.of.text == str(module)  # what leaves the process needs no second module
    assert sorted(compiled) == sorted([first, second])


def test_one_core_compiles_a_module_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.compile.native.text.cores", lambda: 1)
    module = Module()
    for name in ("fg_one", "fg_two"):
        with module.function(name, "i64") as f:
            f.ret(1)
    assert module.parts(["fg_one"]) == [str(module)]

"""Does IR become code that can be called, linked and read?"""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from funcgrad import config
from funcgrad.compile import cpus, engine
from funcgrad.compile.llvm import print_kernel
from funcgrad.compile.native.text import Module
from funcgrad.compile.passes import Effort, effort_of
from tests.compile.builder import elementwise, run

SQUARE = "define i64 @square(i64 %x) {\n  %y = mul i64 %x, %x\n  ret i64 %y\n}\n"
CALLER = (
    "declare i64 @helper(i64)\ndefine i64 @twice(i64 %x) {\n"
    "  %y = call i64 @helper(i64 %x)\n  %z = add i64 %y, %y\n  ret i64 %z\n}\n"
)
FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
CROWDED = """
import ctypes
from funcgrad.compile import cpus, engine

body = "\\n".join(f"  %v{i + 1} = fadd double %v{i}, %x" for i in range(1200))  # two pages of code
text = f"define double @f(double %x) {{\\n  %v0 = fadd double 0.625, %x\\n{body}\\n"
image = engine.to_object(text + "  %r = fsub double %v1200, 1199.625\\n  ret double %r\\n}")
engine.load(engine.to_object("define void @g() { ret void }")).address("g")

system = ctypes.CDLL(None)
system.mmap.restype = ctypes.c_void_p
system.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
system.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
NOTHING, RESERVED, HERE = 0, 0x4022, 0x104022  # no access; private, anonymous, without memory; and at this address


def reserve(size, start=None, flags=RESERVED):
    return system.mmap(start, size, NOTHING, flags, -1, 0)


wall, far, near = reserve(8 << 30), reserve(1 << 30), reserve(64 * 4096)
lines = [line.split() for line in open("/proc/self/maps")]
ranges = [(*(int(bound, 16) for bound in line[0].split("-")), line[-1]) for line in lines]
for (_, end, _), (start, _, name) in zip(ranges, ranges[1:]):
    if end < start and (end > wall or start - end > 1 << 30) and name not in ("[stack]", "[vsyscall]"):
        reserve(start - end, end, HERE)
for page in range(0, 64, 2):
    system.munmap(near + page * 4096, 4096)
system.munmap(far, 1 << 30)
library = engine.load(image)
print(ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("f"))(1.0))
"""


def test_code_runs() -> None:
    library = engine.load(engine.to_object(SQUARE))
    assert FUNCTION(library.address("square"))(12) == 144
    assert library.address("square") == library.address("square")


def test_symbols_link_one_library_to_another() -> None:
    square = engine.load(engine.to_object(SQUARE))
    caller = engine.load(engine.to_object(CALLER), {"helper": square.address("square")})
    assert FUNCTION(caller.address("twice"))(3) == 18


def test_several_objects_make_one_library_and_find_each_other() -> None:
    helper = SQUARE.replace("@square", "@helper")
    for texts in ([helper, CALLER], [CALLER, helper]):
        library = engine.load([engine.to_object(text) for text in texts])
        assert FUNCTION(library.address("twice"))(3) == 18
        assert FUNCTION(library.address("helper"))(3) == 9


def test_libraries_may_define_equal_symbols() -> None:
    first = engine.load(engine.to_object(SQUARE))
    second = engine.load(engine.to_object(SQUARE.replace("mul", "add")))
    assert FUNCTION(first.address("square"))(5) == 25
    assert FUNCTION(second.address("square"))(5) == 10


def test_a_dropped_library_takes_no_other_with_it() -> None:
    kept = engine.load(engine.to_object(SQUARE))
    address = kept.address("square")
    for _ in range(20):
        dropped = engine.load(engine.to_object(SQUARE))
        assert dropped.address("square") != address
        del dropped
    assert FUNCTION(address)(7) == 49


def test_linkers_go_with_their_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LIBRARIES", 3)
    monkeypatch.setattr(engine, "_linkers", [])
    image = engine.to_object(SQUARE)
    kept = [engine.load(image) for _ in range(2)]
    linkers = [weakref.ref(engine._loaded[library._name].linker) for library in kept]
    for _ in range(12):
        dropped = engine.load(image)
        linkers.append(weakref.ref(engine._loaded[dropped._name].linker))
        assert FUNCTION(dropped.address("square"))(6) == 36
    del dropped
    engine.unload()
    assert len({linker() for linker in linkers} - {None}) <= 3  # the one in use, and those of what is kept
    assert [FUNCTION(library.address("square"))(5) for library in kept] == [25, 25]


@pytest.mark.skipif(sys.platform != "linux", reason="reads and fills the address space as Linux shows it")
def test_code_finds_its_constants_in_a_crowded_address_space() -> None:
    """The only room near one another is a page; what is larger lies eight gigabytes away."""
    done = subprocess.run([sys.executable, "-c", CROWDED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2.0\n"


def test_unknown_symbols_are_errors() -> None:
    with pytest.raises(RuntimeError, match="cube"):
        engine.load(engine.to_object(SQUARE)).address("cube")
    with pytest.raises(RuntimeError, match="twice"):
        engine.load(engine.to_object(CALLER)).address("twice")


def test_bad_text_is_an_error_that_shows_it() -> None:
    with pytest.raises(RuntimeError, match="expected type") as raised:
        engine.to_object("define nonsense")
    assert "define nonsense" in str(raised.value)


def test_object_code_is_the_same_on_every_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(engine.to_object, [SQUARE] * 40))) == 1


def test_people_can_read_it() -> None:
    assert "square:" in engine.assembly(SQUARE)
    assert "mul i64 %x, %x" in engine.optimised(SQUARE)


@pytest.mark.parametrize(("effort", "variables"), [(Effort.LEAST, True), (Effort.REGISTERS, False)])
def test_a_module_says_how_much_is_done_for_it(effort: Effort, variables: bool) -> None:
    module = Module(effort)
    with module.function("triangle", "i64", n="i64") as f:
        total = f.variable("i64", 0)
        with f.range(f.n) as i:
            total.set(total.get() + i)
        f.ret(total.get())
    text = str(module)
    code = engine.optimised(text)
    assert effort_of(text) is effort
    assert ("alloca" in code) is variables
    assert "br i1" in code  # a formula in the place of the loop is for Effort.ALL
    assert FUNCTION(engine.load(engine.to_object(text)).address("triangle"))(5) == 10


def test_a_target_machine_serves_one_module_after_the_other() -> None:
    key = (*cpus.target(), effort_of(SQUARE).level)
    first = engine.to_object(SQUARE)
    kept = list(engine._idle[key])
    assert engine.to_object(SQUARE) == first
    assert list(map(id, engine._idle[key])) == list(map(id, kept))


def test_another_cpu_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    host = cpus.identity()
    monkeypatch.setenv(config.CPU, "generic")
    assert cpus.target() == ("generic", "")
    assert cpus.identity() != host
    assert FUNCTION(engine.load(engine.to_object(SQUARE)).address("square"))(3) == 9


@pytest.mark.parametrize("cpu", ["", "generic"])
def test_half_precision_needs_no_instructions_for_it(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(config.CPU, cpu)
    halves = np.arange(1 << 16, dtype="u2").view("f2")
    floats = halves.astype("f4")
    with np.errstate(all="ignore"):
        middles = (floats[:-1] + floats[1:]) / 2
        steps = [np.nextafter(middles, np.float32(end)) for end in (-np.inf, np.inf)]
    values = np.concatenate([floats, *steps, middles, np.float32([65519.9, 65520.0, 1e30, -1e30, 1e-45])])
    for source, result in ((halves, "f4"), (values, "f2")):
        kernel = elementwise(lambda b, x, to=result: b.op("cast", x, dtype=to), [source.dtype.str[1:]], result)
        out = np.zeros(source.size, result)
        library = engine.load(engine.to_object(print_kernel(kernel, "kernel")))
        run(library.address("kernel"), [source, out], [], 0, source.size)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(out, source.astype(result))


def test_what_a_failure_leaves_is_collected_in_any_order() -> None:
    """A module must go before its context: on Python 3.13 the process ended in `gc.collect`."""
    text = "define void @f() { ret void }\ndefine void @g() { call void @f()\n ret void }"
    for _ in range(3):
        try:
            engine.to_linked_object([(text, {"f": "other"})], ["f"])
        except engine.NameTaken as error:
            error.itself = error  # type: ignore[attr-defined]  # a cycle, with the traceback in it
    gc.collect()

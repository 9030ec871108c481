"""Do entries take exactly the leaves they were made for, leak nothing, and agree with the slow call?"""

from __future__ import annotations

import gc
import resource
import signal
import sys
import threading

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import native
from funcgrad.compile.native import bridge, layout
from tests.compile.native_kernels import address

I8, F4, F8 = np.dtype(np.int64), np.dtype(np.float32), np.dtype(np.float64)


class Result(np.ndarray):
    """Stands for `fg.Array`."""

    __slots__ = ()


class Other(np.ndarray):
    """A subclass that programs know nothing of."""


@pytest.fixture(name="make", params=["fast", "slow"])
def _make(request, monkeypatch):
    """`make_entry` with and without the fast call."""
    if request.param == "slow":
        monkeypatch.setattr(native.runtime(), "_fast", False)
    return native.make_entry


def program(n=12, shape=None, chunk=0, steps=None, **options):
    """``x + 1`` on int64."""
    shape = (n,) if shape is None else shape
    steps = [native.Step(address("add_one"), [1, 2], int(np.prod(shape)), chunk)] if steps is None else steps
    inputs, outputs = [native.ArrayInput(1, I8, shape)], [native.Output(2, I8, shape)]
    return native.describe(inputs, outputs, [None] * 3, steps, **{"result_type": Result, **options})


def echo(spec, shape=()):
    """The value of one leaf, as an array."""
    output = native.Output(2, spec.dtype, shape)
    step = native.Step(address("copy"), [1, 2, spec.dtype.itemsize * int(np.prod(shape))], 1, 0)
    return native.describe([spec], [output], [None] * 3, [step])


def test_this_interpreter_has_the_fast_call():
    assert layout.matches()
    assert native.runtime().fast


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3, 4), (3, 100_000), (1 << 18,)])
@pytest.mark.parametrize("release_gil", [False, True])
def test_results_are_arrays_that_the_caller_owns(make, shape, release_gil):
    x = np.arange(int(np.prod(shape))).reshape(shape)
    entry = make(program(shape=shape, release_gil=release_gil))
    first, second = entry([x]), entry([x])
    for results in (first, second):
        (y,) = results
        np.testing.assert_array_equal(y, x + 1)
        assert type(y) is Result
        assert (y.dtype, y.shape) == (I8, shape)
        assert y.flags.c_contiguous
        assert y.flags.writeable
        assert y.flags.aligned
    first[0][...] = 0
    np.testing.assert_array_equal(second[0], x + 1)


def test_entries_accept_their_own_results_and_read_only_arrays(make):
    entry = make(program())
    y = entry(entry([np.arange(12)]))[0]
    np.testing.assert_array_equal(y, np.arange(12) + 2)
    y.flags.writeable = False
    assert entry([y])[0][0] == 3


REFUSED = {
    "dtype": np.zeros(12),
    "narrower": np.zeros(12, np.int32),
    "unsigned": np.zeros(12, np.uint64),
    "shape": np.zeros(13, np.int64),
    "rank": np.zeros((12, 1), np.int64),
    "zero-d": np.array(1),
    "strides": np.zeros(24, np.int64)[::2],
    "reversed": np.arange(12)[::-1],
    "big-endian": np.arange(12).astype(">i8"),
    "unaligned": np.frombuffer(bytes(97), np.uint8)[1:].view(np.int64),
    "subclass": np.arange(12).view(Other),
    "python": 3,
    "none": None,
    "list": [0] * 12,
    "scalar": np.int64(3),
}
CONVERTIBLE = {"strides", "reversed", "big-endian", "unaligned", "subclass"}


@pytest.mark.parametrize("what", REFUSED)
def test_other_leaves_take_the_slow_path(what):
    descriptor, leaf = program(), REFUSED[what]
    entry = native.make_entry(descriptor)
    assert entry([leaf]) is None
    if what in CONVERTIBLE:
        (y,) = native.slow_call(descriptor, [leaf])
        np.testing.assert_array_equal(y, np.asarray(leaf) + 1)
        assert type(y) is Result
    elif what not in {"none", "list"}:
        with pytest.raises((TypeError, ValueError), match="a leaf of"):
            native.slow_call(descriptor, [leaf])
    assert entry([np.arange(12)])[0][-1] == 12, "a refusal leaves the entry as it was"


@pytest.mark.parametrize("leaves", [(), (np.arange(12),), None, {}, [], [np.arange(12)] * 2])
def test_leaves_are_a_list_of_the_right_length(leaves):
    assert native.make_entry(program())(leaves) is None


def test_slow_call_counts_leaves():
    with pytest.raises(TypeError, match="1 leaves expected, 2 given"):
        native.slow_call(program(), [np.arange(12)] * 2)


VALUES = [
    (float, F8, [0.1, -0.0, float("inf"), 1e308]),
    (float, F4, [0.1, -1.5, 3.0e38]),
    (int, F8, [0, -3, 2**53 + 1, -(2**63)]),
    (int, F4, [7, 2**24 + 1, 2**62 + 2**38 + 1]),
    *[(int, np.dtype(t), [0, 1, np.iinfo(t).max, np.iinfo(t).min]) for t in ("i1", "i2", "i4", "i8", "u1", "u2", "u4")],
    (int, np.dtype("u8"), [0, 2**63 - 1]),
    *[(bool, np.dtype(t), [True, False]) for t in ("?", "i1", "u8", "i8", "f4", "f8")],
    *[(t, np.dtype(t), [t(1), t(0)]) for t in (np.bool_, np.int8, np.uint16, np.int64, np.float16, np.float32)],
    (np.float64, F8, [np.float64(0.1)]),
    (np.complex64, np.dtype("c8"), [np.complex64(1 - 2j)]),
    (np.complex128, np.dtype("c16"), [np.complex128(0.1 + 0.2j)]),
    (complex, np.dtype("c16"), [0.1 - 0.2j, complex(float("inf"), -0.0)]),
]


@pytest.mark.parametrize(("type_", "dtype", "values"), VALUES, ids=lambda v: getattr(v, "__name__", None))
def test_scalars_arrive_as_numpy_converts_them(make, type_, dtype, values):
    entry = make(echo(native.ScalarInput(1, type_, dtype)))
    for value in values:
        (y,) = entry([type_(value)])
        assert y.tobytes() == np.array(value, dtype).tobytes()


@pytest.mark.parametrize(
    ("type_", "dtype", "refused"),
    [
        (float, F8, [1, True, np.float64(1), np.array(1.0), None]),
        (int, I8, [1.0, True, np.int64(1), 2**63, -(2**63) - 1]),
        (int, np.dtype("i1"), [128, -129]),
        (int, np.dtype("u1"), [256, -1]),
        (int, np.dtype("u8"), [2**63, -1]),
        (int, F8, [2**63]),
        (bool, np.dtype("?"), [1, 0.0, np.True_]),
        (np.float32, F4, [1.0, np.float64(1)]),
    ],
)
def test_other_scalars_are_refused(type_, dtype, refused):
    entry = native.make_entry(echo(native.ScalarInput(1, type_, dtype)))
    assert [entry([value]) for value in refused] == [None] * len(refused)


@pytest.mark.parametrize(("dtype", "value"), [("i1", 128), ("u1", -1), ("i8", 2**63)])
def test_slow_call_refuses_integers_that_do_not_fit(dtype, value):
    with pytest.raises(OverflowError):
        native.slow_call(echo(native.ScalarInput(1, int, np.dtype(dtype))), [value])


@pytest.mark.parametrize(("type_", "dtype", "value"), [(int, I8, 1.5), (bool, np.dtype("?"), 1), (float, F4, 1j)])
def test_slow_call_never_changes_a_value(type_, dtype, value):
    with pytest.raises(TypeError, match="is given where the program takes"):
        native.slow_call(echo(native.ScalarInput(1, type_, dtype)), [value])


@pytest.mark.parametrize(("type_", "dtype"), [(float, I8), (float, np.dtype("f2")), (np.float32, F8), (str, F8)])
def test_conversions_that_do_not_exist_are_an_error_of_the_caller(type_, dtype):
    with pytest.raises(ValueError, match="is not handed over as"):
        echo(native.ScalarInput(1, type_, dtype))


def test_constants_and_temporaries_have_their_slots(make):
    constant = np.arange(100) * 10
    steps = [native.Step(address("add_one"), [a, b], 100, 7) for a, b in ((1, 3), (3, 4), (4, 2), (5, 6))]
    slots = [None, None, None, 64, 64 + 1024, constant, None]
    inputs = [native.ArrayInput(1, I8, (100,))]
    outputs = [native.Output(slot, I8, (100,)) for slot in (2, 6)]
    descriptor = native.describe(inputs, outputs, slots, steps, 64 + 2048)
    del constant
    entry = make(descriptor)
    for _ in range(3):
        y, z = entry([np.arange(100)])
        np.testing.assert_array_equal(y, np.arange(100) + 3)
        np.testing.assert_array_equal(z, np.arange(100) * 10 + 1)


def test_strided_constants_are_an_error_of_the_caller():
    with pytest.raises(ValueError, match="slot 1 is not contiguous"):
        native.describe([], [], [None, np.arange(4)[::2]], [])


def test_a_failing_kernel_gives_its_status(make):
    entry = make(program(steps=[native.Step(address("fail"), [5], 1, 0)]))
    assert entry([np.arange(12)]) == 5
    assert entry([np.arange(12)]) == 5


def test_a_program_without_leaves(make):
    assert make(native.describe([], [], [None], []))([]) == []


def test_impossible_memory_is_a_memory_error():
    huge = native.describe([], [native.Output(1, I8, (1 << 50,))], [None, None], [])
    with pytest.raises(
        MemoryError, match=r"Unable to allocate 9,007,199,254,740,992 bytes .*\n  at .*test_native_calls"
    ):
        native.make_entry(huge)([])
    arena = native.describe([], [], [None], [], 1 << 55)
    with pytest.raises(MemoryError, match="Unable to allocate 36,"):
        native.make_entry(arena)([])


def test_sizes_that_64_bits_do_not_count_are_refused():
    def total(x):
        return np.sum(np.broadcast_to(x, (2**40, 2**30)))

    for refused in (fg.jit(total), fg.jit(lambda x: np.broadcast_to(x, (2**62,))), lambda x: fg.cfunc(total, (x,))):
        with pytest.raises(ValueError, match=r"too big: .*\n  at .*test_native_calls"):
            refused(1.0)


def test_impossible_shapes_are_numpys_error():
    deep = native.describe([], [native.Output(1, I8, (1,)), native.Output(2, I8, (1,) * 65)], [None] * 3, [])
    with pytest.raises(ValueError, match="number of dimensions"):
        native.make_entry(deep)([])


def test_a_hundred_thousand_calls_leave_nothing_behind():
    x, large = np.arange(12), np.arange(1 << 18)
    entry, big = native.make_entry(program()), native.make_entry(program(1 << 18))
    failing = native.make_entry(program(steps=[native.Step(address("fail"), [5], 1, 0)]))
    huge = native.make_entry(native.describe([], [native.Output(1, I8, (1 << 50,))], [None, None], []))
    scalar = native.make_entry(echo(native.ScalarInput(1, int, I8)))

    def calls(count):
        for _ in range(count):
            entry([x])
            entry([None])
            failing([x])
            scalar([10**6])
        for _ in range(count // 100):
            big([large])
            with pytest.raises(MemoryError):
                huge([])

    watched = [x, large, I8, None, Result, np.ndarray]
    calls(1000)
    gc.collect()
    before = [sys.getrefcount(o) for o in watched]
    in_use, peak = native.runtime().memory()["in_use"], resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls(25_000)
    gc.collect()
    after = [sys.getrefcount(o) for o in watched]
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) < 20
    assert native.runtime().memory()["in_use"] == in_use
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 4096


def test_entries_and_what_they_keep_are_freed():
    class Kept:
        alive = 0

        def __init__(self):
            Kept.alive += 1

        def __del__(self):
            Kept.alive -= 1

    in_use = native.runtime().memory()["in_use"]
    constant = np.arange(12)
    slots = [None, None, None, constant]
    count = sys.getrefcount(constant)
    for _ in range(20):
        inputs, outputs = [native.ArrayInput(1, I8, (12,))], [native.Output(2, I8, (12,))]
        descriptor = native.describe(inputs, outputs, slots, [], 1 << 21, keep=[Kept()])
        entry = native.make_entry(descriptor)
        entry([np.arange(12)])
        assert Kept.alive == 1
        assert native.runtime().memory()["in_use"] >= in_use + (1 << 21)
        del descriptor, entry
        assert Kept.alive == 0
    assert sys.getrefcount(constant) == count
    assert native.runtime().memory()["in_use"] == in_use


def test_an_entry_outlives_its_descriptor():
    entry = native.make_entry(program(steps=[native.Step(address("add_one"), [1, 2], 12, 5)]))
    gc.collect()
    np.testing.assert_array_equal(entry([np.arange(12)])[0], np.arange(12) + 1)


@pytest.mark.parametrize("release_gil", [False, True])
def test_threads_that_share_an_entry_have_frames_of_their_own(release_gil):
    n = 3000
    steps = [native.Step(address("add_one"), [a, b], n, 100) for a, b in ((1, 3), (3, 2))]
    inputs, outputs = [native.ArrayInput(1, I8, (n,))], [native.Output(2, I8, (n,))]
    entry = native.make_entry(
        native.describe(inputs, outputs, [None, None, None, 0], steps, 8 * n, release_gil=release_gil)
    )
    wrong = []

    def work(seed):
        for i in range(100):
            x = np.arange(n) * seed + i
            if not np.array_equal(entry([x])[0], x + 2):
                wrong.append((seed, i))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_unknown_layout_turns_the_fast_call_off(monkeypatch):
    monkeypatch.setattr(layout, "ARRAY_FLAGS", layout.ARRAY_NDIM)
    assert not layout.matches()
    plain = bridge.Runtime(1)
    assert not plain.fast
    entry = plain.make_entry(program())
    np.testing.assert_array_equal(entry([np.arange(24)[::2]])[0], np.arange(0, 24, 2) + 1)


class _TimeIsUp(Exception):
    pass


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers that send signals")
def test_what_a_handler_of_signals_raises_ends_a_loop():
    def handler(*_):
        raise _TimeIsUp("after a while")

    endless = fg.jit(lambda x: fg.lax.while_loop(lambda c: c >= 0, lambda c: c * 0.5, x))
    endless(-1.0)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(_TimeIsUp, match="after a while") as caught:
            endless(1.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert "handler" in [entry.name for entry in caught.traceback]
    assert native.interruption() is None

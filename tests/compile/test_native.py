"""Does the native runtime run steps as the table says, on any number of threads, and live and die well?"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import native
from funcgrad.runtime import sorting
from tests.compile.native_kernels import address


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = native.threads()
    yield
    native.set_threads(before)


def run_steps(buffers, *steps):
    """Run ``(kernel, ints, total, chunk)`` steps on buffers (slots 1, 2, ...) through ``fg_run``."""
    status = np.zeros(1, np.int64)
    bufs = np.array([status.ctypes.data, *(b.ctypes.data for b in buffers)], np.int64)
    integers = [np.array(ints, np.int64) for _, ints, _, _ in steps]
    table = np.array(
        [
            (address(kernel), ints.ctypes.data, total, chunk)
            for (kernel, _, total, chunk), ints in zip(steps, integers, strict=True)
        ],
        np.int64,
    ).reshape(len(steps), 4)
    native.runtime().start_pool()
    return native.runtime().run(table.ctypes.data, len(steps), bufs.ctypes.data)


def test_steps_run_in_order_and_no_step_is_fine():
    x, y, z = np.arange(10), np.zeros(10, np.int64), np.zeros(10, np.int64)
    assert run_steps([x, y, z]) == 0
    assert run_steps([x, y, z], ("add_one", [1, 2], 10, 0), ("add_one", [2, 3], 10, 3)) == 0
    np.testing.assert_array_equal(z, np.arange(10) + 2)


@pytest.mark.parametrize(
    ("total", "chunk", "pieces"),
    [
        (10, 0, [(0, 10)]),
        (10, 10, [(0, 10)]),
        (10, 11, [(0, 10)]),
        (0, 0, [(0, 0)]),
        (0, 4, [(0, 0)]),
        (10, 4, [(0, 4), (4, 8), (8, 10)]),
        (12, 4, [(0, 4), (4, 8), (8, 12)]),
        (3, 1, [(0, 1), (1, 2), (2, 3)]),
    ],
)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pieces_depend_on_the_table_alone(total, chunk, pieces, threads):
    native.set_threads(threads)
    marks = np.full(max(1, len(pieces)), -1, np.int64)
    assert run_steps([marks], ("mark", [1, max(chunk, 1)], total, chunk)) == 0
    assert [(m >> 32, m & 0xFFFFFFFF) for m in marks.tolist()] == pieces


def test_every_piece_runs_once_on_more_threads_than_cores():
    native.set_threads(7)
    counter = np.zeros(1, np.int64)
    for _ in range(50):
        run_steps([counter], ("count", [1], 1000, 1))
    assert counter[0] == 50_000


def test_first_failing_step_ends_the_run_with_its_status():
    counter = np.zeros(1, np.int64)
    steps = [("count", [1], 1, 0), ("fail", [7], 1, 0), ("count", [1], 1, 0)]
    assert run_steps([counter], *steps) == 7
    assert counter[0] == 1
    assert run_steps([counter], ("fail", [3], 8, 1)) == 3


def test_threads_that_call_at_once_do_not_disturb_each_other():
    native.set_threads(4)
    wrong = []

    def work(seed):
        for i in range(60):
            x = np.arange(5000) * (seed + i)
            y, z = np.empty_like(x), np.empty_like(x)
            run_steps([x, y, z], ("add_one", [1, 2], 5000, 64), ("add_one", [2, 3], 5000, 100))
            if not np.array_equal(z, x + 2):
                wrong.append((seed, i))

    callers = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


def test_pool_grows_and_shrinks():
    def alive():
        return sum(t.name.startswith("funcgrad-") and t.name[9:].isdigit() for t in threading.enumerate())

    run_steps([])
    for count in (1, 3, 2, 6, 1):
        native.set_threads(count)
        assert native.threads() == count
        assert alive() == count - 1
        x, y = np.arange(100), np.zeros(100, np.int64)
        run_steps([x, y], ("add_one", [1, 2], 100, 1))
        np.testing.assert_array_equal(y, x + 1)


@pytest.mark.parametrize("count", [0, -1])
def test_at_least_one_thread(count):
    with pytest.raises(ValueError, match="at least one thread"):
        native.set_threads(count)


def in_new_process(code):
    """Run a script that must end well and print ``ok``."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")


_PROGRAM = """
    import numpy as np
    from funcgrad.compile import native
    from tests.compile.native_kernels import address
    i8 = np.dtype(np.int64)
    native.set_threads(3)
    def program(n):
        step = native.Step(address("add_one"), [1, 2], n, max(1, n // 50))
        return native.make_entry(native.describe(
            [native.ArrayInput(1, i8, (n,))], [native.Output(2, i8, (n,))], [None] * 3, [step], 0))
"""


def test_exit_is_clean_while_workers_spin_and_results_live():
    in_new_process(
        _PROGRAM
        + """
    entry = program(1_000_000)
    result = entry([np.arange(1_000_000)])
    assert result[0][-1] == 1_000_000
    print("ok")
    """
    )


def test_exit_is_clean_while_another_thread_computes():
    in_new_process(
        _PROGRAM
        + """
    import threading
    entry = program(1_000_000)
    begun = threading.Event()
    def work():
        while True:
            entry([np.arange(1_000_000)])
            begun.set()
    threading.Thread(target=work, daemon=True).start()
    begun.wait()
    print("ok")
    """
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
def test_a_forked_child_has_a_pool_of_its_own():
    in_new_process(
        _PROGRAM
        + """
    import os, threading, warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python's own about forks of threaded processes
    entry, x = program(1_000_000), np.arange(1_000_000)
    right = lambda: bool((entry([x])[0] == x + 1).all())
    assert right()
    child = os.fork()
    if child == 0:
        fresh = threading.active_count() == 1
        good = all(right() for _ in range(5)) and threading.active_count() == 3
        os._exit(0 if fresh and good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert right()
    print("ok")
    """
    )


def test_a_sort_without_memory_is_told(monkeypatch):
    """NumPy's sort of small integers takes memory of its own."""
    refuses = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)(lambda *_: -1)
    monkeypatch.setattr(sorting, "function_for", lambda dtype, n: ctypes.cast(refuses, ctypes.c_void_p).value)
    sort = fg.jit(lambda x: np.sort(x))
    with pytest.raises(MemoryError, match=r"no memory .*\n  at .*test_native.py"):
        sort(np.arange(77, dtype=np.int8))

"""Do compiled functions live through forks, and get into other processes, whatever the other threads are doing?"""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import forks
from funcgrad.compile import aside, engine
from funcgrad.runtime import pickling

forking = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot fork here")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")  # others'
PATIENCE = 60  # seconds after which a child that waits for ever is ended


def in_child(check: Callable[[], Any], meanwhile: Callable[[], Any] = lambda: None) -> None:
    """Run something in a forked child, which must come to its end."""
    child = os.fork()
    if not child:
        signal.alarm(PATIENCE)
        try:
            check()
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
            os._exit(1)
        os._exit(0)
    meanwhile()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@fg.jit
def energy(x: Any) -> Any:
    return np.sum(np.tanh(x) ** 2)


@fg.jit
def product(x: Any) -> Any:
    return x @ x.T + 1.0


def chain(number: int, x: Any) -> Any:
    """A formula of its own for every number."""
    for digit in np.base_repr(number, 3):
        x = (np.sin, np.cos, np.tanh)[int(digit)](x) + x
    return np.sum(x)


def fresh(number: int) -> Callable[[Any], Any]:
    """A function whose kernel nobody has compiled before."""
    function: Callable[[Any], Any] = fg.jit(lambda x: chain(number, x))
    return function


def check_everything(number: int = 5) -> None:
    """Old and new functions, small and large, products and loops."""
    x, large = np.linspace(0.0, 1.0, 7), np.linspace(0.0, 1.0, 300_000)
    np.testing.assert_allclose(energy(x), np.sum(np.tanh(x) ** 2))
    np.testing.assert_allclose(energy(large), np.sum(np.tanh(large) ** 2))
    np.testing.assert_allclose(fresh(number)(x), chain(number, x))
    np.testing.assert_allclose(product(large[:90_000].reshape(300, 300))[0, 0], np.sum(large[:300] ** 2) + 1)
    total, _ = fg.jit(lambda x: fg.lax.scan(lambda c, a: (c + a, None), 0.0, x))(x)
    np.testing.assert_allclose(total, x.sum())


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = fg.get_num_threads()
    fg.set_num_threads(2)
    yield
    fg.set_num_threads(before)


@forking
def test_a_fork_after_compilations_with_the_pool_running(two_threads: None) -> None:
    check_everything()
    in_child(check_everything)
    in_child(lambda: in_child(check_everything))
    check_everything()


@forking
def test_a_fork_in_the_middle_of_compilations_and_calls(two_threads: None) -> None:
    numbers = iter(range(3**6, 1 << 30))
    x = np.linspace(0.0, 1.0, 100_000)

    def compile_on(stop: threading.Event) -> None:
        while not stop.is_set():
            fresh(next(numbers))(np.ones(3))

    def call_on(stop: threading.Event) -> None:
        while not stop.is_set():
            energy(x)

    for k in range(3):
        stop = threading.Event()
        threads = [threading.Thread(target=work, args=(stop,)) for work in (compile_on, call_on)]
        for thread in threads:
            thread.start()
        try:
            in_child(lambda k=k: check_everything(3**5 + k), stop.set)  # type: ignore[misc]
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@forking
def test_a_fork_waits_for_what_is_being_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    to_object = engine.to_object

    def slow(text: str) -> bytes:
        begun.set()
        go_on.wait(PATIENCE)
        return to_object(text)

    monkeypatch.setattr(engine, "to_object", slow)
    function, x = fresh(3**7 + 1), np.ones(3)
    compiling = threading.Thread(target=function, args=(x,))
    monkeypatch.setenv("FUNCGRAD_CACHE", "0")
    compiling.start()
    assert begun.wait(PATIENCE)
    # The fork of the main thread lets the other one go on, which the hook that was registered last does first.
    releasing.append(go_on)
    in_child(lambda: function(x))
    compiling.join()
    assert aside.working._inside == {}


releasing: list[threading.Event] = []
forks.around(lambda: [event.set() for event in releasing], releasing.clear)


def test_work_that_a_fork_waits_for() -> None:
    work = forks.Work()
    inside, leave, waited = threading.Event(), threading.Event(), threading.Event()

    def other() -> None:
        with work, work:
            inside.set()
            leave.wait(PATIENCE)

    def fork() -> None:
        work._wait()
        waited.set()
        work._go_on()

    with work:  # of this thread's own: it would not wait for itself
        work._wait()
        work._go_on()
    worker, forker = threading.Thread(target=other), threading.Thread(target=fork)
    worker.start()
    assert inside.wait(PATIENCE)
    forker.start()
    assert not waited.wait(0.01)
    leave.set()
    forker.join()
    worker.join()
    assert waited.is_set()
    assert not work._inside


@forking
def test_a_fork_before_the_first_compilation_and_an_end_in_the_middle_of_one() -> None:
    script = """
        import os, threading
        import numpy as np
        import funcgrad as fg

        f = fg.jit(lambda x: np.sum(np.sin(x)))
        child = os.fork()
        assert abs(f(np.ones(100_000)) - 1e5 * np.sin(1.0)) < 1e-6
        if child:
            print(os.waitpid(child, 0)[1])
        begun = threading.Event()
        lowered = fg.jit(lambda x: np.sum(np.cumsum(np.tanh(x) ** 3))).lower(np.ones((3, 4)))
        threading.Thread(target=lambda: (begun.set(), lowered.compile()), daemon=True).start()
        begun.wait()  # the process ends while that is compiled
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


# Pickles --------------------------------------------------------------------------------------------------------------


def decorated_by_value(offset: float) -> Any:
    @fg.jit
    def inner(x: Any) -> Any:
        return x + offset

    return inner


class Model:
    @fg.jit
    def method(self, x: Any) -> Any:
        return x


renamed = fg.jit(np.sin)


def copied(function: Any) -> Any:
    """What another process would read: as if this one had not pickled it."""
    text = pickle.dumps(function)
    if function._token:
        del pickling._known[function._token]
    return pickle.loads(text)


def test_a_function_of_a_module_is_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or type(sys)(__name__))
    for name, value in (("energy", energy), ("Model", Model)):
        monkeypatch.setattr(sys.modules[__name__], name, value, raising=False)
    assert len(pickle.dumps(energy)) < 200
    assert pickle.loads(pickle.dumps(energy)) is energy
    assert pickle.loads(pickle.dumps(Model.method)) is Model.method


def test_others_travel_by_value() -> None:
    for function in (decorated_by_value(2.0), fg.jit(lambda x: x + 2), renamed, fg.jit(fg.grad(lambda x: x**2))):
        other = copied(function)
        assert other is not function
        assert other(0.5) == pytest.approx(function(0.5))
        assert copied(other)(0.5) == pytest.approx(function(0.5))


def test_options_travel() -> None:
    power = copied(fg.jit(lambda x, n: x**n, static_argnums=1, donate_argnums=0, compile="background"))
    assert power(2.0, 3) == 8
    assert power(2.0, n=3) == 8  # both ways, as it was
    assert (power._statics.numbers, power._donated, power._background) == ((1,), (0,), True)


def test_a_function_is_read_once_in_each_process() -> None:
    function = fg.jit(lambda x: x + 3)
    text = pickle.dumps(function)
    assert pickle.loads(text) is function  # this process has it
    del pickling._known[function._token]
    other = pickle.loads(text)
    assert pickle.loads(text) is other
    inner = fg.jit(function)  # which has that function's attributes
    pickle.dumps(inner)
    assert inner._token != function._token


def test_copies_are_the_function_itself() -> None:
    assert copy.copy(energy) is copy.deepcopy(energy) is energy
    assert copy.deepcopy({"f": energy})["f"] is energy


def test_what_cannot_be_pickled_is_said() -> None:
    lock = threading.Lock()
    with pytest.raises(pickle.PicklingError, match=r"jit of .* cannot be pickled, because something .*lock"):
        pickle.dumps(fg.jit(lambda x: x if lock else -x))


def test_without_cloudpickle_numbas_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba.cloudpickle")
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    assert pickling._by_value() is numba
    assert copied(fg.jit(lambda x: x + 5))(1.0) == 6


def test_arrays_travel() -> None:
    x = fg.numpy.arange(6.0).reshape(2, 3)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert type(y) is fg.Array
        np.testing.assert_array_equal(y, x)
    assert type(copy.copy(x)) is type(copy.deepcopy(x)) is fg.Array
    half = fg.numpy.ones(3, fg.numpy.bfloat16)
    assert pickle.loads(pickle.dumps(half)).dtype == half.dtype


# Other processes, and those who run them ------------------------------------------------------------------------------


def test_a_spawned_process() -> None:
    context = multiprocessing.get_context("spawn")
    function = fg.jit(fg.value_and_grad(lambda x: np.sum(x**3)))
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        value, slope = pool.submit(function, np.array([1.0, 2.0])).result(timeout=PATIENCE)
    assert value == 9
    np.testing.assert_allclose(slope, [3.0, 12.0])


def test_joblib_and_dask_with_threads() -> None:
    joblib, dask = pytest.importorskip("joblib"), pytest.importorskip("dask")
    function = fg.jit(lambda x: np.sum(np.sin(x)))
    inputs = [np.full(k, 0.5) for k in range(1, 9)]
    expected = [np.sin(0.5) * k for k in range(1, 9)]
    found = joblib.Parallel(4, backend="threading")(joblib.delayed(function)(x) for x in inputs)
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(dask.compute(*map(dask.delayed(function), inputs), scheduler="threads"), expected)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_joblib_and_dask_with_processes() -> None:
    joblib, dask = pytest.importorskip("joblib"), pytest.importorskip("dask")
    function = fg.jit(fg.grad(lambda x: np.sum(np.sin(x))))
    inputs = [np.full(k, 0.5) for k in range(1, 5)]
    ways = {
        "loky": lambda: joblib.Parallel(2, backend="loky")(joblib.delayed(function)(x) for x in inputs),
        "multiprocessing": lambda: joblib.Parallel(2, "multiprocessing")(joblib.delayed(function)(x) for x in inputs),
        "dask": lambda: dask.compute(*map(dask.delayed(function), inputs), scheduler="processes", num_workers=2),
    }
    for name, way in ways.items():
        for found, x in zip(way(), inputs, strict=True):
            np.testing.assert_allclose(found, np.cos(x), err_msg=name)

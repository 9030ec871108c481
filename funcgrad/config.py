"""Which settings are there?  Environment variables, each with a type, a default and a meaning, read when they are
needed; and switches, which a program can also change while it runs: `update` for good, a ``with`` block for a while.

=================================  ==========  ========================================================================
variable                           default     meaning
=================================  ==========  ========================================================================
``FUNCGRAD_NUM_THREADS``           all cores   threads that compiled programs use (at least 1);
                                               see `funcgrad.set_num_threads`
``FUNCGRAD_CACHE``                 ``1``       ``0``: keep no compiled kernels on disk
``FUNCGRAD_CACHE_DIR``             per user    where the disk cache is (default: the platform's place for caches)
``FUNCGRAD_CPU``                   the host    the CPU to compile for, as LLVM names it (``generic``: the least of its
                                               family)
``FUNCGRAD_DEBUG``                 ``0``       ``1``: have LLVM verify every module
``FUNCGRAD_TRACEBACK``             ``short``   ``full``: tracebacks show funcgrad's own frames too
``FUNCGRAD_DEBUG_NANS``            ``0``       ``1``: the first operation that gives NaN raises an error
``FUNCGRAD_DEBUG_INFS``            ``0``       ``1``: the same for infinities
``FUNCGRAD_CHECK_TRACER_LEAKS``    ``0``       ``1``: traced values that outlive their trace are errors
``FUNCGRAD_CHECK_MEMORY``          ``0``       ``1``: compiled programs check every load and store, and red zones
                                               between buffers
``FUNCGRAD_DISABLE_JIT``           ``0``       ``1``: jitted functions and loops run as the Python that they are
``FUNCGRAD_LOG_COMPILES``          ``0``       ``1``: a line in the log for each program that is traced and compiled
``FUNCGRAD_EXPLAIN_CACHE_MISSES``  ``0``       ``1``: a line in the log that says why a function is traced again
=================================  ==========  ========================================================================

A value that is none of these is a `funcgrad.errors.SettingError`; an empty one is the default. ``true`` and ``false``
mean ``1`` and ``0``. Those from ``FUNCGRAD_TRACEBACK`` on are switches, looked at when funcgrad is imported. Their
names are the variables' in small letters:

>>> import funcgrad as fg
>>> fg.config.update("debug_nans", True)
>>> fg.config.read("debug_nans")
True
>>> with fg.debug_nans(False):
...     fg.config.read("debug_nans")
False
>>> fg.config.update("debug_nans", False)
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from funcgrad import forks
from funcgrad.errors import SettingError

NUM_THREADS, CACHE, CACHE_DIR = "FUNCGRAD_NUM_THREADS", "FUNCGRAD_CACHE", "FUNCGRAD_CACHE_DIR"
CPU, DEBUG = "FUNCGRAD_CPU", "FUNCGRAD_DEBUG"


def _given(variable: str) -> str:
    """What the environment says, without the blanks that shells leave behind."""
    return os.environ.get(variable, "").strip()


def _chosen(variable: str, values: tuple[Any, ...]) -> Any:
    """The one of some values that the environment names; the first one where it names none."""
    text = _given(variable)
    if not text:
        return values[0]
    table = {str(value).lower(): value for value in values}
    if {True, False}.issuperset(values):
        table |= {"0": False, "1": True}
    if text.lower() not in table:
        raise SettingError(f"{variable} must be one of {', '.join(table)}, not {text!r}")
    return table[text.lower()]


def num_threads() -> int | None:
    """How many threads the environment asks for, if it does.

    Returns
    -------
    int or None
        None if the variable is not set.

    Raises
    ------
    SettingError
        If the variable is set to something that is not a positive integer.
    """
    text = _given(NUM_THREADS)
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise SettingError(f"{NUM_THREADS} must be a positive integer, not {text!r}")
    return int(text)


def cache_directory() -> Path | None:
    """Where compiled kernels are kept, or None when they are not.

    Returns
    -------
    Path or None
        A directory, which need not exist yet. There is none where the cache is off, or nobody knows the user's home.

    Raises
    ------
    SettingError
        If ``FUNCGRAD_CACHE`` says neither yes nor no.
    """
    if not _chosen(CACHE, (True, False)):
        return None
    if named := os.environ.get(CACHE_DIR):
        return Path(named)
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "funcgrad" / "cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "funcgrad"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "funcgrad"


def cpu() -> str:
    """The name of the CPU to compile for; empty for the host's.

    Returns
    -------
    str
        As LLVM writes it.
    """
    return _given(CPU)


def debug() -> bool:
    """Whether compiled modules are verified.

    Returns
    -------
    bool
        By the environment.

    Raises
    ------
    SettingError
        If ``FUNCGRAD_DEBUG`` says neither yes nor no.
    """
    return bool(_chosen(DEBUG, (False, True)))


class Switch:
    """A setting that can change while a program runs: for good, or in one thread within a ``with`` block.

    Attributes
    ----------
    name
        As `update` takes it; the environment variable is ``FUNCGRAD_`` and the name in capitals.
    values
        What it can be; the first one is the default.
    changed
        Called with True when something makes the switch differ from its default anywhere, and with False when the last
        such thing is over.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.debug_nans
    <switch debug_nans: False>
    >>> fg.debug_nans.update(True)
    >>> with fg.debug_nans(False):
    ...     fg.debug_nans.value
    False
    >>> fg.debug_nans.value, fg.debug_nans.update(False)
    (True, None)
    """

    def __init__(self, name: str, values: tuple[Any, ...] = (False, True)) -> None:
        self.name, self.values = name, values
        self.__name__ = name
        self.changed: Callable[[bool], None] = lambda active: None
        self._lock, self._active = forks.held(threading.Lock()), 0
        self._here = threading.local()
        self._everywhere: Any = None

    def __repr__(self) -> str:
        return f"<switch {self.name}: {self.value!r}>"

    @property
    def value(self) -> Any:
        """What it is in this thread, now."""
        here = getattr(self._here, "value", None)
        return self._general() if here is None else here

    def _general(self) -> Any:
        """What it is where no ``with`` block says anything else."""
        if self._everywhere is None:
            self._everywhere = self._from_environment()
        return self._everywhere

    def _from_environment(self) -> Any:
        return _chosen(f"FUNCGRAD_{self.name.upper()}", self.values)

    def start(self) -> None:
        """Take the environment's word, when funcgrad is imported; nobody else needs to call it."""
        if self._general() != self.values[0]:
            self._count(1)

    def update(self, value: Any) -> None:
        """Change it for good, in all threads; ``with`` blocks that are open keep their values.

        Parameters
        ----------
        value
            One of `values`.

        Raises
        ------
        ValueError
            It is none of them.
        """
        value = self._checked(value)
        before, self._everywhere = self._general(), value
        self._count((value != self.values[0]) - (before != self.values[0]))

    @contextlib.contextmanager
    def __call__(self, value: Any = True) -> Iterator[None]:
        """Change it in this thread, within a ``with`` block."""
        value = self._checked(value)
        before = getattr(self._here, "value", None)
        self._count(value != self.values[0])
        self._here.value = value
        try:
            yield
        finally:
            self._here.value = before
            self._count(-(value != self.values[0]))

    def _checked(self, value: Any) -> Any:
        for known in self.values:
            if value is known or (type(value) is type(known) and value == known):
                return known
        choices = " or ".join(map(repr, self.values))
        raise ValueError(f"config: {self.name} is {choices}, not {value!r}")

    def _count(self, change: int) -> None:
        with self._lock:
            before, self._active = self._active, self._active + change
            if bool(before) != bool(self._active):
                self.changed(bool(self._active))


traceback = Switch("traceback", ("short", "full"))
debug_nans = Switch("debug_nans")
debug_infs = Switch("debug_infs")
check_tracer_leaks = Switch("check_tracer_leaks")
check_memory = Switch("check_memory")
disable_jit = Switch("disable_jit")
log_compiles = Switch("log_compiles")
explain_cache_misses = Switch("explain_cache_misses")
_all = (
    *(traceback, debug_nans, debug_infs, check_tracer_leaks, check_memory),
    *(disable_jit, log_compiles, explain_cache_misses),
)
switches = {switch.name: switch for switch in _all}


def check_switches() -> None:
    """See that the environment gives each switch a value that it can have; `import funcgrad` does it.

    Raises
    ------
    SettingError
        It does not.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.config.check_switches()
    """
    for switch in _all:
        switch._from_environment()


def check() -> None:
    """See that every variable of the environment has a value that it can have (but ``FUNCGRAD_CPU``, which LLVM knows).

    Raises
    ------
    SettingError
        One has not.

    Examples
    --------
    >>> import funcgrad as fg
    >>> fg.config.check()
    """
    check_switches()
    for read_variable in (num_threads, cache_directory, debug):
        read_variable()


ELSEWHERE = {
    "enable_x64": "there is no such flag: dtypes are NumPy's, and float64 is the default float",
    "default_matmul_precision": "products are computed in the precision of their operands",
    "platform_name": "there is one platform, the CPU",
    "platforms": "there is one platform, the CPU",
    "compilation_cache_dir": f"set the environment variable {CACHE_DIR}",
    "numpy_rank_promotion": "arrays of different ranks are broadcast as NumPy does",
    "traceback_filtering": "write config.update('traceback', 'full')",
    "num_threads": "write funcgrad.set_num_threads(n)",
}


def _switch(name: str) -> Switch:
    if name in switches:
        return switches[name]
    plain = name.removeprefix("jax_")
    if plain in switches:
        return switches[plain]
    hint = ELSEWHERE.get(plain) or f"the settings are {', '.join(switches)}"
    raise AttributeError(f"config has no setting {name!r}: {hint}")


def update(name: str, value: Any) -> None:
    """Change a setting for good, in all threads; JAX's names, with or without ``jax_``.

    Raises
    ------
    AttributeError
        There is no such setting.
    ValueError
        It cannot have that value.
    """
    _switch(name).update(value)


def read(name: str) -> Any:
    """What a setting is in this thread, now.

    Returns
    -------
    object
        One of the setting's values.
    """
    return _switch(name).value

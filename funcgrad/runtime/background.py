"""Who answers calls while a program is being compiled?  The interpreter: NumPy, equation by equation.

One thread compiles, program after program. A call that finds its program compiled in the middle of its interpretation
starts again with the compiled one, unless something with side effects has been computed.
"""

from __future__ import annotations

import atexit
import os
import threading
import warnings
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from funcgrad.array import Array
from funcgrad.errors import CompilationWarning
from funcgrad.ir.interpret import Abandoned, interpret, patience
from funcgrad.ir.printer import all_equations
from funcgrad.ir.program import Program
from funcgrad.runtime.executable import Executable, executable_for
from funcgrad.trace.frame import type_of


class Compilation:
    """A program on its way to being compiled.

    Attributes
    ----------
    executable
        As soon as it is there.
    """

    def __init__(self, program: Program, donated: tuple[int, ...], name: str) -> None:
        self.executable: Executable | None = None
        self._program, self._donated, self._name = program, donated, name
        self._error: BaseException | None = None
        self._done = threading.Event()
        self._pure = not any(equation.primitive.impure for equation in all_equations(program.equations))
        worker.add(self)

    def compile(self) -> None:
        """Compile, or note why that failed."""
        try:
            self.executable = executable_for(self._program, self._donated)
        except BaseException as error:
            self._error = error
        self._done.set()

    def wait(self) -> None:
        """Until it is compiled, or that has failed."""
        self._done.wait()

    def interpreted(self, leaves: Sequence[Any]) -> list[Array] | None:
        """The results for known arguments, by NumPy; None if the compiled program had better be asked instead.

        What an equation raises, the compiled program raises with the user's line.

        Warns
        -----
        CompilationWarning
            Once: the program cannot be compiled.
        """
        self._report()
        kinds = self._program.input_types
        arguments = [_known(x, kind.dtype) for x, kind in zip(leaves, kinds, strict=True)]
        before, patience.ended = patience.ended, self._overtaken if self._pure else None
        try:
            results = interpret(self._program, arguments)
        except Abandoned:
            return None
        except Exception:
            if not self._pure or self._error is not None:
                raise
            self.wait()
            if self.executable is None:
                raise
            return None
        finally:
            patience.ended = before
        return [_own(x, kind.shape, kind.dtype) for x, kind in zip(results, self._program.output_types, strict=True)]

    def _overtaken(self) -> bool:
        return self.executable is not None

    def _report(self) -> None:
        """Say, once, that compiling has failed."""
        error = self._error
        if error is not None and self._name:
            name, self._name = self._name, ""
            warnings.warn(
                f"jit of {name} cannot be compiled, so that NumPy computes it from here on: "
                f"{type(error).__name__}: {error}",
                CompilationWarning,
                stacklevel=2,
            )


def _known(leaf: Any, dtype: np.dtype[Any]) -> Any:
    """An argument as the references take it."""
    if isinstance(leaf, np.ndarray):
        return np.asarray(leaf, dtype)
    return np.asarray(leaf, dtype) if hasattr(leaf, "__array__") and type_of(leaf).shape else dtype.type(leaf)


def _own(value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """A result in memory of its own, as compiled programs return them."""
    out = np.ndarray.__new__(Array, shape, dtype)
    out[...] = value
    return out


class Worker:
    """The thread that compiles; it exists while there is something to compile."""

    def __init__(self) -> None:
        self.renew()
        self._ending = False
        atexit.register(self.stop)
        if hasattr(os, "register_at_fork"):  # absent where processes cannot fork
            os.register_at_fork(before=self.pause, after_in_parent=self.resume, after_in_child=self.revive)

    def renew(self) -> None:
        """Begin with no thread, nothing to do and a free lock."""
        self._lock = threading.Lock()
        self._busy = threading.RLock()  # held while something is compiled
        self._waiting: deque[Compilation] = deque()  # the first is at hand
        self._thread: threading.Thread | None = None

    def add(self, compilation: Compilation) -> None:
        """Have it compiled after those that wait already."""
        with self._lock:
            self._waiting.append(compilation)
            if self._thread is None and not self._ending:
                self._thread = threading.Thread(target=self._run, name="funcgrad-background", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or self._ending:
                    self._thread = None
                    return
                compilation = self._waiting[0]
            with self._busy:
                compilation.compile()
                with self._lock:
                    self._waiting.popleft()

    def stop(self) -> None:
        """When the process ends: nothing new is begun, what is at hand is waited for (LLVM must not be torn down)."""
        with self._lock:
            self._ending = True
            thread = self._thread
        if thread is not None:
            thread.join()

    def pause(self) -> None:
        """Before a fork: what is at hand is finished, for a child would wait for it forever."""
        self._busy.acquire()

    def resume(self) -> None:
        """After it, in the parent."""
        self._busy.release()

    def revive(self) -> None:
        """After it, in the child, which has no thread of ours: begin again with what waits."""
        left = self._waiting
        self.renew()
        for compilation in left:
            self.add(compilation)


worker = Worker()

"""What can be seen of a compilation?  `Lowered` and `Compiled`:
a program's listings, its costs, and its machine code.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from funcgrad import tree
from funcgrad.compile import engine
from funcgrad.compile.llvm import print_kernel
from funcgrad.errors import at_line
from funcgrad.ir.display import signature
from funcgrad.ir.program import Program
from funcgrad.lower.calls import Call
from funcgrad.lower.chains import apart
from funcgrad.lower.plan import Plan, make_plan
from funcgrad.lower.python import print_plan
from funcgrad.lower.schedule import KernelStep
from funcgrad.lower.structured import Structured
from funcgrad.runtime.costs import cost_of
from funcgrad.runtime.executable import Executable, executable_for
from funcgrad.runtime.structured import everywhere
from funcgrad.simplify import simplify
from funcgrad.tracebacks import boundary


class Lowered:
    """A function's program for given argument types; made by ``jit(f).lower(*args)``.

    Attributes
    ----------
    program
        As traced: leaves of the arguments in, leaves of the results out.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> lowered = fg.jit(lambda x: {"sum": np.sum(np.exp(x))}).lower(np.zeros(1000))
    >>> lowered
    <Lowered: x:f64[1000] -> f64[]; 2 equations>
    >>> print(lowered.as_text())
    { lambda ; a:f64[1000]. let
        b:f64[1000] = exp a
        c:f64[] = reduce_sum[axes=(0,)] b
      in (c,) }
    >>> lowered.memory_analysis()["argument_size_in_bytes"], lowered.cost_analysis()["kernels"]
    (8000, 1)
    >>> lowered.unflatten([0.5])
    {'sum': 0.5}
    >>> compiled = lowered.compile()
    >>> compiled(np.zeros(1000))
    {'sum': Array(1000.)}
    """

    def __init__(
        self, program: Program, in_structure: tree.TreeDef, out_structure: tree.TreeDef, names: Sequence[str] = ()
    ) -> None:
        self.program = program
        self._names = tuple(names)  # of the positional arguments
        self._in_structure = in_structure
        self._out_structure = out_structure
        self._plan: Plan | None = None

    def __repr__(self) -> str:
        return f"<Lowered: {signature(self.program)}; {_counted(len(self.program.equations), 'equation')}>"

    def _repr_html_(self) -> str:
        """The program, in notebooks."""
        return self.program._repr_html_()

    @property
    def plan(self) -> Plan:
        """The kernels and buffers."""
        if self._plan is None:
            self._plan = make_plan(simplify(self.program))
        return self._plan

    @boundary
    def as_text(self, dialect: str = "ir") -> str:
        """The program as text.

        Parameters
        ----------
        dialect
            ``"ir"``: as traced. ``"simplified"``: as it is lowered. ``"python"``: the kernels as Python source that
            runs. ``"llvm"``: the kernels as LLVM IR, as emitted.
            ``"optimized"`` and ``"assembly"``: what LLVM makes of it for this CPU.

        Returns
        -------
        str
            The text; kernels follow one another.

        Raises
        ------
        ValueError
            `dialect` is none of these.
        """
        printers = {
            "ir": lambda: str(self.program),
            "simplified": lambda: str(simplify(self.program)),
            "python": lambda: print_plan(self.plan),
            "llvm": lambda: self._kernels(lambda text: text),
            "optimized": lambda: self._kernels(engine.optimised),
            "assembly": lambda: self._kernels(engine.assembly),
        }
        if dialect not in printers:
            raise ValueError(
                f"as_text: dialect must be one of {', '.join(map(repr, printers))}, not {dialect!r}{at_line()}"
            )
        return printers[dialect]()

    def _kernels(self, form: Any) -> str:
        plans = everywhere(self.plan)
        kernels = [step.kernel for plan in plans for step in apart(plan.steps) if isinstance(step, KernelStep)]
        texts = [print_kernel(kernel, f"kernel_{number}") for number, kernel in enumerate(kernels)]
        return "\n".join(form(text) for text in texts)

    def cost_analysis(self) -> dict[str, Any]:
        """What a call costs.

        Returns
        -------
        dict
            ``"flops"``: additions and multiplications of products, and arithmetic instructions of kernels;
            ``"transcendentals"``: divisions, roots and mathematical functions among these;
            ``"bytes accessed"``: what kernels and products read and write, each buffer once per step;
            ``"kernels"``, ``"products"`` and ``"calls"`` (of what has no kernel, loops and branches): how many steps
            there are; what happens inside loops and branches is not counted.
        """
        steps = apart(self.plan.steps)
        flops, transcendentals, bytes_accessed = map(sum, zip((0, 0, 0), *map(cost_of, steps), strict=True))
        kernels = sum(isinstance(step, KernelStep) for step in steps)
        calls = sum(isinstance(step, Call | Structured) for step in steps)
        return {
            "flops": flops,
            "transcendentals": transcendentals,
            "bytes accessed": bytes_accessed,
            "kernels": kernels,
            "products": len(steps) - kernels - calls,
            "calls": calls,
        }

    def memory_analysis(self) -> dict[str, int]:
        """How much memory a call takes.

        Returns
        -------
        dict
            Bytes: ``"argument_size_in_bytes"``, ``"output_size_in_bytes"``, ``"constant_size_in_bytes"`` and
            ``"temp_size_in_bytes"`` (temporaries, which share their places), and the sum of these,
            ``"peak_size_in_bytes"``.
        """
        program = self.plan.program
        sizes = {
            "argument_size_in_bytes": sum(t.nbytes for t in program.input_types),
            "output_size_in_bytes": sum(t.nbytes for t in program.output_types),
            "constant_size_in_bytes": sum(value.nbytes for value in program.constants.values()),
            "temp_size_in_bytes": self.plan.arena_bytes,
        }
        return sizes | {"peak_size_in_bytes": sum(sizes.values())}

    def unflatten(self, results: Sequence[Any]) -> Any:
        """The function's output from its leaves.

        Parameters
        ----------
        results
            A value for each output of `program`.

        Returns
        -------
        pytree
            The structure that the function returns.
        """
        return tree.unflatten(self._out_structure, results)

    def compile(self) -> Compiled:
        """The program, compiled (or found among those that were).

        Returns
        -------
        Compiled
            What can be called with arguments of exactly these types.
        """
        return Compiled(self, executable_for(self.program))


class Compiled:
    """A compiled program; it takes arguments of exactly the types that it was lowered for.

    Made by ``jit(f).lower(*args).compile()``.

    Examples
    --------
    >>> import funcgrad as fg
    >>> import numpy as np
    >>> compiled = fg.jit(np.tanh).lower(np.zeros(3)).compile()
    >>> compiled
    <Compiled: x:f64[3] -> f64[3]; 1 step>
    >>> compiled(np.zeros(3))
    Array([0., 0., 0.])
    >>> compiled.as_text("simplified") == fg.jit(np.tanh).lower(np.zeros(3)).as_text("simplified")
    True
    >>> compiled.cost_analysis()["kernels"], compiled.memory_analysis()["output_size_in_bytes"]
    (1, 24)
    """

    def __init__(self, lowered: Lowered, executable: Executable) -> None:
        self._lowered = lowered
        self._executable = executable

    def __repr__(self) -> str:
        plan = self._lowered.plan
        return f"<Compiled: {signature(self._lowered.program)}; {_counted(len(plan.steps), 'step')}>"

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function's value."""
        leaves, structure = tree.flatten((args, kwargs))
        if structure != self._lowered._in_structure:
            raise TypeError(
                f"this program was compiled for arguments of the structure {self._lowered._in_structure}, "
                f"not {structure}: call the jitted function itself, which compiles for new ones{at_line()}"
            )
        results, _ = self._executable(leaves)
        return self._lowered.unflatten(results)

    def as_text(self, dialect: str = "optimized") -> str:
        """The program as text: `Lowered.as_text` describes the dialects.

        Parameters
        ----------
        dialect
            One of them; by default what LLVM makes of the kernels.

        Returns
        -------
        str
            The text.
        """
        return self._lowered.as_text(dialect)

    def cost_analysis(self) -> dict[str, Any]:
        """What a call costs.

        Returns
        -------
        dict
            That of `Lowered.cost_analysis`.
        """
        return self._lowered.cost_analysis()

    def memory_analysis(self) -> dict[str, int]:
        """How much memory a call takes.

        Returns
        -------
        dict
            That of `Lowered.memory_analysis`.
        """
        return self._lowered.memory_analysis()

    def export_object(
        self,
        path: str | os.PathLike[str],
        header: str | os.PathLike[str] | None = None,
        *,
        name: str | None = None,
        cpu: str = "generic",
        blas: str = "own",
    ) -> None:
        """Write the program as an object file or shared library with a header, for programs without Python.

        What the function closes over lies in the file. The code needs C's library only, runs on the thread that calls
        it, keeps nothing between calls, and may be called by several threads at once.

        Parameters
        ----------
        path
            A name that ends in ``.o``, or in ``.so`` or ``.dylib`` for a shared library, which the system's C compiler
            links.
        header
            Where the declarations for C and C++ go, with what lies where, and what each status means.
        name
            The function's name in C; that of the file, unless it is given. ``name_message(status)`` goes with it.
        cpu
            Which CPU runs it: ``"generic"`` for all of this machine's family, ``"host"`` for the likes of this one, or
            any other that LLVM knows.
        blas
            Who multiplies matrices: loops of the file's ``"own"``, or ``"cblas"``, functions of that name in a library
            that the program is linked with.

        Raises
        ------
        NotImplementedError
            Some operation calls Python, or a function of Numba's; the message has its name and line.
        ValueError
            The name of the file, that of the function, `cpu` or `blas` is none of these.
        RuntimeError
            There is no C compiler to link a shared library with, or it failed.

        Examples
        --------
        >>> import funcgrad as fg
        >>> import numpy as np
        >>> weights = np.ones((3, 2), np.float32)
        >>> compiled = fg.jit(lambda x: np.tanh(x @ weights)).lower(np.zeros(3, np.float32)).compile()
        >>> compiled.export_object("step.o", header="step.h")  # doctest: +SKIP

        ``step.h`` declares ``int64_t step(const float *x, float *out)``.
        """
        from funcgrad.runtime import objects

        parts = self._lowered._names, self._lowered._in_structure, self._lowered._out_structure
        objects.export(self._executable, parts, path, header, name=name, cpu=cpu, blas=blas)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def lower_program(
    program: Program, in_structure: tree.TreeDef, out_structure: tree.TreeDef, names: Sequence[str] = ()
) -> Lowered:
    """A traced program, ready to be looked at or compiled; `names` are those of the positional arguments."""
    return Lowered(program, in_structure, out_structure, names)


__all__ = ["Compiled", "Lowered", "lower_program"]

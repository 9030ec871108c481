"""Which of LLVM's passes does a module need?  As its first line says: all, a few, or none.

Those of kernels are LLVM's ``-O1`` with both vectorisers (``-O2`` took a tenth longer for equal code).  What costs
compile time without paying at run time (interleaving, run-time unrolling) is turned off loop by loop, by what
`compile.llvm` writes beside each loop.  Code is emitted at ``-O1``, too: it is ``-O2``'s but for a second scheduler,
which takes a time quadratic in the stores of a block, for an order that CPUs make for themselves.

The runtime's own modules, which the first call of a program waits for, are written so that they need little.

The functions of mathematics that vector code calls (`compile.functions`) need none: they are long, straight and written
as they shall run.  The passes took half of their time for them, most of which nobody calls in the end.
"""

from __future__ import annotations

import ctypes
import enum
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from llvmlite import binding
from llvmlite.binding import ffi

from funcgrad.compile.vecmath import KEPT, LINKAGE

_INTRINSIC = re.compile(r"^declare .*@llvm\..*", re.M)
_CALLED = re.compile(
    rf"^define {LINKAGE} (?P<type>.*) @(?P<name>fg\.\S+)\((?P<operands>.*)\) (?P<manner>.*) {{\n(?s:.*?)^}}\n", re.M
)


class Effort(enum.Enum):
    """How much is done for a module: the value is the line that it begins with."""

    LEAST = "; effort: least"
    """Nothing, for code in which no time goes: a third of the time to compile, and no call became slower by it."""
    REGISTERS = "; effort: registers"
    """Variables become registers, for code that has its vectors already."""
    ALL = ""
    """Whatever pays in kernels."""

    @property
    def level(self) -> int:
        """The level at which machine code is selected."""
        return 0 if self is Effort.LEAST else 1


def effort_of(text: str) -> Effort:
    """What the first line of a module asks for."""
    return next(effort for effort in Effort if text.startswith(effort.value))


def without_called(text: str) -> tuple[str, dict[str, str]]:
    """A module that declares its functions of mathematics, if it calls any; and a module with each of them, by name."""
    if f"define {LINKAGE} " not in text:
        return text, {}
    found = {called["name"]: called[0] for called in _CALLED.finditer(text)}
    intrinsics = "\n".join(_INTRINSIC.findall(text)) if found else ""
    return _CALLED.sub(_declared, text), {name: f"{intrinsics}\n{text}" for name, text in found.items()}


def _declared(called: re.Match[str]) -> str:
    operands = re.sub(r" %\w+", "", called["operands"])
    return f"declare hidden {called['type']} @{called['name']}({operands}) {called['manner']}\n"


def run_passes(module: binding.ModuleRef, machine: binding.TargetMachine, text: str) -> None:
    """Do for a module, parsed from `text`, what its first line asks for."""
    effort = effort_of(text)
    if effort is Effort.LEAST:
        return
    options = binding.create_pipeline_tuning_options(speed_level=1)
    options.loop_vectorization = options.slp_vectorization = True
    options.loop_interleaving = options.loop_unrolling = True
    builder = binding.create_pass_builder(machine, options)
    if effort is Effort.REGISTERS:
        passes = binding.create_new_module_pass_manager()
        passes.add_sroa_pass()
    else:
        passes = builder.getModulePassManager()
    unlocked("LLVMPY_RunNewModulePassManager")(passes, module, builder)
    ffi.lib.LLVMPY_DisposeNewModulePassManger(passes)  # llvmlite 0.50 leaks it
    passes.detach()  # so that a version that does not leak it frees it once
    if f"@{KEPT} = " in text:
        _drop_unused(module, builder)


@cache
def unlocked(name: str) -> Callable[..., Any]:
    """A function of llvmlite's library that does not wait for the others."""
    guarded = getattr(ffi.lib, name)
    function: Callable[..., Any] = getattr(ctypes.CDLL(ffi.lib._name), name)
    for attribute in ("argtypes", "restype"):
        setattr(function, attribute, getattr(guarded, attribute))
    return function


def _drop_unused(module: binding.ModuleRef, builder: binding.PassBuilder) -> None:
    """Drop the functions that no loop calls though it might have."""
    kept = module.get_global_variable(KEPT)
    kept.name, kept.linkage = "kept", "internal"
    passes = binding.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)

"""Is generated code good for other CPUs than this one?  Compiled for ARM across, for the least of this family, and for
none that LLVM does not know.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from llvmlite import binding

import funcgrad as fg
from funcgrad import lax
from funcgrad.compile import cpus, native, vecmath
from funcgrad.compile.compiler import printed
from funcgrad.compile.native import (
    attention,
    blocks,
    convolution,
    driver,
    fastcall,
    floats,
    fourier,
    gemm,
    halves,
    loops,
    own_blas,
    pool,
    scanning,
    scattering,
    sorting,
    tiles,
    transpose,
)
from funcgrad.compile.native.text import Module
from funcgrad.lower.chains import apart
from funcgrad.lower.plan import make_plan
from funcgrad.lower.schedule import KernelStep
from funcgrad.runtime.structured import everywhere
from funcgrad.simplify import simplify
from tests.compile.test_vecmath import loop

ARM = "aarch64-unknown-linux-gnu"
LIBRARY = {"memcpy", "memset", "memmove", "fmod", "fmodf"}  # what every C library has
X, M = np.linspace(0.1, 0.9, 50), np.linspace(0.1, 0.9, 600).reshape(20, 30)
ALL = [(name, dtype) for name in (*vecmath.FUNCTIONS, *vecmath.SPECIAL) for dtype in ("f2", "f4", "f8")]


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """What makes a module of LLVM IR assembly text for ARM's 64-bit CPUs, while printers believe to be on one."""
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    try:
        target = binding.Target.from_triple(ARM)
    except RuntimeError:
        pytest.skip("this LLVM knows only its own family of CPUs")
    monkeypatch.setattr(cpus, "has_fma", lambda: True)

    def assembly(text: str) -> str:
        machine = target.create_target_machine(cpus.BASELINE, "", opt=2, reloc="pic", codemodel="default")
        module = binding.parse_assembly(text, binding.create_context())
        module.triple, module.data_layout = ARM, str(machine.target_data)
        module.verify()
        options = binding.create_pipeline_tuning_options(speed_level=1)
        options.loop_vectorization = options.slp_vectorization = True
        builder = binding.create_pass_builder(machine, options)
        builder.getModulePassManager().run(module, builder)
        return str(machine.emit_assembly(module))

    return assembly


def called(assembly: str) -> set[str]:
    """The functions that code calls and does not define."""
    defined = set(re.findall(r"^(\S+):", assembly, re.M))
    return set(re.findall(r"^\s+bl?\s+([A-Za-z_]\S*)", assembly, re.M)) - defined


def check_mathematics(arm: Callable[[str], str], name: str, dtype: str) -> None:
    text = arm(loop(name, dtype))
    assert not called(text), (name, dtype)
    assert re.search(r"\bv\d+\.(2d|4s|8h)", text), f"{name} of {dtype} is not in vectors"
    assert re.search(r"\b(fmla|fmls|fmadd|fmsub)\b", text) or "fma" not in loop(name, dtype)


def test_mathematics_is_vector_code_on_arm(arm: Callable[[str], str]) -> None:
    for name, dtype in ALL[::19]:
        check_mathematics(arm, name, dtype)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dtype"), ALL)
def test_all_mathematics_is_vector_code_on_arm(arm: Callable[[str], str], name: str, dtype: str) -> None:
    check_mathematics(arm, name, dtype)


def network(w: Any, x: Any) -> Any:
    y = np.tanh(x @ w)
    return np.sum(fg.nn.logsumexp(y, axis=-1) - y[:, 3])


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "elements": (lambda x: (np.exp(x) % 0.7, np.arctan2(x, 2), x**2.5, np.floor(x * 9) // 2), (X,)),
    "integers": (lambda x: (x // 7, x % 7, x << 3, x.astype(np.uint8) * 3, np.abs(x) > 2), (np.arange(50),)),
    "short floats": (lambda x, y: (np.sin(x) + 1, y * y, np.sum(y)), (X.astype("f2"), X.astype(ml_dtypes.bfloat16))),
    "complex numbers": (lambda x: np.exp(x * 1j) / (x + 2j), (X,)),
    "a network's gradient": (fg.grad(network), (M[:, :8].T @ M[:, :8], M[:, :8])),
    "places": (lambda x, i: (x[i], fg.numpy.asarray(x).at[i].add(x[i])), (X, np.arange(20) % 7)),
    "sorts": (lambda x: (np.sort(x, axis=0), np.argsort(x), np.cumsum(x, axis=1)), (M,)),
    "random numbers": (lambda k: fg.random.normal(fg.random.key(k), (1000,)), (3,)),
    "loops": (fg.grad(lambda x: np.sum(lax.scan(lambda c, y: (np.tanh(c * y), c), x, X)[1])), (0.5,)),
    "small matrices": (lambda x: fg.vmap(np.linalg.solve)(x, x[:, 0]), (M[:, :9].reshape(20, 3, 3) + np.eye(3),)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_kernels_compile_for_arm(arm: Callable[[str], str], name: str) -> None:
    fun, args = PROGRAMS[name]
    plan = make_plan(simplify(fg.make_jaxpr(fun)(*args)))
    steps = [step for inner in everywhere(plan) for step in apart(inner.steps) if isinstance(step, KernelStep)]
    assert steps
    for text in dict.fromkeys(printed(step.kernel).text for step in steps):
        assert called(arm(text)) <= LIBRARY


ROUTINES: list[tuple[Any, tuple[Any, ...]]] = [
    (loops, ()),
    (sorting, ()),
    (transpose, (4,)),
    (gemm, (False,)),
    (own_blas, (("f4", "f8"), False)),
    (tiles, (("f4", "f8"),)),
    (attention, ("f4",)),
    (attention, ("f8",)),
    (fourier, ("f4", fourier.ALL)),
    (halves, ("f8",)),
    (convolution, ("f4", False, (1, 2), (6, 4, 2, 1))),
    (convolution, ("f8", True, (1, 2), (6, 4, 2, 1))),
    (scanning, (scanning.Scan("add", "f4", "f8", reverse=True, streamed=False, width=16),)),
    (scattering, (scattering.Add("f4", "i4", wide=False, one=False, compresses=False),)),
]


def test_the_native_runtime_compiles_for_arm(arm: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    native.runtime()  # or another thread would make it, for ARM
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    runtime = Module()
    for part in (blocks, floats, pool, driver, fastcall):
        part.define(runtime)
    text = arm(str(runtime))
    assert "isb" in text  # what tells the core that a loop waits
    assert re.findall(r"\b(mrs|msr)\b.*\bFPCR\b", text, re.IGNORECASE) == ["mrs", "msr"]  # how it computes with floats
    assert not {name for name in called(text) if name.startswith("__")}  # no arithmetic of the compiler's library
    for part, arguments in ROUTINES:
        module = Module()
        part.define(module, *arguments)
        assert not {name for name in called(arm(str(module))) if name.startswith("__")}


# CPUs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "zen99",
        pytest.param(
            "i386",
            marks=pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="a name of another family"),
        ),
    ],
)
def test_a_cpu_that_there_is_not_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("FUNCGRAD_CPU", name)
    with pytest.raises(ValueError, match=rf"FUNCGRAD_CPU: .* on a CPU '{name}'; the CPUs that it knows are [^ ]+, "):
        cpus.target()

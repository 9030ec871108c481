"""Which functions are copied into a kernel, which are called, and is the result the same to the last bit?"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import lax, random
from funcgrad.compile import compiler, cpus, engine, functions, passes, vecmath
from funcgrad.compile.vecmath.lanes import widened
from funcgrad.lower.loops import INDEX, Buffer, Constant, Kernel, Load, Loop, Op, Store, Value

NUMBERS = {"f4": "float", "f8": "double"}


def chain(function: Callable[[Any], Any], times: int) -> Callable[[Any], Any]:
    """A function of itself, so many times."""

    def value(x: Any) -> Any:
        for k in range(times):
            x = function(x) * x + k
        return x

    return value


def optimised(function: Callable[..., Any], x: np.ndarray) -> str:
    return fg.jit(function).lower(x).as_text("optimized")


def of_lanes(name: str, dtype: str, lanes: int) -> str:
    """A module that computes a function of `lanes` numbers, at once and one by one."""
    variant, kind = vecmath.Variant(name, dtype, lanes), f"<{lanes} x {NUMBERS[dtype]}>"
    operands = ["%x", "%y"] if name in vecmath.BINARY else ["%x"]
    results = 2 if name in vecmath.PAIRS else 1
    lines = [
        f"%r = call {vecmath.result_type(name, kind)} {variant.symbol}({', '.join(f'{kind} {x}' for x in operands)})"
    ]
    for k in range(results):
        part = "%r" if results == 1 else f"%r.{k}"
        if results == 2:
            lines.append(f"{part} = extractvalue {vecmath.result_type(name, kind)} %r, {k}")
        lines += [f"%p{k} = getelementptr {kind}, ptr %out, i64 {k}", f"store {kind} {part}, ptr %p{k}, align 4"]
    body = "\n".join(lines)
    text = vecmath.definitions([(name, dtype)], cpus.has_fma(), {(name, dtype): [variant]})
    return f"""{text}
define void @vector(ptr %px, ptr %py, ptr %out) {{
%x = load {kind}, ptr %px, align 4
%y = load {kind}, ptr %py, align 4
{body}
ret void
}}"""


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["sincos", "pow", "lgamma", "exp", "cbrt"])
def test_lanes_have_the_bits_of_one_number(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 8)).astype(dtype) * 30
    x[:4] = [np.nan, np.inf, -0.0, 1e30]
    out = np.zeros((2, 8), dtype)
    library = engine.load(engine.to_object(of_lanes(name, dtype, 8), verify=True))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("vector"))
    call(x.ctypes.data, y.ctypes.data, out.ctypes.data)
    one = {
        "sincos": lambda x, y: np.array([fg.jit(np.sin)(x), fg.jit(np.cos)(x)]),
        "pow": fg.jit(np.power),
        "lgamma": fg.jit(lambda x, y: lax.lgamma(x)),
        "exp": fg.jit(lambda x, y: np.exp(x)),
        "cbrt": fg.jit(lambda x, y: np.cbrt(x)),
    }[name]
    with np.errstate(all="ignore"):
        expected = np.asarray(one(x, y))
    np.testing.assert_array_equal(out[: 2 if name in vecmath.PAIRS else 1].reshape(expected.shape), expected)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["erf_inv", "ndtri"])
def test_what_no_lane_needs_is_skipped_and_changes_nothing(name: str, dtype: str) -> None:
    text = of_lanes(name, dtype, 8)
    assert text.count("@llvm.vector.reduce.or.v8i1(") == 2  # the declaration, and one branch
    library = engine.load(engine.to_object(text, verify=True))
    call = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(library.address("vector"))
    function = fg.jit(lax.erf_inv if name == "erf_inv" else fg.scipy.special.ndtri)
    near, far = np.linspace(0.1, 0.9, 8), [0.3, 1 - 2.0**-24, 1e-30, 0.5, 1.0, 0.0, -2.0, np.nan]
    for x in (near.astype(dtype), np.array(far, dtype)):
        out = np.zeros(8, dtype)
        call(x.ctypes.data, x.ctypes.data, out.ctypes.data)
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(out, [function(v) for v in x])


def test_ciphers_fill_vectors_with_words_though_other_numbers_are_longer() -> None:
    lanes = functions.words_at_a_time()
    code = fg.jit(lambda key: random.normal(key, (1000,))).lower(random.key(0)).as_text("optimized")
    assert f"xor <{lanes} x i32>" in code
    assert re.search(rf"call <{lanes} x double> @fg.erf_inv.f8.v{lanes}\(", code)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_functions_that_are_called_need_no_others_so_that_each_can_be_a_module(dtype: str) -> None:
    names = [*vecmath.FUNCTIONS, *vecmath.SPECIAL, *vecmath.PAIRS]
    apart = {(name, dtype): [vecmath.Variant(name, dtype, 4)] for name in names}
    text = vecmath.definitions([(name, dtype) for name in names], True, apart)
    main, called = passes.without_called(text)
    assert "define" not in main
    assert called.keys() == {f"fg.{name}.{dtype}{lanes}" for name in names for lanes in ("", ".v4")}
    for name, module in called.items():
        body = module[module.index("define") :]
        assert body.count("define") == 1
        assert not re.search(r"@(?!llvm\.)", body.replace(f"@{name}(", "", 1)), name


@pytest.mark.skipif(not cpus.wide_vectors_pay(), reason="which vectors LLVM takes is the CPU's")
def test_functions_that_are_called_stay_as_they_are_written_and_only_those() -> None:
    written = passes.without_called(fg.jit(np.sin).lower(np.ones(1000)).as_text("llvm"))[1]
    assert {"fg.sin.f8", "fg.sin.f8.v4", "fg.sin.f8.v8"} <= written.keys()
    code = optimised(np.sin, np.ones(1000))
    left = re.findall(r"^define linkonce_odr hidden [^@]* @(fg\.\S+)\(.*\n((?:.*\n)*?)}$", code, re.M)
    assert "fg.sin.f8.v8" in dict(left)
    assert "fg.sin.f8.v4" not in dict(left)
    for name, body in left:
        operations = re.findall(r"^  %\S+ = (\w+)", body, re.M)
        assert operations == re.findall(r"^  %\S+ = (\w+)", written[name], re.M), name


@pytest.mark.parametrize("fma", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_every_function_can_be_written_for_lanes(dtype: str, fma: bool) -> None:
    names = [*vecmath.FUNCTIONS, *vecmath.SPECIAL, *vecmath.PAIRS]
    apart = {(name, dtype): [vecmath.Variant(name, dtype, n) for n in (2, 4)] for name in names}
    text = vecmath.definitions(apart, fma, apart)
    assert engine.binding.parse_assembly(text).verify() is None


def test_a_line_for_lanes() -> None:
    assert widened("  %v1 = fadd double %x, 0x3FF0000000000000", 4) == (
        "  %v1 = fadd <4 x double> %x, splat (double 0x3FF0000000000000)"
    )
    assert widened("  %v2 = trunc i64 %v1 to i32", 2) == "  %v2 = trunc <2 x i64> %v1 to <2 x i32>"
    assert widened("  %v3 = select i1 %v0, i64 -1, i64 %v2", 2) == (
        "  %v3 = select <2 x i1> %v0, <2 x i64> splat (i64 -1), <2 x i64> %v2"
    )
    assert widened("declare float @llvm.fma.f32(float, float, float)", 8) == (
        "declare <8 x float> @llvm.fma.v8f32(<8 x float>, <8 x float>, <8 x float>)"
    )


def test_few_functions_are_copied() -> None:
    assert "@fg." not in optimised(chain(fg.scipy.special.log_ndtr, 2), np.ones(100))
    assert "@fg." not in optimised(chain(np.exp, 9), np.ones(100))


@pytest.mark.parametrize(
    ("function", "dtype", "name"),
    [(np.sin, "f8", "sin.f8"), (np.tanh, "f4", "tanh.f4"), (lambda x: (x * x + 1) ** 1.3, "f8", "pow.f8")],
)
def test_many_functions_are_called_by_vector_code(function: Callable[[Any], Any], dtype: str, name: str) -> None:
    code = optimised(chain(function, 90), np.ones(100, dtype))
    in_vectors = rf"= tail call <\d+ x {NUMBERS[dtype]}> @fg\.{name}\.v\d+\("
    assert len(re.findall(in_vectors, code)) >= 90
    bodies = re.findall(r"^define .* (@fg\.[\w.]+)\(", code, re.MULTILINE)
    assert len(bodies) == len(set(bodies))  # for a vector, and without masks for what is left over and for half of it
    assert len(bodies) == 1 if cpus.wide_vectors_pay() else 2 <= len(bodies) <= 3
    assert len(code.splitlines()) < 4000


def test_calls_change_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(x: np.ndarray) -> Any:
        return fg.jit(fg.value_and_grad(lambda x: np.sum(chain(np.tanh, 6)(x))))(x)

    for dtype in ("f4", "f8"):
        x = np.linspace(-3, 3, 301).astype(dtype)
        results = []
        for longest, most in ((0, 0), (10**6, 10**6)):  # all are called, all are copied
            monkeypatch.setattr(functions, "LONG", longest)
            monkeypatch.setattr(functions, "MOST", most)
            compiler.clear()
            results.append(both(x))
        for called, copied in zip(*results, strict=True):
            np.testing.assert_array_equal(called, copied)


def test_half_precision_and_mixed_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functions, "MOST", 0)
    half, single = np.linspace(-2, 2, 99).astype("f2"), np.linspace(-2, 2, 99).astype("f4")
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(fg.jit(np.exp)(half), np.exp(half.astype("f4")).astype("f2"))
    mixed = fg.jit(lambda x, y: np.exp(x) + y)(single, single.astype("f8"))
    np.testing.assert_allclose(mixed, np.exp(single) + single.astype("f8"), rtol=1e-6)


def test_sines_and_cosines_of_one_angle_are_computed_together() -> None:
    text = fg.jit(lambda x: (np.sin(x), np.cos(x), np.cos(2 * x))).lower(np.ones(9)).as_text("llvm")
    assert len(re.findall(r"call .* @fg\.sincos\.f8\(", text)) == 1
    assert len(re.findall(r"call double @fg\.cos\.f8\(", text)) == 1


def test_what_no_loop_calls_is_dropped() -> None:
    with cpus.compiling_for("x86-64-v3"):
        if cpus.platform().split("-")[0] != "x86_64":
            pytest.skip("the CPU is one of another family")
        assert cpus.vector_widths() == (16, 32, 64)
        code = optimised(chain(np.sin, 4), np.ones(100))
    assert set(re.findall(r"@fg\.sin\.f8\.v\d+", code)) == {"@fg.sin.f8.v4"}


@pytest.mark.parametrize("pays", [True, False])
def test_mathematics_takes_the_longest_vectors_where_they_pay(pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if cpus.platform().split("-")[0] != "x86_64":
        pytest.skip("the CPU is one of another family")
    monkeypatch.setattr(cpus, "wide_vectors_pay", lambda: pays)
    with cpus.compiling_for("icelake-server"):
        assert f"fmul <{8 if pays else 4} x double>" in optimised(np.cosh, np.ones(100))
        assert "fmul <4 x double>" in optimised(lambda x: 2 * x, np.ones(100))


@pytest.mark.parametrize(("times", "pays", "masked"), [(20, True, True), (20, False, False), (2, True, False)])
def test_long_bodies_end_under_a_mask(times: int, pays: bool, masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if cpus.platform().split("-")[0] != "x86_64":
        pytest.skip("the CPU is one of another family")
    monkeypatch.setattr(cpus, "wide_vectors_pay", lambda: pays)
    with cpus.compiling_for("icelake-server"):
        code = optimised(chain(np.tanh, times), np.ones(100))
    assert ("@llvm.masked.store.v8f64" in code) == masked
    assert (len(re.findall("fdiv double", code)) == 0) == masked  # nothing is computed one by one


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("length", [1, 7, 16, 50])
def test_masks_change_no_number(length: int, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def both(x: np.ndarray) -> Any:
        return x / 2, np.sum(chain(np.tanh, 15)(x), axis=1), chain(np.tanh, 15)(x)

    monkeypatch.setattr(cpus, "wide_vectors_pay", lambda: True)
    x = np.linspace(-1, 1, 3 * length).astype(dtype).reshape(3, length)
    results = []
    for least in (0, 10**6):
        monkeypatch.setattr(functions, "MASKED", least)
        compiler.clear()
        results.append(fg.jit(lambda x: both(x))(x))
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one, other, rtol=length * 2 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(results[0][2], results[1][2])


def of_functions(number: int, independent: bool, name: str = "log_ndtr") -> Kernel:
    """A loop of so many functions, long ones by default."""
    index, last = Value(0, INDEX), Value(1, "f8")
    ops = [Op(Value(2 + k, "f8"), name, (Value(1 + k, "f8"),)) for k in range(number)]
    body = (Load(last, 0, index), *ops, Store(1, index, ops[-1].result))
    loop = Loop(index, Constant(0, INDEX), Value(-2, INDEX), body, independent=independent)
    return Kernel((Buffer("f8", False), Buffer("f8", True)), (), Value(-1, INDEX), Value(-2, INDEX), (loop,))


def test_which_functions_stay_apart() -> None:
    assert functions.apart(of_functions(functions.FEW, True)) == []
    assert functions.apart(of_functions(functions.FEW + 1, True)) == [("log_ndtr", "f8")]
    assert functions.apart(of_functions(functions.MANY, True, "exp")) == []
    assert functions.apart(of_functions(functions.MANY + 1, True, "exp")) == [("exp", "f8")]
    assert functions.apart(of_functions(functions.FEW + 1, False)) == []  # those are called one by one, anyhow

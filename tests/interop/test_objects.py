"""Do programs that left the process as object files compute what they compute here, with nothing of Python's?"""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import pytest

import funcgrad as fg
from funcgrad.compile import engine
from funcgrad.runtime import objects
from funcgrad.runtime.c_names import identifier
from tests.interop.test_native_function import PROGRAMS as NATIVE

RNG = np.random.default_rng(0)
KINDS = {
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "uint8_t": ctypes.c_uint8,
    "int8_t": ctypes.c_int8,
    "int64_t": ctypes.c_int64,
}
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")


class Exported:
    """A program in an object file, linked into this process, called with arrays."""

    def __init__(self, fun: Any, args: Any, folder: Any, **options: Any) -> None:
        self.strong = fg.tree.map(lambda a: np.asarray(a)[()], args)  # a C double is a float64, which is not weak
        self.compiled = fg.jit(fun).lower(*self.strong).compile()
        self.file, self.header = folder / "program.o", folder / "program.h"
        self.compiled.export_object(self.file, self.header, **options)
        lowered = self.compiled._lowered
        parts = lowered._names, lowered._in_structure, lowered._out_structure
        self.face = objects._face(lowered.program, parts, "program")
        self.library = engine.load(self.file.read_bytes())
        given = [KINDS[p.c_type] if p.by_value else ctypes.c_void_p for p in self.face.parameters]
        kinds = [*given, *[ctypes.c_void_p] * len(self.face.results)]
        self.call = ctypes.CFUNCTYPE(ctypes.c_int64, *kinds)(self.library.address("program"))
        message = self.library.address("program_message")
        self.message = ctypes.CFUNCTYPE(ctypes.c_char_p, ctypes.c_int64)(message)

    def __call__(self, *args: Any) -> tuple[int, list[np.ndarray]]:
        leaves = [np.ascontiguousarray(x) for x in fg.tree.leaves(args)]
        outs = [np.empty(t.shape, t.dtype) for t in self.compiled._lowered.program.output_types]
        pairs = zip(self.face.parameters, leaves, strict=True)
        given = [x.item() if p.by_value else x.ctypes.data for p, x in pairs]
        return self.call(*given, *(out.ctypes.data for out in outs)), outs


def normal(*shape: int, dtype: Any = np.float64) -> np.ndarray:
    x = RNG.normal(size=shape)
    return (x + 1j * RNG.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def conv(x: Any, w: Any) -> Any:
    return fg.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def stacked(x: Any, w: Any) -> Any:
    """A loop of steps that has a loop and a branch of steps inside."""

    def body(c: Any, v: Any) -> Any:
        c = fg.lax.fori_loop(0, 2, lambda k, d: np.sort(np.tanh(d @ w)), c + v)
        return fg.lax.cond(c[0, 0] > 0, lambda d: np.sort(-d), lambda d: d @ w, c), c[0]

    return fg.lax.scan(body, np.zeros(w.shape), x)


def slope_of_while(x: Any) -> Any:
    def f(x: Any) -> Any:
        return np.sum(fg.lax.while_loop(lambda c: np.sum(c) < 50, lambda c: np.sort(c * 1.5), x))

    return fg.grad(f)(x)


IMAGE, KERNEL = normal(2, 9, 8, 3, dtype=np.float32), normal(3, 3, 3, 5, dtype=np.float32)
WITH_NAN = np.where(RNG.random(200) < 0.1, np.nan, RNG.integers(0, 9, 200) * 1.0)
PROGRAMS = {
    **NATIVE,
    "a convolution and its gradient": (fg.value_and_grad(lambda w, x: np.sum(conv(x, w) ** 2)), (KERNEL, IMAGE)),
    "a convolution tap by tap": (
        fg.value_and_grad(lambda w, x: np.sum(conv(x, w) ** 2), argnums=(0, 1)),
        (normal(3, 3, 32, 24, dtype=np.float32), normal(1, 24, 30, 32, dtype=np.float32)),
    ),
    "a sort of each kind": (
        lambda *xs: [np.sort(x) for x in xs],
        (WITH_NAN, WITH_NAN.astype(np.float32), RNG.integers(-99, 99, 300), RNG.integers(0, 9, 80).astype(np.uint8)),
    ),
    "attention in blocks": (
        fg.value_and_grad(lambda x: np.sum(fg.nn.dot_product_attention(x, x, x, is_causal=True) ** 2)),
        (normal(1, 1500, 1, 16, dtype=np.float32),),
    ),
    "a large transposition": (lambda x: np.sort(x.T + 1), (normal(300, 200),)),
    "loops within loops": (stacked, (normal(4, 20, 20), normal(20, 20) / 20)),
    "a tape": (slope_of_while, (np.abs(normal(30)),)),
    "a bias and an activation": (lambda x, w, b: np.tanh(x @ w + b), (normal(600, 8), normal(8, 512), normal(512))),
    "half precision": (lambda x: np.exp(x) * 2, (normal(9, dtype=np.float16),)),
    "bfloat16": (lambda x: x.astype(fg.numpy.bfloat16) * 3, (normal(9, dtype=np.float32),)),
}


QUICK = (
    *("scalars", "gradients", "small integers", "complex", "while", "trees", "nothing in", "an empty array"),
    *(
        "many steps",
        "a convolution and its gradient",
        "a sort of each kind",
        "loops within loops",
        "a tape",
        "a long running sum",
    ),
    *("a bias and an activation", "half precision", "loops over examples", "tapes over examples"),
)
CASES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in PROGRAMS]
DIGITS = {"e": 10, "f": 23, "d": 52, "F": 23, "D": 52, "E": 7}  # of the mantissa; E is bfloat16


@pytest.mark.parametrize("name", CASES)
def test_an_object_computes_what_the_program_computes(name, tmp_path):
    fun, args = PROGRAMS[name]
    exported = Exported(fun, args, tmp_path)
    status, outs = exported(*args)
    assert status == 0
    for found, expected in zip(outs, fg.tree.leaves(exported.compiled(*exported.strong)), strict=True):
        expected = np.asarray(expected)
        unit = 2.0 ** -DIGITS[found.dtype.char] if found.dtype.char in DIGITS else 0.0
        wide = np.complex128 if found.dtype.kind == "c" else np.float64
        scale = np.max(np.abs(expected.astype(wide)), initial=0, where=~np.isnan(expected.astype(wide)))
        np.testing.assert_allclose(found.astype(wide), expected.astype(wide), rtol=4 * unit, atol=16 * unit * scale)


def test_an_object_for_this_cpu_computes_the_same_bits(tmp_path):
    def f(x):
        return np.sum(np.exp(np.sin(x)), 1), fg.lax.cumsum(np.log1p(x * x)), np.sort(np.tanh(x), 1)

    x = normal(40, 70)
    exported = Exported(f, (x,), tmp_path, cpu="host")
    status, outs = exported(x)
    assert status == 0
    for found, expected in zip(outs, exported.compiled(x), strict=True):
        np.testing.assert_array_equal(found, expected)


OTHERS = [pytest.param(dtype, marks=pytest.mark.slow) for dtype in (np.float64, np.complex64)]


@pytest.mark.parametrize("dtype", [np.float32, np.complex128, *OTHERS])
def test_products_of_our_own(dtype, tmp_path):
    def products(a, b, c, v, w):
        many = fg.vmap(lambda x: x @ b.T)(np.stack([a, a * 2]))
        return a @ c, a.T @ b, b @ a.T, c.T @ b.T, a @ v, w @ a, a.T @ w, many

    sizes = (37, 301), (37, 301), (301, 19), (301,), (37,)
    args = [normal(*shape, dtype=dtype) for shape in sizes]
    status, outs = Exported(products, args, tmp_path)(*args)
    a, b, c, v, w = (x.astype(np.complex128 if np.dtype(dtype).kind == "c" else np.float64) for x in args)
    expected = a @ c, a.T @ b, b @ a.T, c.T @ b.T, a @ v, w @ a, a.T @ w, np.stack([a @ b.T, 2 * a @ b.T])
    assert status == 0
    for found, wanted in zip(outs, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=32 * np.finfo(dtype).eps * np.abs(wanted).max())


def test_a_failure_has_a_message_with_its_line(tmp_path):
    exported = Exported(lambda x, k: (x[k], np.sum(x)), (np.arange(3.0), 0), tmp_path)
    status, outs = exported(np.arange(3.0), 2)
    assert (status, outs[0]) == (0, 2)
    status, _ = exported(np.arange(3.0), 7)
    assert status > 0
    text = exported.message(status).decode()
    assert text.startswith("IndexError: ")
    assert "(test_objects.py:" in text
    assert text in exported.header.read_text()
    assert exported.message(0) == b"the results are written"
    assert b"memory" in exported.message(-1)
    assert exported.message(999) == exported.message(-9) == b"an unknown status"


def test_the_header_tells_what_lies_where(tmp_path):
    def f(double, tree, *, new, out):
        return {"a": double * tree["w"] + new, "b": tree["z"][0] * 1j, "out": out > 0}

    tree = {"w": np.zeros((2, 3), np.float32), "z": [np.zeros(2, np.complex64)]}
    lowered = fg.jit(f).lower(np.float32(2), tree, new=np.zeros(3, np.float16), out=1)
    lowered.compile().export_object(tmp_path / "a-b.o", header=tmp_path / "a-b.h", name="run")
    text = (tmp_path / "a-b.h").read_text()
    assert "#ifndef A_B_H" in text
    assert (
        "int64_t run(float double_, const float *tree_w, const float *tree_z_0, const uint16_t *new_, int64_t out, "
        "float *out_a, float *out_b, uint8_t *out_out);" in text
    )
    assert "#define RUN_TREE_Z_0_SIZE 4" in text
    assert re.search(r"tree_w +float \* +\[2\]\[3\] +read\n", text)
    assert re.search(r" out +int64_t +by value +read\n", text)
    assert re.search(r" out_out +uint8_t \* +one number +written\n", text)
    compiled = fg.jit(lambda n, x, p: x * n + p, static_argnums=0).lower(3, 1.0, 2.0).compile()
    compiled.export_object(tmp_path / "2 goto.o", header=tmp_path / "c.h")
    assert "int64_t x2_goto(double x, double p, double *out);" in (tmp_path / "c.h").read_text()


def test_names_of_files_may_be_no_text(tmp_path):
    scope = {}
    exec(compile("def pick(x, k):\n    return x[k]\n", "caf\udce9.py", "exec"), scope)
    fg.jit(scope["pick"]).lower(np.arange(3.0), 0).compile().export_object(tmp_path / "a.o", header=tmp_path / "a.h")
    assert "for axis with size 3 (caf\\udce9.py:2)" in (tmp_path / "a.h").read_text()


def test_parameters_have_names_that_headers_leave_free():
    assert [identifier(name) for name in ("linux", "uint8_t", "while", "x")] == ["linux_", "uint8_t_", "while_", "x"]


def test_sizes_of_parameters_that_differ_by_case_have_macros_of_their_own(tmp_path):
    compiled = fg.jit(lambda X, x, x_2: X @ x + x_2).lower(np.zeros((2, 3)), np.zeros(3), np.zeros(2)).compile()
    compiled.export_object(tmp_path / "f.o", header=tmp_path / "f.h")
    defined = re.findall(r"#define (F_\w+_SIZE) (\d+)", (tmp_path / "f.h").read_text())
    assert dict(defined) == {"F_X_SIZE": "6", "F_X_2_SIZE": "3", "F_X_2_2_SIZE": "2", "F_OUT_SIZE": "2"}


@pytest.mark.parametrize("name", ["exp", "malloc", "memcpy", "main", "sinf", "fg_run", "integers"])
def test_names_that_belong_to_others_are_refused(name, tmp_path):
    compiled = fg.jit(lambda x: np.exp(x)).lower(np.zeros(3)).compile()
    with pytest.raises(ValueError, match=f"{name} is the name of another function.*as in name='{name}_of_mine'"):
        compiled.export_object(tmp_path / f"{name}.o")
    assert not list(tmp_path.iterdir())


def test_the_codes_own_tables_take_no_names(tmp_path):
    compiled = fg.jit(lambda x: np.exp(x)).lower(np.zeros(3)).compile()
    compiled.export_object(tmp_path / "constant_0.o")
    x, out = np.arange(3.0), np.empty(3)
    library = engine.load((tmp_path / "constant_0.o").read_bytes())
    call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(library.address("constant_0"))
    assert call(x.ctypes.data, out.ctypes.data) == 0
    np.testing.assert_allclose(out, np.exp(x))


def test_threads_share_nothing(tmp_path):
    x = normal(100, 100)
    exported = Exported(lambda a: np.sort(np.sin(a) @ a) @ a, (x,), tmp_path)
    inputs = [x + k for k in range(4)]
    expected = [exported(x)[1][0] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: [exported(inputs[k])[1][0] for _ in range(10)], range(4)))
    for results, wanted in zip(found, expected, strict=True):
        for result in results:
            np.testing.assert_array_equal(result, wanted)


@numba.njit
def doubled(x):
    return x * 2


MISTAKES = {
    "a callback": (
        lambda x: fg.pure_callback(np.sort, x, x),
        {},
        NotImplementedError,
        r"pure_callback.*\n  at .*test_o",
    ),
    "Numba": (
        lambda x: fg.numba_call(doubled, x, x),
        {},
        NotImplementedError,
        r"numba_call cannot leave.*\n  at .*test_o",
    ),
    "no code": (lambda x: np.linalg.svd(x.reshape(20, 20)), {}, NotImplementedError, r"svd.*\n  at .*test_objects"),
    "a name": (np.sin, {"name": "a b"}, ValueError, "'a b' is no name of a function in C"),
    "a word of C's": (np.sin, {"name": "double"}, ValueError, "'double' is no name"),
    "no CPU": (np.sin, {"cpu": None}, ValueError, "cpu must be 'generic', 'host'"),
    "another CPU": (np.sin, {"cpu": "cray-1"}, ValueError, "a CPU that LLVM knows of the family of .*, not 'cray-1'"),
    "BLAS": (np.sin, {"blas": "mkl"}, ValueError, "blas must be one of 'own', 'cblas', not 'mkl'"),
    "sizes for CBLAS": (
        lambda x: np.sum(np.broadcast_to(x, (2**23, 400))),
        {"blas": "cblas"},
        ValueError,
        "have 32 bits",
    ),
    "the file": (np.sin, {"path": "a.txt"}, ValueError, r"a name ends in .o, .obj, .so, .dylib.*not 'a.txt'"),
}


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n == "Numba" else n for n in MISTAKES])
def test_a_mistake_is_told(name, tmp_path):
    fun, options, kind, message = MISTAKES[name]
    compiled = fg.jit(fun).lower(np.ones(400)).compile()
    with pytest.raises(kind, match=message):
        compiled.export_object(tmp_path / options.pop("path", "a.o"), **options)
    assert not list(tmp_path.iterdir())


def test_without_a_compiler_there_is_no_shared_library(tmp_path, monkeypatch):
    compiled = fg.jit(np.sin).lower(1.0).compile()
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(RuntimeError, match=r"there is none.*write an object file"):
        compiled.export_object(tmp_path / "a.so")
    monkeypatch.setenv("CC", "no-such-compiler -O2")
    with pytest.raises(RuntimeError, match="no-such-compiler cannot be run"):
        compiled.export_object(tmp_path / "a.so")


@needs_compiler
def test_a_shared_library_exports_two_names_and_needs_nothing_of_pythons(tmp_path):
    compiled = fg.jit(stacked).lower(normal(4, 20, 20), normal(20, 20)).compile()
    compiled.export_object(tmp_path / "libstacked.so", cpu="host")
    library = ctypes.CDLL(str(tmp_path / "libstacked.so"))
    library.stacked_message.restype = ctypes.c_char_p
    assert library.stacked_message(ctypes.c_int64(0)) == b"the results are written"
    if shutil.which("nm"):
        listed = subprocess.run(["nm", "-D", tmp_path / "libstacked.so"], capture_output=True, text=True, check=True)
        lines = [line.split() for line in listed.stdout.splitlines()]
        assert {line[-1] for line in lines if "T" in line} == {"stacked", "stacked_message"}
        needed = {line[-1].split("@")[0] for line in lines if "U" in line}
        assert needed <= {"malloc", "free", "memcpy", "memset"}


MAIN = """
#include "program.h"
#include "program.h"
#include <stdio.h>
int main(void) {
    double x[PROGRAM_X_SIZE] = {1, 2, 3}, out = 0;
    int64_t status = program(x, 1, &out);
    printf("%d %g\\n", (int)status, out);
    status = program(x, 5, &out);
    puts(program_message(status));
    return 0;
}
"""


@needs_compiler
@pytest.mark.parametrize("language", ["c", "c++"])
def test_the_header_is_cs_and_cplusplus(language, tmp_path):
    if language == "c++" and not (shutil.which("c++") or shutil.which("g++")):
        pytest.skip("there is no C++ compiler")
    Exported(lambda x, k: np.sin(x)[k] + np.sum(x), (np.zeros(3), 0), tmp_path)
    (tmp_path / "main.c").write_text(MAIN)
    options = ["-x", language, "-Wall", "-Wextra", "-Werror", "-pedantic", "main.c", "-x", "none", "program.o", "-lm"]
    subprocess.run([COMPILER, *options, "-o", "main"], check=True, cwd=tmp_path)
    run = subprocess.run([tmp_path / "main"], capture_output=True, text=True, check=True)
    first, second = run.stdout.splitlines()
    assert first == f"0 {np.sin(2) + 6:g}"
    assert second.startswith("IndexError: ")


CBLAS = """
#include <stdio.h>
enum order { row = 101, column };
enum flag { plain = 111, turned };
void cblas_dgemm(enum order o, enum flag ta, enum flag tb, int m, int n, int k, double alpha, const double *a, int lda,
                 const double *b, int ldb, double beta, double *c, int ldc) {
    if (o != column) return;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int p = 0; p < k; p++)
                sum += a[ta == plain ? i + p * lda : p + i * lda] * b[tb == plain ? p + j * ldb : j + p * ldb];
            c[i + j * ldc] = alpha * sum + (beta == 0 ? 0 : beta * c[i + j * ldc]);
        }
}
void cblas_dgemv(void) {}
"""


@needs_compiler
def test_products_of_cblas(tmp_path):
    (tmp_path / "cblas.c").write_text(CBLAS)
    subprocess.run([COMPILER, "-O1", "-c", "-fPIC", "cblas.c", "-o", "cblas.o"], check=True, cwd=tmp_path)
    a, b = normal(30, 40), normal(50, 40)
    compiled = fg.jit(lambda a, b: a @ b.T).lower(a, b).compile()
    compiled.export_object(tmp_path / "p.o", header=tmp_path / "p.h", blas="cblas")
    assert "of a CBLAS" in (tmp_path / "p.h").read_text()
    subprocess.run([COMPILER, "-shared", "p.o", "cblas.o", "-o", "p.so"], check=True, cwd=tmp_path)
    out = np.zeros((30, 50))
    given = [ctypes.c_void_p(x.ctypes.data) for x in (a, b, out)]
    assert ctypes.CDLL(str(tmp_path / "p.so")).p(*given) == 0
    np.testing.assert_allclose(out, a @ b.T, rtol=0, atol=1e-13)

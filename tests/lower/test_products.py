"""Are products told how their operands and results lie, so that nothing is copied first?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.lower.plan import Plan, make_plan
from funcgrad.lower.products import Product
from funcgrad.simplify import simplify

B, T, H, D = 3, 20, 4, 12


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def attention(qkv: Any) -> Any:
    """Heads read and written where they lie."""
    q, k, v = (qkv[:, :, part] for part in range(3))
    scores = fnp.einsum("bthd,bshd->bhts", q, k)
    return fnp.einsum("bhts,bshd->bthd", fnp.exp(scores), v)


def centred(factors: Any, x: Any) -> Any:
    """A batch axis in the middle of an operand and of the result."""
    return fnp.einsum("kij,nkj->nki", factors, x)


def twice(x: Any, y: Any) -> Any:
    """A result that is read as it stands and transposed."""
    product = fnp.einsum("nij,njk->nik", x, y)
    return product, fnp.transpose(product, (1, 0, 2))


def einsum(subscripts: str) -> Callable[..., Any]:
    return lambda x, y: fnp.einsum(subscripts, x, y)


CASES: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "heads": (attention, (drawn(B, T, 3, H, D) / 4,)),
    "middle": (centred, (drawn(5, 9, 11), drawn(40, 5, 11))),
    "three batch axes": (einsum("abcij,bacjk->abcik"), (drawn(2, 3, 4, 9, 18), drawn(3, 2, 4, 18, 7))),
    "three batch axes in turn": (einsum("abcij,abcjk->cabik"), (drawn(2, 3, 4, 9, 18), drawn(2, 3, 4, 18, 7))),
    "no order fits": (einsum("abij,bjak->aikb"), (drawn(2, 3, 9, 18), drawn(3, 18, 2, 10))),
    "one member": (einsum("abij,abjk->baik"), (drawn(1, 3, 9, 18), drawn(1, 3, 18, 10))),
    "nothing": (einsum("abij,abjk->baik"), (drawn(0, 3, 9, 8), drawn(0, 3, 8, 10))),
    "read twice": (twice, (drawn(3, 9, 18), drawn(3, 18, 10))),
}


def plan_of(name: str) -> Plan:
    function, arguments = CASES[name]
    return make_plan(simplify(fg.make_jaxpr(function)(*arguments)))


def assert_close(found: Any, expected: Any) -> None:
    for a, b in zip(fg.tree.leaves(found), fg.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.max(np.abs(b), initial=1.0))


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    function, arguments = CASES[name]
    wide = [a.astype(np.float64) for a in arguments]
    assert_close(fg.jit(function)(*arguments), function(*wide))

    def total(*xs: Any) -> Any:
        return sum(fnp.sum(fnp.sin(leaf)) for leaf in fg.tree.leaves(function(*xs)))

    gradient = fg.grad(total, argnums=tuple(range(len(arguments))))
    assert_close(fg.jit(gradient)(*arguments), gradient(*wide))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_many_heads(threads, dtype):
    qkv = (drawn(4, 96, 3, 6, 32) / 4).astype(dtype)
    before = fg.get_num_threads()
    fg.set_num_threads(threads)
    try:
        assert_close(fg.jit(attention)(qkv), attention(qkv.astype("f8")))
    finally:
        fg.set_num_threads(before)


def test_heads_are_not_copied():
    plan = plan_of("heads")
    products = [step for step in plan.steps if isinstance(step, Product)]
    assert [product.inner for product in products] == [H, H]
    assert products[1].lie is not None
    assert len(plan.steps) == 3  # the products, and exp between them


def test_a_batch_axis_in_the_middle_is_not_copied():
    (product,) = plan_of("middle").steps
    assert isinstance(product, Product)
    assert product.lie is not None


@pytest.mark.parametrize("name", [name for name in CASES if name != "nothing"])
def test_as_python(name):
    function, arguments = CASES[name]
    module: dict[str, Any] = {}
    exec(fg.jit(function).lower(*arguments).as_text("python"), module)
    assert_close(module["run"](*arguments), function(*arguments))


FEW_TERMS = {  # the equation, the operands' shapes, and how many library products are left
    "outer": ("i,j->ij", (300,), (40,), 0),
    "outer of stacks": ("bi,bj->bij", (30, 64), (30, 32), 0),
    "one term": ("bik,bjk->bij", (3, 70, 1), (3, 60, 1), 0),
    "points turned": ("nd,de->ne", (500, 3), (3, 3), 0),
    "from the left": ("de,en->dn", (3, 3), (3, 500), 0),
    "the other way": ("de,nd->en", (3, 3), (500, 3), 0),
    "stacks": ("ikd,kde->ike", (100, 5, 4), (5, 4, 4), 0),
    "two axes of terms": ("nab,abc->nc", (200, 2, 2), (2, 2, 5), 0),
    "a dozen columns": ("nd,de->ne", (500, 12), (12, 12), 1),
    "few rows": ("nd,de->ne", (20, 4), (4, 4), 1),
    "wide": ("de,en->dn", (8, 5), (5, 500), 1),
}


@pytest.mark.parametrize("name", FEW_TERMS)
@pytest.mark.parametrize("dtype", ["f4", "f8", "c16", "i4"])
def test_products_of_few_terms_are_loops(name, dtype):
    equation, left, right, products = FEW_TERMS[name]
    rng = np.random.default_rng(0)
    x, y = ((5 * rng.standard_normal(shape)).astype(dtype) for shape in (left, right))
    f = fg.jit(lambda x, y: fnp.einsum(equation, x, y) + 1)
    np.testing.assert_allclose(f(x, y), np.einsum(equation, x, y) + 1, rtol=1e-5, atol=1e-5)
    if dtype == "f4":
        assert f.lower(x, y).cost_analysis()["products"] == products


def test_one_term_is_a_sum_all_the_same():
    """0 + -0 is 0, as in NumPy's products; what is not finite is not hidden."""
    x, y = np.array([[-0.0], [1.0], [np.inf], [np.nan]]), np.array([[1.0, 0.0, -0.0]])
    with np.errstate(invalid="ignore"):
        expected = x @ y
    found = np.asarray(fg.jit(lambda x, y: x @ y)(x, y))
    np.testing.assert_array_equal(found, expected)
    assert np.array_equal(np.signbit(found[:2]), np.signbit(expected[:2]))

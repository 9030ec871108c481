"""Do loops and branches give JAX's values, dtypes, structures and kinds of errors where programs are odd?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp

jax = pytest.importorskip("jax")
BF16 = ml_dtypes.bfloat16


def vmap_grad_cond_in_scan(np: Any, api: Any) -> Any:
    def f(x):
        def st(c, u):
            return api.lax.cond(u > x, lambda c: c * x, lambda c: c + x * u, c), None

        return api.lax.scan(st, x, np.array([0.1, 0.5, 0.9]))[0]

    return api.vmap(api.grad(f))(np.array([0.2, 0.6, 1.0]))


def cb_order(np: Any, api: Any) -> Any:
    log = []

    def body(c, x):
        api.debug.callback(lambda a, b: log.append((float(a), float(b))), c, x, ordered=True)
        return c + x, None

    r = api.jit(lambda: api.lax.scan(body, 0.0, np.arange(5.0))[0])()
    jax.effects_barrier()
    return r, log


def cb_order_while(np: Any, api: Any) -> Any:
    log = []

    def body(c):
        api.debug.callback(lambda a: log.append(float(a)), c, ordered=True)
        return c + 1

    r = api.jit(lambda: api.lax.while_loop(lambda c: c < 4, body, 0.0))()
    jax.effects_barrier()
    return r, log


def cb_nested(np: Any, api: Any) -> Any:
    log = []

    def inner(i, c):
        api.debug.callback(lambda a, b: log.append((int(a), float(b))), i, c, ordered=True)
        return c + i

    def outer(c, x):
        c = api.lax.cond(x > 0.5, lambda c: api.lax.fori_loop(0, 3, inner, c), lambda c: c, c)
        api.debug.callback(lambda a: log.append(("out", float(a))), c, ordered=True)
        return c, c

    r = api.jit(lambda: api.lax.scan(outer, 0.0, np.array([1.0, 0.0, 1.0])))()
    jax.effects_barrier()
    return r, log


def pure_cb_in_scan(np: Any, api: Any) -> Any:
    def f(x):
        def body(c, u):
            y = api.pure_callback(lambda v: numpy.sin(numpy.asarray(v)), api.ShapeDtypeStruct((), "float64"), c * u)
            return y, c

        return api.lax.scan(body, x, np.arange(4.0) + 1)

    return api.jit(f)(0.3)


def pure_cb_vmap_while(np: Any, api: Any) -> Any:
    def f(x):
        return api.lax.while_loop(
            lambda s: s < 5,
            lambda s: api.pure_callback(
                lambda v: numpy.asarray(numpy.asarray(v) * 2),
                api.ShapeDtypeStruct((), "float64"),
                s,
                vmap_method="sequential",
            ),
            x,
        )

    return api.vmap(f)(np.array([0.3, 1.0, 9.0]))


def vmap_grad_nested(np: Any, api: Any) -> Any:
    def f(x, n):
        def br(x):
            def st(c, u):
                w = api.lax.scan(lambda s, _: (s * 1.5 + u * np.sin(x), None), c, None, length=3)[0]
                return w * 0.1, w

            c, ys = api.lax.scan(st, x, np.arange(4.0) + 1)
            return c + ys.sum()

        return api.lax.switch(n, [br, lambda x: x * x, lambda x: np.exp(x)], x)

    return api.vmap(api.value_and_grad(f))(np.array([0.3, 0.7, -0.2, 1.0]), np.array([0, 1, 2, 7]))


def nested1(np: Any, api: Any) -> Any:
    def f(x, p):
        def br(x):
            def st(c, u):
                w = api.lax.while_loop(lambda s: np.abs(s) < 4.0, lambda s: s * 1.5 + u, c)
                return w * 0.1, w

            c, ys = api.lax.scan(st, x, np.arange(4.0) + 1)
            return c + ys.sum()

        return api.lax.cond(p > 0, br, lambda x: x * x, x)

    return api.vmap(lambda x, p: api.jvp(lambda x: f(x, p), (x,), (1.0,)))(
        np.array([0.3, 0.7, -0.2]), np.array([1.0, -1.0, 2.0])
    )


def vmap_vmap_while(np: Any, api: Any) -> Any:
    def f(x, n):
        return api.lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 1.5 + np.sin(s[1])), (0, x))

    return api.vmap(api.vmap(f, (0, None)), (None, 0))(np.array([0.3, -0.4]), np.array([0, 3, 1]))


def scan_of_vmap_cond(np: Any, api: Any) -> Any:
    def st(c, u):
        return api.vmap(lambda a: api.lax.cond(a > u, lambda a: a - u, lambda a: a + u, a))(c), c.sum()

    return api.jit(lambda c: api.lax.scan(st, c, np.arange(4.0)))(np.array([1.0, 2.0, 3.0]))


def grad_scan_of_vmap_while_jvp(np: Any, api: Any) -> Any:
    def st(c, u):
        return api.vmap(lambda a: api.lax.while_loop(lambda s: s < u, lambda s: s * 1.5 + 0.1, a))(c), c.sum()

    return api.jvp(lambda c: api.lax.scan(st, c, np.arange(4.0)), (np.array([1.0, 2.0, 3.0]),), (np.ones(3),))


def scan_inplace_set_grad(np: Any, api: Any) -> Any:
    def f(c):
        def st(c, i):
            return c.at[i].set(c[i - 1] * c[i] + np.sin(c[i])), c[i]

        c, y = api.lax.scan(st, c, np.arange(1, 5))
        return (c**2).sum() + y.sum()

    return api.value_and_grad(f)(np.arange(6.0) / 3)


def two_carries_written_swapped(np: Any, api: Any) -> Any:
    def st(c, i):
        a, b = c
        return (b.at[i].set(a[i] + 1), a.at[i].set(b[i] * 2)), a[0]

    return api.jit(lambda a, b: api.lax.scan(st, (a, b), np.arange(5)))(np.arange(5.0), np.ones(5))


def hessian_nested(np: Any, api: Any) -> Any:
    def f(x):
        def st(c, u):
            return api.lax.cond(u > 0, lambda c: np.sin(c * x[0]), lambda c: c * x[1] + u, c), c * c

        c, y = api.lax.scan(st, x[0], np.array([1.0, -1.0, 2.0]))
        return c + y.sum()

    return api.hessian(f)(np.array([0.4, 0.9]))


def custom_vjp_in_scan(np: Any, api: Any) -> Any:
    @api.custom_vjp
    def f(x):
        return np.sin(x)

    f.defvjp(lambda x: (f(x), x), lambda r, g: (g * 5 * r,))
    return api.value_and_grad(lambda x: api.lax.scan(lambda c, _: (f(c), c), x, None, length=3)[0])(0.3)


def linearize_scan(np: Any, api: Any) -> Any:
    y, f = api.linearize(lambda x: api.lax.scan(lambda c, u: (np.sin(c * u), c), x, np.arange(4.0)), 0.3)
    return y, f(1.0), f(2.0)


def linear_transpose(np: Any, api: Any) -> Any:
    def f(x: Any) -> Any:
        return api.lax.scan(lambda c, u: (c * 2.0 + u, c * 3), 0.0 * x[0], x)

    return api.linear_transpose(f, np.arange(4.0))((np.asarray(1.0), np.arange(4.0)))


def side_value_closure(np: Any, api: Any) -> Any:
    def f(x):
        y = np.sin(x)
        return api.lax.while_loop(lambda s: s < y, lambda s: s + y * 0.3, 0.0 * x)

    return api.jvp(f, (1.2,), (1.0,)), api.vmap(f)(np.array([0.5, 1.0, 2.0]))


def leak(np: Any, api: Any) -> Any:
    box = []

    def st(c, u):
        box.append(c)
        return c + u, None

    api.lax.scan(st, 0.0, np.arange(3.0))
    return box[0] + 1


PROGRAMS: dict[str, Callable[[Any, Any], Any]] = {
    "scan_len0": lambda np, api: api.lax.scan(lambda c, x: (c + x, c * 2), 1.0, np.zeros((0,))),
    "scan_len0_noxs": lambda np, api: api.lax.scan(lambda c, _: (c + 1, c * 2), np.ones(3), None, length=0),
    "scan_len0_grad": lambda np, api: api.grad(
        lambda x: api.lax.scan(lambda c, _: (c * x, c * 2), x, None, length=0)[0]
    )(2.0),
    "scan_len0_grad_ys": lambda np, api: api.grad(
        lambda x: api.lax.scan(lambda c, _: (c * x, c * 2), x, None, length=0)[1].sum()
    )(2.0),
    "scan_len1": lambda np, api: api.value_and_grad(
        lambda x: api.lax.scan(lambda c, _: (c * x, c * 2), x, None, length=1)[1].sum()
    )(2.0),
    "rev_unroll": lambda np, api: api.lax.scan(
        lambda c, x: (c * 0.5 + x, c), 1.0, np.arange(7.0), reverse=True, unroll=3
    ),
    "rev_unroll_grad": lambda np, api: api.jacrev(
        lambda xs: api.lax.scan(lambda c, x: (c * x + x, c), 1.0, xs, reverse=True, unroll=3)[1]
    )(np.arange(7.0)),
    "unroll_true": lambda np, api: api.lax.scan(lambda c, x: (c * 0.5 + x, c), 1.0, np.arange(7.0), unroll=True),
    "unroll_zero": lambda np, api: api.lax.scan(lambda c, x: (c * 0.5 + x, c), 1.0, np.arange(7.0), unroll=0),
    "none_tree": lambda np, api: api.lax.scan(
        lambda c, x: ((c[0] + x["a"], None, ()), {"y": None, "z": (x["a"], ())}),
        (1.0, None, ()),
        {"a": np.arange(3.0), "b": None, "c": ()},
    ),
    "all_none": lambda np, api: api.lax.scan(lambda c, x: (None, None), None, None, length=3),
    "none_xs_empty_tuple": lambda np, api: api.lax.scan(lambda c, x: (c + 1, x), 0, (), length=4),
    "bool_carry": lambda np, api: api.lax.scan(lambda c, x: (c ^ (x > 1), c), np.asarray(True), np.arange(5)),
    "int8_carry": lambda np, api: api.lax.scan(
        lambda c, x: (c + x, c), np.asarray(100, dtype="int8"), np.arange(5).astype("int8") * 10
    ),
    "complex_carry": lambda np, api: api.lax.scan(lambda c, x: (c * x * 1j, c), np.asarray(1 + 2j), np.arange(5.0) + 1),
    "complex_grad": lambda np, api: api.grad(
        lambda z: np.abs(api.lax.scan(lambda c, x: (c * z * x, c), z, np.arange(5.0) + 1)[0]) ** 2 if True else 0
    )(np.asarray(0.3 + 0.2j)),
    "complex_while_jvp": lambda np, api: api.jvp(
        lambda z: api.lax.while_loop(lambda s: np.abs(s) < 10, lambda s: s * (1.2 + 0.3j), z),
        (np.asarray(0.3 + 0.2j),),
        (np.asarray(1.0 - 1j),),
    ),
    "bf16_carry": lambda np, api: api.lax.scan(
        lambda c, x: (c * x, c), np.asarray(1.5, dtype=BF16), np.arange(5).astype(BF16) + np.asarray(1, dtype=BF16)
    ),
    "bf16_grad": lambda np, api: api.grad(lambda z: api.lax.scan(lambda c, x: (c * z, c), z, None, length=4)[0])(
        np.asarray(1.5, dtype=BF16)
    ),
    "f16_while": lambda np, api: api.lax.while_loop(
        lambda c: c < 100, lambda c: c * np.asarray(1.5, dtype="float16"), np.asarray(1.5, dtype="float16")
    ),
    "weak_carry_int_to_float": lambda np, api: api.lax.scan(lambda c, x: (c + x, c), 0, np.arange(3.0)),
    "weak_carry_f32": lambda np, api: api.lax.scan(lambda c, x: (c + x, c), 0.0, np.arange(3).astype("float32")),
    "vwhile_all_done": lambda np, api: api.vmap(lambda x: api.lax.while_loop(lambda s: s < 3, lambda s: s + 1, x))(
        np.array([5.0, 6.0, 7.0])
    ),
    "vwhile_none_done": lambda np, api: api.vmap(lambda x: api.lax.while_loop(lambda s: s < 3, lambda s: s + 1, x))(
        np.array([0.0, 0.5, -7.0])
    ),
    "vwhile_mixed": lambda np, api: api.vmap(
        lambda x, n: api.lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, s[1] * 1.5), (0, x))
    )(np.array([5.0, 6.0, 7.0]), np.array([0, 4, -1])),
    "vwhile_empty": lambda np, api: api.vmap(lambda x: api.lax.while_loop(lambda s: s < 3, lambda s: s + 1, x))(
        np.zeros((0,))
    ),
    "vwhile_nan": lambda np, api: api.vmap(lambda x: api.lax.while_loop(lambda s: s < 3, lambda s: s + 1, x))(
        np.array([np.nan, 0.0, np.inf, -2.0])
    ),
    "vcond_batched_pred": lambda np, api: api.vmap(
        lambda p, x: api.lax.cond(p, lambda x: np.sin(x), lambda x: x * 2, x)
    )(np.array([True, False, True]), np.array([1.0, 2.0, 3.0])),
    "vcond_batched_pred_only": lambda np, api: api.vmap(
        lambda p, x: api.lax.cond(p, lambda x: np.sin(x), lambda x: x * 2, x), (0, None)
    )(np.array([True, False, True]), 2.0),
    "vcond_unbatched_pred": lambda np, api: api.vmap(
        lambda p, x: api.lax.cond(p, lambda x: np.sin(x), lambda x: x * 2, x), (None, 0)
    )(True, np.array([1.0, 2.0, 3.0])),
    "vcond_2level": lambda np, api: api.vmap(
        api.vmap(lambda p, x: api.lax.cond(p, lambda x: np.sin(x), lambda x: x * 2, x), (0, None)), (None, 0)
    )(np.array([True, False, True]), np.array([1.0, 2.0])),
    "cond_nan_pred": lambda np, api: api.jit(lambda p: api.lax.cond(p, lambda: 1.0, lambda: 2.0))(np.nan),
    "cond_operand_kw": lambda np, api: api.lax.cond(True, lambda x: x + 1, lambda x: x - 1, operand=3.0),
    "cond_operand_none": lambda np, api: api.lax.cond(True, lambda x: 1.0, lambda x: 2.0, operand=None),
    "cond_5arg": lambda np, api: api.lax.cond(True, 3.0, lambda x: x + 1, 4.0, lambda x: x - 1),
    "cond_none_out": lambda np, api: api.lax.cond(True, lambda x: (None, x, ()), lambda x: (None, x * 2, ()), 3.0),
    "switch_hi": lambda np, api: api.lax.switch(9, [lambda x: x, lambda x: x * 2], 5.0),
    "switch_lo": lambda np, api: api.lax.switch(-1, [lambda x: x, lambda x: x * 2], 5.0),
    "switch_u8": lambda np, api: [
        api.jit(lambda i: api.lax.switch(i, [lambda x: x, lambda x: x * 2, lambda x: x * 3], 5.0))(
            np.asarray(k, dtype="uint8")
        )
        for k in (0, 1, 2, 200, 255)
    ],
    "switch_u64": lambda np, api: api.jit(
        lambda i: api.lax.switch(i, [lambda x: x, lambda x: x * 2, lambda x: x * 3], 5.0)
    )(np.asarray(2**63 + 5, dtype="uint64")),
    "switch_single": lambda np, api: api.lax.switch(5, [lambda x: x], 5.0),
    "switch_vmap": lambda np, api: api.vmap(lambda i, x: api.lax.switch(i, [lambda x: x, lambda x: x * 2, np.sin], x))(
        np.array([-4, 0, 1, 2, 9]), np.arange(5.0)
    ),
    "fori_neg": lambda np, api: api.lax.fori_loop(5, 2, lambda i, x: x + i, 10),
    "fori_neg_traced": lambda np, api: api.jit(lambda a, b: api.lax.fori_loop(a, b, lambda i, x: x + i, 10))(5, 2),
    "fori_traced": lambda np, api: api.jit(lambda a, b: api.lax.fori_loop(a, b, lambda i, x: (x[0] + i, i), (10, 0)))(
        -3, 4
    ),
    "fori_i32_traced": lambda np, api: api.jit(
        lambda a, b: api.lax.fori_loop(a, b, lambda i, x: i, np.asarray(0, dtype="int32"))
    )(np.asarray(0, dtype="int32"), np.asarray(3, dtype="int32")),
    "fori_mixed_traced": lambda np, api: api.jit(
        lambda b: api.lax.fori_loop(0, b, lambda i, x: i, np.asarray(0, dtype="int32"))
    )(np.asarray(3, dtype="int32")),
    "fori_vmap_bounds": lambda np, api: api.vmap(lambda n: api.lax.fori_loop(0, n, lambda i, y: y + i, 0))(
        np.array([0, -2, 5, 3])
    ),
    "fori_vmap_lower": lambda np, api: api.vmap(lambda n: api.lax.fori_loop(n, 4, lambda i, y: y + i, 0))(
        np.array([0, -2, 5, 3])
    ),
    "map_bs": lambda np, api: api.lax.map(lambda x: x * 2, np.arange(5.0), batch_size=2),
    "map_bs0": lambda np, api: api.lax.map(lambda x: x * 2, np.arange(5.0), batch_size=0),
    "map_empty": lambda np, api: api.lax.map(lambda x: x * 2, np.zeros((0, 3))),
    "map_empty_bs": lambda np, api: api.lax.map(lambda x: x * 2, np.zeros((0, 3)), batch_size=2),
    "assoc_rev_axis": lambda np, api: api.lax.associative_scan(
        np.multiply, np.arange(12.0).reshape(3, 4) + 1, reverse=True, axis=1
    ),
    "assoc_empty": lambda np, api: api.lax.associative_scan(np.add, np.zeros((0,))),
    "while_none": lambda np, api: api.lax.while_loop(lambda s: s[0] > 0, lambda s: (s[0] - 1, None, {}), (3, None, {})),
    "scan_carry_swapped": lambda np, api: api.lax.scan(
        lambda c, x: ((c[1], c[0] + x), c[0]), (1.0, 2.0), np.arange(4.0)
    ),
    "scan_carry_same_twice": lambda np, api: api.lax.scan(
        lambda c, x: ((c[1], c[1]), c[0]), (np.ones(3), np.zeros(3)), np.arange(4.0)
    ),
    "scan_carry_is_x": lambda np, api: api.lax.scan(lambda c, x: (x, c), np.zeros(2), np.arange(6.0).reshape(3, 2)),
    "scan_carry_const": lambda np, api: api.lax.scan(lambda c, x: (np.ones(2), c), np.zeros(2), np.arange(3.0)),
    "scan_neg0": lambda np, api: api.grad(lambda x: api.lax.scan(lambda c, _: (np.abs(c), None), x, None, length=3)[0])(
        -0.0
    ),
    "grad_cond_nan": lambda np, api: api.grad(
        lambda x: api.lax.cond(x > 0, lambda x: np.sqrt(x), lambda x: 0.0 * x, x)
    )(-1.0),
    "hess_scan": lambda np, api: api.hessian(
        lambda x: api.lax.scan(lambda c, u: (np.sin(c * u) + x.sum(), c), x[0], x)[0]
    )(np.array([0.3, 0.7, 0.2])),
    "vmap_grad_cond_in_scan": vmap_grad_cond_in_scan,
    "empty_carry_arrays": lambda np, api: api.lax.scan(lambda c, x: (c * 2, c.sum()), np.zeros((0, 3)), np.arange(3.0)),
    "branches_closure_grad": lambda np, api: api.grad(
        lambda x, y: api.lax.cond(x > 0, lambda: x * y, lambda: y**2), (0, 1)
    )(2.0, 3.0),
    "cb_order": cb_order,
    "cb_order_while": cb_order_while,
    "cb_nested": cb_nested,
    "pure_cb_in_scan": pure_cb_in_scan,
    "pure_cb_vmap_while": pure_cb_vmap_while,
    "vmap_grad_nested": vmap_grad_nested,
    "nested1": nested1,
    "vmap_vmap_while": vmap_vmap_while,
    "vmap_cond_out_unbatched_branch": lambda np, api: api.vmap(
        lambda p: api.lax.cond(p, lambda: np.arange(3.0), lambda: np.ones(3))
    )(np.array([True, False])),
    "scan_of_vmap_cond": scan_of_vmap_cond,
    "grad_scan_of_vmap_while_jvp": grad_scan_of_vmap_while_jvp,
    "scan_inplace_set_grad": scan_inplace_set_grad,
    "two_carries_written_swapped": two_carries_written_swapped,
    "while_carry_swap_big": lambda np, api: api.jit(
        lambda x, y: api.lax.while_loop(lambda s: s[0] < 5, lambda s: (s[0] + 1, s[2], s[1] * 2), (0, x, y))
    )(np.arange(3000.0), np.ones(3000)),
    "while_zero_iter_big": lambda np, api: api.jit(
        lambda x, y: api.lax.while_loop(lambda s: s[0] < 0, lambda s: (s[0] + 1, s[2], s[1] * 2), (0, x, y))
    )(np.arange(3000.0), np.ones(3000)),
    "while_same_init_twice": lambda np, api: api.jit(
        lambda x: api.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 2, s[2] + 1), (0, x, x))
    )(np.arange(3000.0)),
    "scan_reverse_ys_multi": lambda np, api: api.jit(
        lambda x: api.lax.scan(lambda c, u: (c * 0.5 + u, {"a": c, "b": (u, c * u)}), np.zeros(2), x, reverse=True)
    )(np.arange(10.0).reshape(5, 2)),
    "hessian_nested": hessian_nested,
    "custom_vjp_in_scan": custom_vjp_in_scan,
    "linearize_scan": linearize_scan,
    "linear_transpose": linear_transpose,
    "side_value_closure": side_value_closure,
    "psum_in_cond": lambda np, api: api.vmap(
        lambda x: api.lax.cond(True, lambda x: api.lax.psum(x, "i"), lambda x: x, x), axis_name="i"
    )(np.arange(3.0)),
    "while_bool_carry": lambda np, api: api.lax.while_loop(lambda s: s[0], lambda s: (s[1] < 3, s[1] + 1), (True, 0)),
    "uint_carry_wrap": lambda np, api: api.lax.fori_loop(
        0, 300, lambda i, s: s + np.asarray(1, dtype="uint8"), np.asarray(0, dtype="uint8")
    ),
    "c64_scan": lambda np, api: api.jit(
        lambda z: api.lax.scan(lambda c, x: (c * z + x, np.abs(c)), z, np.arange(4).astype("complex64"))
    )(np.asarray(0.5 + 0.25j, dtype="complex64")),
    "c_while_vmap": lambda np, api: api.vmap(
        lambda c: api.lax.while_loop(
            lambda s: (np.abs(s[1]) < 2) & (s[0] < 30), lambda s: (s[0] + 1, s[1] * s[1] + c), (0, 0j * c)
        )
    )(np.array([0.3 + 0.5j, 1 + 1j, -0.1 + 0.2j])),
    "complex_nested": lambda np, api: api.lax.scan(
        lambda c, x: (c, api.lax.fori_loop(0, 2, lambda i, s: s * x, c)), np.asarray(0.3 + 0.5j), np.arange(3.0)
    ),
    "bf16_vmap_cond": lambda np, api: api.vmap(lambda p, x: api.lax.cond(p, lambda x: x * x, lambda x: x + x, x))(
        np.array([True, False]), np.array([1.5, 2.5]).astype(BF16)
    ),
    "scan_len0_vmap_grad": lambda np, api: api.vmap(
        api.grad(lambda x: api.lax.scan(lambda c, u: (c * u, c), x, np.ones((0,)))[0])
    )(np.arange(3.0)),
    "assoc_in_scan": lambda np, api: api.value_and_grad(
        lambda x: api.lax.scan(lambda c, _: (api.lax.associative_scan(np.multiply, c), c.sum()), x, None, length=2)[
            0
        ].sum()
    )(np.array([0.5, 1.5, 1.1])),
    "map_bs_of_while": lambda np, api: api.lax.map(
        lambda x: api.lax.while_loop(lambda s: s < 3, lambda s: s * 2, x), np.array([0.5, 1.0, 9.0]), batch_size=2
    ),
}

REFUSED: dict[str, Callable[[Any, Any], Any]] = {
    "unroll_neg": lambda np, api: api.lax.scan(lambda c, x: (c * 0.5 + x, c), 1.0, np.arange(7.0), unroll=-1),
    "none_xs_no_length": lambda np, api: api.lax.scan(lambda c, x: (c + 1, x), 0, ()),
    "length_mismatch": lambda np, api: api.lax.scan(lambda c, x: (c + 1, x), 0, np.arange(3), length=4),
    "cond_arr1": lambda np, api: api.lax.cond(np.array([True]), lambda: 1.0, lambda: 2.0),
    "cond_str": lambda np, api: api.lax.cond("a", lambda: 1.0, lambda: 2.0),
    "cond_none_pred": lambda np, api: api.lax.cond(None, lambda: 1.0, lambda: 2.0),
    "cond_complex": lambda np, api: api.lax.cond(1j, lambda: 1.0, lambda: 2.0),
    "cond_weak_branches": lambda np, api: api.jit(
        lambda p: api.lax.cond(p, lambda: 1, lambda: np.asarray(2, dtype="int32"))
    )(True),
    "cond_diff_none": lambda np, api: api.lax.cond(True, lambda x: (None, x), lambda x: (x * 2, x), 3.0),
    "cond_shape": lambda np, api: api.lax.cond(True, lambda x: np.ones(2), lambda x: np.ones(3), 3.0),
    "switch_bool": lambda np, api: api.lax.switch(True, [lambda x: x, lambda x: x * 2], 5.0),
    "switch_float": lambda np, api: api.lax.switch(1.0, [lambda x: x, lambda x: x * 2], 5.0),
    "switch_arr": lambda np, api: api.lax.switch(np.array([1]), [lambda x: x, lambda x: x * 2], 5.0),
    "fori_float": lambda np, api: api.lax.fori_loop(0, 3.0, lambda i, x: x + 1, 0),
    "assoc_mismatch": lambda np, api: api.lax.associative_scan(lambda a, b: a, (np.ones(3), np.ones(4))),
    "assoc_notfn": lambda np, api: api.lax.associative_scan(3, np.ones(3)),
    "while_pred_arr1": lambda np, api: api.lax.while_loop(lambda s: np.array([True]), lambda s: s, 1.0),
    "while_pred_int": lambda np, api: api.lax.while_loop(lambda s: s, lambda s: s - 1, 3),
    "while_pred_tuple": lambda np, api: api.lax.while_loop(lambda s: (s > 0,), lambda s: s - 1, 3),
    "while_struct": lambda np, api: api.lax.while_loop(lambda s: s[0] > 0, lambda s: [s[0] - 1], (3,)),
    "scan_carry_none_vs_val": lambda np, api: api.lax.scan(lambda c, x: ((c[0], c[0]), x), (1.0, None), np.arange(2.0)),
    "scan_body_returns3": lambda np, api: api.lax.scan(lambda c, x: (c, x, x), 1.0, np.arange(2.0)),
    "int_grad": lambda np, api: api.grad(lambda x: api.lax.fori_loop(0, 3, lambda i, c: c * 2, x))(3),
    "leak": leak,
}


LARGE = """
    rev_unroll_grad vmap_grad_nested hess_scan hessian_nested assoc_rev_axis scan_inplace_set_grad nested1
    vmap_grad_cond_in_scan complex_grad bf16_grad
""".split()  # what JAX, operation by operation, compiles for seconds


@pytest.fixture(autouse=True)
def doubles() -> Any:
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("name", PROGRAMS)
def test_same_results(name: str) -> None:
    program = PROGRAMS[name]
    whole = jax.jit(lambda: program(jax.numpy, jax)) if name in LARGE else lambda: program(jax.numpy, jax)
    theirs, structure = jax.tree.flatten(whole())
    ours, own = jax.tree.flatten(program(fnp, fg))
    assert structure == own
    for x, y in zip(map(numpy.asarray, theirs), map(numpy.asarray, ours), strict=True):
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        if x.dtype.kind == "U":
            assert x == y
        else:
            digits = 1e-2 if x.dtype.itemsize == 2 else 1e-5 if x.dtype in ("f4", "c8") else 1e-10
            numpy.testing.assert_allclose(y.astype(complex), x.astype(complex), rtol=digits, atol=1e-12)


@pytest.mark.parametrize("name", REFUSED)
def test_same_refusals(name: str) -> None:
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        REFUSED[name](jax.numpy, jax)
    with pytest.raises(Exception) as ours:  # noqa: PT011
        REFUSED[name](fnp, fg)
    assert type(ours.value).__name__ == type(theirs.value).__name__
    assert "test_control_against_jax.py" in str(ours.value)

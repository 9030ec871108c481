"""Code as users write it, with what type checkers are to make of it.  It is checked, not run.

`assert_type` says which type a result has; a line that must be refused bears ``# type: ignore[...]``, and an ignore
that nothing needs is an error itself.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, assert_type

import numpy as np

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import lax, losses, optim, training
from funcgrad.ir.program import Program
from funcgrad.nn import layers


class Params(NamedTuple):
    """The parameters of a model."""

    w: np.ndarray
    b: np.ndarray


def predict(params: Params, x: np.ndarray) -> np.ndarray:
    """A linear model."""
    return x @ params.w + params.b


def loss(params: Params, x: np.ndarray, y: np.ndarray, *, weight: float = 1.0) -> np.ndarray:
    """Its error."""
    return weight * fnp.mean((predict(params, x) - y) ** 2)


def loss_with_aux(params: Params, x: np.ndarray) -> tuple[np.ndarray, int]:
    """A value, and something on the side."""
    return fnp.sum(predict(params, x)), 3


params, x, y = Params(np.zeros(2), np.zeros(())), np.zeros((4, 2)), np.zeros(4)

# jit keeps parameters and result
fast = fg.jit(predict)
assert_type(fast(params, x), np.ndarray)
assert_type(fast(params, x=x), np.ndarray)
fast(params)  # type: ignore[call-arg]
fast(params, "x")  # type: ignore[arg-type]
fast(params, x, z=1)  # type: ignore[call-arg]
print(fast.lower(params, fg.ShapeDtypeStruct((4, 2), np.float64)).as_text())


@fg.jit
def decorated(x: float, n: int = 2) -> float:
    """A function under the plain decorator."""
    return x**n


assert_type(decorated(2.0), float)
decorated(2.0, n="3")  # type: ignore[arg-type]


@fg.jit(static_argnames="n")
def with_options(x: float, n: int = 2) -> float:
    """A function under the decorator with options."""
    return x**n


assert_type(with_options(2.0, n=3), float)
with_options()  # type: ignore[call-arg]


@partial(fg.jit, static_argnums=1)
def with_partial(x: float, n: int) -> float:
    """A function under JAX's usual spelling; what checkers make of `partial` is their affair."""
    return x**n


with_partial(2.0, 3)


class Model:
    """A class with a compiled method."""

    @fg.jit
    def apply(self, x: float) -> float:
        """The method."""
        return 2 * x


assert_type(Model().apply(1.0), float)
Model().apply("1")  # type: ignore[arg-type]

# derivatives keep parameters
gradient = fg.grad(loss)
gradient(params, x, y, weight=2.0)
gradient(params, x)  # type: ignore[call-arg]
gradient(params, x, y, wait=2.0)  # type: ignore[call-arg]
value, grads = fg.value_and_grad(loss)(params, x, y)
assert_type(value, np.ndarray)
(value, count), grads = fg.value_and_grad(loss_with_aux, has_aux=True)(params, x)
assert_type(count, int)
_, count = fg.grad(loss_with_aux, has_aux=True)(params, x)
assert_type(count, int)
fg.grad(3)  # type: ignore[call-overload]
fg.grad(loss, argnums="0")  # type: ignore[arg-type]
fg.grad(loss, (0, 1), has_aux=False)(params, x, y)

out, pullback = fg.vjp(predict, params, x)
assert_type(out, np.ndarray)
pullback(out)[0]
out, pullback, aux = fg.vjp(loss_with_aux, params, x, has_aux=True)
assert_type(aux, int)
out, tangent = fg.jvp(predict, (params, x), (params, x))
assert_type(tangent, np.ndarray)
out, linear = fg.linearize(predict, params, x)
assert_type(linear(params, x), np.ndarray)
fg.jacfwd(predict)(params, x)
fg.jacrev(predict)(params, "x")  # type: ignore[arg-type]
fg.hessian(loss)(params, x, y)

# batches
assert_type(fg.vmap(decorated, in_axes=(0, None))(1.0, 2), float)
fg.vmap(predict, in_axes=(None, 0))(params)  # type: ignore[call-arg]
fg.vmap()  # type: ignore[call-overload]

# all of them together
step = fg.jit(fg.vmap(fg.value_and_grad(loss), in_axes=(None, 0, 0)))
assert_type(step(params, x, y)[0], np.ndarray)
step(params, x, y, 1)  # type: ignore[call-arg]

# NumPy's functions and lambdas
assert_type(fg.grad(np.tanh)(0.0), Any)
fg.jit(np.sin)(np.zeros(3))
fg.vmap(np.dot, in_axes=(0, None))(np.eye(2), np.zeros(2))
fg.grad(lambda v: fnp.sum(v**2))(np.ones(3))

# checkpoints and rules
assert_type(fg.checkpoint(predict)(params, x), np.ndarray)
fg.checkpoint(predict)(params)  # type: ignore[call-arg]


@fg.checkpoint(policy=fg.checkpoint_policies.dots_saveable)
def saved(x: float) -> float:
    """A function with a policy."""
    return x


assert_type(saved(1.0), float)


@fg.custom_vjp
def clipped(x: float, limit: float) -> float:
    """A function with a reverse rule."""
    return x


clipped.defvjp(lambda x, limit: (x, limit), lambda limit, ct: (ct, None))
assert_type(clipped(1.0, 2.0), float)
clipped(1.0)  # type: ignore[call-arg]


@fg.custom_jvp
def ruled(x: float) -> float:
    """A function with a forward rule."""
    return x


@ruled.defjvp
def rule(primals: tuple[float], tangents: tuple[float]) -> tuple[float, float]:
    """The rule."""
    return primals[0], tangents[0]


assert_type(ruled(1.0), float)
rule((1.0,), (1.0,))


@fg.custom_gradient
def through(x: float) -> tuple[float, Callable[[float], float]]:
    """A function with its pullback."""
    return x, lambda ct: ct


assert_type(through(1.0), float)

# programs
assert_type(fg.make_jaxpr(predict)(params, x), Program)
assert_type(fg.stop_gradient(params), Params)

# modules that are imported when somebody asks for them
optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.adam(1e-3))
state = optimizer.init(params)
net = layers.serial(layers.dense(3), layers.relu)
fg.nn.relu(x)
fg.random.normal(fg.random.key(0), (3,))
fg.scipy.special.erf(x)
fg.experimental.ode.odeint(lambda y, t: -y, 1.0, x)
fg.losses.squared_error(x, x)
losses.log_cosh(x)
training.batches(x, batch_size=2)
lax.scan(lambda c, v: (c + v, c), 0.0, x)

# names that there are, and one that there is not
fnp.sin(x)
fnp.linalg.norm(x)
fnp.fft.rfft(x)
fnp.float32(1)
fnp.zeros(3)
lax.fori_loop(0, 3, lambda i, v: v, x)
fnp.sine(x)  # type: ignore[attr-defined]
lax.scam(x)  # type: ignore[attr-defined]
fg.gradient(x)  # type: ignore[attr-defined]

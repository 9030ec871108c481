"""What do samplers say about keys, shapes, dtypes and parameters that make no sense?"""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import random

KEY = random.key(0)
# call: the exception, and what its message says
TABLE = {
    "uniform(np.zeros(2, np.float32))": (TypeError, r"uniform: a key .* dtype float32"),
    "uniform(np.zeros(3, np.uint32))": (TypeError, r"uniform: a key .* shape \(3,\)"),
    "uniform(np.zeros((), np.uint32))": (TypeError, r"uniform: a key .* shape \(\)"),
    "uniform(np.zeros((3, 2), np.uint32))": (ValueError, r"uniform takes one key.* \(3, 2\).*vmap"),
    "uniform([0, 1])": (TypeError, "uniform: a key is an array .* list"),
    "uniform(3)": (TypeError, "uniform: a key .* not 3"),
    "uniform(None)": (TypeError, "uniform: a key .* None"),
    "uniform(key, (2.5,))": (TypeError, "uniform: shape must be an integer, not 2.5"),
    "uniform(key, 'ab')": (TypeError, "uniform: shape must be an integer"),
    "uniform(key, (-1,))": (ValueError, r"uniform: shape \(-1,\) has a negative extent"),
    "uniform(key, (3,), np.int32)": (ValueError, "uniform: dtype must be a float dtype, got int32"),
    "uniform(key, (3,), np.complex64)": (ValueError, "uniform: dtype must be a float dtype, got complex64"),
    "uniform(key, (3,), minval=np.zeros(2))": (ValueError, r"uniform: minval \(2,\).* to shape \(3,\)"),
    "uniform(key, (3,), minval='a')": (TypeError, "uniform: minval must be an array or a number, not 'a'"),
    "uniform(key, (3,), maxval=1j)": (TypeError, "uniform: maxval must be real"),
    "bits(key, (3,), np.int32)": (ValueError, "bits: dtype must be an unsigned int dtype, got int32"),
    "key(0.5)": (TypeError, "key: the seed must be an integer.* float64"),
    "key(np.zeros(2, int))": (TypeError, r"key takes one seed.* \(2,\): use vmap"),
    "PRNGKey('a')": (TypeError, "PRNGKey: the seed must be an array or a number"),
    "PRNGKey(None)": (TypeError, "PRNGKey: the seed"),
    "PRNGKey(2**64)": (OverflowError, "PRNGKey: the seed must fit into"),
    "key(0, impl='rbg')": (ValueError, "key: there is no generator 'rbg'"),
    "key(0, impl=3)": (TypeError, "key: impl must be None or"),
    "key(0, impl='threefry2x32', dtype='threefry2x32')": (ValueError, "key: give impl or dtype, not both"),
    "fold_in(key, 0.5)": (TypeError, "fold_in: data must be an integer, got dtype float64"),
    "fold_in(key, np.zeros(2, int))": (TypeError, r"fold_in takes one integer.* \(2,\)"),
    "fold_in(key, 2**40)": (OverflowError, "fold_in: data"),
    "fold_in(key, -1)": (OverflowError, "fold_in: data"),
    "split(key, 2.5)": (TypeError, "split: num must be an integer, not 2.5"),
    "split(key, -1)": (ValueError, "split: num .* negative"),
    "split(split(key))": (ValueError, "split takes one key"),
    "wrap_key_data(np.zeros(2))": (TypeError, "wrap_key_data: a key .* float64"),
    "clone('a')": (TypeError, "clone: a key"),
    "randint(key, (3,), 0, 3, np.float32)": (TypeError, "randint: dtype must be an int dtype, got float32"),
    "randint(key, (3,), 0, 3, bool)": (TypeError, "randint: dtype must be an int dtype, got bool"),
    "randint(key, (3,), np.zeros(2, int), 3)": (ValueError, r"randint: minval \(2,\)"),
    "randint(key, (3,), None, 3)": (TypeError, "randint: minval must be an array or a number"),
    "randint(key, (3,), np.nan, 3)": (ValueError, "randint: minval must fit into an integer of 64 bits, but is nan"),
    "randint(key, (3,), 0, np.array([3.0, np.inf]))": (ValueError, r"randint: maxval must fit .* but is \[ 3\. inf\]"),
    "randint(key, (3,), 0, 1e300)": (ValueError, "randint: maxval must fit into an integer of 64 bits, but is 1e"),
    "bernoulli(key, 1)": (TypeError, "bernoulli: p must have a float dtype, got int64"),
    "bernoulli(key, 0.5, mode='x')": (ValueError, "bernoulli: mode must be 'high' or 'low'"),
    "bernoulli(key, np.ones(3), (2,))": (ValueError, r"bernoulli: p \(3,\)"),
    "permutation(key, 3.5)": (TypeError, "permutation: x must be an integer or an array"),
    "permutation(key, np.zeros((2, 3)), 2)": (ValueError, "permutation: axis 2 does not fit"),
    "permutation(key, [1, 2])": (TypeError, r"permutation: x must be .*\[1, 2\]"),
    "choice(key, 5, 3)": (TypeError, "choice: shape must be a sequence"),
    "choice(key, 5, (3,), p=np.ones(4))": (ValueError, r"choice: p has shape \(4,\), but there are 5"),
    "choice(key, 0, (3,))": (ValueError, "choice: there is nothing to draw from"),
    "choice(key, 3, (5,), replace=False)": (ValueError, "choice: 5 of 3 elements"),
    "normal(key, (2,), np.int32)": (ValueError, "normal: dtype must be a float or complex dtype, got int32"),
    "truncated_normal(key, np.zeros(2), np.ones(3))": (ValueError, r"truncated_normal: .*lower \(2,\), upper \(3,\)"),
    "categorical(key, np.zeros(()))": (IndexError, "categorical: axis -1 does not fit"),
    "categorical(key, np.zeros((2, 3)), axis=2)": (IndexError, "categorical: axis 2 does not fit"),
    "categorical(key, np.zeros((2, 3)), shape=(3,))": (ValueError, r"categorical: .*\(2,\).* to shape \(3,\)"),
    "categorical(key, np.zeros(3), shape=(5,), replace=False)": (ValueError, "categorical: 5 .* from 3"),
    "categorical(key, np.zeros(3, int))": (ValueError, "categorical: dtype must be a float dtype, got int64"),
    "gumbel(key, mode='x')": (ValueError, "gumbel: mode must be one of"),
    "gamma(key, np.ones(3), (2,))": (ValueError, r"gamma: a \(3,\) cannot be broadcast to shape \(2,\)"),
    "gamma(key, 1, dtype=int)": (ValueError, "gamma: dtype must be a float dtype, got int64"),
    "dirichlet(key, 1.0)": (ValueError, "dirichlet: alpha must have at least one axis"),
    "poisson(key, 3.0, dtype=np.float32)": (ValueError, "poisson: dtype must be an int dtype, got float32"),
    "binomial(key, 10, 0.5, dtype=np.int32)": (ValueError, "binomial: dtype must be a float dtype, got int32"),
    "multinomial(key, 10, np.float32(0.3))": (ValueError, "multinomial: p must have an axis"),
    "multivariate_normal(key, np.zeros(2), np.eye(3))": (ValueError, r"multivariate_normal: .*\(2,\) and \(3, 3\)"),
    "multivariate_normal(key, 0.0, np.eye(3))": (ValueError, r"multivariate_normal: mean must have shape"),
    "multivariate_normal(key, np.zeros(2), np.eye(2), method='q')": (ValueError, "multivariate_normal: method"),
    "multivariate_normal(key, np.zeros((3, 2)), np.eye(2), (2,))": (ValueError, r"multivariate_normal: mean \(3,\)"),
    "orthogonal(key, 2.5)": (TypeError, "orthogonal: n must be an integer, not 2.5"),
    "orthogonal(key, -1)": (ValueError, "orthogonal: there is no matrix of -1"),
    "ball(key, 2.5)": (TypeError, "ball: d must be an integer"),
    "geometric(key, 0.5, dtype=np.float32)": (ValueError, "geometric: dtype must be an int dtype"),
    "pareto(key, 1j)": (TypeError, "pareto: b must be real"),
}


@pytest.mark.parametrize("call", TABLE)
def test_message(call):
    error, message = TABLE[call]
    functions = {name: getattr(random, name) for name in random.__all__}
    make = functions["key"]
    scope = {**functions, "np": np} | ({} if call.startswith("key(") else {"key": KEY})
    assert make is random.key
    with pytest.raises(error, match=message) as raised:
        eval(call, scope)
    assert "\n  at " in str(raised.value)


def test_parameters_out_of_range_give_nan_or_minus_one():
    assert random.poisson(KEY, -1.0) == -1
    assert np.isnan(random.binomial(KEY, 5, -0.1))
    assert np.isnan(random.gamma(KEY, np.nan))
    assert random.randint(KEY, (), 5, 3) == 5


def test_a_shape_may_be_any_integer():
    for shape in (3, np.int64(3), np.uint8(3), np.array(3), [3], np.array([3])):
        assert random.uniform(KEY, shape).shape == (3,)


def test_sizes_cannot_be_traced():
    with pytest.raises(TypeError, match="at "):
        fg.jit(lambda n: random.uniform(KEY, (n,)))(3)

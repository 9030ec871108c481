"""Are means weighted, whatever the tree, outside of `jit` and in a `scan`?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import funcgrad as fg
from funcgrad.training import Metrics, accuracy

numbers = st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(1, 100)), min_size=1, max_size=20)


@given(numbers, st.integers(0, 20))
def test_means_are_weighted(pairs: list[tuple[float, int]], cut: int) -> None:
    whole, left, right = Metrics(), Metrics(), Metrics()
    for number, (value, weight) in enumerate(pairs):
        each = {"a": np.float32(value), "b": (value, np.array([value, 1.0]))}
        whole = whole.add(each, weight)
        left, right = (left.add(each, weight), right) if number < cut else (left, right.add(each, weight))
    exact = math.fsum(v * w for v, w in pairs) / sum(w for _, w in pairs)
    single = math.fsum(float(np.float32(v)) * w for v, w in pairs) / sum(w for _, w in pairs)
    size = max(abs(v) for v, _ in pairs)
    for metrics in (whole, left.merge(right), right.merge(left)):
        mean = metrics.mean()
        assert abs(mean["a"] - single) <= 1e-14 * size * len(pairs)
        assert abs(mean["b"][0] - exact) <= 1e-14 * size * len(pairs)
        assert mean["b"][1].shape == (2,)
        assert mean["b"][1][1] == pytest.approx(1, rel=1e-14)
        assert mean["a"].dtype == np.float64


def test_float32_sums_do_not_drift() -> None:
    metrics = Metrics()
    for _ in range(2000):
        metrics = metrics.add(np.float32(0.1), 1000)
    assert metrics.mean() == pytest.approx(float(np.float32(0.1)), rel=1e-12)


def test_a_weight_of_0_does_not_count() -> None:
    metrics = Metrics().add({"loss": 2.0}).add({"loss": np.nan}, weight=0)
    assert metrics.mean() == {"loss": 2.0}
    assert np.isnan(Metrics().add(1.0, weight=0).mean())
    assert np.isnan(Metrics().add(np.nan).mean())


def test_a_weight_for_each() -> None:
    metrics = Metrics().add({"loss": 1.0, "words": (1.0, 2.0)}, weight={"loss": 1, "words": 3})
    metrics = metrics.add({"loss": 2.0, "words": (2.0, 4.0)}, weight={"loss": 3, "words": 1})
    assert metrics.mean() == {"loss": 1.75, "words": (1.25, 2.5)}


def test_in_a_scan() -> None:
    x, weights = np.array([1.0, 2.0, 5.0], np.float32), np.array([1, 1, 2])

    @fg.jit
    def means(x: Any, weights: Any) -> Any:
        def body(metrics: Any, each: Any) -> Any:
            return metrics.add({"x": each[0], "positive": each[0] > 1.5}, each[1]), None

        start = Metrics.like({"x": x[0], "positive": x[0] > 0})
        return fg.lax.scan(body, start, (x, weights))[0].mean()

    assert means(x, weights) == {"x": 3.25, "positive": 0.75}


def test_complex_and_integer_metrics() -> None:
    assert Metrics().add({"z": 1j, "n": 3}).add({"z": 1.0, "n": 4}).mean() == {"z": 0.5 + 0.5j, "n": 3.5}


BAD = {
    "another": ({"loss": 1.0, "extra": 1.0}, r"\['extra'\] is in the values, but not in the sums"),
    "missing": ({}, r"\['loss'\] is in the sums, but not in the values"),
    "a number": (1.0, r"\['loss'\] is in the sums, but not in the values"),
    "shape": ({"loss": np.zeros(2)}, r"\['loss'\] has the shape \(2,\), before \(\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_other_structures_are_named(name: str) -> None:
    values, message = BAD[name]
    metrics = Metrics().add({"loss": 1.0})
    with pytest.raises(ValueError, match=rf"(?s){message}.*test_metrics.py"):
        metrics.add(values)
    with pytest.raises(ValueError, match=message):
        metrics.merge(Metrics().add(values)) if values else metrics.add(values)
    assert metrics.mean() == {"loss": 1.0}


def test_bad_weights_and_no_sums() -> None:
    with pytest.raises(ValueError, match="nothing has been added"):
        Metrics().mean()
    with pytest.raises(ValueError, match="no prefix of that of the values"):
        Metrics().add({"a": 1.0}, weight={"b": 1.0})
    with pytest.raises(ValueError, match=r"the weight of \['a'\] must be a number, not an array of shape \(2,\)"):
        Metrics().add({"a": 1.0}, weight=np.ones(2))


def test_accuracy() -> None:
    logits = np.array([[[3.0, 1, 0], [0, 1, 2]], [[1, 0, 0], [0, 1, 0]]])
    labels = np.array([[0, 1], [0, 1]])
    where = np.array([[True, True], [False, True]])
    for f in (accuracy, fg.jit(accuracy)):
        assert f(logits, labels) == 0.75
        assert f(logits, labels.astype(np.int8), where=where) == pytest.approx(2 / 3)
        assert np.isnan(f(logits, labels, where=np.zeros((2, 2), bool)))
    with pytest.raises(TypeError, match="labels are integers, not float64"):
        accuracy(logits, labels * 1.0)
    with pytest.raises(ValueError, match=r"logits of shape \(2, 2, 3\) need labels of shape \(2, 2\), not \(2,\)"):
        accuracy(logits, labels[0])
    with pytest.raises(ValueError, match=r"`where` has the shape \(2,\), labels have \(2, 2\)"):
        accuracy(logits, labels, where=where[0])

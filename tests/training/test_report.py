"""Does the gradient report find the layers, are its numbers those of a hand, and does it name where NaN began?"""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.training import GradientReport, gradient_report

RNG = np.random.default_rng(0)
START = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _the_same_numbers_in_every_order() -> None:
    RNG.bit_generator.state = START


class Layer(NamedTuple):
    w: np.ndarray
    b: np.ndarray


def network(sizes: list[int], scale: float = 1.0, dtype: Any = np.float64) -> list[Layer]:
    pairs = itertools.pairwise(sizes)
    return [Layer((RNG.normal(0, scale / math.sqrt(m), (m, n))).astype(dtype), np.zeros(n, dtype)) for m, n in pairs]


def mlp(params: list[Layer], x: Any, y: Any, activation: Any = np.tanh) -> Any:
    for w, b in params[:-1]:
        x = activation(x @ w + b)
    w, b = params[-1]
    return np.mean((x @ w + b - y) ** 2)


def test_the_numbers_of_a_network_by_hand() -> None:
    params = network([5, 4, 3])
    x, y = RNG.normal(size=(7, 5)), RNG.normal(size=(7, 3))
    report = gradient_report(mlp, learning_rate=0.25)(params, x, y)
    (w1, b1), (w2, b2) = params
    h = np.tanh(x @ w1 + b1)
    out = h @ w2 + b2
    d_out = 2 * (out - y) / out.size
    d_h = d_out @ w2.T
    d_z = d_h * (1 - h**2)
    assert report.loss == pytest.approx(np.mean((out - y) ** 2), rel=1e-14)
    assert [layer.shape for layer in report.layers] == [(7, 4), (7, 3)]
    for layer, value, derivative in zip(report.layers, (h, out), (d_h, d_out), strict=True):
        numbers = (layer.norm, layer.mean, layer.std, layer.gradient, layer.rms, layer.gradient_rms)
        expected = (
            *(np.linalg.norm(value), value.mean(), value.std(), np.linalg.norm(derivative)),
            *(np.sqrt(np.mean(value**2)), np.sqrt(np.mean(derivative**2))),
        )
        np.testing.assert_allclose(numbers, expected, rtol=1e-13)
        assert (layer.dead, layer.state) == (0, "finite")
    assert report.layers[0].saturated == np.mean(np.abs(h) > 0.98)
    assert report.layers[1].saturated is None
    gradients = {"[0].w": x.T @ d_z, "[0].b": d_z.sum(0), "[1].w": h.T @ d_out, "[1].b": d_out.sum(0)}
    assert [p.name for p in report.parameters] == list(gradients)
    for p, value in zip(report.parameters, (w1, b1, w2, b2), strict=True):
        gradient = gradients[p.name]
        assert p.shape == value.shape
        np.testing.assert_allclose(
            (p.norm, p.gradient, p.update, p.gradient_rms),
            (
                *(np.linalg.norm(value), np.linalg.norm(gradient), 0.25 * np.linalg.norm(gradient)),
                np.sqrt(np.mean(gradient**2)),
            ),
            rtol=1e-12,
        )
    weights, bias = report.parameters[:2]
    assert weights.ratio == pytest.approx(weights.update / weights.norm)  # type: ignore[operator]
    assert bias.ratio == math.inf
    assert report.findings == ()


def test_layers_are_known_by_their_lines() -> None:
    report = gradient_report(mlp)(network([5, 4, 4, 3]), np.ones((2, 5)), np.ones((2, 3)))
    line = mlp.__code__.co_firstlineno
    names = [f"test_report.py:{line + 2}", f"test_report.py:{line + 2} #2", f"test_report.py:{line + 4}"]
    assert [layer.name for layer in report.layers] == names
    assert [layer.text for layer in report.layers][::2] == [
        "x = activation(x @ w + b)",
        "return np.mean((x @ w + b - y) ** 2)",
    ]
    assert [p.update for p in report.parameters] == [None] * 6


def scoped(params: Any, x: Any) -> Any:
    @fg.jit
    def dense(x: Any, w: Any) -> Any:
        return fg.nn.relu(x @ w)

    with fg.named_scope("net"):
        for number, w in enumerate(params):
            with fg.named_scope(f"dense_{number}"):
                x = dense(x, w)
            with fg.named_scope("flatten"):
                x = x.reshape(len(x), -1)
    return np.sum(x**2)


@pytest.mark.parametrize("wrap", [lambda f: f, fg.jit, fg.checkpoint])
def test_scopes_are_layers(wrap: Any) -> None:
    params = [RNG.normal(size=(4, 4)) for _ in range(3)]
    x = RNG.normal(size=(5, 4))
    report = gradient_report(wrap(scoped))(params, x)
    assert [layer.name for layer in report.layers] == ["net/dense_0", "net/dense_1", "net/dense_2"]
    values = [x]
    for w in params:
        values.append(np.maximum(values[-1] @ w, 0))
    derivatives = [2 * values[-1]]
    for w, value in zip(params[:0:-1], values[:1:-1], strict=True):
        derivatives.insert(0, (derivatives[0] * (value > 0)) @ w.T)
    for layer, value, derivative in zip(report.layers, values[1:], derivatives, strict=True):
        assert layer.norm == pytest.approx(np.linalg.norm(value))
        assert layer.gradient == pytest.approx(np.linalg.norm(derivative))
        assert layer.dead == np.mean(np.all(value == 0, axis=0))


def test_a_scope_that_is_entered_again() -> None:
    def shared(w: Any, x: Any) -> Any:
        for _ in range(3):
            with fg.named_scope("cell"):
                x = np.tanh(x @ w)
            x = x * 0.5
        return np.sum(x)

    report = gradient_report(shared)(RNG.normal(size=(3, 3)), np.ones((2, 3)))
    assert [layer.name for layer in report.layers] == ["cell", "cell #2", "cell #3"]
    assert report.parameters[0].name == "params"


def test_what_stands_outside_of_scopes_is_found_too() -> None:
    def mixed(params: Any, x: Any) -> Any:
        with fg.named_scope("first"):
            x = np.tanh(x @ params[0])
        x = np.tanh(x @ params[1])
        return np.sum(x @ params[2])

    report = gradient_report(mixed)([np.eye(3)] * 3, np.ones((2, 3)))
    line = mixed.__code__.co_firstlineno
    assert [layer.name for layer in report.layers] == [
        "first",
        f"test_report.py:{line + 3}",
        f"test_report.py:{line + 4}",
    ]


def test_convolutions_pooling_norms_and_residuals() -> None:
    def loss(params: Any, x: Any) -> Any:
        x = fg.nn.gelu(fg.nn.conv(x, params["k"], padding="SAME"))
        x = fg.nn.max_pool(x, (2, 2), (2, 2))
        x = x.reshape(len(x), -1) @ params["w"]
        x = x - np.mean(x, axis=-1, keepdims=True)
        x = x + np.tanh(x @ params["v"])
        return np.mean(fg.nn.log_softmax(x @ params["u"]))

    params = {name: RNG.normal(size=shape) for name, shape in SHAPES.items()}
    report = gradient_report(loss)(params, RNG.normal(size=(3, 4, 4, 1)))
    line = loss.__code__.co_firstlineno
    expected = {1: (3, 4, 4, 2), 4: (3, 5), 5: (3, 5), 6: (3, 3)}  # gelu before pooling, norm, sum, logits
    assert [layer.name for layer in report.layers] == [f"test_report.py:{line + k}" for k in expected]
    assert [layer.shape for layer in report.layers] == list(expected.values())


SHAPES = {"k": (3, 3, 1, 2), "w": (8, 5), "v": (5, 5), "u": (5, 3)}


def test_embeddings_loops_and_batches_of_functions() -> None:
    def loss(params: Any, tokens: Any) -> Any:
        def cell(h: Any, x: Any) -> Any:
            h = np.tanh(x @ params["w"] + h @ params["u"])
            return h, h

        x = params["table"][tokens]
        _, states = fg.lax.scan(cell, np.zeros(4), x)
        return np.sum(states @ params["out"])

    params = {"table": RNG.normal(size=(9, 3)), "w": RNG.normal(size=(3, 4)), "u": np.eye(4), "out": np.ones((4, 2))}
    one = gradient_report(loss)(params, np.arange(6))
    assert [layer.shape for layer in one.layers] == [(6, 3), (6, 4), (6, 2)]
    many = gradient_report(lambda p, tokens: np.mean(fg.vmap(lambda t: loss(p, t))(tokens)))(
        params, np.ones((5, 6), int)
    )
    assert [layer.shape for layer in many.layers] == [(5, 6, 3), (6, 5, 4), (5, 6, 2)]  # before the batch axis moves


def test_dead_and_saturated_units() -> None:
    def loss(params: Any, x: Any) -> Any:
        x = fg.nn.relu(x @ params[0] + params[1])
        return np.sum(fg.nn.sigmoid(x @ params[2]))

    x = np.abs(RNG.normal(size=(6, 3))) + 1
    bias = np.array([0.0, -100.0, -100.0, 0.0])
    params = [np.ones((3, 4)), bias, np.array([[50.0, 0.0]] * 4)]
    report = gradient_report(loss)(params, x)
    assert [(layer.dead, layer.saturated) for layer in report.layers] == [(0.5, None), (0, 0.5)]
    line = loss.__code__.co_firstlineno
    assert report.findings[-2:] == (
        f"50% of the units of test_report.py:{line + 1} are dead: 0 for every example",
        f"test_report.py:{line + 2} is saturated: 50% of it lies at the ends of its range",
    )


@pytest.mark.parametrize(("scale", "word"), [(0.01, "vanish"), (1.0, ""), (30.0, "explode")])
def test_vanishing_and_exploding_gradients(scale: float, word: str) -> None:
    params = [w for w, _ in network([16] * 9, scale)]

    def linear(params: Any, x: Any) -> Any:
        for w in params:
            x = x @ w
        return np.sum(x)

    report = gradient_report(linear)(params, np.ones((2, 16)))
    found = [sentence for sentence in report.findings if sentence.startswith("gradients ")]
    assert len(found) == bool(word)
    assert all(sentence.startswith(f"gradients {word}: ") for sentence in found)


def test_dtypes() -> None:
    params = network([5, 4, 3], dtype=np.float32)
    report = gradient_report(mlp)(params, np.ones((2, 5), np.float32), np.ones((2, 3), np.float32))
    double = gradient_report(mlp)(fg.tree.map(np.float64, params), np.ones((2, 5)), np.ones((2, 3)))
    for one, other in zip(report.layers, double.layers, strict=True):
        assert one.gradient == pytest.approx(other.gradient, rel=1e-5)

    def spectral(params: Any, x: Any) -> Any:  # abs is no activation function
        return np.sum(np.abs(x @ params) ** 2)

    z = np.full((2, 2), 3 + 4j)
    assert gradient_report(spectral)(z, z).layers[0].norm == pytest.approx(np.linalg.norm(z @ z))
    tiny = gradient_report(lambda p, x: np.sum(x @ p))(np.full((2, 2), 1e-200), np.full((2, 2), 1e-200))
    assert tiny.parameters[0].norm == pytest.approx(2e-200)


def test_a_loss_with_more_beside() -> None:
    def loss(params: Any, x: Any, *, scale: Any) -> Any:
        y = np.tanh(x @ params)
        return scale * np.sum(y), {"mean": np.mean(y, axis=0)}

    report = gradient_report(loss, has_aux=True)(np.eye(2), np.ones((2, 2)), scale=2.0)
    assert report.loss == pytest.approx(8 * np.tanh(1))
    assert len(report.layers) == 1  # what comes with the loss is no layer
    assert len(gradient_report(lambda p: p**2)(3.0).parameters) == 1
    assert gradient_report(lambda p: p**2)(3.0).layers == ()
    fixed = np.ones((2, 3))
    assert gradient_report(lambda w: np.sum(np.tanh(fixed @ w)))(np.ones((3, 2))).layers[0].shape == (2, 2)


class Descent(NamedTuple):
    """An optimiser whose state is its rate."""

    init: Any = lambda params: 0.5
    update: Any = lambda gradients, state, params: (fg.tree.map(lambda g: -state * g, gradients), state)


def test_updates_of_an_optimiser() -> None:
    params, x = network([3, 2]), np.ones((2, 3))
    report = gradient_report(mlp, optimizer=Descent())
    for state, rate in ((None, 0.5), (2.0, 2.0)):
        for p in report(params, x, np.ones((2, 2)), opt_state=state).parameters:
            assert p.update == pytest.approx(rate * p.gradient)


# What is not finite ---------------------------------------------------------------------------------------------------


def log_loss(params: Any, x: Any) -> Any:
    y = x @ params["w"]
    z = np.log(y)
    return np.sum(z)


def sqrt_loss(params: Any, x: Any) -> Any:
    y = np.sum(x * params["w"]) * 0.0
    return np.sqrt(y * y)


def exp_loss(params: Any, x: Any) -> Any:
    e = np.exp(x * params["w"])
    return np.sum(e / (1 + e))


def guarded_loss(params: Any, x: Any) -> Any:
    y = x * params["w"]
    safe = np.where(y > 0, np.log(y), 0.0)
    return np.sum(safe) + np.sum(np.log(y - 2))


ONES = np.ones((2, 2))
BAD: dict[str, tuple[Any, Any, Any, list[str]]] = {
    "log of a negative number": (log_loss, {"w": -ONES}, ONES, [r"NaN began in log, .*:{2} \(in log_loss\)"]),
    "log of 0": (log_loss, {"w": 0 * ONES}, ONES, [r"infinity began in log, .*:{2} \(in log_loss\)"]),
    "the derivative of sqrt at 0": (
        sqrt_loss,
        {"w": ONES},
        ONES,
        [r"NaN began in mul, the derivative of .*:{2} \(in", r"infinity began in div, the derivative of .*:{2} \(in"],
    ),
    "overflow": (
        exp_loss,
        {"w": ONES * 1e4},
        ONES,
        [r"NaN began in div, .*:{2} \(in exp_loss\)", r"infinity began in exp, .*:{1} \(in exp_loss\)"],
    ),
    "a choice": (guarded_loss, {"w": ONES * -1}, ONES, [r"NaN began in log, .*:{3} \(in guarded_loss\)"]),
    "a parameter": (log_loss, {"w": ONES * np.nan}, ONES, [r"NaN is in the parameters\['w'\]$"]),
    "the batch": (log_loss, {"w": ONES}, ONES * np.inf, [r"infinity is in argument 1$"]),
}


@pytest.mark.parametrize("name", BAD)
def test_where_it_began(name: str) -> None:
    loss, params, x, expected = BAD[name]
    report = gradient_report(loss)(params, x)
    line = loss.__code__.co_firstlineno
    found = [str(origin) for origin in report.origins]
    assert len(found) == len(expected)
    for text, pattern in zip(found, expected, strict=True):
        numbered = re.sub(r"\{(\d)\}", lambda m: str(line + int(m[1])), pattern)
        assert re.search(numbered, text), text
    assert report.findings[: len(found)] == tuple(found)
    assert "NaN" in str(report) or "infinity" in str(report)


def test_what_only_the_compiled_program_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("funcgrad.training._probes.origins", lambda *arguments: [])
    (finding,) = gradient_report(log_loss)({"w": -ONES}, ONES).findings
    assert finding.startswith("NaN or infinity is in the compiled program alone")


def test_a_network_that_diverges() -> None:
    params = network([4, 4, 4, 2], scale=1e200)
    report = gradient_report(lambda p, x, y: mlp(p, x, y, fg.nn.relu))(params, np.ones((3, 4)), np.ones((3, 2)))
    assert not math.isfinite(report.loss)
    assert report.origins[-1].what == "infinity"
    assert "(infinity)" in str(report) or "(NaN)" in str(report)
    assert {layer.state for layer in report.layers} & {"infinity", "NaN"}


# Tables and figures ---------------------------------------------------------------------------------------------------


def vanishing() -> GradientReport:
    params = [w for w, _ in network([8] * 4, 0.01)]

    def linear(params: Any, x: Any) -> Any:
        for w in params:
            x = x @ w
        return np.sum(x)

    return gradient_report(linear, learning_rate=0.1)(params, np.ones((2, 8)))


def test_the_table() -> None:
    report = vanishing()
    loss, layers, parameters, findings = str(report).split("\n\n")
    assert loss.startswith("loss ")
    assert re.split(r"  +", layers.splitlines()[0])[:4] == ["activation", "shape", "norm", "mean"]
    assert re.split(r"  +", parameters.splitlines()[0])[:4] == ["parameter", "shape", "norm", "update"]
    bars = [line.count("█") for line in layers.splitlines()[1:]]
    powers = [round(math.log10(report.layers[-1].gradient_rms / layer.gradient_rms)) for layer in report.layers]
    assert bars == [12 - power for power in powers]
    assert powers == sorted(powers, reverse=True)
    assert powers[0] >= 3
    assert findings.startswith("! gradients vanish: ")
    assert layers.splitlines()[1].endswith("  x = x @ w")
    assert "saturated" not in layers  # columns without entries are left out
    assert "update/norm" in parameters
    assert "update" not in str(gradient_report(mlp)(network([2, 2]), ONES, ONES))
    assert all(len(line) == len(line.rstrip()) for line in str(report).splitlines())


@pytest.mark.parametrize("kind", ["vanishing", "bad", "no layers"])
def test_the_figure(kind: str, tmp_path: Path) -> None:
    if kind == "vanishing":
        report = vanishing()
    elif kind == "bad":
        report = gradient_report(log_loss, learning_rate=1.0)({"w": ONES * np.nan}, ONES)
    else:
        report = gradient_report(lambda p: p**2)(3.0)
    figure = report.plot(tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 1000
    signal, shares, leaves = figure.axes
    assert [label.get_text() for label in leaves.get_yticklabels()] == [p.name for p in report.parameters]
    assert len(signal.get_yticklabels()) == len(report.layers)
    assert len(shares.patches) == 2 * len(report.layers)
    (line, *_) = [line for line in leaves.lines if line.get_label() == "gradient"]
    expected = [p.gradient if 0 < p.gradient < math.inf else math.nan for p in report.parameters]
    np.testing.assert_array_equal(line.get_xdata(), expected)
    assert any(text.get_text() == "NaN" for text in signal.texts) is (kind == "bad")


# Mistakes -------------------------------------------------------------------------------------------------------------


def test_mistakes() -> None:
    with pytest.raises(TypeError, match="gradient_report takes a function, not 3"):
        gradient_report(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="takes an optimizer or a learning_rate, not both"):
        gradient_report(mlp, optimizer=Descent(), learning_rate=0.1)
    with pytest.raises(TypeError, match="needs known arrays: call it outside of jit"):
        fg.jit(gradient_report(lambda p: p**2))(3.0)
    with pytest.raises(TypeError, match=r"(?s)must return one real number, but its type is f64\[2\]\n.*test_report"):
        gradient_report(lambda p: p * 2)(np.ones(2))
    with pytest.raises(TypeError, match="must return one real number, but its type is c128"):
        gradient_report(lambda p: p * 1j)(1.0)
    with pytest.raises(TypeError, match=r"must return one number, not a pytree .*pass has_aux=True"):
        gradient_report(lambda p: (p, p))(1.0)
    with pytest.raises(TypeError, match="must return a pair"):
        gradient_report(lambda p: p, has_aux=True)(1.0)
    with pytest.raises(TypeError, match=r"gradient_report requires real-valued .*argument 0\['n'\] has dtype int64"):
        gradient_report(lambda p: p["w"] ** 2)({"w": 1.0, "n": 3})
    with pytest.raises(TypeError, match=r"argument 1: .*text"):
        gradient_report(lambda p, x: p)(1.0, "text")


def test_the_loss_is_traced_once_per_types() -> None:
    traces: list[Any] = []

    def loss(p: Any, x: Any) -> Any:
        traces.append(x.shape)
        return np.sum(x @ p)

    report = gradient_report(loss)
    for rows in (2, 2, 3, 2):
        report(np.eye(2), np.ones((rows, 2)))
    assert traces == [(2, 2), (3, 2)]


def test_layers_of_the_library() -> None:
    layers = fg.nn.layers
    net = layers.serial(
        *(layers.conv(4, 3), layers.batch_norm(), layers.relu, layers.max_pool(2)),
        layers.residual(layers.serial(layers.conv(4, 3), layers.relu)),
        *(layers.flatten(), layers.dense(10)),
        name="net",
    )
    shape = (1, 8, 8, 1)
    params, state = net.init(fg.random.key(0), shape), net.init_state(shape)

    def loss(params: Any, x: Any, y: Any) -> Any:
        z, new_state = net.apply(params, x, train=True, state=state)
        return fg.losses.softmax_cross_entropy_with_integer_labels(z, y).mean(), new_state

    optimizer = fg.optim.sgd(1e-2, momentum=0.9)
    x, y = RNG.normal(size=(6, 8, 8, 1)).astype(np.float32), np.arange(6)
    report = gradient_report(loss, optimizer=optimizer, has_aux=True)(params, x, y)
    assert [layer.name for layer in report.layers] == [
        *("net/0_conv", "net/1_batch_norm", "net/2_relu", "net/3_max_pool"),
        *("net/4_residual/0_serial/0_conv", "net/4_residual/0_serial/1_relu", "net/4_residual", "net/6_dense"),
    ]
    gradients = fg.grad(loss, has_aux=True)(params, x, y)[0]
    updates, _ = optimizer.update(gradients, optimizer.init(params), params)
    for p, g, u in zip(report.parameters, fg.tree.leaves(gradients), fg.tree.leaves(updates), strict=True):
        assert p.gradient == pytest.approx(np.linalg.norm(g.astype(float)), rel=1e-3, abs=1e-6)
        assert p.update == pytest.approx(np.linalg.norm(u.astype(float)), rel=1e-3, abs=1e-8)
    z, _ = net.apply(params, x, train=True, state=state)
    assert report.layers[-1].norm == pytest.approx(np.linalg.norm(z.astype(float)), rel=1e-4)

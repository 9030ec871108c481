"""Why does a deep network not learn?  What initial weights, norms and skips do to gradients on their way down.

    python examples/vanishing_gradients.py [--depth 20] [--width 64] [--seed 0] [--fast]
                                           [--figure vanishing_gradients.png]

For networks of sigmoid, tanh and relu layers, not trained yet, `training.gradient_report` looks at one batch of
scikit-learn's digits: how large is the derivative of the loss by what each dense layer puts out, before its activation?
The weights are drawn too small, as LeCun et al. (1998) or He et al. (2015) say, or too large; the last two variants
have LeCun's weights, and layer norm before each dense layer or a connection around it.

Expected, in some ten seconds: from the last layer to the first, gradients shrink by more than ten orders of magnitude
in every network of plain sigmoid layers but that with large weights. Tanh wants LeCun's weights, relu He's. With layer
norm tanh and relu no longer need luck; with connections all three keep their gradients.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from options import parser, whole
from sklearn.datasets import load_digits

import funcgrad as fg
from funcgrad import losses, training
from funcgrad.nn import initializers, layers

BATCH = 256
ACTIVATIONS = {"sigmoid": layers.sigmoid, "tanh": layers.tanh, "relu": layers.relu}
PLAIN, NORM, SKIP = "plain", "norm", "skip"


class Remedy(NamedTuple):
    """Initial weights, and how a layer is built; with the colour and the dashes of its lines."""

    kernel_init: Callable[..., Any]
    kind: str
    colour: str
    dashes: Any = "-"


REMEDIES = {
    "small weights": Remedy(initializers.variance_scaling(0.1, "fan_in", "normal"), PLAIN, "#9aa5b1", ":"),
    "LeCun": Remedy(initializers.lecun_normal(), PLAIN, "#2f6f9f"),
    "He": Remedy(initializers.he_normal(), PLAIN, "#d9722e"),
    "large weights": Remedy(initializers.variance_scaling(10.0, "fan_in", "normal"), PLAIN, "#22313f", "--"),
    "LeCun, layer norm": Remedy(initializers.lecun_normal(), NORM, "#3f9b6a"),
    "LeCun, residual": Remedy(initializers.lecun_normal(), SKIP, "#a34d8f"),
}


class Found(NamedTuple):
    """The norm of the gradient at each dense layer, from the first to the last, and what the report says of it."""

    gradients: np.ndarray
    verdict: str

    @property
    def ratio(self) -> float:
        """The first layer's over the last one's."""
        return float(self.gradients[0] / self.gradients[-1])


Results = dict[tuple[str, str], Found]  # by activation and remedy


def network(activation: layers.Layer, remedy: Remedy, depth: int, width: int) -> layers.Layer:
    """`depth` layers of one kind, and a last one for the ten classes."""

    def block(number: int) -> layers.Layer:
        dense = layers.dense(width, kernel_init=remedy.kernel_init, name="affine")
        if number == 0 or remedy.kind == PLAIN:  # the first changes the width, which a connection around it cannot
            return layers.serial(dense, activation, name="layer")
        if remedy.kind == NORM:
            return layers.serial(layers.layer_norm(), dense, activation, name="layer")
        return layers.residual(dense, activation, name="layer")

    return layers.serial(*map(block, range(depth)), layers.dense(10, name="head"), name="net")


def reporter(net: layers.Layer) -> Callable[..., training.GradientReport]:
    """The report on a network's cross-entropy."""

    def loss(params: Any, x: Any, y: Any) -> Any:
        return losses.softmax_cross_entropy_with_integer_labels(net.apply(params, x), y).mean()

    return training.gradient_report(loss)


def explore(depth: int, width: int, seed: int) -> Results:
    """A report for each activation and remedy; networks that differ in their weights alone share a program."""
    data = load_digits()
    x, y = (data.data[:BATCH] / 16).astype(np.float32), data.target[:BATCH].astype(np.int32)
    reports: dict[tuple[str, str], Any] = {}
    found: Results = {}
    variants = [(name, remedy) for name in ACTIVATIONS for remedy in REMEDIES]
    with training.progress(variants, description="looking", unit="network") as bar:
        for name, label in bar:
            remedy = REMEDIES[label]
            net = network(ACTIVATIONS[name], remedy, depth, width)
            report = reports.setdefault((name, remedy.kind), reporter(net))
            seen = report(net.init(fg.random.key(seed), (1, x.shape[1])), x, y)
            gradients = np.array([layer.gradient for layer in seen.layers if layer.name.endswith("affine")])
            verdicts = [text.split(":")[0] for text in seen.findings if text.startswith("gradients")]
            found[name, label] = Found(gradients, *verdicts[:1] or ["gradients flow"])
    return found


# The figure -----------------------------------------------------------------------------------------------------------

INK, GRID = "#22313f", "#d8dde2"


def draw_figure(path: Path, found: Results) -> None:
    """A panel per activation, with a line per remedy; the smallest and the largest numbers share one scale."""
    figure = Figure(figsize=(12.5, 5), layout="constrained")
    panels = figure.subplots(1, len(ACTIVATIONS), sharey=True)
    for axes, name in zip(panels, ACTIVATIONS, strict=True):
        for label, remedy in REMEDIES.items():
            gradients = found[name, label].gradients
            axes.plot(
                np.arange(1, len(gradients) + 1),
                gradients,
                remedy.dashes,
                color=remedy.colour,
                label=label,
                linewidth=2,
            )
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_title(f"{name} layers", loc="left", fontweight="bold", color=INK, fontsize=11)
        axes.set(xlabel="layer (1: next to the pixels)", yscale="log")
        axes.grid(color=GRID, linewidth=0.7)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("norm of the loss's derivative by the layer's output")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(REMEDIES), frameon=False
    )
    figure.suptitle("Gradients before any training, from the last layer to the first", x=0.01, ha="left", color=INK)
    figure.savefig(path, dpi=120)


def main(arguments: Sequence[str] | None = None) -> None:
    start = time.perf_counter()
    reader = parser(__file__, __doc__, "vanishing_gradients.png")
    reader.add_argument("--depth", type=whole(2, 100), help="how many layers (20; fast 6)")
    reader.add_argument("--width", type=whole(1, 4096), default=64, help="of each layer (%(default)s)")
    options = reader.parse_args(arguments)
    depth = options.depth or (6 if options.fast else 20)
    found = explore(depth, options.width, options.seed)
    for (name, label), one in found.items():
        print(f"{name:8} {label:18} first layer / last layer {one.ratio:8.1e}   {one.verdict}")
    draw_figure(options.figure, found)
    print(
        f"{len(found)} networks of {depth} layers after {time.perf_counter() - start:.1f} s; figure in {options.figure}"
    )


if __name__ == "__main__":
    main()

"""What does a network know of digits that may remember but two numbers of each?  A variational autoencoder.

    python examples/vae.py [--epochs 200] [--seed 0] [--fast] [--figure vae.png]

The data are scikit-learn's: 1,797 scans of 8x8 pixels, each the number of inked dots among 16; a fifth is held out.  An
encoder turns a scan into a normal distribution on a plane, a decoder a point of that plane into the 64 probabilities of
ink (Kingma & Welling 2014).  Trained is the bound on the scans' log-likelihood, binomial in each pixel: how badly a
scan is rebuilt, and how far its distribution lies from the standard normal one.

Expected, in some ten seconds: a bound of about 139 nats per held-out scan (121 in training), and nine in ten of the
held-out digits named rightly by their neighbours on the plane.
Left, the plane, where digits form islands though no label was shown; in the middle, what the decoder makes of each of
its places; right, scans that were held out beside what is left of them after two numbers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from options import parser, whole
from scipy.special import gammaln
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import funcgrad as fg
from funcgrad import losses, optim, training
from funcgrad.nn import layers

DOTS, SIDE, LATENT = 16, 8, 2
BATCH, DRAWS, NEIGHBOURS = 64, 50, 9  # draws of the plane per held-out scan


def perceptron(outputs: int, name: str) -> layers.Layer:
    return layers.serial(
        layers.dense(128), layers.gelu, layers.dense(128), layers.gelu, layers.dense(outputs), name=name
    )


ENCODER, DECODER = perceptron(2 * LATENT, "encoder"), perceptron(SIDE * SIDE, "decoder")

Data = dict[str, np.ndarray]  # "x": shares of inked dots, (scans, 64); "ways": log of the ways to ink so many dots


class Split(NamedTuple):
    """Scans to train on and scans held out, with their digits."""

    train: Data
    train_digits: np.ndarray
    test: Data
    test_digits: np.ndarray


def scans(seed: int) -> Split:
    """The data, a fifth of them held out at random."""
    found = load_digits()
    counts = found.data
    ways = np.sum(gammaln(DOTS + 1) - gammaln(counts + 1) - gammaln(DOTS - counts + 1), axis=1)
    data = {"x": (counts / DOTS).astype(np.float32), "ways": ways.astype(np.float32)}
    test, train = np.split(np.random.default_rng(seed).permutation(len(counts)), [len(counts) // 5])
    (one, other) = ({name: column[rows] for name, column in data.items()} for rows in (train, test))
    return Split(one, found.target[train], other, found.target[test])


def encode(params: Any, x: Any) -> tuple[Any, Any]:
    """The mean and the logarithm of the variance on the plane."""
    both = ENCODER.apply(params["encoder"], x)
    return both[:, :LATENT], both[:, LATENT:]


def negative_bound(params: Any, batch: Any, key: Any) -> Any:
    """The negative evidence lower bound in nats per scan, averaged over the batch, with one draw of the plane each."""
    mean, log_variance = encode(params, batch["x"])
    z = mean + np.exp(log_variance / 2) * fg.random.normal(key, mean.shape, np.float32)
    logits = DECODER.apply(params["decoder"], z)
    pixels = DOTS * losses.sigmoid_binary_cross_entropy(logits, batch["x"]).sum(axis=1) - batch["ways"]
    divergence = np.sum(np.exp(log_variance) + mean**2 - 1 - log_variance, axis=1) / 2
    return np.mean(pixels + divergence)


@fg.jit
def bound_over_draws(params: Any, data: Any, keys: Any) -> Any:
    return fg.vmap(negative_bound, in_axes=(None, None, 0))(params, data, keys).mean()


@fg.jit
def means(params: Any, x: Any) -> Any:
    return encode(params, x)[0]


@fg.jit
def decoded(params: Any, z: Any) -> Any:
    """The probabilities of ink at points of the plane."""
    return fg.nn.sigmoid(DECODER.apply(params["decoder"], z))


def train(data: Data, epochs: int, seed: int) -> tuple[Any, np.ndarray]:
    """The parameters after the training, and the mean loss of each epoch."""
    first, second, order = fg.random.split(fg.random.key(seed), 3)
    params = {"encoder": ENCODER.init(first, (1, SIDE * SIDE)), "decoder": DECODER.init(second, (1, LATENT))}
    steps = epochs * -(-len(data["x"]) // BATCH)
    optimizer = optim.adam(optim.cosine_decay_schedule(2e-3, steps))
    epoch = training.fit_epoch(negative_bound, optimizer, BATCH, has_key=True)
    state, curve = optimizer.init(params), []
    with training.progress(range(epochs), description="training", unit="epoch") as bar:
        for number in bar:
            params, state, values = epoch(params, state, data, fg.random.fold_in(order, number))
            curve.append(float(values.mean()))
            bar.show(loss=curve[-1])
    return params, np.array(curve)


# The figure -----------------------------------------------------------------------------------------------------------

INK, GRID = "#22313f", "#d8dde2"
CELLS, PAIRS = 16, 3  # decoded places along a side of the plane; scans of each digit
TILE = 2 * SIDE + 2  # half pixels along a side of an image and its frame
INKED = colormaps["Greys"].with_extremes(bad=GRID)


def mosaic(images: np.ndarray, rows: int) -> np.ndarray:
    """Images of (count, 64), row by row, as one; each with half a pixel of nothing around it."""
    tiles = images.reshape(rows, -1, SIDE, SIDE).repeat(2, axis=2).repeat(2, axis=3)
    framed = np.pad(tiles, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=np.nan)
    return framed.transpose(0, 2, 1, 3).reshape(rows * TILE, -1)


def titled(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontweight="bold", color=INK, fontsize=11)


def draw_plane(axes: Any, z: np.ndarray, digits: np.ndarray, reach: float) -> None:
    """The scans' places, coloured by digit, with each digit's number at the middle of its points."""
    for digit in range(10):
        own = z[digits == digit]
        colour = colormaps["tab10"](digit)
        axes.scatter(*own.T, s=9, color=colour, linewidths=0, alpha=0.75)
        box = {"boxstyle": "circle,pad=0.25", "facecolor": "white", "edgecolor": colour, "linewidth": 1.6}
        axes.text(*np.median(own, axis=0), str(digit), ha="center", va="center", color=INK, weight="bold", bbox=box)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), xlabel="$z_1$", ylabel="$z_2$", aspect="equal")
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    titled(axes, "All scans on the plane")


def draw_figure(path: Path, params: Any, split: Split) -> None:
    """Write the figure: the plane, what is decoded from it, and held-out scans beside what is rebuilt."""
    figure = Figure(figsize=(14, 6), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 0.54))
    z = means(params, np.vstack([split.train["x"], split.test["x"]]))
    reach = float(np.ceil(2 * np.quantile(np.abs(z), 0.995)) / 2)
    draw_plane(left, z, np.concatenate([split.train_digits, split.test_digits]), reach)

    edge = (np.arange(CELLS) + 0.5) * 2 * reach / CELLS - reach  # the middles of the cells
    places = np.stack(np.meshgrid(edge, edge[::-1]), axis=-1).reshape(-1, LATENT).astype(np.float32)
    middle.imshow(mosaic(decoded(params, places), CELLS), INKED, vmin=0, vmax=1, extent=(-reach, reach) * 2)
    middle.set(xlabel="$z_1$", ylabel="$z_2$")
    titled(middle, "What the decoder makes of it")

    chosen = np.concatenate([np.flatnonzero(split.test_digits == digit)[:PAIRS] for digit in range(10)])
    scanned = split.test["x"][chosen]
    rebuilt = decoded(params, means(params, scanned))
    right.imshow(mosaic(np.stack([scanned, rebuilt], axis=1).reshape(-1, SIDE * SIDE), 10), INKED, vmin=0, vmax=1)
    for pair in range(1, PAIRS):
        right.axvline(2 * TILE * pair - 0.5, color="#d9722e", linewidth=1.5)
    right.set_xticks((np.arange(2 * PAIRS) + 0.5) * TILE - 0.5, ["scan", "rebuilt"] * PAIRS, fontsize=7)
    right.set_yticks((np.arange(10) + 0.5) * TILE - 0.5, map(str, range(10)))
    right.tick_params(length=0)
    titled(right, "Held-out scans")
    figure.savefig(path, dpi=110)


def main(arguments: Sequence[str] | None = None) -> None:
    start = time.perf_counter()
    reader = parser(__file__, __doc__, "vae.png")
    reader.add_argument("--epochs", type=whole(1, 10_000), help="passes over the scans (200; fast 15)")
    options = reader.parse_args(arguments)
    split = scans(options.seed)
    params, curve = train(split.train, options.epochs or (15 if options.fast else 200), options.seed)
    draw_figure(options.figure, params, split)
    bound = bound_over_draws(params, split.test, fg.random.split(fg.random.key(options.seed), DRAWS))
    guess = KNeighborsClassifier(NEIGHBOURS).fit(means(params, split.train["x"]), split.train_digits)
    right = guess.score(means(params, split.test["x"]), split.test_digits)
    print(
        f"negative ELBO {curve[-1]:.1f} nats per scan in training, {bound:.1f} held out; {right:.1%} of the held-out "
        f"digits named by their {NEIGHBOURS} neighbours on the plane"
    )
    print(f"{len(curve)} epochs after {time.perf_counter() - start:.1f} s; figure in {options.figure}")


if __name__ == "__main__":
    main()

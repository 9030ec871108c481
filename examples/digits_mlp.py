"""How is a network trained with funcgrad?  A multilayer perceptron that reads handwritten digits.

    python examples/digits_mlp.py [--data mnist.npz] [--epochs 40] [--hidden 128,64] [--lr 0.3]
                                  [--figure digits_mlp.png]

Without ``--data`` it takes the 1,797 scans (8x8 pixels) that ship with scikit-learn, holds a fifth of them out,
trains on the others, and draws what it has learnt.  With ``--data`` it takes an archive laid out as Keras's
``mnist.npz``.

Expected, in some five seconds on two cores: 98 % of the held-out scans read rightly.
The figure shows the course of the training, what is taken for what, and the scans that it misreads.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from tqdm import tqdm

import funcgrad as fg
from funcgrad import losses, optim
from funcgrad.nn import initializers, layers

Params = Any  # a pytree of arrays, as the network makes it

FIGURE_FORMATS = (".png", ".pdf", ".svg")
MOST_CLASSES = 256  # more would mean that the labels are no class numbers
# What zipfile and NumPy raise for damaged archives; RuntimeError also for encrypted and for unknown ones.
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, MemoryError, RuntimeError, SyntaxError, tokenize.TokenError)
REACH = 0.09  # how far a training image is shifted, as a share of its width: the scans are centred no better than this


class BadInputError(Exception):
    """The user's data or option cannot be used; the message is the one line that is shown."""


# The network and its training ---------------------------------------------------------------------------------------


def network(hidden: Sequence[int], classes: int) -> layers.Layer:
    """Dense layers with relu between them; the weights begin as He et al. (2015) have it, to keep relu's signal."""
    inner = [(layers.dense(width, kernel_init=initializers.he_normal()), layers.relu) for width in hidden]
    return layers.serial(*(part for pair in inner for part in pair), layers.dense(classes), name="net")


def loss(net: layers.Layer, params: Params, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The cross-entropy of the labels `y`, averaged over the batch `x` of shape (images, pixels)."""
    return losses.softmax_cross_entropy_with_integer_labels(net.apply(params, x), y).mean()


@fg.jit(static_argnums=(0, 1))
def step(
    net: layers.Layer,
    optimizer: optim.GradientTransformation,
    params: Params,
    state: Any,
    x: np.ndarray,
    y: np.ndarray,
) -> tuple[Params, Any, np.ndarray]:
    """One step of training: the new parameters and state of the optimiser, and the loss of the old parameters."""
    value, grads = fg.value_and_grad(loss, 1)(net, params, x, y)
    updates, state = optimizer.update(grads, state, params)
    return optim.apply_updates(params, updates), state, value


@fg.jit(static_argnums=0)
def predict(net: layers.Layer, params: Params, x: np.ndarray) -> np.ndarray:
    """The logarithm of each class's probability, (images, classes), for `x` of shape (images, pixels)."""
    return fg.nn.log_softmax(net.apply(params, x))


class Data(NamedTuple):
    """Images as float32 in [0, 1], (images, height, width), and labels as int32, (images,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


class History(NamedTuple):
    """What each epoch came to: the mean loss over its batches, and the accuracies after it."""

    losses: list[float]
    train: list[float]
    test: list[float]


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def accuracy(net: layers.Layer, params: Params, images: np.ndarray, labels: np.ndarray) -> float:
    return float(np.mean(np.argmax(predict(net, params, flat(images)), axis=1) == labels))


def shifted(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`images`, each moved by a random fraction of pixels (bilinear), so that no epoch sees the same images."""
    count, height, width = images.shape
    reach = REACH * width
    margin = math.ceil(reach)
    padded = np.pad(images, ((0, 0), (margin, margin + 1), (margin, margin + 1)))
    offset = rng.uniform(-reach, reach, (2, count, 1, 1)).astype(np.float32)
    whole = np.floor(offset).astype(np.intp)
    down, right = offset - whole.astype(np.float32)
    rows = margin + whole[0] + np.arange(height + 1)[:, None]
    columns = margin + whole[1] + np.arange(width + 1)
    corners = padded[np.arange(count)[:, None, None], rows, columns]
    between_rows = corners[:, :-1] * (1 - down) + corners[:, 1:] * down
    return between_rows[:, :, :-1] * (1 - right) + between_rows[:, :, 1:] * right


def train(
    net: layers.Layer, data: Data, options: argparse.Namespace, rng: np.random.Generator
) -> tuple[Params, History]:
    """Parameters after ``options.epochs`` passes over the training images, the rate falling linearly to zero."""
    history = History([], [], [])
    count = len(data.x_train)
    batches = math.ceil(count / options.batch_size)
    total = options.epochs * batches
    params = net.init(fg.random.key(options.seed), (1, data.x_train[0].size))
    optimizer = optim.sgd(optim.linear_schedule(options.lr, 0.0, total))
    state = optimizer.init(params)
    with tqdm(total=total, unit="step", leave=False) as bar:
        for epoch in range(options.epochs):
            order = rng.permutation(count)
            values = []
            # The last batch is a smaller one: kernels are compiled for no particular size, so it costs one more trace.
            for batch in np.split(order, range(options.batch_size, count, options.batch_size)):
                x, y = flat(shifted(data.x_train[batch], rng)), data.y_train[batch]
                params, state, value = step(net, optimizer, params, state, x, y)
                values.append(float(value))
                bar.update()
            if not math.isfinite(sum(values)):
                raise BadInputError(
                    f"--lr {options.lr:g}: the loss is {values[-1]} after epoch {epoch + 1}: take a smaller rate"
                )
            history.losses.append(sum(values) / batches)
            history.train.append(accuracy(net, params, data.x_train, data.y_train))
            history.test.append(accuracy(net, params, data.x_test, data.y_test))
            bar.write(
                f"epoch {epoch + 1:3}  loss {history.losses[-1]:.4f}  "
                f"train {history.train[-1]:7.2%}  test {history.test[-1]:7.2%}"
            )
    return params, history


# The data -----------------------------------------------------------------------------------------------------------


def scanned_digits(rng: np.random.Generator) -> Data:
    """scikit-learn's digits (grey levels 0 to 16), a fifth of them held out at random."""
    digits = load_digits()
    images, labels = (digits.images / 16).astype(np.float32), digits.target.astype(np.int32)
    order = rng.permutation(len(images))
    test, training = np.split(order, [len(order) // 5])
    return Data(images[training], labels[training], images[test], labels[test])


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The four arrays of the archive at `path`."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            stored = set(archive.namelist())
        missing = [name for name in Data._fields if f"{name}.npy" not in stored]
        if missing:
            raise BadInputError(f"{path}: has no array {missing[0]} (it needs {', '.join(Data._fields)})")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in Data._fields}
    except OSError as error:
        raise BadInputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except DAMAGED as error:
        raise BadInputError(f"{path}: is no .npz archive, or a damaged one") from error
    except ValueError as error:
        raise BadInputError(f"{path}: an array cannot be read: {str(error).splitlines()[0]}") from error
    for name, array in found.items():
        if not isinstance(array, np.ndarray):  # NumPy hands out the bytes of what does not begin as an array does
            raise BadInputError(f"{path}: {name} is no array")
    return found


def checked(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Refuse arrays that are no images with their labels."""
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        if x.ndim != 3 or x.dtype != np.uint8 or x.size == 0:
            raise BadInputError(
                f"{path}: x_{part} must be uint8 images (images, height, width), not {x.dtype} {x.shape}"
            )
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise BadInputError(f"{path}: y_{part} must be whole numbers (images,), not {y.dtype} {y.shape}")
        if len(x) != len(y):
            raise BadInputError(f"{path}: x_{part} has {len(x)} images and y_{part} {len(y)} labels")
        if y.min() < 0 or y.max() >= MOST_CLASSES:
            raise BadInputError(f"{path}: y_{part} must be within 0..{MOST_CLASSES - 1}, not {y.min()}..{y.max()}")
    shapes = [arrays[name].shape[1:] for name in ("x_train", "x_test")]
    if shapes[0] != shapes[1]:
        raise BadInputError(f"{path}: x_train has images of shape {shapes[0]} and x_test of shape {shapes[1]}")


def archived_digits(path: Path) -> Data:
    """The images and labels of a Keras-like archive (grey levels 0 to 255)."""
    arrays = read_arrays(path)
    checked(arrays, path)
    images = {part: arrays[f"x_{part}"].astype(np.float32) / 255 for part in ("train", "test")}
    labels = {part: arrays[f"y_{part}"].astype(np.int32) for part in ("train", "test")}
    return Data(images["train"], labels["train"], images["test"], labels["test"])


# The figure ---------------------------------------------------------------------------------------------------------

INK, BLUE, ORANGE, GRID = "#22313f", "#2f6f9f", "#d9722e", "#d8dde2"
SHOWN = 24  # misread images in the figure


def draw_curves(axes: Any, title: str, curves: dict[str, tuple[list[float], str]], percent: bool) -> None:
    for label, (values, colour) in curves.items():
        axes.plot(
            range(1, len(values) + 1), values, color=colour, label=label, linewidth=1.8, marker="o", markersize=2.5
        )
    axes.set_title(title, loc="left", fontweight="bold", color=INK)
    axes.set_xlabel("epoch")
    axes.grid(color=GRID, linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.get_major_locator().set_params(integer=True)
    if percent:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.1%}")
    else:
        axes.set_yscale("log")
    axes.legend(frameon=False)


def draw_confusion(axes: Any, truth: np.ndarray, read: np.ndarray, classes: int) -> None:
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, read), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root makes single errors visible
    if classes <= 12:
        axes.set_xticks(range(classes))
        axes.set_yticks(range(classes))
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if shares[row, column] > 0.4 else INK
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8)
    axes.set_title("Test images by label and reading", loc="left", fontweight="bold", color=INK)
    axes.set_xlabel("read as")
    axes.set_ylabel("label")
    axes.spines[:].set_visible(False)


def draw_misread(panel: Any, images: np.ndarray, truth: np.ndarray, log_p: np.ndarray) -> None:
    """The misread images, those read with the most confidence first."""
    read, confidence = np.argmax(log_p, axis=1), np.max(log_p, axis=1)
    wrong = np.flatnonzero(read != truth)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:SHOWN]
    total = int(np.sum(read != truth))
    count = f"{total}, the surest {len(wrong)} first" if total > len(wrong) else f"{total} of {len(truth)}"
    panel.suptitle(f"Misread test images ({count})", fontweight="bold", color=INK, x=0.02, ha="left", fontsize=12)
    columns = 3 if len(wrong) <= 12 else 4
    for axes in panel.subplots(max(2, math.ceil(len(wrong) / columns)), columns).flat:
        axes.axis("off")
    for axes, i in zip(panel.axes, wrong, strict=False):
        axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=1)
        axes.set_title(f"{truth[i]} read as {read[i]}", fontsize=9, color=ORANGE)


def draw(path: Path, data: Data, log_p: np.ndarray, history: History, classes: int) -> None:
    """Write the figure: loss and accuracy by epoch, confusion matrix, misread images."""
    figure = Figure(figsize=(15, 6.6), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(4.2, 5, 4.2))
    above, below = left.subplots(2, 1, sharex=True)
    draw_curves(above, "Training loss", {"mean over the epoch": (history.losses, INK)}, percent=False)
    draw_curves(below, "Accuracy", {"train": (history.train, BLUE), "test": (history.test, ORANGE)}, percent=True)
    draw_confusion(middle.subplots(), data.y_test, np.argmax(log_p, axis=1), classes)
    draw_misread(right, data.x_test, data.y_test, log_p)
    try:
        figure.savefig(path, dpi=130)
    except OSError as error:
        raise BadInputError(f"--figure {path}: cannot be written: {error.strerror or error}") from error


# The command line ---------------------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        raise BadInputError(message)


def number(kind: type, least: float, most: float) -> Callable[[str], float]:
    """A reader of numbers within ``least..most``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} within {least:g}..{most:g}")
        return value

    return read


def widths(text: str) -> list[int]:
    return [int(number(int, 1, 65536)(part)) for part in text.split(",")]


def figure_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in FIGURE_FORMATS:
        raise argparse.ArgumentTypeError(f"{text!r} does not end with {' or '.join(FIGURE_FORMATS)}")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {str(path.parent)!r}")
    return path


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(description=(__doc__ or "").splitlines()[0], allow_abbrev=False)
    parser.add_argument(
        "--data", type=Path, metavar="FILE.npz", help="arrays x_train, y_train, x_test, y_test as in Keras's mnist.npz"
    )
    parser.add_argument(
        "--epochs", type=number(int, 1, 100_000), default=40, help="passes over the training images (%(default)s)"
    )
    parser.add_argument(
        "--lr", type=number(float, 1e-12, 1e6), default=0.3, help="learning rate of the first step (%(default)s)"
    )
    parser.add_argument(
        "--hidden", type=widths, default=[128, 64], metavar="N,N,...", help="widths of the hidden layers (128,64)"
    )
    parser.add_argument(
        "--batch-size", type=number(int, 1, 1_000_000), default=32, help="images in a step (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=number(int, 0, 2**63 - 1), default=0, help="of split, weights, order and shifts (%(default)s)"
    )
    parser.add_argument(
        "--figure", type=figure_path, default="digits_mlp.png", help="where to draw the result (%(default)s)"
    )
    return parser.parse_args(arguments)


def run(arguments: Sequence[str] | None) -> None:
    start = time.perf_counter()
    options = parse(arguments)
    rng = np.random.default_rng(options.seed)
    data = archived_digits(options.data) if options.data else scanned_digits(rng)
    classes = 1 + int(max(data.y_train.max(), data.y_test.max()))
    sizes = [math.prod(data.x_train.shape[1:]), *options.hidden, classes]
    print(
        f"{len(data.x_train)} training and {len(data.x_test)} test images; layers {'-'.join(map(str, sizes))}",
        flush=True,
    )
    net = network(options.hidden, classes)
    params, history = train(net, data, options, rng)
    draw(options.figure, data, predict(net, params, flat(data.x_test)), history, classes)
    print(f"test accuracy {history.test[-1]:.2%} after {time.perf_counter() - start:.1f} s; figure in {options.figure}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; the exit status is 2, with one line on stderr, where data or options cannot be used."""
    try:
        run(arguments)
    except BadInputError as error:
        print(f"digits_mlp: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

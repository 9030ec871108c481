"""How does a network bend a boundary around its data?  An animation of a tiny network that tells two moons apart.

    python examples/two_moons_animation.py [--epochs 200] [--noise 0.15] [--figure two_moons.gif]

It draws 600 points of two interleaved half moons, holds a third of them out, and trains a network of 2-16-16-2-1 units
on the others with Adam.  The last hidden layer has two units, so that what the network makes of the plane can be seen.

Expected, in half a minute, most of which goes into drawing: at least 98 % of the held-out points told apart.
Left, the plane: colours are the probability of a moon, the line is where it is one half.  In the middle, where the
network has carried every point before its last layer, which can draw but a straight line.  Right, the loss.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from options import parser, real, whole
from PIL import Image
from sklearn.datasets import make_moons

import funcgrad as fg
from funcgrad import losses, optim, training
from funcgrad.nn import layers

BODY = layers.serial(
    *(layers.dense(16), layers.tanh, layers.dense(16), layers.tanh, layers.dense(2), layers.tanh), name="body"
)
HEAD = layers.dense(1, name="head")
NET = layers.serial(BODY, HEAD, name="net")

BATCH, POINTS = 50, 600
FRAME_MS, LAST_MS = 70, 2500  # the last frame stays

Data = dict[str, np.ndarray]  # "x": points, (points, 2); "y": the moon of each, 0 or 1


def loss(params: Any, batch: Any) -> Any:
    """The cross-entropy of the moons, averaged over the batch."""
    logits = NET.apply(params, batch["x"])[:, 0]
    return losses.sigmoid_binary_cross_entropy(logits, batch["y"]).mean()


@fg.jit
def look(params: Any, x: Any) -> tuple[Any, Any]:
    """The two hidden features of points, and the probability of moon 1."""
    hidden = BODY.apply(params["0_body"], x)
    return hidden, fg.nn.sigmoid(HEAD.apply(params["1_head"], hidden)[:, 0])


def accuracy(params: Any, data: Data) -> float:
    return float(np.mean((look(params, data["x"])[1] > 0.5) == data["y"]))


def moons(noise: float, seed: int) -> tuple[Data, Data]:
    """Two thirds of the points to train on, and one to hold out."""
    x, y = make_moons(POINTS, noise=noise, random_state=seed)
    cut = POINTS * 2 // 3
    x, y = x.astype(np.float32), y.astype(np.float32)
    return {"x": x[:cut], "y": y[:cut]}, {"x": x[cut:], "y": y[cut:]}


def train(data: Data, epochs: int, seed: int) -> tuple[list[Any], np.ndarray]:
    """The parameters before the training and after each epoch, and the mean loss of each epoch."""
    first, order = fg.random.split(fg.random.key(seed))
    optimizer = optim.adam(5e-3)
    epoch = training.fit_epoch(loss, optimizer, BATCH)
    params = NET.init(first, (1, 2))
    state, seen, means = optimizer.init(params), [params], []
    with training.progress(range(epochs), description="training", unit="epoch") as bar:
        for number in bar:
            params, state, values = epoch(params, state, data, fg.random.fold_in(order, number))
            seen.append(params)
            means.append(values.mean())
            bar.show(loss=means[-1])
    return seen, np.array(means)


# The animation --------------------------------------------------------------------------------------------------------

INK, BLUE, ORANGE, GRID = "#22313f", "#2f6f9f", "#d9722e", "#d8dde2"
SHADES = LinearSegmentedColormap.from_list("moons", ["#9cc3df", "#f8f7f4", "#f3bd98"])
CELLS = 121  # along each side of the grids that are coloured


def grid(corners: tuple[float, float, float, float]) -> np.ndarray:
    """The points of a grid from left to right and from below to above, row by row."""
    across, up = np.linspace(*corners[:2], CELLS), np.linspace(*corners[2:], CELLS)
    return np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2).astype(np.float32)


class Panel:
    """Points before a ground whose colour is a probability, with the line where that is one half."""

    def __init__(self, axes: Any, title: str, names: tuple[str, str], corners: tuple[float, float, float, float]):
        self.axes, self.corners, self.grid, self.line = axes, corners, grid(corners), None
        blank = np.full((CELLS, CELLS), 0.5)
        self.ground = axes.imshow(blank, SHADES, vmin=0, vmax=1, extent=corners, origin="lower", aspect="auto")
        self.dots = axes.scatter([], [], s=13, linewidths=0.4, edgecolors="white", zorder=3)
        axes.set_title(title, loc="left", fontweight="bold", color=INK, fontsize=11)
        axes.set(xlabel=names[0], ylabel=names[1], xlim=corners[:2], ylim=corners[2:])

    def show(self, probabilities: np.ndarray, points: np.ndarray, y: np.ndarray) -> None:
        field = probabilities.reshape(CELLS, CELLS)
        self.ground.set_data(field)
        self.dots.set_offsets(points)
        self.dots.set_facecolors(np.where(y > 0.5, ORANGE, BLUE))
        if self.line is not None:
            self.line.remove()
            self.line = None
        if field.min() < 0.5 < field.max():
            self.line = self.axes.contour(field, [0.5], extent=self.corners, colors=INK, linewidths=2, zorder=4)


def animate(path: Path, seen: list[Any], means: np.ndarray, shown: Data, held_out: Data, frames: int) -> None:
    """Write the animation: more frames at the beginning, where more happens."""
    figure = Figure(figsize=(12.5, 4.3), dpi=80, layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.25, 1, 0.9))
    low, high = shown["x"].min(axis=0) - 0.3, shown["x"].max(axis=0) + 0.3
    plane = Panel(left, "The plane", ("$x_1$", "$x_2$"), (low[0], high[0], low[1], high[1]))
    hidden = Panel(middle, "What the last layer sees", ("hidden unit 1", "hidden unit 2"), (-1.1, 1.1, -1.1, 1.1))
    (curve,) = right.plot([], [], color=INK, linewidth=1.8)
    right.set(xlim=(0, len(means)), ylim=(means.min() / 1.5, means.max() * 1.3), yscale="log", xlabel="epoch")
    right.set_title("Training loss", loc="left", fontweight="bold", color=INK, fontsize=11)
    right.grid(color=GRID, linewidth=0.7)
    right.spines[["top", "right"]].set_visible(False)
    title = figure.suptitle("epoch 0", x=0.01, ha="left", color=INK, fontsize=12)
    numbers = np.unique((len(means) * np.linspace(0, 1, frames) ** 2).astype(int))
    canvas, images = FigureCanvasAgg(figure), []
    with training.progress(numbers.tolist(), description="drawing", unit="frame") as bar:
        for number in bar:
            params = seen[number]
            plane.show(look(params, plane.grid)[1], shown["x"], shown["y"])
            scores = HEAD.apply(params["1_head"], hidden.grid)[:, 0]
            hidden.show(fg.nn.sigmoid(scores), look(params, shown["x"])[0], shown["y"])
            curve.set_data(np.arange(1, number + 1), means[:number])
            title.set_text(f"epoch {number}: {accuracy(params, held_out):.1%} of the held-out points told apart")
            canvas.draw()
            figure.set_layout_engine("none")  # once is enough: half of a frame's time
            images.append(Image.fromarray(np.array(canvas.buffer_rgba())).convert("P", palette=Image.Palette.ADAPTIVE))
    durations = [FRAME_MS] * (len(images) - 1) + [LAST_MS]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0)


def main(arguments: Sequence[str] | None = None) -> None:
    start = time.perf_counter()
    reader = parser(__file__, __doc__, "two_moons.gif", (".gif",))
    reader.add_argument("--epochs", type=whole(1, 10_000), default=200, help="passes over the points (%(default)s)")
    reader.add_argument("--noise", type=real(0, 1), default=0.15, help="standard deviation of the points (%(default)s)")
    options = reader.parse_args(arguments)
    epochs, frames = (20, 4) if options.fast else (options.epochs, 90)
    data, held_out = moons(options.noise, options.seed)
    seen, means = train(data, epochs, options.seed)
    animate(options.figure, seen, means, data, held_out, frames)
    found = accuracy(seen[-1], held_out)
    print(f"test accuracy {found:.2%} after {time.perf_counter() - start:.1f} s; animation in {options.figure}")


if __name__ == "__main__":
    main()

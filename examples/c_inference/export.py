"""How does a network leave Python?  Trained here, it goes on as an object file that C programs link.

    make                                          # trains, exports, compiles main.c, runs it
    python export.py [--cpu host] [--picture 3]   # the first two steps

It learns scikit-learn's 1,797 scanned digits, writes ``digits.o`` (code and weights) with ``digits.h``, and a picture
that it has not seen, ``image.pgm``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import funcgrad as fg
from funcgrad import losses, optim
from funcgrad.nn import layers

HERE = Path(__file__).parent
WHITE, BATCH, EPOCHS = 16, 64, 20
HELD_OUT = 360

network = layers.serial(layers.dense(32), layers.relu, layers.dense(10))


def loss(params: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The cross-entropy of the labels `y`, averaged over the images `x` of shape (images, 64)."""
    return losses.softmax_cross_entropy_with_integer_labels(network.apply(params, x), y).mean()


def trained(x: np.ndarray, y: np.ndarray) -> Any:
    """The network's parameters after training on images and labels."""
    optimizer = optim.adam(3e-3)

    @fg.jit
    def step(params: Any, state: Any, x: np.ndarray, y: np.ndarray) -> Any:
        updates, state = optimizer.update(fg.grad(loss)(params, x, y), state, params)
        return optim.apply_updates(params, updates), state

    params = network.init(fg.random.key(0), x.shape)
    state = optimizer.init(params)
    rng = np.random.default_rng(0)
    for _ in range(EPOCHS):
        order = rng.permutation(len(x))
        for k in range(0, len(x) - BATCH + 1, BATCH):
            params, state = step(params, state, x[order[k : k + BATCH]], y[order[k : k + BATCH]])
    return params


def classifier(params: Any) -> Any:
    """A function of 64 brightnesses, 0 to 16: the probability of each digit, and the likeliest one."""

    def classify(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        scores = fg.nn.softmax(network.apply(params, image[None] / np.float32(WHITE))[0])
        return scores, np.argmax(scores).astype(np.int32)

    return classify


def write_picture(path: Path, image: np.ndarray) -> None:
    """A picture as plain text, which image viewers know."""
    rows = "\n".join(" ".join(f"{int(v):2d}" for v in row) for row in image.reshape(8, 8))
    path.write_text(f"P2 8 8 {WHITE}\n{rows}\n", encoding="ascii")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, export, and say what Python makes of the picture."""
    parser = argparse.ArgumentParser(description="Train a network on digits and write it as an object file for C.")
    parser.add_argument("--cpu", default="generic", help="which CPU runs it: generic, host, or a name of LLVM's")
    parser.add_argument("--picture", type=int, default=3, help=f"which of the {HELD_OUT} pictures held out to write")
    parser.add_argument("--folder", type=Path, default=HERE, help="where the files go")
    options = parser.parse_args(arguments)
    if not 0 <= options.picture < HELD_OUT:
        parser.error(f"--picture: {options.picture} is not within 0..{HELD_OUT - 1}")

    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))  # neighbours are of one writer
    x, y = data.data.astype(np.float32)[order], data.target.astype(np.int32)[order]
    params = trained(x[:-HELD_OUT] / np.float32(WHITE), y[:-HELD_OUT])
    classify = classifier(params)
    seen, new = x[:-HELD_OUT], x[-HELD_OUT:]
    found = fg.jit(fg.vmap(classify))(new)[1]
    right = np.mean(found == y[-HELD_OUT:])
    print(f"trained on {len(seen)} images; {right:.1%} of {HELD_OUT} others are read correctly")

    compiled = fg.jit(classify).lower(fg.ShapeDtypeStruct((64,), np.float32)).compile()
    compiled.export_object(options.folder / "digits.o", header=options.folder / "digits.h", cpu=options.cpu)
    image = new[options.picture]
    write_picture(options.folder / "image.pgm", image)
    scores, answer = compiled(image)
    print(f"Python reads a {answer} in image.pgm, with probability {scores[answer]:.7f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

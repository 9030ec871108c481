"""What is trained on?  Initial parameters and every batch, made once by NumPy and handed to all libraries as a file.

So nothing random is left to them: images are shifted, pairs shuffled and masks of dropout drawn here.  Batches of all
epochs are arrays (epochs, steps, batch, ...); the rest that makes no whole batch is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]  # by name, and dictionaries of them
PAD, BEGIN, END, UNKNOWN = range(4)  # what stands in a vocabulary before the words


@dataclass(frozen=True)
class Training:
    """One training.

    Attributes
    ----------
    name
        What the files of its versions begin with.
    summary
        A line for the report.
    make
        Returns ``{"params", "batches", "test"}`` from a random generator, a number of epochs, and whether it should be
        a small share of the data.
    epochs
        As the example's.
    early, accuracy
        How far the losses of the first steps may be from funcgrad's, relatively (from then on rounding grows from step
        to step), and the accuracy on held-out examples, absolutely.
    """

    name: str
    summary: str
    make: Callable[[np.random.Generator, int, bool], Arrays]
    epochs: int
    early: float
    accuracy: float


def normal(rng: np.random.Generator, *shape: int, gain: float = 2.0) -> np.ndarray:
    """Variance gain / inputs; 2 keeps a relu's signal (He et al. 2015)."""
    return (rng.standard_normal(shape) * np.sqrt(gain / np.prod(shape[:-1]))).astype(np.float32)


def dense(rng: np.random.Generator, inputs: int, outputs: int, gain: float = 2.0) -> Arrays:
    """Parameters of x @ kernel + bias."""
    return {"kernel": normal(rng, inputs, outputs, gain=gain), "bias": np.zeros(outputs, np.float32)}


def orders(rng: np.random.Generator, epochs: int, count: int, batch: int) -> np.ndarray:
    """Which examples each batch has, (epochs, steps, batch)."""
    steps = count // batch
    return np.stack([rng.permutation(count)[: steps * batch].reshape(steps, batch) for _ in range(epochs)])


# Digits ---------------------------------------------------------------------------------------------------------------


def shifted(images: np.ndarray, rng: np.random.Generator, reach: float) -> np.ndarray:
    """Images (..., height, width), each moved by a random fraction of pixels, by linear interpolation."""
    *batch, height, width = images.shape
    down, right = rng.uniform(-reach, reach, (2, *batch, 1, 1))
    rows = np.maximum(0, 1 - np.abs(np.arange(height)[:, None] - np.arange(height) - down)).astype(np.float32)
    columns = np.maximum(0, 1 - np.abs(np.arange(width)[:, None] - np.arange(width) - right)).astype(np.float32)
    return rows @ images @ np.swapaxes(columns, -1, -2)


def digits(rng: np.random.Generator, epochs: int, batch: int, reach: float, fast: bool) -> tuple[Arrays, Arrays]:
    """Batches of shifted scans, (..., 8, 8), and their labels; and the fifth that is held out."""
    from sklearn.datasets import load_digits

    found = load_digits()
    images, labels = (found.images / 16).astype(np.float32), found.target.astype(np.int32)
    test, train = np.split(rng.permutation(len(images)), [len(images) // 5])
    order = train[orders(rng, epochs, 4 * batch + 3 if fast else len(train), batch)]
    batches = {"x": shifted(images[order], rng, reach), "y": labels[order]}
    return batches, {"x": images[test], "y": labels[test]}


def mlp(rng: np.random.Generator, epochs: int, fast: bool) -> Arrays:
    """64-128-64-10."""
    params = {"0_dense": dense(rng, 64, 128), "2_dense": dense(rng, 128, 64), "4_dense": dense(rng, 64, 10, 1.0)}
    batches, test = digits(rng, epochs, 32, 0.72, fast)
    for part in (batches, test):
        part["x"] = part["x"].reshape(*part["x"].shape[:-2], 64)
    return {"params": params, "batches": batches, "test": test}


def cnn(rng: np.random.Generator, epochs: int, fast: bool) -> Arrays:
    """Four convolutions and two dense layers; kernels are (height, width, inputs, outputs)."""
    params: Arrays = {"dense1": dense(rng, 256, 128), "dense2": dense(rng, 128, 10, 1.0)}
    for number, shape in enumerate(((5, 5, 1, 32), (3, 3, 32, 32), (3, 3, 32, 64), (3, 3, 64, 64)), 1):
        params[f"conv{number}"] = {"kernel": normal(rng, *shape)}
        params[f"norm{number}"] = {"scale": np.ones(shape[-1], np.float32), "bias": np.zeros(shape[-1], np.float32)}
    batches, test = digits(rng, epochs, 64, 0.9, fast)
    for part in (batches, test):
        part["x"] = part["x"][..., None]
    steps = batches["y"].shape
    for name, shape, rate in (("keep1", (4, 4, 32), 0.25), ("keep2", (2, 2, 64), 0.25), ("keep3", (128,), 0.5)):
        batches[name] = rng.random((*steps, *shape), np.float32) >= rate
    return {"params": params, "batches": batches, "test": test}


# Numbers in words -----------------------------------------------------------------------------------------------------


def encoded(texts: Iterable[str], known: int) -> tuple[np.ndarray, int]:
    """A row for each text, its words' numbers and END, padded with PAD; and the size of the vocabulary.

    It has the words of the texts from `known` on.
    """
    rows = [re.findall(r"-?\w+|[^\w\s]", text) for text in texts]
    counts = Counter(word for row in rows[known:] for word in row)
    numbers = {word: number for number, (word, _) in enumerate(counts.most_common(), UNKNOWN + 1)}
    found = np.full((len(rows), max(map(len, rows)) + 1), PAD, np.int32)
    for line, row in zip(found, rows, strict=True):
        line[: len(row) + 1] = [*(numbers.get(word, UNKNOWN) for word in row), END]
    return found, len(numbers) + UNKNOWN + 1


def gru(rng: np.random.Generator, inputs: int, hidden: int) -> Arrays:
    """Gates r, z and n side by side."""
    return {
        "kernel": normal(rng, inputs, 3 * hidden, gain=1.0),
        "recurrent_kernel": np.hstack([np.linalg.qr(normal(rng, hidden, hidden))[0] for _ in range(3)]),
        "bias": np.zeros(3 * hidden, np.float32),
        "recurrent_bias": np.zeros(hidden, np.float32),
    }


def translate(rng: np.random.Generator, epochs: int, fast: bool) -> Arrays:
    """English and French numbers below a million; embeddings of 48, hidden states of 96."""
    from num2words import num2words

    count = 400 if fast else 5000
    drawn: dict[int, None] = {}
    while len(drawn) < count:
        drawn[int(10 ** rng.uniform(0, 6)) - 1] = None
    cut = count // 5
    source, source_words = encoded((num2words(number, lang="en") for number in drawn), cut)
    target, target_words = encoded((num2words(number, lang="fr") for number in drawn), cut)
    params = {
        "source": {"embedding": normal(rng, source_words, 48, gain=source_words)},
        "forward": gru(rng, 48, 48),
        "backward": gru(rng, 48, 48),
        "target": {"embedding": normal(rng, target_words, 48, gain=target_words)},
        "write": gru(rng, 48, 96),
        "ask": {"kernel": normal(rng, 96, 96, gain=1.0)},
        "hidden": dense(rng, 192, 96, 1.0),
        "words": dense(rng, 96, target_words, 1.0),
    }
    order = cut + orders(rng, epochs, count - cut, 64)
    batches = {"source": source[order], "target": target[order]}
    return {"params": params, "batches": batches, "test": {"source": source[:cut], "target": target[:cut]}}


# Files ----------------------------------------------------------------------------------------------------------------


def save(file: Path, arrays: Arrays) -> None:
    """Nested dictionaries of arrays, by paths."""

    def flat(arrays: Arrays, path: str) -> Iterable[tuple[str, np.ndarray]]:
        for name, value in arrays.items():
            if isinstance(value, dict):
                yield from flat(value, f"{path}{name}/")
            else:
                yield path + name, value

    np.savez(file, **dict(flat(arrays, "")))


def load(file: Path) -> Arrays:
    """What `save` wrote."""
    result: Arrays = {}
    with np.load(file) as stored:
        for path, array in stored.items():
            *parents, name = path.split("/")
            place = result
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = array
    return result


TRAININGS = {
    each.name: each
    for each in (
        Training("mlp", "digits by an MLP 64-128-64-10, SGD, batch 32, float32", mlp, 40, 1e-5, 0.01),
        Training("cnn", "digits by four convolutions, batch norm, Adam, batch 64, float32", cnn, 30, 1e-4, 0.01),
        Training("translate", "numbers in words, GRU, Adam, batch 64, float32", translate, 12, 1e-5, 0.02),
    )
}

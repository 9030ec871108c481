"""What runs in a measured process?  One library's version of one training, from its import to the last accuracy."""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_rss
from benchmarks.trainings import data


def main(text: str) -> None:
    """Does the task of the JSON `text` (see `benchmarks.trainings.runs`); times count from ``task["start"]``."""
    task = json.loads(text)
    given = data.load(Path(task["data"]))
    epochs, steps = next(iter(given["batches"].values())).shape[:2]
    training = version(task["training"], task["peer"], given["params"], epochs * steps)
    answer: dict[str, Any] = {"steps": steps, "begun": [], "trained": [], "losses": [], "accuracies": []}
    for number in range(epochs):
        batches = {name: array[number] for name, array in given["batches"].items()}
        answer["begun"].append(time.monotonic() - task["start"])
        losses = training.epoch(batches)
        answer["losses"] += [float(value) for value in losses]  # waits for them
        answer["trained"].append(time.monotonic() - task["start"])
        answer["accuracies"].append(training.accuracy(given["test"]))
    Path(task["out"]).write_text(json.dumps(answer | {"rss": peak_rss()}), encoding="utf-8")


def version(training: str, peer: str, params: data.Arrays, steps: int) -> Any:
    """A training in the words of one library, with `epoch` and `accuracy`; ``jax_scan`` is JAX with a scan."""
    library = peer.partition("_")[0]
    made = importlib.import_module(f"benchmarks.trainings.{training}_{library}").Training
    if library != "jax":
        return made(params, steps)
    ways = importlib.import_module("benchmarks.trainings.jax_epochs")
    return made(params, steps, ways.looped if peer == "jax" else ways.scanned)


if __name__ == "__main__":
    main(sys.argv[1])

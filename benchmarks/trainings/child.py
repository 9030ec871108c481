"""What runs in a measured process?  One library's version of one training, from its import to the last accuracy."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path

from benchmarks.memory import peak_rss
from benchmarks.trainings import data


def main(text: str) -> None:
    """Does the task of the JSON `text`; times are counted from ``task["start"]``, before the process was there."""
    task = json.loads(text)
    library, _, variant = task["peer"].partition("_")
    made = importlib.import_module(f"benchmarks.trainings.{task['training']}_{library}").Training
    given = data.load(Path(task["data"]))
    epochs, steps = next(iter(given["batches"].values())).shape[:2]
    options = []
    if library == "jax":
        ways = importlib.import_module("benchmarks.trainings.jax_epochs")
        options = [ways.scanned if variant else ways.looped]
    training = made(given["params"], epochs * steps, *options)
    losses, accuracies, trained = [], [], []
    for number in range(epochs):
        batches = {name: array[number] for name, array in given["batches"].items()}
        begin = time.monotonic()
        losses += [float(value) for value in training.epoch(batches)]
        trained.append((begin - task["start"], time.monotonic() - begin))
        accuracies.append(training.accuracy(given["test"]))
    answer = {"losses": losses, "accuracies": accuracies, "trained": trained, "steps": steps, "rss": peak_rss()}
    times = os.times()
    answer |= {"whole": time.monotonic() - task["start"], "cpu": sum(times[:4])}
    Path(task["out"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])

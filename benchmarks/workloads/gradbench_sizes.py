"""How do GradBench's problems scale?  The sizes of that suite, which only ``-k gradbench`` runs.

Mixtures of 1,000 and 10,000 points, hand tracking of up to 100,000 points, and bundle adjustment of four scenes of the
dataset that the suite takes (Agarwal et al. 2010, *Bundle adjustment in the large*), with numbers drawn here. Its four
sizes of LSTM are there, too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from benchmarks.workload import Data, Workload
from benchmarks.workloads import gradbench, gradbench_hand, gradbench_lstm

SERIES = "gradbench"
DIMENSIONS, COMPONENTS, POINTS = (2, 10, 20, 32, 64), (5, 10, 25, 50, 100, 200), (1_000, 10_000)
SCENES = ((49, 7_776, 31_843), (73, 11_032, 46_122), (50, 20_431, 73_967), (93, 61_203, 287_451))
VERTICES, SEEN = (
    {"small": 544, "big": 10_000},
    (100, 192, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 100_000),
)
STEPS = (1024, 4096)


def _sized(like: Workload, name: str, summary: str, data: Callable[[], Data]) -> Workload:
    name, summary = f"{SERIES}_{name}", f"GradBench {summary}"
    return replace(like, name=name, summary=summary, data=data, quick=False, series=SERIES)


WORKLOADS = (
    *(
        _sized(
            gradbench.WORKLOADS[0],
            f"gmm_d{d}_k{k}_n{n}",
            f"GMM: d = {d}, k = {k}, n = {n}",
            partial(gradbench.mixture_data, d=d, k=k, n=n),
        )
        for n in POINTS
        for d in DIMENSIONS
        for k in COMPONENTS
    ),
    *(
        _sized(
            gradbench.WORKLOADS[-1],
            f"ba_{cameras}",
            f"BA: {cameras} cameras, {points:,} points, {seen:,} observations",
            partial(gradbench.bundle_data, cameras, points, seen),
        )
        for cameras, points, seen in SCENES
    ),
    *(
        _sized(
            gradbench_lstm.WORKLOADS[0],
            f"lstm_{layers}_{steps}",
            f"LSTM: {layers} layers, {steps} steps",
            partial(gradbench_lstm.data, layers, steps),
        )
        for layers in (2, 4)
        for steps in STEPS
    ),
    *(
        _sized(
            gradbench_hand.WORKLOADS[0],
            f"hand_{'complicated' if complicated else 'simple'}_{name}_{seen}",
            f"HT, {'complicated' if complicated else 'simple'}: {vertices:,} vertices, {seen:,} points",
            partial(gradbench_hand.data, vertices, seen, complicated),
        )
        for complicated in (False, True)
        for name, vertices in VERTICES.items()
        for seen in SEEN
    ),
)

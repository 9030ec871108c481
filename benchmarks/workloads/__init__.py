"""Which workloads are there?  In the order of the report."""

from __future__ import annotations

from benchmarks.workload import AnyWorkload, Workload
from benchmarks.workloads import (
    cnn,
    cross_entropy,
    cumulative,
    dispatch,
    elementwise,
    indexing,
    linalg,
    logistic,
    mlp,
    sorting,
    special,
    starting,
    transforms,
)

WORKLOADS: dict[str, AnyWorkload] = {
    workload.name: workload
    for module in (
        mlp,
        cnn,
        elementwise,
        logistic,
        cross_entropy,
        dispatch,
        starting,
        sorting,
        cumulative,
        indexing,
        linalg,
        special,
        transforms,
    )
    for workload in module.WORKLOADS
}
CALLS: dict[str, Workload] = {name: each for name, each in WORKLOADS.items() if isinstance(each, Workload)}

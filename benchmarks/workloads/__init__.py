"""Which workloads are there?  In the order of the report."""

from __future__ import annotations

from benchmarks.workload import AnyWorkload, Workload
from benchmarks.workloads import (
    attention,
    carried,
    cnn,
    compiling,
    cross_entropy,
    cumulative,
    dispatch,
    eager,
    elementwise,
    gradbench,
    gradbench_hand,
    gradbench_lstm,
    indexing,
    layers,
    linalg,
    logistic,
    loops,
    lstm,
    mlp,
    optim,
    random,
    resnet,
    sampling,
    simulations,
    sorting,
    special,
    starting,
    stencils,
    training,
    transformer,
    transforms,
)

WORKLOADS: dict[str, AnyWorkload] = {
    workload.name: workload
    for module in (
        mlp,
        cnn,
        resnet,
        elementwise,
        logistic,
        cross_entropy,
        attention,
        dispatch,
        starting,
        sorting,
        cumulative,
        indexing,
        linalg,
        special,
        random,
        transforms,
        eager,
        loops,
        carried,
        simulations,
        compiling,
        sampling,
        lstm,
        transformer,
        gradbench,
        gradbench_lstm,
        gradbench_hand,
        stencils,
        layers,
        training,
        optim,
    )
    for workload in module.WORKLOADS
}
CALLS: dict[str, Workload] = {name: each for name, each in WORKLOADS.items() if isinstance(each, Workload)}

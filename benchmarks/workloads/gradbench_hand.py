"""How fast is GradBench's hand tracking?  Residuals and Jacobian as that suite defines them, float64.

A hand of 22 bones is posed by 26 numbers: a rotation and a translation of the whole, and for each finger four angles.
Its vertices follow the bones by weights; a residual is a measured point less its vertex ("simple": 26 columns), or less
a point on its triangle, whose two coordinates are unknowns too ("complicated": two more columns, since each residual
depends on its own coordinates only). The Jacobian has a block of residuals for each column, as the suite's has. The
model here is made up; sizes are those of the suite's.
"""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.workload import Call, Data, Goal, Workload

BONES, PARAMETERS = 22, 26
PARENTS = (-1, 0, *(1 if joint == 0 else 1 + 4 * finger + joint for finger in range(5) for joint in range(4)))
NAMES = ("theta", "us", "relatives", "inverses", "vertices", "weights", "points", "corners")


def data(vertices: int, points: int, complicated: bool) -> Data:
    """A pose, a model and measured points; `corners` are the vertices that each point is held against."""
    random = np.random.default_rng(0)
    turns = np.linalg.qr(random.standard_normal((BONES, 3, 3)))[0]
    relatives = np.tile(np.eye(4), (BONES, 1, 1))
    relatives[:, :3, :3], relatives[:, :3, 3] = turns, 0.3 * random.standard_normal((BONES, 3))
    absolutes: list[np.ndarray] = []
    for bone, parent in enumerate(PARENTS):
        absolutes.append(relatives[bone] if parent < 0 else absolutes[parent] @ relatives[bone])
    weights = random.random((vertices, BONES)) * (random.random((vertices, BONES)) < 0.2) + 1e-3
    return {
        "theta": 0.4 * random.standard_normal(PARAMETERS),
        "us": random.uniform(0, 0.5, (points, 2) if complicated else (0, 2)),
        "relatives": relatives,
        "inverses": np.linalg.inv(np.stack(absolutes)),
        "vertices": np.concatenate((random.standard_normal((vertices, 3)), np.ones((vertices, 1))), 1),
        "weights": weights / weights.sum(1, keepdims=True),
        "points": random.standard_normal((points, 3)),
        "corners": random.integers(0, vertices, (3 if complicated else 1, points)),
    }


def residuals(np: Any, theta: Any, us: Any, model: tuple[Any, ...]) -> Any:
    """The residuals: (points, 3)."""
    relatives, inverses, vertices, weights, points, corners = model
    transforms = []
    for bone, (parent, turn) in enumerate(zip(PARENTS, _turns(np, theta), strict=True)):
        own = relatives[bone] @ turn
        transforms.append(own if parent < 0 else transforms[parent] @ own)
    bones = np.stack(transforms) @ inverses
    shares = (weights[:, :, None] * vertices[:, None]).reshape(-1, BONES * 4)  # which no derivative concerns
    posed = shares @ bones[:, :3].swapaxes(1, 2).reshape(BONES * 4, 3)
    found = posed @ _rotation(np, theta[:3]).T + theta[3:6]
    if not len(us):
        return points - found[corners[0]]
    u, v = us[:, :1], us[:, 1:]
    return points - (u * found[corners[0]] + v * found[corners[1]] + (1 - u - v) * found[corners[2]])


def _turns(np: Any, theta: Any) -> list[Any]:
    """The rotation of each bone in its own frame, 4 × 4: x, then y, then z; the last bone of a finger has none."""
    zero = theta[0] * 0
    one = zero + 1
    angles = [(zero, zero)] * 2
    for k in range(6, PARAMETERS, 4):
        angles += [(theta[k], theta[k + 1]), (theta[k + 2], zero), (theta[k + 3], zero), (zero, zero)]
    found = []
    for x, z in angles:  # the rotation about y is by no angle, ever
        (sx, cx), (sz, cz) = ((np.sin(a), np.cos(a)) for a in (x, z))
        rows = ((cz, -sz * cx, sz * sx, zero), (sz, cz * cx, -cz * sx, zero), (zero, sx, cx, zero))
        found.append(np.stack([np.stack(row) for row in (*rows, (zero, zero, zero, one))]))
    return found


def _rotation(np: Any, vector: Any) -> Any:
    """About an axis, by an angle: its direction and length."""
    angle = np.sqrt((vector * vector).sum())
    x, y, z = vector / angle
    s, c = np.sin(angle), np.cos(angle)
    rows = (
        (x * x + (1 - x * x) * c, x * y * (1 - c) - z * s, x * z * (1 - c) + y * s),
        (x * y * (1 - c) + z * s, y * y + (1 - y * y) * c, y * z * (1 - c) - x * s),
        (x * z * (1 - c) - y * s, z * y * (1 - c) + x * s, z * z + (1 - z * z) * c),
    )
    return np.stack([np.stack(row) for row in rows])


def seeds(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The directions of the Jacobian's columns: of all first coordinates, all second ones, and each parameter."""
    us = data["us"]
    extra = 2 if len(us) else 0
    of_us = np.zeros((extra + PARAMETERS, *us.shape))
    of_us[range(extra), :, range(extra)] = 1
    return np.eye(extra + PARAMETERS, PARAMETERS, -extra), of_us


def traced(library: SimpleNamespace, data: Data) -> Call:
    """funcgrad and JAX: forward mode, all columns at once."""
    fg, np = library.api, library.np

    def everything(theta, us, *rest):
        *model, of_theta, of_us = rest

        def function(theta, us):
            return residuals(np, theta, us, tuple(model))

        columns = fg.vmap(lambda t, u: fg.jvp(function, (theta, us), (t, u))[1])(of_theta, of_us)
        return function(theta, us), columns

    return partial(fg.jit(everything), *(library.own(x) for x in (*(data[n] for n in NAMES), *seeds(data))))


def torch(library: SimpleNamespace, data: Data) -> Call:
    """PyTorch: forward mode, all columns at once."""
    torch = library.torch
    theta, us, *model = (torch.tensor(data[name]) for name in NAMES)
    of_theta, of_us = map(torch.tensor, seeds(data))

    def function(theta, us):
        return residuals(torch, theta, us, tuple(model))

    @library.compiled
    def everything():
        columns = torch.func.vmap(lambda t, u: torch.func.jvp(function, (theta, us), (t, u))[1])(of_theta, of_us)
        return function(theta, us), columns

    return everything


def by_steps(library: SimpleNamespace, data: Data) -> Call:
    """NumPy: complex steps (Squire and Trapp 1998), exact to rounding."""
    theta, us, *model = (data[name] for name in NAMES)

    def everything():
        found = [
            residuals(np, theta + 1e-100j * t, us + 1e-100j * u, tuple(model))
            for t, u in zip(*seeds(data), strict=True)
        ]
        return found[0].real, np.stack(found).imag / 1e-100

    return everything


WORKLOADS = tuple(
    Workload(
        name,
        f"GradBench HT, {'complicated' if complicated else 'simple'}: {vertices:,} vertices, {points} points, Jacobian",
        partial(data, vertices, points, complicated),
        {"funcgrad": traced, "jax": traced, "torch": torch, "numpy": by_steps},
        tolerance=1e-9,
        goals=(Goal("steady", 1.0, ("jax", "torch")),),
        x64=True,
        quick=vertices < 1000,
    )
    for name, vertices, points, complicated in (
        ("hand", 544, 100, False),
        ("hand_big", 10_000, 192, False),
        ("hand_complicated", 544, 100, True),
        ("hand_complicated_big", 10_000, 192, True),
    )
)

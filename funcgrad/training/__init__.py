"""What a training loop needs around its step: batches, metrics, progress, checkpoints, whole epochs, and a report that
shows how gradients flow.
"""

from __future__ import annotations

from funcgrad.errors import CheckpointError
from funcgrad.tracebacks import bounded as _bounded
from funcgrad.training._batches import Batches, batches
from funcgrad.training._checkpoints import checkpoint_metadata, load_checkpoint, save_checkpoint
from funcgrad.training._epochs import fit_epoch, scan_epoch
from funcgrad.training._measures import LayerReport, ParameterReport
from funcgrad.training._metrics import Metrics, accuracy
from funcgrad.training._origins import Origin
from funcgrad.training._prefetch import prefetch
from funcgrad.training._progress import Progress, progress
from funcgrad.training._report import GradientReport, gradient_report

__all__ = [
    "Batches",
    "CheckpointError",
    "GradientReport",
    "LayerReport",
    "Metrics",
    "Origin",
    "ParameterReport",
    "Progress",
    "accuracy",
    "batches",
    "checkpoint_metadata",
    "fit_epoch",
    "gradient_report",
    "load_checkpoint",
    "prefetch",
    "progress",
    "save_checkpoint",
    "scan_epoch",
]

_bounded(globals())

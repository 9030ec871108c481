"""How is a gradient report read?  As tables of text, and as sentences that say what is wrong."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from funcgrad.training._measures import LayerReport, ParameterReport
from funcgrad.training._origins import Origin

CELLS = 12  # of a bar: each stands for a power of ten below the largest
VANISHING = 1e-3  # the first layer's derivative over the last one's: below, gradients vanish; above 1 / it, explode
MANY = 0.5  # the share of dead or saturated units that is worth a sentence
BAR = ("each", "a cell per power of ten")  # the root mean square of the gradient's elements, and a bar as long
LAYER_COLUMNS = ("activation", "shape", "norm", "mean", "std", "dead", "saturated", "gradient", *BAR)
PARAMETER_COLUMNS = ("parameter", "shape", "norm", "update", "update/norm", "gradient", *BAR)


def text(
    loss: float, layers: Sequence[LayerReport], parameters: Sequence[ParameterReport], findings: Sequence[str]
) -> str:
    """The whole report."""
    layer_table = _table(LAYER_COLUMNS, _layer_rows(layers)) if layers else ""
    sentences = "\n".join(f"! {sentence}" for sentence in findings)
    parts = (f"loss {loss:.6g}", layer_table, _table(PARAMETER_COLUMNS, _parameter_rows(parameters)), sentences)
    return "\n\n".join(filter(None, parts))


def _layer_rows(layers: Sequence[LayerReport]) -> Iterator[list[str]]:
    bars = _bars([layer.gradient_rms for layer in layers])
    for layer, bar in zip(layers, bars, strict=True):
        name = layer.name if layer.state == "finite" else f"{layer.name} ({layer.state})"
        before = map(_number, (layer.norm, layer.mean, layer.std))
        after = map(_number, (layer.gradient, layer.gradient_rms))
        yield [
            name,
            _shape(layer.shape),
            *before,
            _share(layer.dead),
            _share(layer.saturated),
            *after,
            f"{bar:<{CELLS}} {layer.text}",
        ]


def _parameter_rows(parameters: Sequence[ParameterReport]) -> Iterator[list[str]]:
    bars = _bars([p.gradient_rms for p in parameters])
    for p, bar in zip(parameters, bars, strict=True):
        name = p.name if p.state == "finite" else f"{p.name} ({p.state})"
        numbers = (p.norm, p.update, p.ratio, p.gradient, p.gradient_rms)
        yield [name, _shape(p.shape), *map(_number, numbers), bar]


def _table(header: Sequence[str], rows: Iterator[list[str]]) -> str:
    """Columns under their titles, without empty ones; the first and the last to the left, numbers to the right."""
    columns = [column for column in zip(header, *rows, strict=True) if any(column[1:])]
    first, *middle, last = [
        [cell.rjust(max(map(len, column))) for cell in column] if 0 < k < len(columns) - 1 else column
        for k, column in enumerate(columns)
    ]
    width = max(map(len, first))
    lines = zip([cell.ljust(width) for cell in first], *middle, last, strict=True)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def _bars(values: Sequence[float]) -> list[str]:
    """A bar each, shorter by a cell for each power of ten below the largest."""
    finite = [v for v in values if 0 < v < math.inf]
    top = max(finite, default=1.0)
    return [_bar(v, top) for v in values]


def _bar(value: float, top: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinity"
    if value == 0:
        return "0"
    return "█" * max(1, CELLS - math.floor(math.log10(top / value) + 0.5))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _shape(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "number"


def findings(
    layers: Sequence[LayerReport], parameters: Sequence[ParameterReport], origins: Sequence[Origin]
) -> tuple[str, ...]:
    """What is wrong, in sentences."""
    found = [str(origin) for origin in origins]
    found += _flow(layers)
    for layer in layers:
        if layer.dead >= MANY:
            found.append(f"{layer.dead:.0%} of the units of {layer.name} are dead: 0 for every example")
        if layer.saturated is not None and layer.saturated >= MANY:
            found.append(f"{layer.name} is saturated: {layer.saturated:.0%} of it lies at the ends of its range")
    found += [f"the gradient of {p.name} is 0" for p in parameters if p.gradient == 0 and p.shape]
    return tuple(found)


def _flow(layers: Sequence[LayerReport]) -> Iterator[str]:
    """Whether derivatives shrink or grow on their way from the last layer to the first."""
    if len(layers) < 2:
        return
    first, last = layers[0], layers[-1]
    if not (0 < last.gradient_rms < math.inf) or not math.isfinite(first.gradient_rms):
        return
    ratio = first.gradient_rms / last.gradient_rms
    sizes = f"{first.gradient_rms:.1e} at {first.name}, {last.gradient_rms:.1e} at {last.name} (root mean square)"
    if ratio < VANISHING:
        yield f"gradients vanish: {sizes}"
    elif ratio > 1 / VANISHING:
        yield f"gradients explode: {sizes}"

"""Curves of a report: FSC, power spectra, histogram, loss, half maps, map-model FSC; each an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmap.compare.atomic_model import MapModel
from nmap.compare.findings import Findings
from nmap.compare.half_maps import HalfMaps
from nmap.grid import Grid
from nmap.report.drawing import (
    DECODED,
    FOURTH,
    QUIET,
    SOURCE,
    THIRD,
    angstrom_axis,
    new_figure,
    plain_log,
    styled,
    svg,
)
from nmap.spectrum import NEGLIGIBLE, ShellCurve, worded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F32 = NDArray[np.float32]

_WIDE = (7.4, 3.9)


@styled
def fsc_figure(found: Findings) -> str:
    """Fidelity FSC with its thresholds, the resolution it is judged to, and what is not counted."""
    figure, ax = new_figure(*_WIDE)
    curve = found.fidelity.curve
    lines = [("whole box", curve, SOURCE, "-")]
    if found.enveloped is not None:
        lines.append(("inside the file's mask", found.enveloped.curve, FOURTH, "-"))
    if found.masked is not None:
        lines.append(("within the mask", found.masked.curve, DECODED, "-"))
    if found.off_grid is not None:
        lines.append(("at twice the sampling", found.off_grid.curve, THIRD, "--"))
    _correlations(ax, lines)
    if found.fidelity.resolution is not None:
        limit = 1 / found.fidelity.resolution
        ax.axvspan(limit, curve.frequency[-1], color=QUIET, alpha=0.13, lw=0)
        ax.text(limit, 0.9, f" beyond {found.fidelity.resolution:g} Å", color=QUIET, fontsize=8)
    if curve.negligible is not None and curve.negligible[1:].any():
        marked = np.flatnonzero(curve.negligible)
        ax.plot(curve.frequency[marked], curve.fsc[marked], "x", color=QUIET, ms=4, label="negligible power")
    ax.set_ylabel(worded("fidelity FSC", found.grid))
    ax.legend(loc="lower left", fontsize=8)
    return svg(figure, worded("Fidelity FSC", found.grid))


@styled
def half_map_figure(half_maps: HalfMaps, grid: Grid) -> str:
    """Half-map FSC before and after correction, and decode and source against the first half."""
    figure, ax = new_figure(*_WIDE)
    lines = [("half maps, unmasked", half_maps.unmasked, QUIET, "-")]
    named = (
        ("half maps, masked", half_maps.masked, FOURTH, "-"),
        ("phases randomised", half_maps.randomised, FOURTH, ":"),
        ("half maps, corrected", half_maps.corrected, SOURCE, "-"),
    )
    lines += [(name, curve, colour, style) for name, curve, colour, style in named if curve is not None]
    if half_maps.source is not None:
        lines.append(("source against half 1", half_maps.source[0], THIRD, "-"))
    if half_maps.decoded is not None:
        lines.append(("decode against half 1", half_maps.decoded[0], DECODED, "--"))
    _correlations(ax, lines)
    ax.set_ylabel(worded("FSC", grid))
    ax.legend(fontsize=8)
    return svg(figure, worded("Half-map FSC", grid))


@styled
def model_figure(model: MapModel) -> str:
    """Map-model FSC of source and decode."""
    figure, ax = new_figure(*_WIDE)
    lines = [("source", model.source, SOURCE, "-"), ("decode", model.decoded, DECODED, "--")]
    _correlations(ax, lines)
    ax.set_ylabel("map-model FSC")
    ax.legend(fontsize=8)
    return svg(figure, "Map-model FSC")


@styled
def power_figure(found: Findings) -> str:
    """Root mean square amplitude by shell of source, decode and their difference."""
    figure, ax = new_figure(*_WIDE)
    curve, a, b = found.fidelity.curve, found.power.source, found.power.decoded
    difference = np.maximum(a + b - 2 * curve.fsc * np.sqrt(a * b), 0)
    floor = NEGLIGIBLE * float((a * curve.modes)[1:].sum() / max(curve.modes[1:].sum(), 1))
    unit = np.sqrt(max(float(a[1:].max()), 1e-300))
    for name, values, colour, style in (
        ("source", a, SOURCE, "-"),
        ("decode", b, DECODED, "--"),
        ("difference", difference, QUIET, "-"),
    ):
        shown = np.sqrt(values[1:]) / unit
        shown[shown < 1e-7] = np.nan
        ax.semilogy(curve.frequency[1:], shown, style, color=colour, label=name)
    ax.axhline(np.sqrt(floor) / unit, color=QUIET, lw=0.8, ls=":")
    ax.text(0, np.sqrt(floor) / unit, " negligible below", color=QUIET, fontsize=8, va="bottom")
    angstrom_axis(ax, float(curve.frequency[-1]))
    plain_log(ax)
    ax.set_ylabel("rms Fourier amplitude (largest = 1)")
    ax.legend(fontsize=8)
    return svg(figure, "Power spectra")


@styled
def histogram_figure(decoded: F32, source: F32) -> str:
    """How often each density occurs in source and decode, on a logarithmic scale."""
    figure, ax = new_figure(5.4, 3.4)
    low, high = float(min(source.min(), decoded.min())), float(max(source.max(), decoded.max()))
    edges = np.linspace(low, high if high > low else low + 1, 121)
    for name, values, colour in (("source", source, SOURCE), ("decode", decoded, DECODED)):
        count, _ = np.histogram(values, edges)
        ax.stairs(np.maximum(count, 0.5), edges, color=colour, label=name, lw=1.4)
    ax.set_yscale("log")
    plain_log(ax)
    ax.set_xlabel("density")
    ax.set_ylabel("voxels")
    ax.legend(fontsize=8)
    return svg(figure, "Histogram")


@styled
def loss_figure(step: Sequence[float], loss: Sequence[float]) -> str:
    """Loss of the fit by step, on a logarithmic scale."""
    figure, ax = new_figure(5.4, 3.4)
    ax.semilogy(np.asarray(step), np.maximum(np.asarray(loss, float), 1e-12), color=SOURCE)
    plain_log(ax)
    ax.set_xlabel("step")
    ax.set_ylabel("loss")
    return svg(figure, "Loss")


def _correlations(ax: Axes, lines: Sequence[tuple[str, ShellCurve, str, str]]) -> None:
    """Correlation curves on one axis, with the customary thresholds."""
    highest = max(float(curve.frequency[-1]) for _, curve, _, _ in lines)
    for threshold in (0.5, 0.143):
        ax.axhline(threshold, color=QUIET, lw=0.8, ls="--")
        ax.text(highest, threshold, f"{threshold:g} ", color=QUIET, fontsize=8, ha="right", va="bottom")
    ax.axhline(0, color=QUIET, lw=0.6)
    for name, curve, colour, style in lines:
        ax.plot(curve.frequency[1:], curve.fsc[1:], style, color=colour, label=name)
    lowest = min(float(curve.fsc[1:].min()) for _, curve, _, _ in lines)
    ax.set_ylim(min(-0.05, max(lowest, -0.3) - 0.02), 1.02)
    angstrom_axis(ax, highest)

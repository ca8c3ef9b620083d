"""The report of a series: a strip of slices, and the FSC of each frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmap.container import MapFile, open_file
from nmap.inspection import inspect
from nmap.machine.packages import require_package
from nmap.maps import DEFAULT_READING, DensityMap, ReadOptions
from nmap.report.drawing import angstrom_axis, colour_bar, new_figure, new_panels, png, styled, svg
from nmap.report.page import Card, Fold, Picture, Section, page
from nmap.report.series_words import axis_name, axis_words, motion_words, order_lines, series_rows
from nmap.report.slices import central_slices, extent
from nmap.series_validation import SeriesValidation, validate_series
from nmap.spectrum import floored
from nmap.validation import PathLike, Validation
from nmap.version import __version__

if TYPE_CHECKING:
    from nmap.neural_map import NeuralMap

F32 = NDArray[np.float32]

STRIP = 6
"""Frames of the strip at most."""

FSC = (
    "Correlation of each decoded frame with its source, shell by shell; the grey line is the mean. This is fidelity to "
    "the source, not a half-map FSC."
)
SLICES = (
    "The central slice along z at measured frames, source above, decode below, and the derivative along the axis: "
    "where density comes (light) and goes (dark). One scale for sources and decodes."
)


def report_series(
    file: PathLike | MapFile,
    sources: Sequence[DensityMap | PathLike],
    *,
    resolution: float | None = None,
    mask: PathLike | None = None,
    reading: ReadOptions = DEFAULT_READING,
) -> str:
    """One self-contained HTML page on how true a series is to its frames.

    Args:
        file: the `.nmap` file of a series, or what it was opened as.
        sources: its frames, in order.
        resolution: shells count to here, Angstrom; the file's band limit if None.
        mask: a mask file, or "auto".
        reading: as in `validate_series`.

    Raises:
        MissingPackageError: matplotlib is not installed.
        NmapError: as `validate_series`.
    """
    for package in ("matplotlib", "jinja2"):
        require_package(package, "report", "a report")
    shown: list[tuple[float, F32, F32]] = []

    def keep(t: float, done: Validation) -> None:
        shown.append((t, _slice(done.source.values), _slice(done.decoded.values)))

    opened = file if isinstance(file, MapFile) else open_file(file)
    found = validate_series(opened, sources, resolution=resolution, mask=mask, reading=reading, each=keep)
    about = inspect(opened)
    series, axis = about.neural_map, found.axis
    worst = [frame.judged.worst for frame in found.frames]
    pictures = [Picture(_fsc_figure(found), "Fidelity FSC of each frame", FSC)]
    strip = Picture(_strip_figure(series, shown), "Central slices along the series", SLICES)
    sections = [
        Section(
            "What it is",
            rows=[
                ("series", axis_words(axis)),
                (
                    "measured at",
                    f"{axis_name(axis)} = {', '.join(f'{t:.4g}' for t in axis.at)}; interpolated between",
                ),
                *([("motion", moving)] if (moving := motion_words(series.field.network)) else []),
                ("grid", str(series.grid)),
                ("network", about.network),
            ],
        ),
        Section("Slices", pictures=[strip]),
        Section("Fidelity by Fourier shell", pictures=pictures),
        Section(
            "Everything",
            rows=series_rows(found),
            texts=order_lines(found, [frame.source for frame in found.frames]),
            folds=[_shells(found)],
        ),
    ]
    cards = [
        Card(f"{about.sizes['total'] / 1000:.1f} kB", f"for {len(axis.at)} maps"),
        Card(floored(min(worst)), "worst shell of the worst frame"),
        Card(floored(float(np.mean(worst))), "worst shell, mean of the frames"),
        Card("OK" if found.holds else "falls short", "every frame", "good" if found.holds else "bad"),
    ]
    lead = f"{len(axis.at)} maps as one neural map of {about.sizes['total'] / 1000:.1f} kB; {series.grid}"
    footer = f"Made by nmap {__version__}. Nothing on this page was fetched or is run."
    return page(os.path.basename(opened.path), lead, cards, sections, footer)


def _slice(values: F32) -> F32:
    """The central slice along z, or of an image the image itself."""
    return next(iter(central_slices(values).values()))


@styled
def _fsc_figure(found: SeriesValidation) -> str:
    """Fidelity FSC of each frame, and their mean."""
    figure, ax = new_figure(7.4, 3.9)
    curves = [frame.judged.curve for frame in found.frames]
    span = found.axis.last - found.axis.first
    for t, curve in zip(found.axis.at, curves, strict=True):
        ax.plot(curve.frequency[1:], curve.fsc[1:], color=_colour((t - found.axis.first) / span), lw=0.9)
    mean = np.mean([curve.fsc for curve in curves], axis=0)
    ax.plot(curves[0].frequency[1:], mean[1:], color="#8a8f98", lw=1.8)
    ax.set_ylim(-0.05, 1.02)
    ax.set_ylabel("fidelity FSC")
    angstrom_axis(ax, float(curves[0].frequency[-1]))
    return svg(figure, "Fidelity FSC of each frame")


def _colour(share: float) -> tuple[float, ...]:
    from matplotlib import colormaps

    return tuple(colormaps["viridis"](0.05 + 0.85 * share))


@styled
def _strip_figure(series: NeuralMap, shown: Sequence[tuple[float, F32, F32]]) -> str:
    """Sources, decodes and derivatives side by side."""
    chosen = [shown[i] for i in np.unique(np.linspace(0, len(shown) - 1, STRIP).round().astype(int))]
    low, high = (float(q) for q in np.quantile([s for _, s, _ in chosen], [0.002, 0.998]))
    rates = [_slice(series.rate(t).as_array()) for t, _, _ in chosen]
    most = max(float(np.abs(rate).max()) for rate in rates) or 1.0
    figure, axes = new_panels(9.6, 5.2, 3, len(chosen), 0.06)
    place = {"origin": "lower", "extent": extent(series.grid, "xy")}
    for column, ((t, source, decoded), rate) in enumerate(zip(chosen, rates, strict=True)):
        top = axes[0, column].imshow(source, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), **place)
        axes[1, column].imshow(decoded, cmap="gray", vmin=low, vmax=max(high, low + 1e-12), **place)
        bottom = axes[2, column].imshow(rate, cmap="gray", vmin=-most, vmax=most, **place)
        axes[0, column].set_title(f"{t:.4g}", fontsize=8)
        for row in range(3):
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
    for row, name in enumerate(("source", "decode", "change")):
        axes[row, 0].set_ylabel(name, fontsize=8)
    colour_bar(figure, top, axes[:2].ravel(), "density")
    colour_bar(figure, bottom, axes[2], "derivative")
    return png(figure, grey=True)


def _shells(found: SeriesValidation) -> Fold:
    """FSC of every shell in every frame."""
    curves = [frame.judged.curve for frame in found.frames]
    head = ["shell", "Å", *(f"{t:.4g}" for t in found.axis.at)]
    lines = [
        [f"{i}", f"{1 / curves[0].frequency[i]:.3f}", *(floored(curve.fsc[i]) for curve in curves)]
        for i in range(1, curves[0].fsc.size)
    ]
    return Fold("every shell", head=head, lines=lines)

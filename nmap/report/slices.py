"""Central slices of source, decode and difference, and where the decode errs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from nmap.grid import Grid
from nmap.report.drawing import colour_bar, new_panels, png, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F32 = NDArray[np.float32]

WINDOW = 3.0
"""Standard deviation of the Gaussian window of local measures, Angstrom, at the least."""


def planes(shape: tuple[int, ...]) -> list[str]:
    """The planes of central slices: three of a volume, the one of an image, by the axes across and up."""
    wide = [axis for axis, n in zip("zyx", shape, strict=True) if n > 1]
    return [plane for plane in ("xy", "xz", "yz") if len(wide) == 3 or set(plane) == set(wide)]


def central_slices(values: F32) -> dict[str, F32]:
    """The orthogonal slices through the middle voxel of a (z, y, x) volume, by plane; of an image itself."""
    z, y, x = (n // 2 for n in values.shape)
    slices = {"xy": values[z], "xz": values[:, y], "yz": values[:, :, x]}
    return {plane: slices[plane] for plane in planes(values.shape)}


def extent(grid: Grid, plane: str) -> tuple[float, float, float, float]:
    """Edges of a slice in Angstrom from the grid's origin, as matplotlib wants them."""
    along = dict(zip("xyz", grid.edges, strict=True))
    return (0.0, along[plane[0]], 0.0, along[plane[1]])


@styled
def slice_figure(decoded: F32, source: F32, grid: Grid) -> str:
    """Central slices of source, decode and difference, in one scale of grey."""
    columns = [central_slices(v) for v in (source, decoded)]
    rows = planes(source.shape)
    columns.append({p: columns[1][p] - columns[0][p] for p in rows})
    shown = np.concatenate([columns[0][p].ravel() for p in rows])
    low, high = (float(q) for q in np.quantile(shown, [0.002, 0.998]))
    low, high = min(low, -0.15 * (high - low)), max(high, low + 1e-12)
    figure, axes = new_panels(9.6, max(3.0 * len(rows), 3.6), len(rows), 3, 0.06)
    for row, plane in enumerate(rows):
        for column, name in enumerate(("source", "decode", "decode minus source")):
            ax = axes[row, column]
            image = ax.imshow(
                columns[column][plane],
                cmap="gray",
                vmin=low,
                vmax=high,
                origin="lower",
                extent=extent(grid, plane),
            )
            _frame(ax, plane, name if row == 0 else "", column == 0)
    colour_bar(figure, image, axes.ravel(), "density")
    return png(figure, grey=True)


@styled
def local_error_figure(decoded: F32, source: F32, grid: Grid, resolution: float | None = None) -> str:
    """Local correlation and local error on the central slices, in a Gaussian window.

    The correlation is left blank where the source's local contrast is below 3 % of its largest there.
    """
    sigma = max(WINDOW, resolution or 0.0)
    shown = planes(source.shape)
    figure, axes = new_panels(9.6, 6.0, 2, len(shown), 0.27)
    local = [_local(decoded, source, grid, plane, sigma) for plane in shown]
    scale = max(*(float(contrast.max()) for _, _, contrast in local), 1e-30)
    for column, (plane, (correlation, error, contrast)) in enumerate(zip(shown, local, strict=True)):
        correlation[contrast < 0.03 * scale] = np.nan
        place = {"origin": "lower", "extent": extent(grid, plane)}
        top = axes[0, column].imshow(correlation, cmap="viridis", vmin=0, vmax=1, **place)
        bottom = axes[1, column].imshow(error / scale, cmap="magma", vmin=0, vmax=0.5, **place)
        axes[0, column].set_facecolor("#e4e6ea")
        _frame(axes[0, column], plane, "", True)
        _frame(axes[1, column], plane, "", True)
    colour_bar(figure, top, axes[0], "local correlation")
    colour_bar(figure, bottom, axes[1], "local rms error")
    return png(figure)


def _frame(ax: Axes, plane: str, title: str, first: bool) -> None:
    ax.spines[:].set_visible(False)
    ax.tick_params(labelsize=7, length=2)
    ax.set_xlabel(f"{plane[0]} (Å)", fontsize=8, labelpad=1)
    if first:
        ax.set_ylabel(f"{plane[1]} (Å)", fontsize=8, labelpad=1)
    else:
        ax.set_yticklabels([])
    if title:
        ax.set_title(title)


def _local(decoded: F32, source: F32, grid: Grid, plane: str, sigma: float) -> tuple[F32, F32, F32]:
    """Windowed correlation, rms error and rms contrast of the source, on one central slice.

    Only the slab that the window reaches from the slice is filtered.
    """
    axis = {"xy": 0, "xz": 1, "yz": 2}[plane]
    widths = [sigma / v for v in grid.voxel_size[::-1]]
    middle, reach = source.shape[axis] // 2, int(3 * widths[axis]) + 1
    part = [slice(None)] * 3
    part[axis] = slice(max(middle - reach, 0), middle + reach + 1)
    at = middle - part[axis].start
    d, s = decoded[tuple(part)].astype(np.float64), source[tuple(part)].astype(np.float64)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.take(gaussian_filter(values, widths, mode="nearest", truncate=3), at, axis))

    md, ms = mean(d), mean(s)
    dd, ss = np.maximum(mean(d * d) - md**2, 0), np.maximum(mean(s * s) - ms**2, 0)
    norm = np.sqrt(dd * ss)
    correlation = np.divide(mean(d * s) - md * ms, norm, out=np.zeros_like(norm), where=norm > 0)
    error = np.sqrt(np.maximum(mean((d - s) ** 2), 0))
    return correlation.astype(np.float32), error.astype(np.float32), np.sqrt(ss).astype(np.float32)

"""Ratio against worst-shell FSC, one line for each codec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.measure import Row, is_ours
from bench.source import Source, bound_bytes
from nmap.machine.packages import require_package


def plot_rates(source: Source, rows: Sequence[Row], path: Path) -> None:
    """Draw compression ratio (log scale) against the worst-shell FSC that each codec reached.

    Args:
        source: what was coded.
        rows: what was measured.
        path: picture to write.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    require_package("matplotlib", "bench", "a plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for codec in dict.fromkeys(row.codec for row in rows):
        points = {
            (row.worst_fsc, row.ratio) for row in rows if row.codec == codec and row.worst_fsc and row.ratio
        }
        if points:
            x, y = zip(*sorted(points), strict=True)
            bold = is_ours(codec)
            axes.plot(x, y, marker="o", label=codec, linewidth=2.5 if bold else 1.3, zorder=3 if bold else 2)
    targets = [row.target for row in rows]
    if targets:
        fsc = np.linspace(min(targets), max(targets), 200)
        ratio = [source.raw_bytes / bound_bytes(source, float(f)) for f in fsc]
        axes.plot(fsc, ratio, "k--", linewidth=1, label="Gaussian bound", zorder=1)
    axes.set_yscale("log")
    axes.set_xlabel(f"worst-shell FSC to {source.resolution:g} Å, decoded against source")
    axes.set_ylabel("ratio to 4 bytes a voxel")
    mask = {"none": "as it is", "auto": "in nmap's envelope"}.get(
        source.mask_name, f"times {source.mask_name}"
    )
    axes.set_title(f"{source.name}, {mask}", fontsize=11)
    axes.grid(True, which="both", alpha=0.25)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=9)
    figure.savefig(path, dpi=130, metadata={"Software": None})

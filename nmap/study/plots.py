"""Pictures of the studies, as PNG bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nmap.machine.packages import require_package
from nmap.study.contenders import Network
from nmap.study.interpolation import Interpolation
from nmap.study.sweep import Cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_interpolation(found: Interpolation) -> bytes:
    """FSC and relative error of every contender by shell, the lowered map's Nyquist marked.

    A dot marks each contender's worst shell to that Nyquist; networks are drawn solid, rivals dashed.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    figure, axes = _figure(10, 4.6, 2)
    frequency, limit, judged = found.frequency[1:], found.lowered.nyquist, found.judged
    for number, contender in enumerate(found.contenders):
        look: dict[str, Any] = {"color": f"C{number}", "lw": 1.5, "ls": "--"}
        label = contender.name
        if isinstance(contender, Network):
            look |= {"lw": 2.0, "ls": "-"}
            label += f", {contender.stored_bytes} bytes"
        axes[0].plot(frequency, contender.fsc[1:], label=label, **look)
        axes[1].semilogy(frequency, np.maximum(contender.error[1:], 1e-7), **look)
        for each, curve, pick in ((axes[0], contender.fsc, np.argmin), (axes[1], contender.error, np.argmax)):
            worst = judged[pick(curve[judged])]
            each.plot(found.frequency[worst], curve[worst], "o", ms=4, color=look["color"])
    axes[0].set_ylabel("FSC with the full map")
    axes[1].set_ylabel("relative error |F - T|² / |T|²")
    for each in axes:
        each.axvspan(limit, frequency[-1], color="0.9", lw=0)
        each.axvline(limit, color="0.4", lw=0.8, ls="--")
        each.set_xlabel("spatial frequency (1/Å)")
        each.text(limit, 0.02, " beyond Nyquist", transform=each.get_xaxis_transform(), fontsize=8)
    axes[0].legend(fontsize=8, loc="lower left")
    axes[1].set_ylim(1e-6, 3)
    return _png(figure)


def plot_sweep(cells: Sequence[Cell]) -> bytes:
    """Heat maps of the worst and the mean FSC: a row for each depth and width, a column for each omega.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    rows = sorted({(c.depth, c.width) for c in cells})
    columns = sorted({c.omega for c in cells})
    figure, axes = _figure(4.6 + 1.6 * len(columns), 1.4 + 0.42 * len(rows), 2)
    for each, name in zip(axes, ("worst", "mean"), strict=True):
        values = np.full((len(rows), len(columns)), np.nan)
        for cell in cells:
            place = rows.index((cell.depth, cell.width)), columns.index(cell.omega)
            values[place] = getattr(cell, name)
            each.text(place[1], place[0], f"{values[place]:.3f}", ha="center", va="center", fontsize=8)
        image = each.imshow(values, aspect="auto", cmap="Blues", vmin=0, vmax=1, alpha=0.7)
        each.set_xticks(range(len(columns)), [f"{omega:g}" for omega in columns])
        each.set_yticks(range(len(rows)), [f"{depth} x {width}" for depth, width in rows])
        each.set_xlabel("omega")
        each.set_title(f"{name} FSC of the shells to the band limit", fontsize=9)
    axes[0].set_ylabel("depth x width")
    figure.colorbar(image, ax=axes)
    return _png(figure)


def _figure(width: float, height: float, columns: int) -> tuple[Figure, Any]:
    require_package("matplotlib", "report", "a plot")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    return out.getvalue()

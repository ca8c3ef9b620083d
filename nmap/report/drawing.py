"""matplotlib without pyplot: figures as inline SVG or PNG, the same bytes for the same input."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec

import numpy as np
from numpy.typing import NDArray

from nmap.machine.packages import require_package
from nmap.report.svg import inline_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Arguments = ParamSpec("Arguments")

SOURCE = "#1f5f8b"
DECODED = "#d1495b"
THIRD = "#3a7d44"
FOURTH = "#8a6bb1"
QUIET = "#8a8f98"

_STYLE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5b6470",
    "axes.labelcolor": "#2b3340",
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": "#5b6470",
    "ytick.color": "#5b6470",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
}


def styled(draw: Callable[Arguments, str]) -> Callable[Arguments, str]:
    """Draw in the report's style, whatever the user's own matplotlib settings are.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """

    @wraps(draw)
    def in_style(*args: Arguments.args, **kwargs: Arguments.kwargs) -> str:
        require_package("matplotlib", "report", "a report")
        import matplotlib

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(_STYLE)
            return draw(*args, **kwargs)

    return in_style


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty figure, inches, with one axis that leaves room for its labels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def new_panels(
    width: float, height: float, rows: int, columns: int, gap: float
) -> tuple[Figure, NDArray[Any]]:
    """An empty figure, inches, and its axes (rows, columns), `gap` axes' widths apart.

    A strip on the right is left for colour bars.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    room = {"left": 0.06, "right": 0.86, "bottom": 0.05, "top": 0.96, "wspace": gap, "hspace": 0.2}
    return figure, np.asarray(figure.subplots(rows, columns, squeeze=False, gridspec_kw=room))


def colour_bar(figure: Figure, image: Any, row: NDArray[Any], label: str) -> None:
    """A colour bar in the strip on the right, as high as these axes."""
    high, low = max(a.get_position().y1 for a in row), min(a.get_position().y0 for a in row)
    place = figure.add_axes((0.89, low + 0.1 * (high - low), 0.015, 0.8 * (high - low)))
    figure.colorbar(image, cax=place, label=label)


def svg(figure: Figure, name: str) -> str:
    """A figure as an `<svg>` element; `name` says what it shows, and keeps its ids apart from other figures'."""
    from matplotlib import rcParams

    rcParams["svg.hashsalt"] = name
    out = io.StringIO()
    figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return inline_svg(out.getvalue(), name)


def png(figure: Figure, dots: int = 110, grey: bool = False) -> str:
    """A figure as a data URI of a PNG; grey ones take a third of the bytes."""
    from PIL import Image

    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=dots, facecolor="white")
    return image_uri(Image.open(out).convert("L" if grey else "RGB"))


def array_uri(brightness: NDArray[np.floating]) -> str:
    """Brightness 0 to 1, (height, width), as a data URI of a PNG, from dark blue to white."""
    from PIL import Image

    dark, light = np.array([14.0, 34.0, 58.0]), np.array([255.0, 255.0, 255.0])
    scale = np.linspace(0, 1, 256)[:, None] ** 0.9
    palette = np.rint(dark + (light - dark) * scale).astype(np.uint8)
    image = Image.fromarray(np.rint(np.clip(brightness, 0, 1) * 255).astype(np.uint8), "P")
    image.putpalette(palette.ravel().tolist())
    return image_uri(image)


def image_uri(image: Any) -> str:
    """A picture as a data URI."""
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def plain_log(axes: Axes) -> None:
    """Powers of ten as plain text along a logarithmic y axis."""
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def angstrom_axis(axes: Axes, highest: float) -> None:
    """Label the frequency axis below in 1/Angstrom, and the same places above in Angstrom."""
    axes.set_xlim(0, highest)
    axes.set_xlabel("spatial frequency (1/Å)")
    wanted = [40, 20, 10, 7, 5, 4, 3.5, 3, 2.7, 2.5, 2.2, 2, 1.8, 1.6, 1.4, 1.2, 1, 0.8, 0.6, 0.5]
    kept: list[float] = []
    for angstrom in wanted:
        if 1 / angstrom <= highest and (not kept or 1 / angstrom - 1 / kept[-1] > 0.055 * highest):
            kept.append(angstrom)
    above = axes.secondary_xaxis("top")
    above.set_xticks([1 / a for a in kept], [f"{a:g}" for a in kept])
    above.set_xlabel("resolution (Å)")

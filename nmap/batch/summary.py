"""One page on a whole batch: how small, how true, how long; the worst maps; what failed, and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import numpy as np

from nmap.batch.catalogue import rows
from nmap.batch.manifest import State
from nmap.plain_text import printable
from nmap.report.drawing import DECODED, SOURCE, new_figure, styled, svg
from nmap.report.page import Card, Fold, Picture, Section, page
from nmap.spectrum import floored
from nmap.version import __version__

WORST = 100
"""Maps in the list of the worst."""
# Failures of one cause that are listed by name.
_NAMED = 200
_BINS = 40
_SIZE = (4.6, 2.6)

Row = dict[str, Any]


@dataclass(frozen=True)
class Measure:
    """A number that every map has, and how it is drawn.

    Attributes:
        title: what it is.
        value: of a row; None where it has none.
        log: whether it spreads over powers of ten.
        caption: what to look at.
    """

    title: str
    value: Callable[[Row], float | None]
    log: bool
    caption: str


_MEASURES = (
    Measure(
        "times smaller than the map",
        lambda row: row["ratio"],
        True,
        "Bytes of the uncompressed map over bytes of the file.",
    ),
    Measure(
        "worst-shell FSC",
        lambda row: row["validated_fsc"] if row["validated_fsc"] is not None else row["worst_fsc"],
        False,
        "Decode against source. As measured again by 'nmap batch validate' where that was run.",
    ),
    Measure(
        "mean absolute change of Q",
        lambda row: row["mean_abs_dq"],
        False,
        "Of residues that the source resolves, where a model was given to 'nmap batch validate'.",
    ),
    Measure("seconds", lambda row: row["seconds"], True, "Wall time of one map in its worker."),
    Measure("peak memory, MB", lambda row: _mega(row["peak_bytes"]), True, "Of the worker's process."),
)


def summary_page(state: State, beside: str) -> str:
    """The page as HTML, self-contained.

    Args:
        state: what the manifests say.
        beside: the batch's folder as it is seen from the page's own, "." where that is the same.

    Raises:
        MissingPackageError: matplotlib or Jinja2 is not installed.
    """
    table = list(rows(state))
    done = [row for row in table if row["state"] == "done"]
    failed = [row for row in table if row["state"] == "failed"]
    sections = [_distributions(done), *_worst(done, beside), *_failures(failed)]
    lead = f"{len(table)} maps: {len(done)} encoded, {len(failed)} failed."
    footer = f"Made by nmap {__version__} from the batch's manifest."
    return page("A batch of maps", lead, _cards(done, failed), sections, footer)


def _cards(done: Sequence[Row], failed: Sequence[Row]) -> list[Card]:
    packed, small = (sum(row[name] or 0 for row in done) for name in ("source_bytes", "bytes"))
    hours = sum(row["seconds"] or 0.0 for row in done) / 3600
    short = sum(row["goal_met"] is False for row in done)
    return [
        Card(str(len(done)), "maps encoded"),
        Card(str(len(failed)), "failed", "bad" if failed else "good"),
        Card(str(short), "below their goal", "bad" if short else "good"),
        Card(_bytes(packed), "of map files, as they lay on disk"),
        Card(_bytes(small), "of .nmap files"),
        Card(f"1/{packed / small:.4g}" if small else "-", "of the map files"),
        Card(f"{hours:.3g} h", "of workers' time"),
    ]


def _distributions(done: Sequence[Row]) -> Section:
    pictures, lines = [], []
    for measure in _MEASURES:
        values = np.asarray([v for row in done if (v := measure.value(row)) is not None and math.isfinite(v)])
        if not values.size:
            continue
        low, first, median, third, high = np.percentile(values, [0, 25, 50, 75, 100])
        lines.append(
            (measure.title, f"{median:.4g} ({first:.4g} to {third:.4g}; all: {low:.4g} to {high:.4g})")
        )
        pictures.append(Picture(_histogram(values, measure), measure.title, measure.caption))
    texts = ["Median, and the middle half of the maps."] if lines else ["No map was encoded."]
    return Section("Distributions", texts, lines, pictures, side_by_side=True)


@styled
def _histogram(values: np.ndarray[Any, Any], measure: Measure) -> str:
    figure, ax = new_figure(*_SIZE)
    positive = values[values > 0]
    if measure.log and positive.size and positive.max() > positive.min():
        bins = np.geomspace(positive.min(), positive.max(), _BINS + 1)
        ax.hist(positive, bins.tolist(), color=SOURCE)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    else:
        ax.hist(values, _BINS, color=SOURCE)
    ax.axvline(float(np.median(values)), color=DECODED)
    ax.set_xlabel(measure.title)
    ax.set_ylabel("maps")
    return svg(figure, measure.title)


def _worst(done: Sequence[Row], beside: str) -> list[Section]:
    """The maps of the lowest FSC, then of the most seconds, by name."""
    fsc = _MEASURES[1].value
    judged = sorted((row for row in done if fsc(row) is not None), key=lambda row: fsc(row) or 0.0)[:WORST]
    if not judged:
        return []
    head = ("map", "worst-shell FSC", "resolution, A", "bytes", "seconds", "file")
    lines = [
        (
            row["id"],
            floored(fsc(row) or 0.0),
            "-" if row["resolution_A"] is None else f"{row['resolution_A']:.3g}",
            str(row["bytes"]),
            f"{row['seconds'] or 0:.1f}",
            _link(row["file"] or "", beside),
        )
        for row in judged
    ]
    return [Section(f"The worst {len(lines)}", folds=[Fold("by worst-shell FSC", head=head, lines=lines)])]


def _link(file: str, beside: str) -> str:
    """A file's name as markup that leads to it."""
    from markupsafe import Markup

    address = quote(f"{beside}/{file}")
    return Markup('<a href="{}">{}</a>').format(address, printable(file))


def _failures(failed: Sequence[Row]) -> list[Section]:
    """Failed maps, by the class of their error."""
    causes = Counter(row["error_class"] or "unknown" for row in failed)
    if not causes:
        return []
    folds = []
    for cause, count in causes.most_common():
        named = [(row["id"], printable(row["error"] or "")) for row in failed if row["error_class"] == cause]
        folds.append(Fold(f"{cause}: {count}", rows=named[:_NAMED]))
    return [Section("Failures by cause", [f"{len(failed)} maps failed; each is named below."], folds=folds)]


def _bytes(count: int) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


def _mega(count: int | None) -> float | None:
    return None if count is None else count / 1e6

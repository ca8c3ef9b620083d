"""What a file keeps of how a series was made: every frame's source and fidelity."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nmap.coding.occupancy import with_shape
from nmap.fit.record import fit_parts, gathered, source
from nmap.fit.result import History
from nmap.fit.series.task import SeriesResult, SeriesTask
from nmap.outcomes import to_json


def series_record(
    task: SeriesTask, history: History, result: SeriesResult, device: Callable[[], str]
) -> dict[str, dict[str, Any]]:
    """The record of a series, by group: "source", "fit" and "fidelity".

    Args:
        task: what was fitted.
        history: settings chosen and curves.
        result: what came of it.
        device: gives its name.
    """
    watch = task.watch
    made = {
        "fidelity": gathered({"fidelity": lambda: _fidelity(task, result)}, watch),
        "source": gathered({"source": lambda: _source(task)}, watch),
        "fit": gathered(fit_parts(task.target, task.options, history, device), watch),
    }
    made["fit"]["notes"] = [to_json(notice) for notice in watch.notices] or None
    told = {
        group: {name: value for name, value in items.items() if value is not None}
        for group, items in made.items()
    }
    return {group: items for group, items in told.items() if items}


def _source(task: SeriesTask) -> dict[str, Any]:
    """The first frame's file, and the name and checksum of every one."""
    headers = [target.density.header for target in task.targets]
    if headers[0] is None:
        return {}
    frames = [[header.name, header.sha256] for header in headers if header is not None]
    return {**source(headers[0], task.options.resolution), "frames": frames}


def _fidelity(task: SeriesTask, result: SeriesResult) -> dict[str, Any]:
    """FSC of the lowest frame in each shell, and the worst shell of each frame."""
    target, last = task.target, task.target.shells.last(task.limit) + 1
    lowest = np.min([curve.fsc[:last] for curve in result.curves], axis=0)
    by_frame = [float(curve.worst(task.limit)) for curve in result.curves]
    return {
        "frequency": result.curve.frequency[:last],
        "fsc": lowest,
        "worst": result.worst,
        "resolution": task.limit,
        "frame_worst": by_frame,
        "frame_mean": float(np.mean(by_frame)),
        "mask": "envelope" if target.masked else "none",
        **(
            {"envelope": with_shape(target.envelope.occupancy)}
            if target.masked and target.envelope is not None and task.motion is None
            else {}
        ),
    }

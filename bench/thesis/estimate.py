"""What the thesis's sizes would take here: a few steps of each network, timed, times the steps of a run."""

from __future__ import annotations

import contextlib
import itertools
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.table import markdown_table
from bench.thesis.capacity import sweep_for
from bench.thesis.future import DEPTHS, plan_for
from bench.thesis.networks import parameters, positions, sine_network, train
from bench.thesis.setup import Runs, Setup, lowered
from bench.thesis.slices import MAPPINGS, fourier_inputs, settings_1, settings_2
from bench.thesis.volumes import network_for, training_for
from nmap.fit.dense.recipe import choose_recipe
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress
from nmap.fit.target.prepare import prepare
from nmap.maps import DensityMap

SECONDS = 8.0
"""Processor time for which each network is timed, at least; never fewer than two steps."""

WATCHED = 48
"""Voxels a side, at least, of the map on which nmap's own trainer is timed."""


class _Enough(Exception):
    """A fit was watched for long enough."""


def estimate(setup: Setup) -> dict[str, Any]:
    """Processor seconds of a step of every network that an experiment without `--quick` trains, and its steps."""
    rows = [*_slices(setup), *_sweep(setup), *_volumes(setup), *_future(setup)]
    return {"shape": list(setup.density.grid.shape), "rows": rows}


def _row(experiment: str, what: str, seconds: float, steps: int) -> dict[str, Any]:
    return {
        "experiment": experiment,
        "what": what,
        "step_seconds": seconds,
        "steps": steps,
        "hours": seconds * steps / 3600,
    }


def _timed(network: torch.nn.Module, points: Any, targets: Any, batch: int | None, least: float) -> float:
    """Processor seconds of a step, after one that is not counted."""
    train(network, points, targets, steps=1, rate=1e-6, batch=batch)
    spent, steps, many = 0.0, 0, 2
    while spent < least or steps < 2:
        done = train(network, points, targets, steps=many, rate=1e-6, batch=batch)
        spent, steps, many = spent + done.processor, steps + many, 2 * many
    return spent / steps


def _least(setup: Setup) -> float:
    return 0.0 if setup.tiny else SECONDS


def _slices(setup: Setup) -> list[dict[str, Any]]:
    """Experiments 1 and 2: the slice across z, the whole of it in a batch."""
    width, features, epochs, side, _ = settings_1(setup)
    two = settings_2(setup)
    shape = setup.lowered(side).values.shape[1:]
    points = positions(shape, corners=True)
    targets = points[:, :1].copy()
    seconds: dict[str, float] = {}
    for name in ("SIREN", *MAPPINGS):
        inputs, network = fourier_inputs(name, points, width, features, setup.seed)
        # The three Gaussian mappings differ in their numbers only.
        known = next((n for n in seconds if n.split()[0] == name.split()[0]), None)
        seconds[name] = (
            _timed(network, inputs, targets, None, _least(setup)) if known is None else seconds[known]
        )
    rows = [_row("1", f"{name}, width {width}", each, epochs) for name, each in seconds.items()]
    network = sine_network(2, two.width, 3, 30.0)
    each = _timed(network, points, targets, None, _least(setup))
    return [*rows, _row("2", f"SIREN, width {two.width}, three slices", each, 3 * two.epochs)]


def _sweep(setup: Setup) -> list[dict[str, Any]]:
    """Experiment 4: one network of the sweep, watched; the others in proportion to their parameters."""
    density, sweep = sweep_for(setup)
    keys = sweep.keys
    middle = keys[len(keys) // 2]
    options = sweep.options_for(*middle)
    steps = choose_recipe(prepare(density, options), options).steps
    each = _watched(lowered(density, WATCHED), replace(options, steps=None), _least(setup))
    count = {key: 4 * key[1] + key[0] * (key[1] ** 2 + key[1]) + key[1] + 1 for key in keys}
    share = sum(count.values()) / count[middle]
    what = f"{len(keys)} networks of nmap's, by depth {middle[0]}, width {middle[1]}"
    return [_row("4", what, each * share / len(keys), steps * len(keys))]


def _watched(density: DensityMap, options: EncodeOptions, least: float) -> float:
    """Processor seconds of a step of a fit of nmap's.

    Each pass over the points begins with an evaluation of all of them, which is in the figure: a step costs the
    same on every map, and that evaluation the same part of a pass.
    """
    seen: list[tuple[float, Progress]] = []
    target = prepare(density, options)
    of_a_pass = target.inside.size / choose_recipe(target, options).batch

    def watch(progress: Progress) -> None:
        if progress.stage == "fitting":
            seen.append((time.process_time(), progress))
            done = seen[-1][1].step - seen[0][1].step
            if done >= of_a_pass and seen[-1][0] - seen[0][0] >= least:
                raise _Enough

    with contextlib.suppress(_Enough):
        encode(density, options, progress=watch)
    (first, a), (last, b) = seen[0], seen[-1]
    return (last - first) / max(b.step - a.step, 1)


def _volumes(setup: Setup) -> list[dict[str, Any]]:
    """Experiment 5: the thesis's network on the volume at half its sampling, and on the whole."""
    source = setup.lowered(training_for(setup, 0).side)
    rows = []
    for what, shape in (
        ("half the sampling", tuple(n // 2 for n in source.grid.shape)),
        ("full sampling", source.grid.shape),
    ):
        count = int(np.prod(shape))
        plan = training_for(setup, count)
        points = np.random.default_rng(0).uniform(-1, 1, (min(count, 1 << 16), 3)).astype(np.float32)
        network = network_for(setup)
        each = _timed(network, points, points[:, :1].copy(), plan.batch, _least(setup))
        rows.append(_row("5", f"SIREN of {parameters(network)} parameters, {what}", each, plan.steps))
    return rows


def _future(setup: Setup) -> list[dict[str, Any]]:
    """Experiment 6: nine networks of as many parameters, on batches of one size."""
    plan, depths = plan_for(setup), DEPTHS if not setup.tiny else (1,)
    points = np.random.default_rng(0).uniform(-1, 1, (4 * plan.batch, 3)).astype(np.float32)
    network = sine_network(3, plan.width, plan.hidden, plan.omega)
    each = _timed(network, points, points[:, :1].copy(), plan.batch, _least(setup))
    fits = 5 + len(depths)
    return [_row("6", f"{fits} networks of {parameters(network)} parameters", each, fits * plan.steps)]


def lead_estimate(runs: Runs) -> list[str]:
    """What holds for the estimate of every map."""
    return [
        "The hours of one core of the machine named that a run without `--quick` would take, by a few steps of each "
        "network that are timed (processor time, the first step left out) and multiplied. In experiment 4 one network "
        "is timed, on the lowered map, with its part of the evaluations between passes; the others are taken in "
        "proportion to their parameters. Not in it: nmap's own encodes in experiments 3 and 5, and experiment 3 "
        "itself, which trains for three steps.",
    ]


def lines_estimate(found: dict[str, Any]) -> list[str]:
    """The estimate as Markdown."""
    rows, z = [], found["shape"]
    for number, group in itertools.groupby(found["rows"], key=lambda row: row["experiment"]):
        each = list(group)
        for row in each:
            rows.append(
                [number, row["what"], f"{row['step_seconds']:.3g}", str(row["steps"]), f"{row['hours']:.3g}"]
            )
        if len(each) > 1:
            rows.append([number, "in all", "", "", f"{sum(row['hours'] for row in each):.3g}"])
    return [
        f"{z[2]} x {z[1]} x {z[0]} voxels:",
        "",
        markdown_table(["experiment", "what is trained", "seconds a step", "steps", "hours"], rows),
    ]

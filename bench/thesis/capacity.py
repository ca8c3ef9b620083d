"""Experiment 4: depth, width and omega, as `nmap study sweep` fits them."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from bench.table import markdown_table
from bench.thesis.setup import Runs, Setup
from nmap.fit.options import EncodeOptions
from nmap.maps import DensityMap
from nmap.study.plots import plot_sweep
from nmap.study.sweep import DEPTHS, OMEGAS, WIDTHS, Cell, Sweep, run_sweep

LOW_OMEGA = 15.0


def experiment_4(setup: Setup) -> dict[str, Any]:
    """The sweep of the thesis, and one lower omega; gone on with if it was cut off."""
    density, sweep = sweep_for(setup)
    unfinished = setup.folder / f"thesis_4_{setup.name}{setup.choose('', '_quick', '_tiny')}_sweep.json"
    cells = run_sweep(density, sweep, unfinished, report=_say)
    picture = setup.folder / f"thesis_4_{setup.name}.png"
    picture.write_bytes(plot_sweep(cells))
    unfinished.unlink()  # all of it is in the result; a run from anew is one
    return {
        "shape": list(density.grid.shape),
        "steps": sweep.options.steps,
        "cells": [asdict(cell) for cell in cells],
        "picture": picture.name,
    }


def _say(cell: Cell, done: int, of: int, left: float) -> None:
    print(f"  network {done} of {of}, {left:.0f} s left", file=sys.stderr, flush=True)


def sweep_for(setup: Setup) -> tuple[DensityMap, Sweep]:
    """The map and the networks of experiment 4, by the size of the run."""
    density: DensityMap = setup.lowered(setup.choose(None, 48, 16))
    sweep = Sweep(
        setup.choose(DEPTHS, DEPTHS, (1,)),
        setup.choose(WIDTHS, (16, 32, 64), (8,)),
        (LOW_OMEGA, *OMEGAS) if not setup.tiny else (LOW_OMEGA,),
        EncodeOptions(
            arch="siren", weight_bits=16, mask="none", steps=setup.choose(None, 200, 2), seed=setup.seed
        ),
    )
    return density, sweep


def lead_4(runs: Runs) -> list[str]:
    """What holds for experiment 4 on every map."""
    return [
        "SIRENs by `nmap study sweep`: the depths, widths (smaller with `--quick`) and omegas of tables 3.7 to "
        "3.9, and one lower omega; no mask, float16 weights, one omega for every layer, one seed. Cells are mean / "
        "worst fidelity FSC over the shells to the map's band limit; seconds are of the wall clock, the mean over "
        "the omegas. This is nmap's own trainer (whitened target, second-order optimiser), not the thesis's Adam "
        "at 1e-5: it ranks shapes of network, not recipes, and at few steps it favours what learns fast. The "
        "thesis's figures are not at hand.",
    ]


def lines_4(found: dict[str, Any]) -> list[str]:
    """Experiment 4 on one map, as Markdown."""
    cells = [Cell(**cell) for cell in found["cells"]]
    omegas = sorted({c.omega for c in cells})
    rows = []
    for depth, width in sorted({(c.depth, c.width) for c in cells}):
        mine = {c.omega: c for c in cells if (c.depth, c.width) == (depth, width)}
        each = [f"{mine[o].mean:.3f} / {mine[o].worst:.3f}" for o in omegas]
        seconds = sum(c.seconds for c in mine.values()) / len(mine)
        rows.append([str(depth), str(width), str(mine[omegas[0]].parameters), *each, f"{seconds:.1f}"])
    head = ["depth", "width", "parameters", *(f"omega {o:g}" for o in omegas), "seconds"]
    best, z = max(cells, key=lambda c: c.mean), found["shape"]
    steps = f"{found['steps']} steps" if found["steps"] else "as many steps as nmap takes for the map"
    return [
        f"{z[2]} x {z[1]} x {z[0]} voxels, {steps}.",
        "",
        markdown_table(head, rows),
        "",
        f"![heat map]({found['picture']})",
        "",
        f"Best mean FSC: depth {best.depth}, width {best.width}, omega {best.omega:g} ({best.mean:.3f}). "
        f"{_omega_verdict(cells)} {_depth_verdict(cells)}",
    ]


def _omega_verdict(cells: list[Cell]) -> str:
    wins: dict[float, int] = {}
    shapes = sorted({(c.depth, c.width) for c in cells})
    for shape in shapes:
        best = max((c for c in cells if (c.depth, c.width) == shape), key=lambda c: c.mean)
        wins[best.omega] = wins.get(best.omega, 0) + 1
    parts = [f"omega {omega:g} for {count}" for omega, count in sorted(wins.items())]
    return f"Of {len(shapes)} shapes the best mean FSC is reached at {', at '.join(parts)}."


def _depth_verdict(cells: list[Cell]) -> str:
    widest = max(c.width for c in cells)
    best = {
        depth: max(c.mean for c in cells if c.depth == depth and c.width == widest)
        for depth in sorted({c.depth for c in cells})
    }
    parts = [f"{depth}: {mean:.3f}" for depth, mean in best.items()]
    return f"By depth, at width {widest} and each at its best omega: {', '.join(parts)}."

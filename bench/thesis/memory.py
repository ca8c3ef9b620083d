"""Experiment 3: memory of a training step against width and batch; parameters and RAM against arrays."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from bench.process import run_step
from bench.table import markdown_table
from bench.thesis.printed import MAP_SHAPES, NETWORK
from bench.thesis.setup import Runs, Setup

MB = 1e6


def step_memory(width: int, hidden: int, batch: int) -> dict[str, Any]:
    """Three steps of Adam on a SIREN of three inputs; for a process of its own. Width 0: only the libraries."""
    import numpy as np
    import torch

    from bench.thesis.networks import parameters, sine_network, train

    torch.manual_seed(0)
    if width == 0:
        return {"parameters": 0, "seconds": 0.0}
    network = sine_network(3, width, hidden, 30.0)
    points = np.random.default_rng(0).uniform(-1, 1, (batch, 3)).astype(np.float32)
    done = train(network, points, points[:, :1], steps=3, rate=1e-5)
    return {"parameters": parameters(network), "seconds": done.seconds / 3}


def decode_memory(path: str, what: str) -> dict[str, Any]:
    """Open a `.nmap` and "decode" it all, "sample" a thousand points, or only "open" it; in a process of its own."""
    import numpy as np

    from nmap.container import open_map

    neural = open_map(path)
    if what == "sample":
        span = np.asarray(neural.grid.edges)
        neural.sample(np.random.default_rng(0).uniform(0, 1, (1000, 3)) * span)
    elif what == "decode":
        neural.as_array()
    return {}


def experiment_3(setup: Setup) -> dict[str, Any]:
    """Peak memory of training by width and batch, of decoding, and what arrays take."""
    widths = setup.choose((64, 128, 256, 512, 1024), (64, 128, 256), (8,))
    batches = setup.choose((256, 4096, 65536), (256, 2048, 16384), (16,))
    hidden = NETWORK[1]
    base = run_step("bench.thesis.memory:step_memory", width=0, hidden=0, batch=0)["peak_bytes"]
    cells = []
    for width in widths:
        for batch in batches:
            found = run_step("bench.thesis.memory:step_memory", width=width, hidden=hidden, batch=batch)
            cells.append({"width": width, "batch": batch, **found, "above": found["peak_bytes"] - base})
    return {"hidden": hidden, "base": base, "cells": cells, "decode": _decoding(setup)}


def _decoding(setup: Setup) -> dict[str, Any]:
    """Memory that a `.nmap` of the map takes."""
    from nmap.container import save
    from nmap.fit.encode import encode
    from nmap.fit.options import EncodeOptions

    density = setup.lowered(setup.choose(None, 100, 16))
    effort = setup.choose("default", "low", "low")
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        path = Path(work) / "map.nmap"
        options = EncodeOptions(arch="radial-basis", preset="preview", effort=effort)
        save(encode(density, options), path)
        peaks = {
            what: run_step("bench.thesis.memory:decode_memory", path=str(path), what=what)["peak_bytes"]
            for what in ("open", "sample", "decode")
        }
        size = path.stat().st_size
    return {"voxels": density.grid.size, "shape": list(density.grid.shape), "file": size, "peaks": peaks}


def lead_3(runs: Runs) -> list[str]:
    """What holds for experiment 3 on every map: how it is measured, and tables 3.3 and 3.4 as exact counts."""
    return [
        "Each training is a process of its own, three steps of Adam; its peak memory is told above that of Python "
        "with its libraries. The last two columns are arithmetic: 16 bytes a parameter, and two float32 a neuron "
        "and point (before and after the sine), what autograd keeps at the least; the peak holds work space and "
        "gradients too. No map is in these figures: its array comes on top. The thesis's figures (fig. 3.14, "
        "tables 3.3 and 3.4) are not at hand.",
        "",
        "Parameters against arrays, all exact counts. A network of the thesis's size takes the same for every map:",
        "",
        markdown_table(["map", "shape", "array, float32 MB", "SIREN, MB", "times smaller"], _arrays()),
        "",
        "**What is true.** Memory of training grows with the batch and the width, and by the arithmetic with the "
        "depth, and not with the map; a stored network is smaller than its array. But a network saves no RAM once "
        "its map is decoded as an array again: then the array is there as well. What a `.nmap` saves is disk and "
        "transfer.",
    ]


def lines_3(found: dict[str, Any]) -> list[str]:
    """Experiment 3 on one map, as Markdown."""
    cells = found["cells"]
    batches = sorted({c["batch"] for c in cells})
    rows = []
    for width in sorted({c["width"] for c in cells}):
        mine = {c["batch"]: c for c in cells if c["width"] == width}
        count = mine[batches[0]]["parameters"]
        model = (found["hidden"] + 1) * 2 * width * batches[-1] * 4
        above = [f"{mine[b]['above'] / MB:.0f}" for b in batches]
        rows.append([str(width), str(count), *above, f"{16 * count / MB:.1f}", f"{model / MB:.0f}"])
    head = ["width", "parameters", *(f"batch {b}, MB" for b in batches)]
    head += ["weights, gradients, Adam: MB", f"activations at {batches[-1]}: MB"]
    decode, peaks = found["decode"], found["decode"]["peaks"]
    z, y, x = decode["shape"]
    return [
        f"SIREN of {found['hidden']} hidden layers after the first (the thesis's network at width 256); Python "
        f"with its libraries: {found['base'] / MB:.0f} MB.",
        "",
        markdown_table(head, rows),
        "",
        f"RAM, measured, Python included, for this map at {x} x {y} x {z} ({4 * decode['voxels'] / MB:.1f} MB as "
        f"an array): a `.nmap` of {decode['file']} bytes; a process that opens it holds {peaks['open'] / MB:.0f} "
        f"MB at most, one that samples 1000 points {peaks['sample'] / MB:.0f} MB, one that decodes all of it "
        f"{peaks['decode'] / MB:.0f} MB. To ask for single points does not {_save(peaks)} against decoding all: a "
        "band-limited file is laid out on its lattice and transformed whole first.",
    ]


def _save(peaks: dict[str, int]) -> str:
    less = (peaks["decode"] - peaks["sample"]) / MB
    return f"save more than {less:.0f} MB" if less > 1 else "save any"


def _arrays() -> list[list[str]]:
    width, hidden, _ = NETWORK
    count = 4 * width + hidden * (width * width + width) + width + 1
    return [
        [name, f"{n}^3", f"{4 * n**3 / MB:.1f}", f"{4 * count / MB:.2f}", f"{n**3 / count:.1f}"]
        for name, n in (*MAP_SHAPES, ("T20S, its crop", 200), ("T20S, lowered", 100))
    ]

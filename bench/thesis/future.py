"""Experiment 6, the thesis's future work: Fourier-transformed targets, coarse before fine, more layers."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.table import markdown_table
from bench.thesis.networks import evaluate, parameters, positions, sine_network, train
from bench.thesis.setup import F32, Runs, Setup, lowered, normalised
from nmap.maps import DensityMap
from nmap.spectrum import Complex, Shells, fsc, invert, transform

DEPTHS = (1, 3, 5, 7)
MARGIN = 0.01
"""Mean FSC by which a fit must differ to count as better or worse: each has one seed only."""


@dataclass(frozen=True)
class Plan:
    """The one setting that all fits of the experiment share.

    Attributes:
        width: neurons in a layer.
        hidden: hidden layers after the first.
        omega: of every layer.
        steps: of training.
        batch: points of a step.
        rate: Adam's.
    """

    width: int
    hidden: int
    omega: float
    steps: int
    batch: int
    rate: float


def plan_for(setup: Setup) -> Plan:
    """The plan by the size of the run."""
    chosen: Plan = setup.choose(
        Plan(256, 7, 50.0, 20000, 8192, 1e-4),
        Plan(64, 3, 30.0, 300, 8192, 5e-4),
        Plan(8, 1, 30.0, 3, 64, 1e-3),
    )
    return chosen


def experiment_6(setup: Setup) -> dict[str, Any]:
    """Every idea against the same network, steps and batch without it."""
    plan = plan_for(setup)
    density = setup.lowered(setup.choose(100, 50, 16))
    density = DensityMap(normalised(density.values), density.grid, density.header)
    modes = int(_sphere(Shells(density.grid)).sum())
    fits = [
        _row("real space", _real(density, plan, plan.hidden, setup.seed), density),
        _row("real space, every shell of one power", _whitened(density, plan, setup.seed), density),
        _row("real and imaginary parts", _fourier(density, plan, setup.seed, white=False), density),
        _row(
            "real and imaginary parts, every shell of one power",
            _fourier(density, plan, setup.seed, white=True),
            density,
        ),
        _row("half of the steps at half the sampling first", _coarse(density, plan, setup.seed), density),
    ]
    depths = []
    for hidden in DEPTHS if not setup.tiny else (1,):
        width = _width(plan, hidden)
        values, seconds = _real(density, plan, hidden, setup.seed, width)
        depths.append({"hidden": hidden, "width": width, **_row("", (values, seconds), density)})
    return {
        "shape": list(density.grid.shape),
        "voxel": density.grid.voxel_size[0],
        "plan": plan.__dict__,
        "passes": [plan.steps * plan.batch / n for n in (density.grid.size, modes)],
        "parameters": parameters(sine_network(3, plan.width, plan.hidden, plan.omega)),
        "fits": fits,
        "depths": depths,
    }


def _width(plan: Plan, hidden: int) -> int:
    """Neurons in a layer for as many parameters as the plan's network."""
    wanted = plan.hidden * plan.width**2 + (plan.hidden + 5) * plan.width
    linear = hidden + 5
    return max(4, round((math.sqrt(linear**2 + 4 * hidden * wanted) - linear) / (2 * hidden)))


def _row(name: str, fitted: tuple[F32, float], density: DensityMap) -> dict[str, Any]:
    curve = fsc(fitted[0], density.values, density.grid, reference="second")
    third = max(1, (curve.fsc.size - 1) // 3)
    thirds = [float(curve.fsc[1 + i * third : 1 + (i + 1) * third].mean()) for i in range(3)]
    return {
        "name": name,
        "seconds": fitted[1],
        "mean": float(curve.fsc[1:].mean()),
        "worst": curve.worst(),
        "thirds": thirds,
    }


def _real(
    density: DensityMap, plan: Plan, hidden: int, seed: int, width: int | None = None
) -> tuple[F32, float]:
    """The plain fit at voxel centres: densities (z, y, x), seconds."""
    torch.manual_seed(seed)
    network = sine_network(3, width or plan.width, hidden, plan.omega)
    points = positions(density.grid.shape)
    done = _train(network, points, density.values.reshape(-1, 1), plan, plan.steps, seed)
    return evaluate(network, points).reshape(density.grid.shape), done


def _sphere(shells: Shells) -> NDArray[np.bool_]:
    """Modes of the half transform from shell 1 to Nyquist, (z, y, x // 2 + 1)."""
    within: NDArray[np.bool_] = (shells.index > 0) & (shells.index < shells.count)
    return within


def _amplitude(spectrum: Complex, shells: Shells) -> F32:
    """Rms amplitude of each shell to Nyquist."""
    power = shells.sum(np.abs(spectrum) ** 2) / np.maximum(shells.modes, 1)
    return np.asarray(np.sqrt(np.maximum(power, 1e-12 * power[1:].max())), np.float32)


def _whitened(density: DensityMap, plan: Plan, seed: int) -> tuple[F32, float]:
    """The plain fit of the map with every shell of one power, and its shells as they were again."""
    shells, spectrum = Shells(density.grid), transform(density.values)
    amplitude, within = _amplitude(spectrum, shells), _sphere(shells)
    flat = np.where(within, spectrum / np.maximum(shells.spread(amplitude), 1e-30), 0).astype(np.complex64)
    white = normalised(invert(flat, density.grid.shape))
    fitted, seconds = _real(DensityMap(white, density.grid), plan, plan.hidden, seed)
    return invert(transform(fitted) * shells.spread(amplitude), density.grid.shape), seconds


def _train(network: torch.nn.Module, points: F32, targets: F32, plan: Plan, steps: int, seed: int) -> float:
    return train(network, points, targets, steps=steps, rate=plan.rate, batch=plan.batch, seed=seed).seconds


def _coarse(density: DensityMap, plan: Plan, seed: int) -> tuple[F32, float]:
    """Half of the steps on the map at half its sampling, the rest at the full one."""
    torch.manual_seed(seed)
    network = sine_network(3, plan.width, plan.hidden, plan.omega)
    half = lowered(density, min(density.grid.shape) // 2)
    seconds = 0.0
    for part, steps in ((half, plan.steps // 2), (density, plan.steps - plan.steps // 2)):
        values = part.values.reshape(-1, 1)
        seconds += _train(network, positions(part.grid.shape), values, plan, steps, seed)
    return evaluate(network, positions(density.grid.shape)).reshape(density.grid.shape), seconds


def _fourier(density: DensityMap, plan: Plan, seed: int, white: bool) -> tuple[F32, float]:
    """A network of two outputs fitted to the map's half transform within Nyquist, then transformed back.

    The phase origin is put at the box's centre, where a molecule's transform is smoothest.
    """
    shells = Shells(density.grid)
    spectrum = transform(np.fft.ifftshift(density.values))
    within, gain = _sphere(shells), _amplitude(spectrum, shells)
    if not white:
        gain[:] = np.sqrt(np.square(gain[1:]) @ shells.modes[1:] / shells.modes[1:].sum())
    spread = shells.spread(gain)[within]
    scaled = spectrum[within] / spread
    targets = np.stack([scaled.real, scaled.imag], -1).astype(np.float32)
    points = _modes(density.grid.shape)[within.reshape(-1)]
    torch.manual_seed(seed)
    network = sine_network(3, plan.width, plan.hidden, plan.omega, outputs=2)
    seconds = _train(network, points, targets, plan, plan.steps, seed)
    found = evaluate(network, points)
    out = np.zeros_like(spectrum)
    out[within] = (found[:, 0] + 1j * found[:, 1]) * spread
    return np.fft.fftshift(invert(out, density.grid.shape)), seconds


def _modes(shape: tuple[int, int, int]) -> F32:
    """Coordinates (n, 3) of the half transform's modes, -1 to 1 at Nyquist of each axis."""
    nz, ny, nx = shape
    axes = (2 * np.fft.fftfreq(nz), 2 * np.fft.fftfreq(ny), 2 * np.fft.rfftfreq(nx))
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)


def lead_6(runs: Runs) -> list[str]:
    """What holds for experiment 6 on every map, and which ideas help on all of them."""
    return [
        "One network, one number of steps and points, one rate for every target, one seed; fidelity FSC over the "
        "shells to Nyquist, in all and by thirds of them. A network of real and imaginary parts is trained on the "
        "modes within the Nyquist sphere, one of each conjugate pair, with the phase origin at the box's centre, and "
        "transformed back. It leaves out what the cube's corners hold, which the FSC does not look at and a fit of "
        "densities has to hold, and it must be transformed as a whole before it shows a density at a point. Seconds "
        "are of the wall clock. The thesis only proposes these; there are no figures of its own.",
        "",
        "**Which help.** Mean FSC with the idea less that without. An idea helps or harms here if it does so by "
        f"{MARGIN} on every map: a single fit has one seed, and less may be chance.",
        "",
        markdown_table(["idea", *runs, "verdict"], _ideas(runs)),
    ]


def _ideas(runs: Runs) -> list[list[str]]:
    """Each idea's gain in mean FSC on every map."""
    gains: dict[str, list[float]] = {}
    for found in runs.values():
        real, even, plain, white, coarse = (f["mean"] for f in found["fits"])
        by_depth = {d["hidden"]: d["mean"] for d in found["depths"]}
        gains.setdefault("Fourier-transformed target", []).append(plain - real)
        gains.setdefault("the same, every shell of one power in both", []).append(white - even)
        gains.setdefault("every shell of one power, real space", []).append(even - real)
        gains.setdefault("coarse before fine", []).append(coarse - real)
        for few, many in itertools.pairwise(sorted(by_depth)):
            gains.setdefault(f"{many} hidden layers for {few}", []).append(by_depth[many] - by_depth[few])
    return [[idea, *(f"{g:+.3f}" for g in each), _verdict(each)] for idea, each in gains.items()]


def _verdict(gains: list[float]) -> str:
    if min(gains) >= MARGIN:
        return "helps"
    return "harms" if max(gains) <= -MARGIN else "neither on all"


def lines_6(found: dict[str, Any]) -> list[str]:
    """Experiment 6 on one map, as Markdown."""
    plan, z, (voxels, modes) = found["plan"], found["shape"], found["passes"]
    rows = [[f["name"], *_cells(f)] for f in found["fits"]]
    depths = [[str(d["hidden"]), str(d["width"]), *_cells(d)] for d in found["depths"]]
    measures = ["mean FSC", "worst FSC", "inner third", "middle third", "outer third", "seconds"]
    return [
        f"{z[2]} x {z[1]} x {z[0]} voxels of {found['voxel']:.4g} Å; SIREN of {found['parameters']} parameters "
        f"({plan['hidden']} hidden layers of {plan['width']} after the first, omega {plan['omega']:g}), "
        f"{plan['steps']} steps of {plan['batch']} points, Adam at {plan['rate']:g}.",
        "",
        markdown_table(["target", *measures], rows),
        "",
        "Layers, at as many parameters and steps:",
        "",
        markdown_table(["hidden layers", "width", *measures], depths),
        "",
        f"The {plan['steps']} steps pass over the modes {modes:.0f} times, over the voxels {voxels:.0f} times; a step "
        "costs the same at either sampling, as the batch is as large.",
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    values = (row["mean"], row["worst"], *row["thirds"])
    return [*(f"{v:.3f}" for v in values), f"{row['seconds']:.1f}"]

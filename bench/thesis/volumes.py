"""Experiment 5: fitting a volume of lowered sampling, interpolating from it, and capacity on the whole map."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import ndimage

from bench.thesis.networks import evaluate, parameters, positions, sine_network, train
from bench.thesis.printed import NETWORK
from bench.thesis.setup import F32, Setup
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.maps import DensityMap
from nmap.spectrum import ShellCurve, fsc
from nmap.study.interpolation import study_interpolation
from nmap.study.plots import plot_interpolation
from nmap.validation import read_mask

GOALS = (0.98, 0.99, 0.995)
"""Worst-shell FSC asked of nmap."""

ZOOM_BACK, NETWORK_ONLY = "thesis: zoom and back", "thesis: zoom, network"


def experiment_5(setup: Setup) -> dict[str, Any]:
    """Lower the map as the thesis did and as it should be; fit, interpolate, compare; then whole maps."""
    source = setup.lowered(training_for(setup, 0).side)
    mask = read_mask("auto", source, None)
    within = source.values if mask is None else source.values * mask.values
    spread = max(float(within.std()), 1e-30)
    source = DensityMap(within / np.float32(spread), source.grid, source.header)
    others, fits = _thesis_way(setup, source)
    effort = setup.choose("default", "default", "low")
    study = study_interpolation(
        source,
        EncodeOptions(arch="radial-basis", effort=effort),
        goals=setup.choose(GOALS, GOALS, (0.5,)),
        others=others,
    )
    picture = setup.folder / f"thesis_5_{setup.name}.png"
    picture.write_bytes(plot_interpolation(study))
    return {
        "masked": mask is not None,
        "picture": picture.name,
        "study": study.to_json(),
        "fits": fits,
        "capacity": _capacity(setup, source),
        "weights": None if setup.weights is None else own_weights(setup.weights),
    }


class Training(NamedTuple):
    """How the thesis's network is trained: samples a side (None: all), batch, steps, Adam's rate."""

    side: int | None
    batch: int
    steps: int
    rate: float


def training_for(setup: Setup, voxels: int) -> Training:
    """By the size of the run, on this number of voxels; the thesis's passes over them a hundred times."""
    chosen: Training = setup.choose(
        Training(None, 256, 100 * voxels // 256, 1e-5),
        Training(96, 8192, 600, 5e-4),
        Training(16, 64, 3, 1e-3),
    )
    return chosen


def network_for(setup: Setup) -> torch.nn.Module:
    """The thesis's network of a volume, or a small one, untrained."""
    width, hidden, omega = setup.choose(NETWORK, (64, 3, 30.0), (8, 1, 30.0))
    torch.manual_seed(setup.seed)
    return sine_network(3, width, hidden, omega)


def _trained(setup: Setup, points: F32, values: F32) -> torch.nn.Module:
    """The thesis's network, or a small one, trained on densities at these points."""
    network, plan = network_for(setup), training_for(setup, values.size)
    train(
        network,
        points,
        values.reshape(-1, 1),
        steps=plan.steps,
        rate=plan.rate,
        batch=plan.batch,
        seed=setup.seed,
    )
    return network


def _thesis_way(setup: Setup, source: DensityMap) -> tuple[dict[str, F32], dict[str, Any]]:
    """Spline zoom by a half without a low-pass, a network at voxel centres; decoded on the full grid.

    Corner voxel centres are aligned, as `scipy.ndimage.zoom` does: its voxel is (n - 1) / (m - 1) times the
    source's.
    """
    full = source.grid.shape
    half = tuple(n // 2 for n in full)
    zoomed = np.asarray(
        ndimage.zoom(source.values, [m / n for m, n in zip(half, full, strict=True)], order=3)
    )
    points = positions(half, corners=True)
    network = _trained(setup, points, zoomed)
    at_centres = evaluate(network, points).reshape(half)
    grid = source.grid.resampled((half[0], half[1], half[2]))
    curve = fsc(at_centres, zoomed, grid, reference="second")
    back = ndimage.zoom(zoomed, [n / m for m, n in zip(half, full, strict=True)], order=3)
    others = {
        ZOOM_BACK: np.asarray(back, np.float32),
        NETWORK_ONLY: evaluate(network, positions(full, corners=True)).reshape(full),
    }
    return others, {
        "shape": list(half),
        "parameters": parameters(network),
        "centres": _figures(curve),
        "between": between(network, half),
    }


def between(network: torch.nn.Module, shape: tuple[int, ...]) -> dict[str, float]:
    """How a network's densities between voxel centres agree with the spline through those at the centres.

    Correlation at edge, face and cell centres, from a tenth of the box inwards.
    """
    fine = tuple(2 * n - 1 for n in shape)
    values = evaluate(network, positions(fine, corners=True)).reshape(fine)
    return agreement_between(values)


def agreement_between(values: F32) -> dict[str, float]:
    """The same from densities at centres and midpoints, odd counts (z, y, x)."""
    centres = values[::2, ::2, ::2]
    spline = ndimage.zoom(centres, [m / n for m, n in zip(values.shape, centres.shape, strict=True)], order=3)
    edge = max(2, values.shape[0] // 10)
    inner = (slice(edge, -edge),) * 3
    parity = np.add.outer(
        np.add.outer(*(np.arange(n) % 2 for n in values.shape[:2])), np.arange(values.shape[2]) % 2
    )
    out = {}
    for number, name in enumerate(("voxel centres", "edge centres", "face centres", "cell centres")):
        chosen = parity[inner] == number
        out[name] = float(np.corrcoef(values[inner][chosen], spline[inner][chosen])[0, 1])
    return out


def own_weights(path: Any) -> dict[str, Any]:
    """The thesis's own network of T20S between its voxel centres: no map is needed for that."""
    from nmap.grid import Grid
    from nmap.import_siren.import_siren import import_weights

    grid = Grid((100, 100, 100), (1.96, 1.96, 1.96))
    neural = import_weights(path, grid, omega=50.0, columns="xyz")
    middle = neural.grid_for((199, 199, 199)).region((60, 60, 60), (79, 79, 79))
    return {"between": agreement_between(neural.on_grid(middle))}


def _figures(curve: ShellCurve) -> dict[str, Any]:
    return {
        "mean": float(curve.fsc[1:].mean()),
        "worst": curve.worst(),
        "crossing_0.5": curve.crossing(0.5),
        "nyquist": float(1 / curve.frequency[-1]),
    }


def _capacity(setup: Setup, source: DensityMap) -> list[dict[str, Any]]:
    """The whole map by the thesis's network at voxel centres, and by nmap's presets."""
    points = positions(source.grid.shape, corners=True)
    network = _trained(setup, points, source.values)
    decoded = evaluate(network, points).reshape(source.grid.shape)
    rows = [
        {
            "name": "SIREN at voxel centres, float32",
            "bytes": 4 * parameters(network),
            **_figures(fsc(decoded, source.values, source.grid, reference="second")),
        }
    ]
    for preset in setup.choose(("preview", "faithful"), ("preview", "faithful"), ("preview",)):
        options = EncodeOptions(
            arch="radial-basis", preset=preset, resolution=2 * max(source.grid.voxel_size)
        )
        made = encode(source, options)
        curve = fsc(made.as_array(), source.values, source.grid, reference="second")
        size = sum(t.nbytes for t in made.tensors.values())
        rows.append({"name": f"nmap, {preset}", "bytes": size, **_figures(curve)})
    return rows

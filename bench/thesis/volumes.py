"""Experiment 5: fitting a volume of lowered sampling, interpolating from it, and capacity on the whole map."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import ndimage

from bench.table import markdown_table
from bench.thesis.networks import evaluate, parameters, positions, sine_network, train
from bench.thesis.printed import FSC_FIGURES, NETWORK, true_resolution
from bench.thesis.setup import F32, Setup
from bench.thesis.slices import angstrom
from nmap.fit.options import EncodeOptions
from nmap.maps import DensityMap
from nmap.spectrum import ShellCurve, fsc
from nmap.study.interpolation import study_interpolation
from nmap.validate_file import read_mask
from nmap.verbs import encode

ZOOM_BACK, NETWORK_ONLY = "thesis: zoom and back", "thesis: zoom, network"


def experiment_5(setup: Setup) -> dict[str, Any]:
    """Lower the map as the thesis did and as it should be; fit, interpolate, compare; then whole maps."""
    source = setup.lowered(setup.choose(None, 96, 16))
    mask = read_mask("auto", source, None)
    within = source.values if mask is None else source.values * mask.values
    spread = max(float(within.std()), 1e-30)
    source = DensityMap(within / np.float32(spread), source.grid, source.header)
    others, fits = _thesis_way(setup, source)
    effort = setup.choose("default", "default", "low")
    study = study_interpolation(
        source,
        EncodeOptions(preset=setup.choose("faithful", "faithful", "small"), effort=effort),
        others=others,
    )
    return {
        "masked": mask is not None,
        "study": study.to_json(),
        "fits": fits,
        "capacity": _capacity(setup, source),
        "weights": None if setup.weights is None else own_weights(setup.weights),
    }


def _network(setup: Setup) -> torch.nn.Module:
    width, hidden, omega = setup.choose(NETWORK, (64, 3, 30.0), (8, 1, 30.0))
    torch.manual_seed(setup.seed)
    return sine_network(3, width, hidden, omega)


def _trained(setup: Setup, points: F32, values: F32) -> torch.nn.Module:
    """The thesis's network, or a small one, trained on densities at these points."""
    network = _network(setup)
    batch = setup.choose(256, 8192, 64)
    steps = setup.choose(100 * values.size // 256, 600, 3)
    train(
        network,
        points,
        values.reshape(-1, 1),
        steps=steps,
        rate=setup.choose(1e-5, 5e-4, 1e-3),
        batch=batch,
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
    from nmap.foreign import import_weights
    from nmap.grid import Grid

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
    for preset in setup.choose(("balanced", "faithful"), ("balanced", "faithful"), ("small",)):
        options = EncodeOptions(preset=preset, resolution=2 * max(source.grid.voxel_size))
        made = encode(source, options)
        curve = fsc(made.as_array(), source.values, source.grid, reference="second")
        size = sum(t.nbytes for t in made.tensors.values())
        rows.append({"name": f"nmap, {preset}", "bytes": size, **_figures(curve)})
    return rows


def lines_5(found: dict[str, Any]) -> list[str]:
    """Experiment 5 as Markdown."""
    study, fits = found["study"], found["fits"]
    last = study["last_shell"]
    rows = []
    for each in study["contenders"]:
        beyond = each["fsc"][last + 2 :]
        rows.append(
            [
                {"network": "nmap, faithful"}.get(each["name"], each["name"]),
                f"{each['worst_fsc']:.4f}",
                f"{each['correlation_to_nyquist']:.4f}",
                f"{each['worst_error']:.3f}",
                f"{each['error_to_nyquist']:.4f}",
                f"{float(np.mean(beyond)) if beyond else 0:.3f}",
            ]
        )
    head = ["on the full grid", "worst FSC", "correlation", "worst error", "error", "mean FSC beyond"]
    (z, y, x), (hz, hy, hx) = study["full_shape_zyx"], study["lowered_shape_zyx"]
    centres = fits["centres"]
    truth = "the full map times its automatic mask" if found["masked"] else "the full map"
    return [
        "The thesis's FSC figures, its axis corrected (`bench/thesis/printed.py`; both errors are explained at the "
        "head of this page):",
        "",
        markdown_table(["map", "voxels", "voxel, Å", "printed, Å", "true, Å"], _printed()),
        "",
        f"Lowered from {x} x {y} x {z} to {hx} x {hy} x {hz} and brought back; shells 1 to {last}, to the lowered "
        f"map's Nyquist; truth: {truth}. The SIREN at voxel centres has "
        f"{fits['parameters']} parameters here and reaches, at the voxel centres of its own zoomed target, a mean "
        f"FSC of {centres['mean']:.3f}, worst {centres['worst']:.3f}, FSC 0.5 at (Å): "
        f"{angstrom(centres['crossing_0.5'])}."
        f"{''.join(' nmap notes: ' + note + '.' for note in study['notes'])}",
        "",
        markdown_table(head, rows),
        "",
        f"The nmap file holds {study['stored_bytes']} bytes of network, the lowered map "
        f"{study['lowered_voxel_bytes']}: what it falls short of Fourier padding is the price of these bytes. Its FSC "
        f"on the full grid differs from that on the encoded grid by {study['sampling_loss']:.1e} at most.",
        "",
        "Between voxel centres: correlation of the network's densities with the cubic spline through its own "
        "densities at the centres.",
        "",
        markdown_table(["network", *fits["between"]], _between(found)),
        "",
        "Capacity at the full sampling of this run, shells to Nyquist:",
        "",
        markdown_table(["", "bytes", "mean FSC", "worst FSC", "FSC 0.5, Å"], _capacity_rows(found)),
        "",
        _verdict_5(study),
    ]


def _printed() -> list[list[str]]:
    rows = []
    for name, count, voxel, axis, printed in FSC_FIGURES:
        true = true_resolution(printed, voxel, axis)
        words = f"{true:.2f}" if true >= 2 * voxel else f"above 0.5 to Nyquist, {2 * voxel:.2f}"
        rows.append([name, f"{count}^3", f"{voxel:g}", f"{printed:g}", words])
    return rows


def _between(found: dict[str, Any]) -> list[list[str]]:
    ways = [("fitted here at voxel centres", found["fits"]["between"])]
    if found["weights"]:
        ways.append(("the thesis's own weights of T20S", found["weights"]["between"]))
    return [[name, *(f"{v:.3f}" for v in way.values())] for name, way in ways]


def _capacity_rows(found: dict[str, Any]) -> list[list[str]]:
    return [
        [
            row["name"],
            str(row["bytes"]),
            f"{row['mean']:.3f}",
            f"{row['worst']:.3f}",
            angstrom(row["crossing_0.5"]),
        ]
        for row in found["capacity"]
    ]


def _verdict_5(study: dict[str, Any]) -> str:
    error = {c["name"]: c["error_to_nyquist"] for c in study["contenders"]}
    ours = error["network"]
    beaten = [name for name, value in error.items() if name != "network" and ours < value]
    unbeaten = [name for name, value in error.items() if name != "network" and ours >= value]
    return (
        "**What is true.** By the error of all shells to the lowered Nyquist, nmap's file is truer than: "
        f"{', '.join(beaten) or 'nobody'}; not truer than: {', '.join(unbeaten) or 'nobody'}. By the FSC of single "
        "shells any interpolation of the lossless lowered map stands above a lossy file, since the FSC does not see "
        "that trilinear and cubic interpolation damp the outer shells. Beyond the lowered Nyquist nmap decodes "
        "nothing; what correlation others show there comes from the corners of the lowered map's Fourier cube, "
        "and no method has detail that the lowered map did not hold."
    )

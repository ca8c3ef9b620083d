"""SIREN weights trained elsewhere as a `NeuralMap`."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import encode_float
from nmap.errors import FormatError, NmapWarning, OptionError
from nmap.grid import Grid, Triple
from nmap.import_siren.layers import Layers, find_layers
from nmap.import_siren.plain_siren import PlainSiren, from_texts
from nmap.import_siren.weights_file import read_weights
from nmap.machine.inputs import existing
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.plain_text import stored_name

OMEGA = 30.0
"""Factor of sine layers where nothing says another (the SIREN authors')."""


def import_weights(
    path: str | os.PathLike[str],
    grid: Grid | None = None,
    *,
    omega: float | None = None,
    omega_hidden: float | None = None,
    alignment: str | None = None,
    columns: str = "zyx",
    offset: float | None = None,
    scale: float | None = None,
) -> NeuralMap:
    """A SIREN trained elsewhere as a neural map.

    Layers are found under the names of the SIREN authors' notebook and repository, of siren-pytorch and of a
    plain `Sequential`, with any prefix, with and without biases. Each coordinate is -1 at the first voxel of
    the grid and 1 at the last. A network of two coordinates is an image: its grid has one section. What
    `export_weights` wrote says itself where it lies; what is given goes before that.

    Args:
        path: a `.npz` or `.safetensors` file, or a torch state dict or checkpoint (`.pt`, `.pth`, `.ckpt`) that
            loads with `weights_only`.
        grid: the grid that the network was fitted on; None for the one that the file names.
        omega: factor in the first sine layer; the one in the file if None, else 30.
        omega_hidden: factor in the other sine layers; the file's if `omega` is None too, else as `omega`.
        alignment: "corners" if -1 and 1 were the first and last voxel centres (`linspace(-1, 1, n)`), "box"
            if they were the faces of the periodic box; None for what the file says, else "corners".
        columns: which coordinate each column of the first layer takes: "zyx", the order of a map's array
            axes, or "xyz".
        offset: density where the network gives 0; None for what the file says, else 0.
        scale: density per unit of network output; None for what the file says, else 1.

    Returns:
        The map, its parameters as float32; no band limit and no envelope.

    Warns:
        NmapWarning: the file names another grid than the one given, which is taken.

    Raises:
        FormatError: the file cannot be read safely, or is not such a network.
        LimitError: its weights unpack to more than is read.
        OptionError: an omega, alignment or column order that cannot be used, or no grid.
    """
    _check(omega, omega_hidden, alignment, columns)
    path = Path(existing(path))
    digest = _digest(path)
    found = read_weights(path)
    told = from_texts(found.texts, str(path))
    grid = grid if told is None else grid or told.grid
    if grid is None:
        raise OptionError(f"{path}: does not say on which grid it lies: give its `grid`")
    if told is not None and not grid.matches(told.grid):
        warnings.warn(
            NmapWarning(f"{path}: names its own grid, {told.grid}; the one that was given is taken, {grid}"),
            stacklevel=2,
        )
    alignment = alignment or ("corners" if told is None else told.alignment)
    offset = (0.0 if told is None else told.offset) if offset is None else offset
    scale = (1.0 if told is None else told.scale) if scale is None else scale
    if _digest(path) != digest:
        raise FormatError(f"{path}: was written to while it was read: wait until it is whole, and try again")
    layers = find_layers(found.arrays, found.numbers, str(path), is_image=grid.shape.count(1) == 1)
    tensors = _tensors(layers, columns, grid)
    sines = len(layers.weights) - (layers.output == "linear")
    omegas = _omegas(layers, told, omega, omega_hidden)[:sines]
    if told is not None and len(told.omegas) != sines:
        raise FormatError(f"{path}: names {len(told.omegas)} omegas: wanted {sines}, one for each sine layer")
    if not (np.isfinite(omegas).all() and min(omegas) > 0):
        raise OptionError(f"omegas {omegas}: wanted positive numbers, such as 30: give `omega`")
    reach = [(n - 1) / (2 * n) if alignment == "corners" and n > 1 else 0.5 for n in grid.shape]
    half: Triple = (reach[0], reach[1], reach[2])
    return NeuralMap.from_tensors(
        "siren",
        {"omegas": omegas, "output": layers.output},
        {name: encode_float(values, "F32") for name, values in tensors.items()},
        Frame(grid, center=half, half_width=half, offset=offset, scale=scale, alignment=alignment),
        record={"fit": {"imported_from": stored_name(path), "imported_sha256": digest}},
    )


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check(omega: float | None, omega_hidden: float | None, alignment: str | None, columns: str) -> None:
    """Refuse words and numbers that cannot be used."""
    for name, value in (("omega", omega), ("omega_hidden", omega_hidden)):
        if value is not None and not (np.isfinite(value) and value > 0):
            raise OptionError(f"`{name}` {value:g}: wanted a positive number, such as 30")
    if alignment not in (None, "corners", "box"):
        raise OptionError(f"`alignment` {alignment!r}: wanted 'corners' or 'box'")
    if columns not in ("zyx", "xyz"):
        raise OptionError(f"`columns` {columns!r}: wanted 'zyx' or 'xyz'")


def _omegas(
    layers: Layers, told: PlainSiren | None, omega: float | None, omega_hidden: float | None
) -> list[float]:
    """A factor for each layer: those given, else those of the file, else 30."""
    count = len(layers.weights)
    known = list(layers.omegas or [OMEGA] * count)
    if told is not None:
        known[: len(told.omegas)] = told.omegas
    if omega is not None:
        known = [float(omega)] * count
    if omega_hidden is not None:
        known[1:] = [float(omega_hidden)] * (count - 1)
    return known


def _tensors(layers: Layers, columns: str, grid: Grid) -> dict[str, NDArray[np.float32]]:
    """Tensors by our names."""
    first, width = layers.weights[0], len(layers.weights[0])
    inner, biases = layers.weights[1:-1], layers.biases[1:-1]
    tensors = {
        "first.weight": _in_three(first[:, ::-1] if columns == "xyz" else first, grid),
        "first.bias": layers.biases[0],
        "hidden.weight": np.stack(inner) if inner else np.zeros((0, width, width)),
        "hidden.bias": np.stack(biases) if biases else np.zeros((0, width)),
        "last.weight": layers.weights[-1],
        "last.bias": layers.biases[-1],
    }
    return {name: np.asarray(values, np.float32) for name, values in tensors.items()}


def _in_three(weight: NDArray[np.floating], grid: Grid) -> NDArray[np.floating]:
    """The first layer's weights for (z, y, x); of an image's network nothing hangs on the axis it is thin along."""
    if weight.shape[1] == 3:
        return weight
    wide = [axis for axis, count in enumerate(grid.shape) if count > 1]
    out = np.zeros((len(weight), 3), weight.dtype)
    out[:, wide] = weight
    return out

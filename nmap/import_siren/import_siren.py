"""SIREN weights trained elsewhere, in the layout of the SIREN authors' notebook, as a `NeuralMap`."""

from __future__ import annotations

import hashlib
import math
import os
import re
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import encode_float
from nmap.errors import FormatError, LimitError, OptionError
from nmap.grid import Grid
from nmap.machine.inputs import existing
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap
from nmap.plain_text import stored_name

Weights = Mapping[str, NDArray[Any]]

MAX_BYTES = 1 << 30
"""Weights that unpack to more than this are refused."""

_NAME = re.compile(r"^(.*?)net\.(\d{1,4})\.(linear\.)?(weight|bias)$")
_ADVICE = "load it where you trust it and save the arrays with numpy.savez or safetensors"


def import_weights(
    path: str | os.PathLike[str],
    grid: Grid,
    *,
    omega: float = 30.0,
    omega_hidden: float | None = None,
    alignment: str = "corners",
    columns: str = "zyx",
    offset: float = 0.0,
    scale: float = 1.0,
) -> NeuralMap:
    """A SIREN trained elsewhere as a neural map.

    Weights are named as in the SIREN authors' notebook: `net.0.linear.weight` and `.bias`,
    `net.1.linear.weight`, ..., then `net.N.weight` of a linear output layer, or `net.N.linear.weight` of a
    sine one; a prefix is allowed. Each coordinate is -1 at the first voxel of the grid and 1 at the last.

    Args:
        path: a `.npz` or `.safetensors` file, or a torch state dict (`.pt`, `.pth`) that loads with
            `weights_only`.
        grid: the grid that the network was fitted on.
        omega: factor in the first sine layer.
        omega_hidden: factor in the other sine layers; the same if None.
        alignment: "corners" if -1 and 1 were the first and last voxel centres (`linspace(-1, 1, n)`), "box"
            if they were the faces of the periodic box.
        columns: which coordinate each column of the first layer takes: "zyx", the order of a map's array
            axes, or "xyz".
        offset: density where the network gives 0.
        scale: density per unit of network output.

    Returns:
        The map, its parameters as float32; no band limit and no envelope.

    Raises:
        MissingFileError: there is no such file.
        FormatError: the file cannot be read safely, or is not such a network.
        OptionError: an omega, alignment or column order that cannot be used.
    """
    first, hidden = _checked(omega, omega_hidden, alignment, columns)
    path = existing(path)
    tensors, output = _arrange(_read(path), str(path))
    if columns == "xyz":
        tensors["first.weight"] = tensors["first.weight"][:, ::-1]
    sines = 1 + len(tensors["hidden.weight"]) + (output == "sine")
    reach = [(n - 1) / (2 * n) if alignment == "corners" and n > 1 else 0.5 for n in grid.shape]
    half = (reach[0], reach[1], reach[2])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return NeuralMap.from_tensors(
        "siren",
        {"omegas": [first] + [hidden] * (sines - 1), "output": output},
        {name: encode_float(values, "F32") for name, values in tensors.items()},
        Frame(grid, center=half, half_width=half, offset=offset, scale=scale, alignment=alignment),
        record={"fit": {"imported_from": stored_name(path), "imported_sha256": digest}},
    )


def _checked(omega: float, omega_hidden: float | None, alignment: str, columns: str) -> tuple[float, float]:
    """Both omegas, where they and the words can be used."""
    first, hidden = float(omega), float(omega if omega_hidden is None else omega_hidden)
    if not (np.isfinite([first, hidden]).all() and first > 0 and hidden > 0):
        raise OptionError(f"omega {first:g}, hidden {hidden:g}: wanted positive numbers, such as 30")
    if alignment not in ("corners", "box"):
        raise OptionError(f"alignment {alignment!r}: wanted 'corners' or 'box'")
    if columns not in ("zyx", "xyz"):
        raise OptionError(f"columns {columns!r}: wanted 'zyx' or 'xyz'")
    return first, hidden


def _read(path: Path) -> Weights:
    """All arrays of a weights file, by name; nothing in it is executed."""
    kind = path.suffix.lower()
    if kind == ".npz":
        return _read_npz(path)
    if kind == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            return load_file(path)
        except (SafetensorError, TypeError, KeyError) as error:
            raise FormatError(f"{path}: not safetensors of float32 or float16: {error}") from error
    if kind in (".pt", ".pth"):
        from nmap.import_siren.state_dict import read_state_dict

        return read_state_dict(path, _ADVICE)
    raise FormatError(
        f"{path}: weights in a {kind or 'nameless'} file: wanted .npz, .safetensors, .pt or .pth"
    )


def _read_npz(path: Path) -> Weights:
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > MAX_BYTES:
                raise LimitError(f"{path}: unpacks to {unpacked} bytes: at most {MAX_BYTES} are read")
            for entry in archive.infolist():
                with archive.open(entry) as stream:
                    _check_npy(stream, entry.file_size, entry.filename)
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (zipfile.BadZipFile, ValueError, EOFError, zlib.error, NotImplementedError) as error:
        raise FormatError(f"{path}: not a .npz of plain arrays: {error}") from error


def _check_npy(stream: IO[bytes], size: int, name: str) -> None:
    """Check that an array's header declares what its member of the archive holds: numpy allocates by it."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"{name} has .npy version {version}: wanted (1, 0) or (2, 0)")
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    if dtype.hasobject or stream.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"{name} declares {shape} of {dtype}, which its {size} bytes do not hold")


def _arrange(weights: Weights, name: str) -> tuple[dict[str, NDArray[np.float32]], str]:
    """Tensors by our names, and the output kind, from layers by the notebook's names."""
    layers: dict[int, dict[str, NDArray[Any]]] = {}
    sine: dict[int, bool] = {}
    prefixes = set()
    for key, values in weights.items():
        match = _NAME.match(key)
        if match is None:
            raise FormatError(
                f"{name}: array {key!r}: wanted only net.N.linear.weight, net.N.weight and their .bias"
            )
        prefixes.add(match[1])
        number = int(match[2])
        layers.setdefault(number, {})[match[4]] = values
        sine[number] = match[3] is not None
    count = len(layers)
    if len(prefixes) != 1 or count < 2 or sorted(layers) != list(range(count)):
        raise FormatError(
            f"{name}: layers {sorted(layers)}: wanted net.0, net.1, ... of one network, two or more"
        )
    if any(set(layer) != {"weight", "bias"} for layer in layers.values()):
        raise FormatError(f"{name}: a layer lacks its weight or bias: wanted both for each of {count} layers")
    if not all(sine[number] for number in range(count - 1)):
        raise FormatError(
            f"{name}: a layer before the last is not named net.N.linear: wanted sine layers there"
        )
    for number, layer in layers.items():
        _check(layer["weight"], layer["bias"], layers[0]["weight"], number, count, name)
    inner = [layers[number] for number in range(1, count - 1)]
    width = len(layers[0]["bias"])
    stacked = {
        "first.weight": layers[0]["weight"],
        "first.bias": layers[0]["bias"],
        "hidden.weight": np.stack([i["weight"] for i in inner]) if inner else np.zeros((0, width, width)),
        "hidden.bias": np.stack([i["bias"] for i in inner]) if inner else np.zeros((0, width)),
        "last.weight": layers[count - 1]["weight"],
        "last.bias": layers[count - 1]["bias"],
    }
    return {key: np.asarray(v, np.float32) for key, v in stacked.items()}, "sine" if sine[
        count - 1
    ] else "linear"


def _check(
    weight: NDArray[Any], bias: NDArray[Any], first: NDArray[Any], number: int, count: int, name: str
) -> None:
    width = first.shape[0] if first.ndim else 0
    rows = 1 if number == count - 1 else width
    wanted = (rows, 3 if number == 0 else width)
    if weight.shape != wanted or bias.shape != (rows,):
        raise FormatError(
            f"{name}: net.{number} has weight {weight.shape} and bias {bias.shape}: "
            f"wanted {wanted} and ({rows},)"
        )
    if (
        weight.dtype.kind != "f"
        or bias.dtype.kind != "f"
        or not (np.isfinite(weight).all() and np.isfinite(bias).all())
    ):
        raise FormatError(
            f"{name}: net.{number} holds {weight.dtype} values: wanted finite floating-point numbers"
        )

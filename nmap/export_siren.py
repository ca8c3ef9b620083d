"""`export_weights`: the weights of a plain SIREN, as other programs name and evaluate them."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.container import open_map
from nmap.errors import FormatError, OptionError
from nmap.import_siren.plain_siren import PlainSiren
from nmap.machine.atomic import atomic_output
from nmap.model.field import Field
from nmap.model.siren import Siren
from nmap.neural_map import NeuralMap

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_AUTHORS = "net.net.{}.0"
"""A layer in the SIREN authors' repository, whose last layer has no sine."""
_NOTEBOOK = "net.{}.linear"
"""A layer in their notebook, where such a last one is a sine layer too."""
# A fixed time in the .npz, the earliest that zip archives know: the same weights give the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


def export_weights(
    source: NeuralMap | str | os.PathLike[str], out: str | os.PathLike[str], *, overwrite: bool = False
) -> int:
    """Write the weights of a plain SIREN under the names of its authors' repository, as float32.

    Beside them lie, as texts, a recipe of five lines of numpy that evaluates them on the source's grid, the omegas,
    the coordinates, offset, scale and grid: in the metadata of a `.safetensors`, in text arrays of a `.npz`.
    `import_weights` reads both back.

    Args:
        source: the map, or the path of its `.nmap` file.
        out: a `.safetensors` or `.npz` file.
        overwrite: whether an existing file may be replaced.

    Returns:
        Bytes written.

    Raises:
        OptionError: the map is no plain SIREN, such as `EncodeOptions(bare=True)` fits, or another suffix.
        FormatError: the `.nmap` file breaks the format.
        OutputExistsError: `out` exists and may not be replaced.
    """
    suffix = Path(out).suffix.lower()
    if suffix not in (".safetensors", ".npz"):
        raise OptionError(f"{os.fspath(out)}: wanted a name that ends in .safetensors or .npz")
    neural_map = source if isinstance(source, NeuralMap) else open_map(source)
    name = "this map" if isinstance(source, NeuralMap) else os.fspath(source)
    weights, plain = plain_siren(neural_map.field, name)
    texts = plain.texts(_recipe(plain, weights, suffix))
    data = _safetensors(weights, texts) if suffix == ".safetensors" else _npz(weights, texts)
    with atomic_output(out, overwrite) as file:
        file.write(data)
    return len(data)


def plain_siren(field: Field, name: str) -> tuple[dict[str, F32], PlainSiren]:
    """Weights by the authors' names, and what evaluating them needs.

    Args:
        field: a map without envelope, gains, band limit and symmetry, by a SIREN in one block.
        name: of the map, for what is refused.

    Raises:
        OptionError: it is another one.
    """
    network, frame = field.network, field.frame
    more = {
        "a band limit": field.band_limit is not None,
        "an envelope": field.envelope is not None,
        "a symmetry": field.symmetry is not None,
    }
    if not isinstance(network, Siren) or any(more.values()):
        has = " and ".join(what for what, there in more.items() if there)
        raise OptionError(
            f"{name}: a {network.kind} network{f' with {has}' if has else ''} is no plain SIREN that other programs "
            "evaluate: encode with `bare`"
        )
    counts = np.asarray(frame.box.shape)
    last = np.maximum(counts - 1, 1) if frame.alignment == "corners" else counts
    # Sample i of n has box fraction i / n, the network coordinate t = (i / n - center) / half_width there, and the
    # exported one s = 2 i / last - 1. So t = slope * s + shift.
    slope = last / (2 * counts) / np.asarray(frame.half_width)
    shift = slope - np.asarray(frame.center) / np.asarray(frame.half_width)
    first = network.first_weight.astype(np.float64)
    bias = network.first_bias + first @ shift
    layers = [(first * slope, bias), *zip(network.hidden_weight, network.hidden_bias, strict=True)]
    if np.count_nonzero(counts == 1) == 1 and not first[:, counts == 1].any():
        layers[0] = (layers[0][0][:, counts > 1], bias)
    layers.append((network.last_weight, network.last_bias))
    form = _form(network.output)
    weights = {
        f"{form.format(number)}.{part}": np.ascontiguousarray(values, np.float32)
        for number, layer in enumerate(layers)
        for part, values in zip(("weight", "bias"), layer, strict=True)
    }
    if not all(np.isfinite(values).all() for values in weights.values()):
        raise FormatError(f"{name}: its weights are beyond float32 in plain coordinates")
    return weights, PlainSiren(frame.box, network.omegas, frame.alignment, field.offset, field.scale)


def _form(output: str) -> str:
    return _AUTHORS if output == "linear" else _NOTEBOOK


def _recipe(plain: PlainSiren, weights: Mapping[str, F32], suffix: str) -> str:
    """Five lines of Python: of the file `path` they make `density`, (z, y, x) on the source's grid."""
    last_is_sine = len(plain.omegas) == len(weights) // 2
    form = _form("sine" if last_is_sine else "linear")
    names = form.replace("{}", "{i}")
    start = "import json, numpy as np; "
    if suffix == ".npz":
        start += (
            "f = dict(np.load(path)); w = f.__getitem__; text = {k: str(f[k]) for k in f if f[k].ndim == 0}"
        )
    else:
        start += "from safetensors import safe_open; "
        start += 'f = safe_open(path, "numpy"); w = f.get_tensor; text = f.metadata()'
    end = "h[..., 0]" if last_is_sine else "layer(h, i)[..., 0]"
    counts = 'json.loads(text["grid"])["shape_zyx"]'
    last = "n" if plain.alignment == "box" else "max(n - 1, 1)"
    wide = " if n > 1" if weights[f"{form.format(0)}.weight"].shape[1] == 2 else ""
    slab = 'np.stack(np.meshgrid([z], *axes[1:], indexing="ij"), -1)'
    return "\n".join(
        [
            start,
            f'omegas, layer = json.loads(text["omegas"]), lambda h, i: h @ w(f"{names}.weight").T + w(f"{names}.bias")',
            f"siren = lambda h, i=0: siren(np.sin(omegas[i] * layer(h, i)), i + 1) if i < len(omegas) else {end}",
            f"shape = {counts}; axes = [2 * np.arange(n) / {last} - 1 for n in shape{wide}]",
            f"values = np.concatenate([siren({slab}) for z in axes[0]]).reshape(shape); "
            'density = float(text["offset"]) + float(text["scale"]) * values',
        ]
    )


def _safetensors(weights: Mapping[str, F32], texts: Mapping[str, str]) -> bytes:
    """A safetensors file; the library's own writer puts the texts in random order."""
    header: dict[str, Any] = {"__metadata__": dict(texts)}
    at = 0
    for name, values in sorted(weights.items()):
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [at, at := at + values.nbytes]}
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text = text.ljust(-(-len(text) // 8) * 8)
    return len(text).to_bytes(8, "little") + text + b"".join(weights[n].tobytes() for n in sorted(weights))


def _npz(weights: Mapping[str, F32], texts: Mapping[str, str]) -> bytes:
    """A numpy archive; `numpy.savez` puts the time into it."""
    out = io.BytesIO()
    arrays: dict[str, NDArray[Any]] = {**weights, **{name: np.asarray(text) for name, text in texts.items()}}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, values in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, values, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", _TIME), member.getvalue(), zipfile.ZIP_DEFLATED)
    return out.getvalue()

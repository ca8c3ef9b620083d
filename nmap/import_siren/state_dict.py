"""Torch state dicts and checkpoints, read without running anything in them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nmap.errors import FormatError
from nmap.import_siren.found_weights import FoundWeights, require_room

_DEEPEST = 4
"""Levels of a checkpoint in which a state dict is looked for."""
_PREFERRED = (
    "state_dict",
    "model_state_dict",
    "model",
    "network",
    "net",
    "siren",
    "params",
    "weights",
    "module",
)
"""Keys under which training programs keep the state dict, of several the first."""


def read_state_dict(path: Path, advice: str) -> FoundWeights:
    """Arrays by name of a `.pt` file, by torch's `weights_only` loader; of a checkpoint those of its state dict.

    Args:
        path: the file.
        advice: what to do instead where the file cannot be read so.

    Raises:
        FormatError: the file needs code to be run (a whole pickled model), or holds no plain tensors.
        LimitError: its tensors take too much memory.
    """
    import torch

    try:
        with warnings.catch_warnings():
            # torch warns of old pickles; the refusal below says what to do about them.
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch promises nothing of what it raises of a damaged file
        raise FormatError(f"{path}: is not read, because it is no plain state dict: {advice}") from error
    tensors = _state_dict(loaded, path, advice)
    require_room(path, sum(4 * value.numel() for value in tensors.values()))
    arrays = {name: _array(value, name, path) for name, value in tensors.items()}
    return FoundWeights(arrays, dict(_numbers(loaded)))


def _state_dict(loaded: object, path: Path, advice: str) -> dict[str, Any]:
    """The one state dict of what was loaded, at the top or under a key."""
    found = dict(_state_dicts(loaded))
    for key in ("", *_PREFERRED, *found):
        if key in found:
            chosen = found[key]
            break
    else:
        raise FormatError(f"{path}: holds a {type(loaded).__name__}, not a state dict of tensors: {advice}")
    others = [key for key in found if key not in ("", *_PREFERRED)]
    if len(found) == len(others) > 1:
        raise FormatError(
            f"{path}: holds {len(found)} state dicts ({', '.join(others[:4])}): save the one you mean"
        )
    return chosen


def _state_dicts(value: object, key: str = "", depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """All dicts of tensors with a matrix among them, by the key that they lie under."""
    import torch

    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return
    if value and all(isinstance(one, torch.Tensor) for one in value.values()):
        if any(one.ndim == 2 for one in value.values()):
            yield key, {str(name): one for name, one in value.items()}
        return
    for name, one in value.items():
        if str(name) != "optimizer":
            yield from _state_dicts(one, str(name), depth + 1)


def _numbers(value: object, depth: int = 0) -> Iterator[tuple[str, float]]:
    """Plain numbers of a checkpoint by their name."""
    if not isinstance(value, Mapping) or depth > _DEEPEST:
        return
    for name, one in value.items():
        if isinstance(one, int | float) and not isinstance(one, bool):
            yield str(name), float(one)
        else:
            yield from _numbers(one, depth + 1)


def _array(value: Any, name: str, path: Path) -> NDArray[Any]:
    """One dense tensor, all of whose values the file holds."""
    import torch

    stored = value.layout == torch.strided and not value.is_nested and value.device.type == "cpu"
    if not stored or value.is_quantized:
        raise FormatError(
            f"{path}: tensor {name!r:.60} is sparse, nested, quantised or without values: wanted plain numbers"
        )
    if value.untyped_storage().nbytes() < value.numel() * value.element_size():
        raise FormatError(
            f"{path}: tensor {name!r:.60} of shape {tuple(value.shape)} repeats values instead of holding them: "
            "wanted plain numbers: save it with .contiguous()"
        )
    if value.is_floating_point() and value.dtype != torch.float64:
        value = value.to(torch.float32)
    if value.is_complex():
        raise FormatError(f"{path}: tensor {name!r:.60} holds complex values: wanted floating-point numbers")
    found: NDArray[Any] = value.detach().contiguous().numpy()
    return found

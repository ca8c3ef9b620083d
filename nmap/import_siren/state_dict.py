"""Torch state dicts, read without running anything in them."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nmap.errors import FormatError
from nmap.machine.packages import require_package


def read_state_dict(path: Path, advice: str) -> dict[str, NDArray[Any]]:
    """Arrays by name of a `.pt` file, by torch's `weights_only` loader.

    Args:
        path: the file.
        advice: what to do instead where the file cannot be read so.

    Raises:
        FormatError: the file needs code to be run (a whole pickled model), or holds no plain tensors.
        MissingPackageError: torch is not installed.
    """
    require_package("torch", "fit", "a .pt file")
    import torch

    try:
        with warnings.catch_warnings():
            # torch warns of old pickles; the refusal below says what to do about them.
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        AttributeError,
        KeyError,
        TypeError,
    ) as error:
        raise FormatError(f"{path}: is not read, because it is no plain state dict: {advice}") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise FormatError(f"{path}: holds a {type(loaded).__name__}, not a state dict of tensors: {advice}")
    return {str(name): value.detach().to(torch.float32).numpy() for name, value in loaded.items()}

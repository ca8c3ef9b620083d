"""What kinds of dense layers share: the layout of the layers, their widths, the size of a tile of points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError

F32 = NDArray[np.float32]
Array = NDArray[np.floating]

# Points evaluated at once: two activations of 256 neurons stay in a core's second-level cache.
TILE = 1024


DENSE_TENSORS = ("first.weight", "first.bias", "hidden.weight", "hidden.bias", "last.weight", "last.bias")
# Options of a fit that every kind of dense layers has.
DENSE_OPTIONS = ("steps", "hidden_features", "hidden_layers", "omega0", "omega_hidden", "weight_bits")


def dense_widths(tensors: Mapping[str, NDArray[Any]]) -> tuple[int, ...]:
    """Neurons of the first and of each hidden layer."""
    return (len(tensors["first.bias"]),) * (1 + len(tensors["hidden.weight"]))


def check_dense(tensors: Mapping[str, NDArray[Any]], inputs: int) -> None:
    """Check that first, hidden and last layers fit each other.

    Args:
        tensors: "first.weight" (w, inputs), "first.bias" (w,), "hidden.weight" (L, w, w),
            "hidden.bias" (L, w), "last.weight" (1, w), "last.bias" (1,).
        inputs: columns of the first layer.

    Raises:
        FormatError: a shape does not fit.
    """
    first, hidden = tensors["first.weight"], tensors["hidden.weight"]
    width = first.shape[0] if first.ndim else 0
    layers = hidden.shape[0] if hidden.ndim else 0
    wanted = {
        "first.weight": (width, inputs),
        "first.bias": (width,),
        "hidden.weight": (layers, width, width),
        "hidden.bias": (layers, width),
        "last.weight": (1, width),
        "last.bias": (1,),
    }
    for name, shape in wanted.items():
        if tensors[name].shape != shape or width == 0:
            raise FormatError(
                f"tensor {name} has shape {tensors[name].shape}: wanted {shape} for {width} neurons"
            )

"""What every model kind shares: the protocol, the layout of dense layers, the size of a tile of points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nmap.errors import FormatError

F32 = NDArray[np.float32]
Array = NDArray[np.floating]

# Points evaluated at once: two activations of 256 neurons stay in a core's second-level cache.
TILE = 1024


class Network(Protocol):
    """What a model kind offers. `t` are network coordinates (n, 3), (z, y, x)."""

    kind: ClassVar[str]

    def __call__(self, t: Array, dtype: DTypeLike = np.float32) -> Array:
        """Values (n,)."""

    def value_and_gradient(self, t: Array, dtype: DTypeLike = np.float64) -> tuple[Array, Array]:
        """Values (n,) and derivatives along t (n, 3)."""

    def tensors(self) -> dict[str, F32]:
        """Parameters by their name in the file."""

    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the tensors, as JSON values."""


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

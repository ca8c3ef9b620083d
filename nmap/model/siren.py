"""SIREN: a network of sine layers, density from position.

Sitzmann, Martel, Bergman, Lindell and Wetzstein, "Implicit Neural Representations with Periodic Activation
Functions", NeurIPS 2020. A layer is ``h' = sin(omega * (W h + b))``: omega multiplies the bias too, as in the
authors' notebook. Everything here is numpy; the derivative is the chain rule written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

from nmap.errors import FormatError
from nmap.machine.threads import in_tiles
from nmap.model.layers import DENSE_OPTIONS, DENSE_TENSORS, F32, TILE, Array, check_dense, dense_widths
from nmap.model.network import Network


@dataclass(frozen=True, eq=False)
class Siren(Network):
    """Sine layers of one width, from three coordinates to one value.

    Args:
        first_weight: (w, 3), columns for (z, y, x).
        first_bias: (w,).
        hidden_weight: (L, w, w), row = output neuron.
        hidden_bias: (L, w).
        last_weight: (1, w).
        last_bias: (1,).
        omegas: one factor for the first and each hidden layer (length L + 1), and one more for a sine output.
        output: "linear", or "sine" for ``sin(omega * (W h + b))``.

    Raises:
        FormatError: shapes that do not fit each other, omegas of another length, or an unknown output.
    """

    first_weight: F32
    first_bias: F32
    hidden_weight: F32
    hidden_bias: F32
    last_weight: F32
    last_bias: F32
    omegas: tuple[float, ...]
    output: str = "linear"
    kind: ClassVar[str] = "siren"
    tensor_names: ClassVar[tuple[str, ...]] = DENSE_TENSORS
    setting_names: ClassVar[tuple[str, ...]] = ("omegas", "output")
    series_kind: ClassVar[str] = "series-siren"
    trainer: ClassVar[str] = "nmap.fit.dense.fit:fit_dense"
    options: ClassVar[tuple[str, ...]] = DENSE_OPTIONS

    def __post_init__(self) -> None:
        check_dense(self.tensors(), 3)
        object.__setattr__(self, "omegas", tuple(float(o) for o in self.omegas))
        if self.output not in ("linear", "sine"):
            raise FormatError(f"siren output {self.output!r}: wanted 'linear' or 'sine'")
        wanted = self.hidden_weight.shape[0] + 1 + (self.output == "sine")
        if len(self.omegas) != wanted:
            raise FormatError(
                f"siren with {len(self.omegas)} omegas: wanted {wanted}, one for each sine layer"
            )
        if not all(np.isfinite(self.omegas)):
            raise FormatError(f"siren omegas {self.omegas}: wanted finite numbers")

    def tensors(self) -> dict[str, F32]:
        """Parameters by their name in the file."""
        return {
            "first.weight": self.first_weight,
            "first.bias": self.first_bias,
            "hidden.weight": self.hidden_weight,
            "hidden.bias": self.hidden_bias,
            "last.weight": self.last_weight,
            "last.bias": self.last_bias,
        }

    def settings(self) -> dict[str, Any]:
        """What decoding needs beside the tensors, as JSON values."""
        return {"omegas": list(self.omegas), "output": self.output}

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of the first and of each hidden layer."""
        return dense_widths(self.tensors())

    @staticmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, F32]) -> Siren:
        """The network of `settings()` and `tensors()`."""
        return Siren(
            tensors["first.weight"],
            tensors["first.bias"],
            tensors["hidden.weight"],
            tensors["hidden.bias"],
            tensors["last.weight"],
            tensors["last.bias"],
            omegas=tuple(settings["omegas"]),
            output=settings["output"],
        )

    def __call__(self, t: Array, dtype: DTypeLike = np.float32) -> Array:
        """Values at network coordinates.

        Args:
            t: (n, 3), (z, y, x).
            dtype: float32, or float64 for reference.

        Returns:
            (n,) of `dtype`.
        """
        layers = self._layers(dtype)
        last = layers.pop()
        out = np.empty(len(t), dtype)

        def fill(part: slice) -> None:
            h = np.asarray(t[part], dtype)
            for weight, bias in layers:
                h = h @ weight.T
                h += bias
                np.sin(h, out=h)
            out[part] = h @ last[0][0] + last[1][0]

        in_tiles(fill, len(t), TILE)
        return np.sin(out, out=out) if self.output == "sine" else out

    def value_and_gradient(self, t: Array, dtype: DTypeLike = np.float64) -> tuple[Array, Array]:
        """Values and their exact derivatives at network coordinates.

        Args:
            t: (n, 3), (z, y, x).
            dtype: float64, or float32 for speed.

        Returns:
            Values (n,) and derivatives along t (n, 3), (z, y, x).
        """
        layers = self._layers(dtype)
        last = layers.pop()
        values, gradients = np.empty(len(t), dtype), np.empty((len(t), 3), dtype)

        def fill(part: slice) -> None:
            h = np.asarray(t[part], dtype)
            slopes = []
            for weight, bias in layers:
                z = h @ weight.T + bias
                slopes.append(np.cos(z))
                h = np.sin(z, out=z)
            value = h @ last[0][0] + last[1][0]
            back = np.broadcast_to(last[0], h.shape)
            for (weight, _), slope in zip(reversed(layers), reversed(slopes), strict=True):
                back = (back * slope) @ weight
            if self.output == "sine":
                back = back * np.cos(value)[:, None]
                value = np.sin(value)
            values[part], gradients[part] = value, back

        in_tiles(fill, len(t), TILE)
        return values, gradients

    def _layers(self, dtype: DTypeLike) -> list[tuple[Array, Array]]:
        """Weight and bias of each layer times its omega: sin(o (W h + b)) = sin((o W) h + o b)."""
        layers = [(self.first_weight, self.first_bias)]
        layers += list(zip(self.hidden_weight, self.hidden_bias, strict=True))
        layers.append((self.last_weight, self.last_bias))
        omegas = (*self.omegas, 1.0)[: len(layers)]
        scaled: list[tuple[Array, Array]] = []
        for (weight, bias), omega in zip(layers, omegas, strict=True):
            both: tuple[NDArray[Any], NDArray[Any]] = (
                np.asarray(np.asarray(weight, np.float64) * omega, dtype),
                np.asarray(np.asarray(bias, np.float64) * omega, dtype),
            )
            scaled.append(both)
        return scaled

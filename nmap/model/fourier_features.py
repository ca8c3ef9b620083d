"""Fourier-feature network: sines and cosines of the position, then a ReLU perceptron.

Tancik et al., "Fourier Features Let Networks Learn High Frequency Functions in Low Dimensional Domains",
NeurIPS 2020: ``gamma(t) = [a cos(2 pi B t), a sin(2 pi B t)]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import DTypeLike

from nmap.errors import FormatError
from nmap.machine.threads import in_tiles
from nmap.model.layers import DENSE_OPTIONS, DENSE_TENSORS, F32, TILE, Array, check_dense, dense_widths
from nmap.model.network import Network


@dataclass(frozen=True, eq=False)
class FourierFeatures(Network):
    """Fourier features of three coordinates, then ReLU layers of one width to one linear value.

    Args:
        frequencies: B, (m, 3), columns for (z, y, x), cycles per unit of t.
        amplitudes: a, (m,).
        first_weight: (w, 2m), columns for the m cosines, then the m sines.
        first_bias: (w,).
        hidden_weight: (L, w, w), row = output neuron.
        hidden_bias: (L, w).
        last_weight: (1, w).
        last_bias: (1,).

    Raises:
        FormatError: shapes that do not fit each other.
    """

    frequencies: F32
    amplitudes: F32
    first_weight: F32
    first_bias: F32
    hidden_weight: F32
    hidden_bias: F32
    last_weight: F32
    last_bias: F32
    kind: ClassVar[str] = "fourier-features"
    tensor_names: ClassVar[tuple[str, ...]] = ("frequencies", "amplitudes", *DENSE_TENSORS)
    trainer: ClassVar[str] = "nmap.fit.dense.fit:fit_dense"
    options: ClassVar[tuple[str, ...]] = DENSE_OPTIONS

    def __post_init__(self) -> None:
        m = self.amplitudes.size
        if self.amplitudes.shape != (m,) or self.frequencies.shape != (m, 3) or m == 0:
            raise FormatError(
                f"frequencies of shape {self.frequencies.shape} and amplitudes of {self.amplitudes.shape}: "
                "wanted (m, 3) and (m,)"
            )
        check_dense(self.tensors(), 2 * m)

    def tensors(self) -> dict[str, F32]:
        """Parameters by their name in the file."""
        return {
            "frequencies": self.frequencies,
            "amplitudes": self.amplitudes,
            "first.weight": self.first_weight,
            "first.bias": self.first_bias,
            "hidden.weight": self.hidden_weight,
            "hidden.bias": self.hidden_bias,
            "last.weight": self.last_weight,
            "last.bias": self.last_bias,
        }

    def settings(self) -> dict[str, Any]:
        """Nothing beside the tensors is needed."""
        return {}

    @property
    def widths(self) -> tuple[int, ...]:
        """Neurons of the first and of each hidden layer."""
        return dense_widths(self.tensors())

    @staticmethod
    def build(settings: Mapping[str, Any], tensors: Mapping[str, F32]) -> FourierFeatures:
        """The network of `settings()` and `tensors()`."""
        return FourierFeatures(
            tensors["frequencies"],
            tensors["amplitudes"],
            tensors["first.weight"],
            tensors["first.bias"],
            tensors["hidden.weight"],
            tensors["hidden.bias"],
            tensors["last.weight"],
            tensors["last.bias"],
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
            h = np.concatenate(self._features(t[part], dtype), axis=1)
            for weight, bias in layers:
                h = h @ weight.T
                h += bias
                np.maximum(h, 0, out=h)
            out[part] = h @ last[0][0] + last[1][0]

        in_tiles(fill, len(t), TILE)
        return out

    def value_and_gradient(self, t: Array, dtype: DTypeLike = np.float64) -> tuple[Array, Array]:
        """Values and their exact derivatives at network coordinates.

        A ReLU counts as flat at exactly 0.

        Args:
            t: (n, 3), (z, y, x).
            dtype: float64, or float32 for speed.

        Returns:
            Values (n,) and derivatives along t (n, 3), (z, y, x).
        """
        layers = self._layers(dtype)
        last = layers.pop()
        frequencies = 2 * np.pi * np.asarray(self.frequencies, dtype)
        values, gradients = np.empty(len(t), dtype), np.empty((len(t), 3), dtype)

        def fill(part: slice) -> None:
            cosine, sine = self._features(t[part], dtype)
            h = np.concatenate((cosine, sine), axis=1)
            active = []
            for weight, bias in layers:
                h = h @ weight.T + bias
                active.append(h > 0)
                np.maximum(h, 0, out=h)
            values[part] = h @ last[0][0] + last[1][0]
            back = np.broadcast_to(last[0], h.shape)
            for (weight, _), on in zip(reversed(layers), reversed(active), strict=True):
                back = (back * on) @ weight
            m = cosine.shape[1]
            gradients[part] = (back[:, m:] * cosine - back[:, :m] * sine) @ frequencies

        in_tiles(fill, len(t), TILE)
        return values, gradients

    def _features(self, t: Array, dtype: DTypeLike) -> tuple[Array, Array]:
        """The two halves of gamma, a cos(2 pi B t) and a sin(2 pi B t), each (n, m)."""
        phase = np.asarray(t, dtype) @ (2 * np.pi * np.asarray(self.frequencies, dtype)).T
        a = np.asarray(self.amplitudes, dtype)
        return np.asarray(a * np.cos(phase)), np.asarray(a * np.sin(phase))

    def _layers(self, dtype: DTypeLike) -> list[tuple[Array, Array]]:
        layers = [(self.first_weight, self.first_bias)]
        layers += list(zip(self.hidden_weight, self.hidden_bias, strict=True))
        layers.append((self.last_weight, self.last_bias))
        return [(np.asarray(weight, dtype), np.asarray(bias, dtype)) for weight, bias in layers]

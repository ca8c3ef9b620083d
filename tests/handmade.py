"""Networks made by hand, whose density is known in closed form, and random ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from nmap.coding.codings import CodedTensor, encode_float, encode_occupancy
from nmap.grid import Grid
from nmap.model import FourierFeatures, Frame, Network, Siren
from nmap.neural_map import NeuralMap
from nmap.spectrum import lattice_shape


def siren(
    width: int = 16, hidden: int = 2, *, seed: int = 0, omega: float = 4.0, output: str = "linear"
) -> Siren:
    """A random network, initialised as the SIREN paper says."""
    rng = np.random.default_rng(seed)
    bound = np.sqrt(6 / width) / omega

    def uniform(limit: float, *shape: int) -> np.ndarray:
        return rng.uniform(-limit, limit, shape).astype(np.float32)

    return Siren(
        uniform(1.0, width, 3),
        uniform(1.0, width),
        uniform(bound, hidden, width, width),
        uniform(bound, hidden, width),
        uniform(bound if output == "sine" else 0.5, 1, width),
        uniform(0.5, 1),
        omegas=(omega,) * (hidden + 1 + (output == "sine")),
        output=output,
    )


def fourier_features(m: int = 12, width: int = 16, hidden: int = 2, *, seed: int = 0) -> FourierFeatures:
    """A random network."""
    rng = np.random.default_rng(seed)

    def normal(scale: float, *shape: int) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    return FourierFeatures(
        normal(1.0, m, 3),
        normal(1.0, m),
        normal(0.4, width, 2 * m),
        normal(0.4, width),
        normal(0.4, hidden, width, width),
        normal(0.4, hidden, width),
        normal(0.4, 1, width),
        normal(0.4, 1),
    )


def waves(frequencies: list[tuple[int, int, int]], amplitudes: list[float], phases: list[float]) -> Siren:
    """The sum of amplitude * sin(2 pi k . f + phase) over the box, k and f in (z, y, x); one neuron each.

    Network coordinates are t = 2 f - 1, so that 2 pi k . f = pi k . t + pi (kz + ky + kx).
    """
    k = np.array(frequencies, np.float64)
    omega = 10.0
    weight, bias = np.pi * k / omega, (np.pi * k.sum(1) + np.array(phases)) / omega
    width = len(k)
    return Siren(
        weight.astype(np.float32),
        bias.astype(np.float32),
        np.zeros((0, width, width), np.float32),
        np.zeros((0, width), np.float32),
        np.array([amplitudes], np.float32),
        np.zeros(1, np.float32),
        omegas=(omega,),
    )


def constant(value: float = 1.0) -> Siren:
    """The same value everywhere."""
    return Siren(
        np.zeros((1, 3), np.float32),
        np.zeros(1, np.float32),
        np.zeros((0, 1, 1), np.float32),
        np.zeros((0, 1), np.float32),
        np.zeros((1, 1), np.float32),
        np.array([value], np.float32),
        omegas=(1.0,),
    )


def neural_map(
    network: Network,
    box: Grid,
    *,
    resolution: float | None = None,
    gains: np.ndarray | None = None,
    occupancy: np.ndarray | None = None,
    **field: Any,
) -> NeuralMap:
    """A neural map of float32 tensors, gains included: no coding loses anything."""
    tensors: dict[str, CodedTensor] = {name: encode_float(v) for name, v in network.tensors().items()}
    if gains is not None:
        tensors["gains"] = encode_float(gains)
    if occupancy is not None:
        tensors["envelope"] = encode_occupancy(occupancy)
    if resolution is not None:
        field.setdefault("lattice", lattice_shape(box, resolution))
    record = field.pop("record", None)
    frame = Frame(box, band_limit=resolution, **field)
    return NeuralMap.from_tensors(network.kind, network.settings(), tensors, frame, record)

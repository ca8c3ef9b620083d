"""The networks of the thesis and a plain loop that trains them; nothing of nmap's own fitting is in here."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.recipes import SineLayer

F32 = NDArray[np.float32]
_TILE = 1 << 16


def sine_network(inputs: int, width: int, hidden: int, omega: float, outputs: int = 1) -> nn.Module:
    """A SIREN: a first sine layer, `hidden` more, a linear readout; initialised as Sitzmann et al. (2020) say."""
    readout = nn.Linear(width, outputs)
    limit = math.sqrt(6 / width) / omega
    nn.init.uniform_(readout.weight, -limit, limit)
    layers = [SineLayer(width, width, omega) for _ in range(hidden)]
    return nn.Sequential(SineLayer(inputs, width, omega, first=True), *layers, readout)


def relu_network(inputs: int, width: int, hidden: int) -> nn.Module:
    """A ReLU network of `hidden` layers after the first, with a linear readout."""
    layers: list[nn.Module] = [nn.Linear(inputs, width), nn.ReLU()]
    for _ in range(hidden):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 1))


def fourier_matrix(name: str, inputs: int, features: int, seed: int) -> F32 | None:
    """B of the mapping of Tancik et al. (2020): "gauss S" of spread S, "basic" (the identity), or "none"."""
    if name == "none":
        return None
    if name == "basic":
        return np.eye(inputs, dtype=np.float32)
    spread = float(name.split()[1])
    drawn = np.random.default_rng(seed).standard_normal((features, inputs))
    return np.asarray(spread * drawn, np.float32)


def mapped(points: F32, matrix: F32 | None) -> F32:
    """Points (n, d) -> (n, 2 m): sines and cosines of 2 pi B v, for v in 0 to 1; the points without B."""
    if matrix is None:
        return points
    phase = (2 * np.pi * (points + 1) / 2) @ matrix.T
    return np.concatenate([np.sin(phase), np.cos(phase)], -1).astype(np.float32)


def parameters(network: nn.Module) -> int:
    """Weights and biases."""
    return sum(p.numel() for p in network.parameters())


@dataclass
class Trained:
    """What a training left.

    Attributes:
        steps: done.
        seconds: of training, by the wall clock.
        processor: seconds of processor time that it took, on all threads.
        loss: pairs of step and mean squared error of the batch.
    """

    steps: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    loss: list[tuple[int, float]] = field(default_factory=list)


def train(
    network: nn.Module,
    points: F32,
    targets: F32,
    *,
    steps: int,
    rate: float,
    batch: int | None = None,
    seed: int = 0,
    each_step: Callable[[], Any] | None = None,
    inputs: Callable[[], Tensor] | None = None,
) -> Trained:
    """Train by Adam on the mean squared error.

    Args:
        network: in place.
        points: (n, d).
        targets: (n, k).
        steps: of training; with the whole set in a batch, a step is an epoch.
        rate: Adam's learning rate.
        batch: points of a step, drawn afresh; all if None.
        seed: of the batches.
        each_step: called after each step, on the clock.
        inputs: makes the network's inputs afresh in each step, on the clock; needs the whole set in a batch.
    """
    x, y = torch.from_numpy(points), torch.from_numpy(targets)
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    draw = torch.Generator().manual_seed(seed)
    done, started, begun = Trained(), time.perf_counter(), time.process_time()
    for step in range(steps):
        if batch is None or batch >= len(x):
            rows_x, rows_y = x if inputs is None else inputs(), y
        else:
            rows = torch.randint(len(x), (batch,), generator=draw)
            rows_x, rows_y = x[rows], y[rows]
        optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.mse_loss(network(rows_x), rows_y)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if each_step is not None:
            each_step()
        if step % max(1, steps // 50) == 0 or step == steps - 1:
            done.loss.append((step + 1, float(loss.detach())))
    done.steps, done.seconds = steps, time.perf_counter() - started
    done.processor = time.process_time() - begun
    return done


def evaluate(network: nn.Module, points: F32) -> F32:
    """The network at points (n, d) -> (n, k)."""
    with torch.no_grad():
        parts = [
            network(torch.from_numpy(points[i : i + _TILE])).numpy() for i in range(0, len(points), _TILE)
        ]
    return np.concatenate(parts)


def positions(shape: tuple[int, ...], corners: bool = False) -> F32:
    """Coordinates (n, d) of all samples of a box, in array order, -1 to 1.

    Args:
        shape: samples on each axis.
        corners: first and last sample at -1 and 1, as in the thesis; else the box's faces.
    """
    axes = [np.linspace(-1, 1, n) if corners else 2 * np.arange(n) / n - 1 for n in shape]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(shape)).astype(np.float32)

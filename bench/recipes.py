"""Two published ways to fit a sine network to a volume, run as they were published.

`thesis`: the SIREN of the thesis that nmap starts from: eight sine layers of 256 neurons, omega 50, the
densities as they are, at the voxel centres of the whole box, in batches of 256, by Adam at 1e-5 in float32.

`neurcomp`: Lu et al., Computer Graphics Forum 40 (2021) 135: a sine layer and seven residual sine blocks,
omega 30, as wide as a fiftieth of the voxels has room for; densities scaled to -1 .. 1, batches of 1024 x 16
random voxel centres, Adam at 5e-5 that falls to a fifth every 20 passes over the box, 75 passes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.reach import Check
from bench.source import Referee, Source

_TILE = 1 << 16


class SineLayer(nn.Module):
    """sin(omega (W x + b)), initialised as Sitzmann et al. (2020) say."""

    def __init__(self, inputs: int, outputs: int, omega: float, first: bool = False) -> None:
        super().__init__()
        self.omega = omega
        self.linear = nn.Linear(inputs, outputs)
        limit = 1 / inputs if first else math.sqrt(6 / inputs) / omega
        nn.init.uniform_(self.linear.weight, -limit, limit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, inputs) -> (n, outputs)."""
        out: torch.Tensor = torch.sin(self.omega * self.linear(x))
        return out


class ResidualBlock(nn.Module):
    """Two sine layers and the way around them; only the first block takes its input whole, not halved."""

    def __init__(self, width: int, omega: float, first: bool, last: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential(SineLayer(width, width, omega), SineLayer(width, width, omega))
        self.inner, self.outer = (1.0 if first else 0.5), (0.5 if last else 1.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, width) -> (n, width)."""
        out: torch.Tensor = self.outer * (x + self.layers(self.inner * x))
        return out


def _readout(width: int, omega: float) -> nn.Linear:
    layer = nn.Linear(width, 1)
    limit = math.sqrt(6 / width) / omega
    nn.init.uniform_(layer.weight, -limit, limit)
    return layer


def thesis_network(_voxels: int) -> nn.Module:
    """3-256x8-1, omega 50: 461 825 parameters whatever the map."""
    hidden = [SineLayer(256, 256, 50.0) for _ in range(7)]
    return nn.Sequential(SineLayer(3, 256, 50.0, first=True), *hidden, _readout(256, 50.0))


def neurcomp_network(voxels: int, ratio: float = 50.0) -> nn.Module:
    """The widest network, 16 neurons at least, of fewer parameters than `voxels` / `ratio`."""
    width = 16
    while _neurcomp_parameters(width + 1) < voxels / ratio:
        width += 1
    blocks = [ResidualBlock(width, 30.0, first=i == 0, last=i == 6) for i in range(7)]
    return nn.Sequential(SineLayer(3, width, 30.0, first=True), *blocks, _readout(width, 30.0))


def _neurcomp_parameters(width: int) -> int:
    return 4 * width + 7 * 2 * (width * width + width) + width + 1


@dataclass(frozen=True)
class Recipe:
    """How to fit.

    Attributes:
        network: voxels of the map -> untrained network from (n, 3) to (n, 1).
        batch: points of a step.
        rate: Adam's learning rate.
        drop: passes over the box after which the rate falls to a fifth, again and again; None for never.
        passes: after which it ends; None for no end.
        normalised: densities scaled to -1 .. 1, and all edges alike, the longest to -1 .. 1; else densities
            as they are, and each edge to -1 .. 1.
        epochs: each pass visits every voxel once, in random order; else every batch is drawn afresh.
    """

    network: Callable[[int], nn.Module]
    batch: int
    rate: float
    drop: int | None
    passes: int | None
    normalised: bool
    epochs: bool


RECIPES = {
    "thesis": Recipe(thesis_network, 256, 1e-5, None, None, normalised=False, epochs=True),
    "neurcomp": Recipe(neurcomp_network, 1024 * 16, 5e-5, 20, 75, normalised=True, epochs=False),
}


class Fit:
    """A recipe at work on a source.

    Args:
        source: what to fit.
        recipe: how.
        device: torch device.
        seed: of the initialisation and the batches.
    """

    def __init__(self, source: Source, recipe: Recipe, device: str = "cpu", seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.source, self.recipe, self.device = source, recipe, torch.device(device)
        self.network = recipe.network(source.grid.size).to(self.device)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=recipe.rate)
        low, high = float(source.values.min()), float(source.values.max())
        self.offset, self.scale = ((low + high) / 2, (high - low) / 2) if recipe.normalised else (0.0, 1.0)
        values = (source.values.reshape(-1) - np.float32(self.offset)) / np.float32(self.scale)
        self.values = torch.from_numpy(values).to(self.device)
        self.shape = torch.tensor(source.grid.shape, device=self.device)
        aspect = (np.array(source.grid.shape) - 1) / max(max(source.grid.shape) - 1, 1)
        self.reach = torch.tensor(
            aspect if recipe.normalised else np.ones(3), dtype=torch.float32, device=self.device
        )
        self.steps = self.seen = self.drops = 0
        self.seconds = 0.0
        self._batches = self._endless()

    @property
    def done(self) -> bool:
        """Whether the recipe has run to its own end."""
        return self.recipe.passes is not None and self.seen >= self.recipe.passes * self.source.grid.size

    def train_to(self, seconds: float) -> None:
        """Train until the training clock shows `seconds`, or to the recipe's end."""
        while self.seconds < seconds and not self.done:
            started = time.perf_counter()
            for _ in range(4):
                self._step(next(self._batches))
            if self.device.type == "cuda":
                torch.cuda.synchronize()
            self.seconds += time.perf_counter() - started

    def decoded(self) -> NDArray[np.float32]:
        """The network at every voxel, in map units, float32 (z, y, x)."""
        out = np.empty(self.source.grid.size, np.float32)
        with torch.no_grad():
            for start in range(0, out.size, _TILE):
                index = torch.arange(start, min(start + _TILE, out.size), device=self.device)
                out[start : start + _TILE] = self.network(self._positions(index))[:, 0].cpu().numpy()
        return (out * np.float32(self.scale) + np.float32(self.offset)).reshape(self.source.grid.shape)

    def _step(self, index: torch.Tensor) -> None:
        self.optimiser.zero_grad(set_to_none=True)
        loss = nn.functional.mse_loss(self.network(self._positions(index))[:, 0], self.values[index])
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        self.steps += 1
        self.seen += index.numel()
        drop = self.recipe.drop
        if drop is not None and (self.seen // self.source.grid.size + 1) // drop > self.drops:
            self.drops += 1
            for group in self.optimiser.param_groups:
                group["lr"] *= 0.2

    def _positions(self, index: torch.Tensor) -> torch.Tensor:
        """Network coordinates (n, 3) of voxels by flat index: corner voxel centres at -1 and 1."""
        plane = self.shape[1] * self.shape[2]
        zyx = torch.stack([index // plane, index // self.shape[2] % self.shape[1], index % self.shape[2]], 1)
        return (2 * zyx / (self.shape - 1).clamp(min=1) - 1).to(torch.float32) * self.reach

    def _endless(self) -> Iterator[torch.Tensor]:
        count, batch = self.source.grid.size, self.recipe.batch
        while True:
            if self.recipe.epochs:
                order = torch.randperm(count, device=self.device)
                yield from (order[start : start + batch] for start in range(0, count, batch))
            else:
                yield torch.randint(count, (batch,), device=self.device)


def run_recipe(
    source: str, recipe: str, target: float, seconds: float, checks: int, device: str, seed: int = 0
) -> dict[str, Any]:
    """Fit by a recipe for a bounded time, looking now and then; ends early once the target is reached.

    Args:
        source: file of the source.
        recipe: name in `RECIPES`.
        target: worst-shell FSC.
        seconds: of training at most.
        checks: how often to look, each at twice the time of the one before.
        device: torch device.
        seed: of all that is random.
    """
    volume = Source.load(Path(source))
    referee, fit = Referee(volume), Fit(volume, RECIPES[recipe], device, seed)
    seen: list[Check] = []
    for look in range(checks):
        fit.train_to(seconds * 2.0 ** (look - checks + 1))
        seen.append(Check(fit.seconds, fit.steps, *referee.worst_and_median(fit.decoded())))
        if seen[-1].worst >= target or fit.done:
            break
    return {
        "parameters": sum(p.numel() for p in fit.network.parameters()),
        "batch": fit.recipe.batch,
        "passes": fit.seen / volume.grid.size,
        "complete": fit.done,
        "checks": [asdict(check) for check in seen],
    }

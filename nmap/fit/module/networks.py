"""Each kind of network in torch, with its stored tensors as parameters. Not to be changed: shapes and settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nmap.model import Field
from nmap.model.block_siren import BlockSiren, block_coordinates, wave_vectors, waves
from nmap.model.blocks import Blocks, Places
from nmap.model.fourier_features import FourierFeatures
from nmap.model.network import Network
from nmap.model.radial_basis import RadialBasis, Spread
from nmap.model.siren import Siren


class NetworkModule(nn.Module):
    """A network of one kind.

    Args:
        field: what the network is part of.

    Attributes:
        tensors: the parameters, under their name in the file with "_" for ".".
    """

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.names = tuple(field.network.tensors())
        self.tensors = nn.ParameterDict(
            {
                _plain(name): nn.Parameter(torch.from_numpy(np.array(values, np.float32)))
                for name, values in field.network.tensors().items()
            }
        )

    def stored(self) -> dict[str, NDArray[np.float32]]:
        """The parameters as they are now, under their names in the file."""
        return {name: self.tensors[_plain(name)].detach().cpu().numpy() for name in self.names}

    def values(self, t: Tensor) -> Tensor:
        """Values (n,) at network coordinates (n, 3), (z, y, x); kinds that have values at points."""
        raise NotImplementedError

    def lattice(self) -> Tensor | None:
        """M . u on the band-limit lattice, (z, y, x), where the kind has values there only; else None."""
        return None

    def sharpen(self, spectrum: Tensor) -> Tensor:
        """The half transform of u from that of `lattice`."""
        return spectrum


def _plain(name: str) -> str:
    return name.replace(".", "_")


class SirenModule(NetworkModule):
    """h' = sin(omega (W h + b)) layer after layer, then a linear or a sine output."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        network = field.network
        assert isinstance(network, Siren)
        self.omegas, self.output = network.omegas, network.output

    def values(self, t: Tensor) -> Tensor:
        """Values (n,) at network coordinates (n, 3), (z, y, x)."""
        p = self.tensors
        h = torch.sin(self.omegas[0] * (t @ p["first_weight"].T + p["first_bias"]))
        for omega, weight, bias in zip(self.omegas[1:], p["hidden_weight"], p["hidden_bias"], strict=False):
            h = torch.sin(omega * (h @ weight.T + bias))
        out: Tensor = (h @ p["last_weight"].T + p["last_bias"])[:, 0]
        return torch.sin(self.omegas[-1] * out) if self.output == "sine" else out


class FourierFeaturesModule(NetworkModule):
    """ReLU layers on cosines and sines."""

    def values(self, t: Tensor) -> Tensor:
        """Values (n,) at network coordinates (n, 3), (z, y, x)."""
        p = self.tensors
        phase = 2 * math.pi * (t @ p["frequencies"].T)
        h = torch.cat((p["amplitudes"] * torch.cos(phase), p["amplitudes"] * torch.sin(phase)), 1)
        layers = [(p["first_weight"], p["first_bias"])]
        layers += list(zip(p["hidden_weight"], p["hidden_bias"], strict=True))
        for weight, bias in layers:
            h = torch.relu(h @ weight.T + bias)
        out: Tensor = (h @ p["last_weight"].T + p["last_bias"])[:, 0]
        return out


class BlockSirenModule(NetworkModule):
    """A SIREN in blocks, on the points of the band-limit lattice that lie in the envelope."""

    flat: Tensor
    mask: Tensor
    block: Tensor
    x: Tensor
    basis: Tensor

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        network, grid = field.network, field.lattice_grid
        assert isinstance(network, BlockSiren)
        self.sizes, self.omegas, self._shape = network.sizes, network.omegas, grid.shape
        places = Places.of(grid, field.envelope, field.symmetry)
        blocks = Blocks.of(places.index(grid.shape), network.sizes.blocks, grid.shape)
        found = blocks.find(places.nearest(grid.shape))
        vectors = wave_vectors(network.sizes.waves, grid.shape)
        t = (places.fractions - np.asarray(field.frame.center)) / np.asarray(field.frame.half_width)
        fixed = {
            "flat": places.flat,
            "mask": places.mask,
            "block": found,
            "x": block_coordinates(places.steps, found, blocks, grid, network.radius),
            "basis": waves(t, vectors) if len(vectors) else np.zeros((len(t), 0), np.float32),
        }
        for name, values in fixed.items():
            self.register_buffer(name, torch.from_numpy(np.ascontiguousarray(values)), persistent=False)

    def lattice(self) -> Tensor:
        """M . u on the band-limit lattice, (z, y, x)."""
        layers = self.sizes.hidden + 1
        shapes = self.sizes.shapes(self.basis.shape[1])
        parts = torch.split(self.tensors["network"], [math.prod(s) for s in shapes])
        m = [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
        bases, maps, codes = m[layers : 2 * layers + 1], m[2 * layers + 1 : 3 * layers + 2], m[3 * layers + 2]
        given = [base[:, 0] + codes @ turn for base, turn in zip(bases, maps, strict=True)]
        h = self.x
        for omega, weight, bias in zip(self.omegas, m[:layers], given, strict=False):
            h = torch.sin(omega * (h @ weight.T + bias[self.block]))
        last = given[-1][self.block]
        u = (h * last[:, :-1]).sum(1) + last[:, -1]
        if self.basis.shape[1]:
            u = u + self.basis @ m[-1][:, 0]
        out = torch.zeros(math.prod(self._shape), dtype=u.dtype, device=u.device)
        return out.index_add(0, self.flat, u * self.mask).view(self._shape)


class RadialBasisModule(NetworkModule):
    """Weights on sites, added at all their copies. A weight of 0 stays 0: only sites that are set are parameters."""

    def __init__(self, field: Field) -> None:
        super().__init__(field)
        network = field.network
        assert isinstance(network, RadialBasis)
        self._set = torch.from_numpy(np.asarray(network.weights != 0))
        self._spread = None
        if field.symmetry is not None and field.symmetry.order > 1:
            sites = np.stack(np.nonzero(network.weights), -1)
            self._spread = Spread(sites, network.shape, field.lattice_grid, field.symmetry)

    def lattice(self) -> Tensor:
        """The weights and their copies on the lattice, (z, y, x)."""
        weights = self.tensors["weights"]
        set_there = self._set.to(weights.device)
        if self._spread is None:
            alone: Tensor = weights * set_there
            return alone
        out: Tensor = _Linear.apply(weights[set_there], self._spread)  # type: ignore[no-untyped-call]
        return out

    def sharpen(self, spectrum: Tensor) -> Tensor:
        """The half transform without what spreading did to it."""
        for axis, factors in enumerate([] if self._spread is None else self._spread.sharpening):
            shape = [-1 if a == axis else 1 for a in range(3)]
            spectrum = spectrum * torch.from_numpy(factors).to(spectrum.device).view(shape)
        return spectrum


class _Linear(torch.autograd.Function):
    """A linear operator that numpy computes, and its adjoint."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, operator: Any) -> Tensor:
        """The operator applied to weights (n,)."""
        ctx.operator = operator
        made = operator.forward(weights.detach().cpu().numpy())
        return torch.from_numpy(made).to(weights.device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Its adjoint applied to what comes back."""
        made = ctx.operator.adjoint(gradients[0].detach().cpu().numpy())
        return torch.from_numpy(made).to(gradients[0].device), None


MODULES: dict[type[Network], Callable[[Field], NetworkModule]] = {
    Siren: SirenModule,
    BlockSiren: BlockSirenModule,
    FourierFeatures: FourierFeaturesModule,
    RadialBasis: RadialBasisModule,
}

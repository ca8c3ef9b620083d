"""The whole composed field of a file as a torch module, differentiable in position and in weights; and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from nmap.coding.codings import encode_float
from nmap.errors import FormatError, OptionError
from nmap.fit.module.networks import MODULES, NetworkModule
from nmap.fit.module.polynomial import Scattered
from nmap.neural_map import NeuralMap
from nmap.sampling.grids import points_inside
from nmap.spectrum import Shells


class DensityModule(nn.Module):
    """density(x) = offset + scale * (g * (m . u))(x) as the file's decoder computes it.

    Args:
        neural_map: the file.

    Attributes:
        network: the network alone; its parameters are the file's tensors.
        gains: factor of each Fourier shell, a buffer; empty without a band limit.

    Raises:
        OptionError: a kind of network that has no module.
    """

    gains: Tensor

    def __init__(self, neural_map: NeuralMap) -> None:
        super().__init__()
        field = neural_map.field
        kind = type(field.network)
        if field.is_moved:
            raise OptionError(
                "a map of a series that has a motion: there is no torch module of it: sample it instead"
            )
        if kind not in MODULES:
            raise OptionError(
                f"model kind {field.network.kind!r} as a torch module: wanted one of "
                f"{', '.join(k.kind for k in MODULES)}"
            )
        self._map, self.network = neural_map, MODULES[kind](field)
        gains = np.zeros(0, np.float32) if field.gains is None else field.gains
        self.register_buffer("gains", torch.from_numpy(np.array(gains, np.float32)))
        self._scattered = None
        if field.band_limit is not None:
            self._shells = torch.from_numpy(Shells(field.lattice_grid).index.astype(np.int64))
            self._scattered = Scattered(field.lattice_grid.shape, field.degree)

    def forward(self, points_xyz: Tensor) -> Tensor:
        """Density at points, (..., 3) Cartesian (x, y, z) in Angstrom -> (...), float32.

        Outside the box it is the offset. The derivative by the points is that of the density per Angstrom.
        """
        field = self._map.field
        points = points_xyz.reshape(-1, 3)
        fractions = self._fractions(points)
        inside = torch.from_numpy(points_inside(field.box, fractions.detach().cpu().double().numpy()))
        inside = inside.to(points.device)
        if self._scattered is None:
            values = self._bare(fractions[inside])
        else:
            values = self._scattered.at(self._scattered.fine(self.spectrum()), fractions[inside])
        out = torch.zeros(len(points), dtype=torch.float32, device=points.device)
        out = out.index_put((inside,), field.scale * values.float())
        return (out + field.offset).reshape(points_xyz.shape[:-1])

    def spectrum(self) -> Tensor:
        """Half transform of g * (m . u) on the band-limit lattice, complex64 (z, y, x // 2 + 1).

        Raises:
            FormatError: the file has no band limit.
        """
        field = self._map.field
        if field.band_limit is None:
            raise FormatError("a file without a band limit has no spectrum")
        lattice = self.network.lattice()
        if lattice is None:
            lattice = self._on_lattice()
        spectrum = self.network.sharpen(torch.fft.rfftn(lattice))
        gains = self.gains if len(self.gains) else torch.ones(field.last_shell + 1, device=lattice.device)
        table = torch.cat((gains, gains.new_zeros(1)))
        return spectrum * table[self._shells.to(lattice.device).clamp(max=len(gains))]

    def _on_lattice(self) -> Tensor:
        """M . u of a kind with values at points, on the lattice."""
        grid, device = self._map.field.lattice_grid, self.gains.device
        axes = [torch.arange(n, dtype=torch.float64, device=device) / n for n in grid.shape]
        fractions = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        return torch.reshape(self._bare(fractions), grid.shape)

    def _bare(self, fractions: Tensor) -> Tensor:
        """M . u at box fractions (n, 3), (z, y, x)."""
        field = self._map.field
        folded = self._folded(fractions)
        frame = field.frame
        center, half = (
            torch.tensor(v, dtype=folded.dtype, device=folded.device)
            for v in (frame.center, frame.half_width)
        )
        values = self.network.values(((folded - center) / half).float())
        return values if field.envelope is None else torch.mul(values, self._envelope(folded).float())

    def _folded(self, fractions: Tensor) -> Tensor:
        """Box fractions in the asymmetric unit: each point turned by the operator that takes it there."""
        field = self._map.field
        if field.symmetry is None:
            return fractions
        box = torch.from_numpy(np.ascontiguousarray(field.box.box)).to(fractions)
        center = torch.tensor(field.symmetry.center).to(fractions)
        apart = fractions.flip(1) @ box.T - center
        _, index = field.symmetry.fold(apart.detach().cpu().numpy())
        turns = torch.from_numpy(field.symmetry.operators[index]).to(fractions)
        turned = torch.einsum("nij,nj->ni", turns, apart) + center
        back: Tensor = turned @ torch.linalg.inv(box).T
        return back.flip(1)

    def _envelope(self, fractions: Tensor) -> Tensor:
        """The soft mask: trilinear between the bits, then t * t * (3 - 2 t)."""
        envelope = self._map.field.envelope
        assert envelope is not None
        bits = torch.from_numpy(envelope.occupancy.astype(np.float32)).to(fractions)
        count = torch.tensor(envelope.shape, device=fractions.device)
        place = fractions * count
        low = torch.floor(place.detach())
        weight = place - low
        t = torch.zeros_like(place[:, 0])
        for corner in np.ndindex(2, 2, 2):
            step = torch.tensor(corner, device=fractions.device)
            z, y, x = torch.remainder(low.long() + step, count).unbind(1)
            share = torch.where(step.bool(), weight, 1 - weight).prod(1)
            t = t + bits[z, y, x] * share
        soft: Tensor = t * t * (3 - 2 * t)
        return soft

    def _fractions(self, points: Tensor) -> Tensor:
        """Box fractions (n, 3), (z, y, x), of Cartesian points, float64."""
        box = self._map.field.box
        inverse = torch.from_numpy(np.linalg.inv(box.box)).to(points.device)
        origin = torch.tensor(box.origin, dtype=torch.float64, device=points.device)
        return ((points.double() - origin) @ inverse.T).flip(1)


def from_torch(module: DensityModule) -> NeuralMap:
    """A map of a module's weights as they are now, stored as float32, with the rest of the file it was made from.

    What the record says of fidelity was measured before: it is left out.

    Raises:
        OptionError: not a module that `to_torch` made.
        FormatError: a weight that is not finite.
    """
    if not isinstance(module, DensityModule):
        raise OptionError(f"{type(module).__name__}: wanted a module that NeuralMap.to_torch made")
    made, network = module._map, module.network
    assert isinstance(network, NetworkModule)
    kept = {name: coded for name, coded in made.tensors.items() if name not in network.names}
    tensors = {name: encode_float(values, "F32") for name, values in network.stored().items()}
    field = made.field
    record = {group: items for group, items in made.record.items() if group not in ("fidelity", "thumbnail")}
    return NeuralMap.from_tensors(
        field.network.kind, field.network.settings(), {**kept, **tensors}, replace(field.frame), record
    )

"""From a target to a radial basis function network: the lattice, the search, and what a decoder will see."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.fft as sf
import torch
from numpy.typing import NDArray

from nmap.coding import CodedTensor, encode_lattice, encode_log
from nmap.errors import QualityError
from nmap.fit.options import EncodeOptions
from nmap.fit.prepare import Target
from nmap.fit.progress import Watch
from nmap.fit.radial import Lattice
from nmap.fit.search import Found, Goal, search, weights_of
from nmap.grid import Shape
from nmap.model.radial_basis import RadialBasis
from nmap.neural_map import NeuralMap
from nmap.spectrum import Shells, crop_spectrum
from nmap.symmetry import PointGroup

# The body-centred lattice's unit cell is sqrt(1/2) / radius wide: 2 sqrt(2) fine steps for each shell.
_STEPS_PER_SHELL = 2 * math.sqrt(2)
# Sites lie where the envelope exceeds this.
_INSIDE = 0.25


@dataclass(frozen=True, eq=False)
class Fitted:
    """A finished fit.

    Attributes:
        neural_map: as a file of it will decode, its record empty.
        found: the search's best.
        sites: how many sites could hold a weight.
    """

    neural_map: NeuralMap
    found: Found
    sites: int


def fine_lattice(target: Target) -> Shape:
    """Counts (z, y, x), multiples of 4, of the fine lattice that carries the sites of a target's band."""
    width = target.shells.width
    radius = (target.last + 0.5) * width
    counts = [
        4 * sf.next_fast_len(math.ceil(_STEPS_PER_SHELL * radius * edge / 4), True)
        for edge in target.lattice.edges[::-1]
    ]
    return (counts[0], counts[1], counts[2])


def lattice_of(
    target: Target, symmetry: PointGroup | None, device: torch.device, ceiling: NDArray[np.float32] | None = None
) -> Lattice:
    """Sites inside the envelope, in one asymmetric unit, and the whitened truth.

    Args:
        target: what to fit.
        symmetry: point group or None for C1.
        device: torch device.
        ceiling: highest correlation worth having, by shell, (last + 1,); None for 1.
    """
    shape = fine_lattice(target)
    grid = target.lattice.resampled(shape)
    truth = crop_spectrum(target.truth, target.lattice.shape, shape)
    shells = Shells(grid)
    power = (shells.sum(truth.real**2 + truth.imag**2) / np.maximum(shells.modes, 1))[: target.last + 1]
    inverse = np.zeros(target.last + 1, np.float32)
    used = power > 1e-12 * power[1:].max()
    used[0] = False
    inverse[used] = 1 / np.sqrt(power[used])
    truth *= shells.spread(inverse)
    mask = np.ones(shape, np.float32) if target.envelope is None else target.envelope.on_lattice(shape)
    parity = [np.arange(n) & 1 for n in shape]
    mask[(parity[0][:, None, None] != parity[1][:, None]) | (parity[1][:, None] != parity[2])] = 0
    sites = np.argwhere(mask > _INSIDE)
    if symmetry is not None:
        points = (sites / np.asarray(shape))[:, ::-1] @ grid.box.T - np.asarray(symmetry.center)
        sites = sites[symmetry.fold(points)[1] == 0]
    share = np.ones(target.last + 1, np.float32) if ceiling is None else ceiling
    return Lattice(shape, sites, truth, grid, target.last, symmetry, device, torch.from_numpy(share).to(device))


def fit_radial(
    target: Target,
    options: EncodeOptions,
    symmetry: PointGroup | None,
    watch: Watch,
    device: torch.device,
    ceiling: NDArray[np.float32] | None = None,
) -> Fitted:
    """Fit a radial basis function network.

    Args:
        target: what to fit.
        options: goal, effort, checkpoint.
        symmetry: point group or None for C1.
        watch: clock and listener.
        device: torch device.
        ceiling: as in `lattice_of`.

    Raises:
        QualityError: an explicit goal that the search could not meet.
    """
    watch.say("laying out the lattice")
    lattice = lattice_of(target, symmetry, device, ceiling)
    side = target.last + 1
    goal = Goal(options.goal_fsc, None if options.goal_bytes is None else max(options.goal_bytes - side, 1))
    began = time.monotonic()
    left = watch.left

    def report(found: Found, share: float) -> None:
        watch.fsc, watch.step = found.worst, found.sweeps
        watch.steps = round(found.sweeps / max(share, 0.01))
        seconds = (time.monotonic() - began) * (1 - share) / max(share, 0.01)
        watch.say(f"placing weights, {found.size} bytes", seconds if share > 0.05 else None, always=False)

    # A tenth of a short budget, and what coding takes, is kept for the rest of the job.
    deadline = math.inf if left is None else began + max(0.85 * left - 1.0 - len(lattice.sites) * 4e-6, 0.0)
    checkpoint = None if options.checkpoint is None else Path(options.checkpoint) / "radial"
    found = search(
        lattice,
        goal,
        options.effort,
        deadline=deadline,
        should_stop=watch.stopped,
        report=report,
        checkpoint=checkpoint,
    )
    cut_short = watch.stopped() or time.monotonic() >= deadline
    if options.explicit_goal and not found.meets and not cut_short:
        raise QualityError(_missed(goal, found, side, target.band_limit))
    return Fitted(_assembled(target, lattice, found, symmetry), found, len(lattice.sites))


def _missed(goal: Goal, found: Found, side: int, band_limit: float) -> str:
    if goal.worst_fsc is not None:
        return (
            f"worst shell to {band_limit:g} A reached {found.worst:.3f} of the wanted {goal.worst_fsc:g} in "
            f"{found.size + side} bytes: use a coarser --resolution, a wider --mask, or --target-fsc {found.worst:.2f}"
        )
    assert goal.max_bytes is not None
    return (
        f"the smallest network takes {found.size + side} bytes, wanted {goal.max_bytes + side}: "
        "use a coarser --resolution or allow more bytes"
    )


def _assembled(target: Target, lattice: Lattice, found: Found, symmetry: PointGroup | None) -> NeuralMap:
    """The network with the gains of least squared error in every shell, built from what a file stores."""
    weights = weights_of(lattice, found.q)
    box = target.density.grid
    spectrum = RadialBasis(weights.astype(np.float32)).spectrum(lattice.grid, symmetry)
    shells = Shells(lattice.grid)
    truth = crop_spectrum(target.truth, target.lattice.shape, lattice.shape)
    cross = shells.sum(truth.real * spectrum.real + truth.imag * spectrum.imag)
    own = shells.sum(spectrum.real**2 + spectrum.imag**2)
    gains = np.divide(cross, own, out=np.zeros_like(cross), where=own > 0)[: target.last + 1]
    gains = np.maximum(gains, 0)
    scale = float(gains.max()) or 1.0
    # The mean of the truth that shell 0 cannot give, where the weights' sum has the other sign, goes to the offset.
    rest = 0.0 if gains[0] > 0 else float(truth[0, 0, 0].real) / math.prod(lattice.shape)
    tensors: dict[str, CodedTensor] = {
        "weights": encode_lattice(weights),
        "gains": encode_log((gains / scale).astype(np.float32)),
    }
    return NeuralMap.from_tensors(
        RadialBasis.kind,
        {},
        tensors,
        box=box,
        offset=float(np.float32(target.solvent + rest)),
        scale=float(np.float32(scale)),
        band_limit=target.band_limit,
        lattice=lattice.shape,
        symmetry=symmetry,
    )

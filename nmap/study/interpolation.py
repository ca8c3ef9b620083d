"""How well a map sampled half as finely is known at the full sampling: networks against interpolation.

The source is lowered to half its sampling by a Fourier crop, so its Fourier modes within the new Nyquist
frequency are kept exactly. Every contender is then asked for the full grid, where the source itself is the truth:
up to the lowered map's Nyquist a result can be right, beyond it none can. (The corners of the lowered
map's Fourier cube reach beyond it, to 1.7 times as far; what an interpolation shows there is those.)

A network is lossy and the interpolations start from the lossless lowered map, so who is truer depends on the
measure (`contenders.MEASURES`) and on the fidelity asked of the network: each is stated for each.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import OptionError, QualityError
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.spectrum import CONVENTION, Shells, correlate_shells, transform
from nmap.study.contenders import F32, F64, MEASURES, OURS, Contender, Network, Referee, halved, interpolated

SAMPLING_LIMIT = 0.005
"""By how much the FSC on the full grid may differ from that on the encoded grid, in any shell."""


@dataclass(frozen=True)
class Missed:
    """A fidelity that could not be reached.

    Attributes:
        goal: worst-shell FSC that was asked for.
        reason: what the fit says.
    """

    goal: float
    reason: str


@dataclass(frozen=True)
class Standing:
    """A network beside a rival.

    Attributes:
        network: its name.
        rival: the rival's name.
        truer: by each of `MEASURES`, whether the network is truer.
        lower_error: shells in which the network's error is lower.
        higher_fsc: shells in which its FSC is higher.
        shells: that were counted.
    """

    network: str
    rival: str
    truer: dict[str, bool]
    lower_error: int
    higher_fsc: int
    shells: int


@dataclass(frozen=True, eq=False)
class Interpolation:
    """What the study found.

    Attributes:
        source: name of the map.
        full: grid of the source.
        lowered: grid that was encoded.
        lowered_gzip: bytes of the lowered map's float32 voxels as gzip packs them.
        mask: what the source was multiplied by first, in words.
        frequency: shell centres, 1/Angstrom.
        last: index of the last shell that lies wholly within the lowered map's Nyquist.
        counted: shells whose truth holds power.
        networks: one for each fidelity that was reached, in the order asked for.
        rivals: the interpolations, then whatever else was given.
        missed: fidelities that were not reached.
    """

    source: str
    full: Grid
    lowered: Grid
    lowered_gzip: int
    mask: str
    frequency: F64
    last: int
    counted: NDArray[np.bool_]
    networks: tuple[Network, ...]
    rivals: tuple[Contender, ...]
    missed: tuple[Missed, ...] = ()

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """Networks, then rivals."""
        return (*self.networks, *self.rivals)

    @property
    def judged(self) -> NDArray[np.intp]:
        """Indices of the counted shells from 1 to `last`."""
        return np.flatnonzero(self.counted[1 : self.last + 1]) + 1

    @property
    def sampling_loss(self) -> float:
        """Largest difference, over the counted shells to `last`, of a network's FSC on both grids."""
        kept = self.judged
        return max(
            (float(np.abs(n.fsc[kept] - n.encoded_fsc[kept]).max()) for n in self.networks), default=0.0
        )

    @property
    def holds(self) -> bool:
        """Whether sampling at the full grid loses nothing, to `SAMPLING_LIMIT`."""
        return self.sampling_loss <= SAMPLING_LIMIT

    @property
    def standings(self) -> list[Standing]:
        """Every network beside every rival."""
        kept = self.judged
        return [
            Standing(
                network=ours.name,
                rival=theirs.name,
                truer=ours.truer_than(theirs),
                lower_error=int((ours.error[kept] < theirs.error[kept]).sum()),
                higher_fsc=int((ours.fsc[kept] > theirs.fsc[kept]).sum()),
                shells=int(kept.size),
            )
            for ours in self.networks
            for theirs in self.rivals
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything, JSON-able."""
        return {
            "study": "interpolation",
            "source": self.source,
            "full_shape_zyx": list(self.full.shape),
            "full_voxel_size_xyz": list(self.full.voxel_size),
            "lowered_shape_zyx": list(self.lowered.shape),
            "lowered_voxel_size_xyz": list(self.lowered.voxel_size),
            "lowered_voxel_bytes": 4 * self.lowered.size,
            "lowered_gzip_bytes": self.lowered_gzip,
            "mask": self.mask,
            "convention": CONVENTION,
            "frequency": [float(f) for f in self.frequency],
            "last_shell": self.last,
            "counted": [bool(c) for c in self.counted],
            "sampling_loss": self.sampling_loss,
            "sampling_limit": SAMPLING_LIMIT,
            "measures": MEASURES,
            "networks": [network.to_json() for network in self.networks],
            "rivals": [rival.to_json() for rival in self.rivals],
            "missed": [{"goal_fsc": missed.goal, "reason": missed.reason} for missed in self.missed],
            "standings": [standing.__dict__ for standing in self.standings],
        }


def study_interpolation(
    source: DensityMap,
    options: EncodeOptions | None = None,
    *,
    goals: Sequence[float] | None = None,
    mask: DensityMap | None = None,
    mask_name: str = "none",
    others: dict[str, F32] | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Interpolation:
    """Lower a map to half its sampling, encode it, and set its decode at the full grid against interpolation.

    Args:
        source: the map, the truth.
        options: how to fit, `downsample` excepted; as `encode` does if None. Without a
            resolution the band limit is the lowered map's Nyquist.
        goals: worst-shell FSC that must be reached, a network for each; one that cannot be is named in
            `missed`. None: one network, by `options` as they are.
        mask: multiplied into the source first, for networks and rivals alike; 0 to 1 on the source's grid.
        mask_name: what to call it.
        others: more rivals by name, densities (z, y, x) on the source's grid.
        progress: called with how far the fit is.

    Raises:
        OptionError: a map too small to be halved, or options that do not suit it.
        GridError: a mask or rival that does not lie on the source.
        QualityError: a goal in `options` that cannot be reached.
    """
    options = options or EncodeOptions()
    if options.downsample != 1 or options.crop is not None:
        raise OptionError("downsample or crop in this study: it lowers the sampling itself; leave them out")
    if min(source.grid.shape) < 16:
        raise OptionError(f"{source.grid.shape} voxels (z, y, x): wanted at least 16 a side to halve")
    plans = _plans(options, goals)
    if mask is not None:
        source = DensityMap(source.values * mask.values, source.grid, source.header)
    lowered = halved(source)
    limit = options.resolution or 2 * max(lowered.grid.voxel_size)
    referee = _referee(source, lowered)
    networks: list[Network] = []
    missed: list[Missed] = []
    for name, plan in plans:
        try:
            networks.append(
                _network(name, replace(plan, resolution=limit), source, lowered, referee, progress)
            )
        except QualityError as error:
            if goals is None:
                raise
            missed.append(Missed(plan.goal_fsc, str(error)))
    volumes = {**interpolated(lowered, source.grid.shape), **(others or {})}
    return Interpolation(
        source=source.header.name if source.header else "map",
        full=source.grid,
        lowered=lowered.grid,
        lowered_gzip=len(gzip.compress(np.ascontiguousarray(lowered.values, "<f4").tobytes(), 6)),
        mask=mask_name,
        frequency=referee.shells.frequency,
        last=referee.last,
        counted=referee.counted,
        networks=tuple(networks),
        rivals=tuple(referee.measure(name, values) for name, values in volumes.items()),
        missed=tuple(missed),
    )


def _plans(options: EncodeOptions, goals: Sequence[float] | None) -> list[tuple[str, EncodeOptions]]:
    """Name and options of every network to fit."""
    if goals is None:
        return [(OURS, options)]
    if not goals:
        raise OptionError("no worst-shell FSC to reach: wanted at least one")
    if len(set(goals)) < len(goals):
        raise OptionError(f"worst-shell FSC {', '.join(f'{g:g}' for g in goals)}: name each once")
    plans = [replace(options, target_fsc=goal) for goal in goals]
    return [(OURS if len(goals) == 1 else f"{OURS} at {p.goal_fsc:g}", p) for p in plans]


def _referee(source: DensityMap, lowered: DensityMap) -> Referee:
    shells, truth = Shells(source.grid), transform(source.values)
    # The shell about the Nyquist frequency itself reaches half a shell beyond it.
    last = int(lowered.grid.nyquist / shells.width - 0.5 + 1e-6)
    negligible = correlate_shells(truth, truth, shells, "second").negligible
    return Referee(truth, shells, last, np.ones(shells.count, bool) if negligible is None else ~negligible)


def _network(
    name: str,
    options: EncodeOptions,
    source: DensityMap,
    lowered: DensityMap,
    referee: Referee,
    progress: Callable[[Progress], None] | None,
) -> Network:
    """Encode the lowered map, and measure the decode on both grids."""
    made = encode(lowered, options, progress=progress)
    measured = referee.measure(name, made.on_grid(source.grid))
    encoded = correlate_shells(
        transform(made.on_grid(lowered.grid)), transform(lowered.values), Shells(lowered.grid), "second"
    )
    notices: Any = made.record.get("fit", {}).get("notes") or ()
    return Network(
        **measured.__dict__,
        kind=made.field.network.kind,
        goal=options.goal_fsc,
        stored_bytes=sum(t.nbytes for t in made.tensors.values()),
        encoded_fsc=encoded.fsc,
        notes=tuple(notices),
    )

"""How to fit: what a caller may choose, checked before anything is read. Knows no torch."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

from nmap.errors import OptionError
from nmap.maps.reading import DensityMap
from nmap.point_group import PointGroup

WEIGHT_BITS = (2, 3, 4, 5, 6, 7, 8, 16)
MAX_FEATURES = 2048
MAX_LAYERS = 16
# Options that only networks of dense layers have.
DENSE = ("steps", "hidden_features", "hidden_layers", "omega0", "omega_hidden", "weight_bits")
# Worst-shell fidelity FSC of each preset.
PRESETS = {"small": 0.5, "balanced": 0.9, "faithful": 0.98}


@dataclass(frozen=True, eq=False)
class EncodeOptions:
    """What to fit, and how. None lets the fit choose from the map.

    Attributes:
        resolution: band limit in Angstrom, nothing finer is kept; None estimates it from the power spectrum.
        mask: "auto" finds the envelope, "none" has none, a map gives it (solvent where it is 0.5 or less).
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        seed: of all that is random; same seed, same device, same result (on a GPU to rounding).
        time_budget: seconds in which the fit answers with the best it has, storing and measuring included, as far
            as preparing the map leaves any; None for no limit.
        steps: training steps.
        arch: kind of network, "radial-basis", "siren" or "fourier-features"; None takes the first, or "siren"
            where an option of dense layers is given: steps, hidden_features, hidden_layers, omega0,
            omega_hidden or weight_bits.
        preset: "small", "balanced" or "faithful": a worst-shell FSC of 0.5, 0.9 or 0.98, without insisting.
        target_fsc: worst-shell fidelity FSC that must be reached, else QualityError.
        max_bytes: weights, gains and envelope must fit in this, else QualityError; the container (0.8 kB without
            its HDF5 side, some 4 kB with it) comes on top; radial-basis only.
        ratio: the same as how many times smaller than 4 bytes a voxel, at least 1; radial-basis only.
        effort: "low", "default" or "high": how long a radial-basis network is searched for.
        symmetry: "auto" takes the highest point group that holds, else "C1", "C4", "D7", "T", "O", "I", ...;
            radial-basis only, others are fitted as C1. With a given mask of one subunit the fit holds its copies too.
        symmetry_threshold: self-correlation inside the envelope from which a point group holds. With half maps it is
            that of what they share, and may fall short by two standard errors, at most 0.02.
        force_symmetry: take the given group even if it does not hold.
        checkpoint: folder in which a radial-basis fit keeps its state, and from which it goes on.
        blocks: blocks of a SIREN, 1 for one plain network; None lets the map decide, or takes one plain network
            where steps, hidden_features, hidden_layers, omega0, omega_hidden or weight_bits is given; siren only.
        hidden_features: neurons in a layer.
        hidden_layers: hidden layers after the first.
        omega0: sine factor of the first layer.
        omega_hidden: sine factor of the hidden layers; None for 30.
        weight_bits: bits of a stored hidden weight: 16 (float), or 2 to 8 (integers, one step per neuron); None
            for 6, and fewer as long as the goal is met.
        slice: axis ("x", "y" or "z") and voxel index of the one section to take before all else: a 2-D image.
        crop: central voxels a side to take first.
        downsample: whole factor by which to lower the sampling first, by a Fourier crop.
        half1: first half map, on the source's grid: with half2 it sets the band limit and what each shell
            is worth, and an automatic envelope grows until they do not correlate outside it; radial-basis only.
        half2: second half map.
        cross_validate: fit half1 alone, and report how far the decode agrees with half2, beside how far half1 does
            (`nmap.fit.half_maps.verdict`).

    Raises:
        OptionError: a value that cannot be used.
    """

    resolution: float | None = None
    mask: Literal["auto", "none"] | DensityMap = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    time_budget: float | None = None
    steps: int | None = None
    arch: Literal["radial-basis", "siren", "fourier-features"] | None = None
    preset: Literal["small", "balanced", "faithful"] = "balanced"
    target_fsc: float | None = None
    max_bytes: int | None = None
    ratio: float | None = None
    effort: Literal["low", "default", "high"] = "default"
    symmetry: str = "auto"
    symmetry_threshold: float = 0.99
    force_symmetry: bool = False
    checkpoint: str | os.PathLike[str] | None = None
    blocks: int | None = None
    hidden_features: int | None = None
    hidden_layers: int | None = None
    omega0: float | None = None
    omega_hidden: float | None = None
    weight_bits: int | None = None
    slice: tuple[Literal["x", "y", "z"], int] | None = None
    crop: int | None = None
    downsample: int = 1
    half1: DensityMap | None = None
    half2: DensityMap | None = None
    cross_validate: bool = False

    def __post_init__(self) -> None:
        dense = [name for name in DENSE if getattr(self, name) is not None]
        if self.arch is None:
            object.__setattr__(self, "arch", "siren" if dense or self.blocks else "radial-basis")
        elif self.arch == "radial-basis" and dense:
            raise OptionError(f"{dense[0]} with arch radial-basis, which has no layers: take arch siren")
        if self.blocks is not None and self.arch != "siren":
            raise OptionError(f"blocks with arch {self.arch}: only siren has them; leave it out")
        self._check_choices()
        _positive("resolution", self.resolution, "A")
        _positive("time budget", self.time_budget, "s")
        _positive("omega0", self.omega0)
        _positive("omega_hidden", self.omega_hidden)
        _positive("ratio", self.ratio)
        if self.ratio is not None and self.ratio < 1:
            raise OptionError(f"ratio {self.ratio:g}: wanted how many times smaller, at least 1")
        _share("target FSC", self.target_fsc)
        _share("symmetry threshold", self.symmetry_threshold)
        _whole("max bytes", self.max_bytes, 16, 1 << 40)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("steps", self.steps, 1, 10**8)
        _whole("blocks", self.blocks, 1, 1 << 20)
        _whole("hidden features", self.hidden_features, 4, MAX_FEATURES)
        _whole("hidden layers", self.hidden_layers, 1, MAX_LAYERS)
        if self.slice is not None and self.slice[0] not in ("x", "y", "z"):
            raise OptionError(f"slice across {self.slice[0]!r}: wanted x, y or z")
        _whole("slice", None if self.slice is None else self.slice[1], 0, 1 << 20)
        _whole("crop", self.crop, 8, 1 << 20)
        _whole("downsample", self.downsample, 1, 1 << 10)

    def _check_choices(self) -> None:
        if not isinstance(self.mask, DensityMap) and self.mask not in ("auto", "none"):
            raise OptionError(f"mask {self.mask!r}: wanted 'auto', 'none' or a map")
        for name, value, wanted in (
            ("device", self.device, ("auto", "cpu", "cuda")),
            ("arch", self.arch, ("radial-basis", "siren", "fourier-features")),
            ("preset", self.preset, tuple(PRESETS)),
            ("effort", self.effort, ("low", "default", "high")),
            ("weight bits", self.weight_bits, (None, *WEIGHT_BITS)),
        ):
            if value not in wanted:
                raise OptionError(
                    f"{name} {value!r}: wanted one of {', '.join(str(w) for w in wanted if w is not None)}"
                )

        self._check_halves()
        goals = [name for name in ("target_fsc", "max_bytes", "ratio") if getattr(self, name) is not None]
        if len(goals) > 1:
            raise OptionError(f"{' and '.join(goals)}: wanted one of them at most")
        if self.arch != "radial-basis":
            for name in ("max_bytes", "ratio", "checkpoint"):
                if getattr(self, name) is not None:
                    raise OptionError(f"{name} with arch {self.arch}: only radial-basis can; leave it out")
        if self.symmetry != "auto":
            group = PointGroup(self.symmetry)
            if self.arch != "radial-basis" and not self.in_blocks and group.name != "C1":
                raise OptionError(
                    f"symmetry {self.symmetry} with arch {self.arch}: only radial-basis and a siren in blocks can"
                )

    def _check_halves(self) -> None:
        if (self.half1 is None) != (self.half2 is None):
            given, missing = ("half1", "half2") if self.half2 is None else ("half2", "half1")
            raise OptionError(f"{given} without {missing}: wanted both half maps or none")
        if self.half1 is not None and self.arch != "radial-basis":
            raise OptionError(f"half1 with arch {self.arch}: only radial-basis can; leave the half maps out")
        if self.cross_validate and self.half1 is None:
            raise OptionError("cross_validate without half maps: wanted half1 and half2")

    @property
    def in_blocks(self) -> bool:
        """Whether a SIREN is fitted in blocks: it is, unless one plain network or a size of its layers is asked for."""
        if self.arch != "siren" or self.blocks == 1:
            return False
        return self.blocks is not None or all(getattr(self, name) is None for name in DENSE)

    @property
    def goal_fsc(self) -> float:
        """Worst-shell fidelity FSC to aim at: the target, or the preset's."""
        return PRESETS[self.preset] if self.target_fsc is None else self.target_fsc

    def goal_bytes(self, voxels: int) -> int | None:
        """Bytes that a map of so many voxels may take; None for no limit."""
        return self.max_bytes if self.ratio is None else max(int(4 * voxels / self.ratio), 1)


def _share(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1:
        raise OptionError(f"{name} {value:g}: wanted a number between 0 and 1")


def _positive(name: str, value: float | None, unit: str = "") -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise OptionError(f"{name} {value:g} {unit}".rstrip() + ": wanted a positive number")


def _whole(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not (isinstance(value, int) and least <= value <= most):
        raise OptionError(f"{name} {value!r}: wanted a whole number from {least} to {most}")

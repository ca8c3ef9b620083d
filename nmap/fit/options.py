"""How to fit: what a caller may choose, checked before anything is read. Knows no torch."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

from nmap.errors import OptionError
from nmap.maps import DensityMap
from nmap.model.block_siren import BlockSiren
from nmap.model.kinds import CHOICES, KINDS
from nmap.model.siren import Siren
from nmap.point_group import PointGroup
from nmap.remote import is_remote

WEIGHT_BITS = (2, 3, 4, 5, 6, 7, 8, 16)
MAX_FEATURES = 2048
MAX_LAYERS = 16
# Goals in bytes, which a bare network has too: its size is its layers'.
_SIZES = ("max_bytes", "ratio")
GainRule = Literal["power", "least-squares"]
# Worst-shell fidelity FSC of each preset: docs/fidelity.md measures what each keeps of the atoms.
PRESETS = {"preview": 0.9, "faithful": 0.995, "near-lossless": 0.999}
# Where the solvent is noise so is much of what is finest in the molecule: the atoms are kept at this goal, and 0.995
# would take 1.6 times the bytes.
FAITHFUL_IN_NOISE = 0.99


Map = DensityMap | str | os.PathLike[str]
"""A density map, or the path of its MRC/CCP4 file."""


@dataclass(frozen=True, eq=False)
class EncodeOptions:
    """What to fit, and how. None lets the fit choose from the map.

    Each kind of network states which of these it has (`nmap.model.kinds`); an option that the chosen kind lacks is
    refused.

    Attributes:
        resolution: band limit in Angstrom, nothing finer is kept; None estimates it from the power spectrum.
        mask: "auto" finds the envelope, "none" has none, a map or its path gives it (solvent where it is 0.5 or less).
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        seed: of all that is random; same seed, same device, same result (on a GPU to rounding).
        time_budget: seconds after which the fit stops with the best it has. Time to store and measure it is kept back.
            Each step that has begun is finished, so the answer may come later: a notice says by how much. Where it
            is too short for the kind of network, and `arch` is None, a quicker kind is fitted, and a notice says so.
        steps: training steps.
        arch: kind of network, a name in `nmap.model.kinds.KINDS`; None takes the first kind that has all the options
            which are given: a SIREN as a rule, a radial basis with half maps. "siren" is one in blocks, "block-siren",
            unless sizes of layers, steps or weight bits are given without blocks.
        preset: what the file is for, as a worst-shell FSC to aim at without insisting. "preview" (0.9) loses side
            chains. "faithful" (0.995; 0.99 inside a mask in noisy solvent) keeps them. "near-lossless" errs by 1/4
            of the map's own noise in every shell where half maps or solvent tell it, else by a worst shell of 0.999,
            and cuts off no solvent.
        target_fsc: worst-shell fidelity FSC that must be reached, else QualityError.
        max_bytes: weights, gains and envelope must fit in this, else QualityError; the container (2 kB without
            its HDF5 side, 5 kB with it) comes on top.
        ratio: the same as how many times smaller than 4 bytes a voxel, at least 1.
        effort: "low", "default" or "high": how long a network is searched for.
        symmetry: "auto" takes the highest point group that holds, else "C1", "C4", "D7", "T", "O", "I", ... Kinds
            without this option are fitted as C1. With a given mask of one subunit the fit holds its copies too.
        symmetry_threshold: self-correlation inside the envelope from which a point group holds. With half maps it is
            that of what they share, and may fall short by two standard errors, at most 0.02.
        force_symmetry: take the given group even if it does not hold.
        checkpoint: folder in which a fit keeps its state, and from which it goes on.
        blocks: blocks of a SIREN; None lets the map decide. 1, or an option that only a plain network has, makes
            it a plain one.
        hidden_features: neurons in a layer.
        hidden_layers: hidden layers after the first.
        omega0: sine factor of the first layer.
        omega_hidden: sine factor of the hidden layers; None for 30.
        weight_bits: bits of a stored hidden weight: 16 (float), or 2 to 8 (integers, one step per neuron); None
            for 6, and fewer as long as the goal is met.
        bare: a plain SIREN of the whole box, as other programs evaluate it: density = offset + scale * SIREN(x), in
            16-bit floats, without envelope, gains, band limit, symmetry or blocks. It aims at `target_fsc` only;
            else it is as large as the layers, `max_bytes` or `ratio` say, or as the map asks for.
        slice: axis ("x", "y" or "z") and voxel index of the one section to take before all else: a 2-D image.
        crop: central voxels a side to take first.
        downsample: whole factor by which to lower the sampling first, by a Fourier crop.
        gains: "power" gives each shell of the decode the strength that it has in the source, where it can be
            trusted; "least-squares" the strength of least error, which is a little less.
        contour: the map's recommended contour level, kept in the record with the level at which the decode encloses
            as much.
        half1: first half map or its path, on the source's grid: with half2 it sets the band limit and what each shell
            is worth, and an automatic envelope grows until they do not correlate outside it.
        half2: second half map or its path.
        cross_validate: fit half1 alone, and report how far the decode agrees with half2, beside how far half1 does
            (`nmap.fit.target.half_maps.cross_validation`).

    Raises:
        OptionError: a value that cannot be used.
    """

    resolution: float | None = None
    mask: Map = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    time_budget: float | None = None
    steps: int | None = None
    arch: str | None = None
    preset: Literal["preview", "faithful", "near-lossless"] = "faithful"
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
    bare: bool = False
    slice: tuple[Literal["x", "y", "z"], int] | None = None
    crop: int | None = None
    downsample: int = 1
    gains: GainRule = "power"
    contour: float | None = None
    half1: Map | None = None
    half2: Map | None = None
    cross_validate: bool = False

    _is_open: ClassVar[bool] = False

    def __post_init__(self) -> None:
        asked = self.arch
        if self.bare:
            self._make_bare()
        elif self.arch is None:
            object.__setattr__(self, "arch", self._fitting_kind())
            object.__setattr__(self, "_is_open", True)
        elif self.arch == Siren.kind and self._is_in_blocks():
            object.__setattr__(self, "arch", BlockSiren.kind)
        if self.blocks == 1 and self.arch in (Siren.kind, BlockSiren.kind):
            object.__setattr__(self, "arch", Siren.kind)
            object.__setattr__(self, "blocks", None)
        self._check_choices()
        self._check_kind(asked)
        _positive("resolution", self.resolution, "A")
        _positive("time_budget", self.time_budget, "s")
        _positive("omega0", self.omega0)
        _positive("omega_hidden", self.omega_hidden)
        _positive("ratio", self.ratio)
        if self.ratio is not None and self.ratio < 1:
            raise OptionError(f"`ratio` {self.ratio:g}: wanted how many times smaller, at least 1")
        if self.contour is not None and not math.isfinite(self.contour):
            raise OptionError(f"`contour` {self.contour:g}: wanted a finite number")
        _share("target_fsc", self.target_fsc)
        _share("symmetry_threshold", self.symmetry_threshold)
        _whole("max_bytes", self.max_bytes, 16, 1 << 40)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("steps", self.steps, 1, 10**8)
        _whole("blocks", self.blocks, 1, 1 << 20)
        _whole("hidden_features", self.hidden_features, 4, MAX_FEATURES)
        _whole("hidden_layers", self.hidden_layers, 1, MAX_LAYERS)
        if self.slice is not None and self.slice[0] not in ("x", "y", "z"):
            raise OptionError(f"`slice` across {self.slice[0]!r}: wanted x, y or z")
        _whole("slice", None if self.slice is None else self.slice[1], 0, 1 << 20)
        _whole("crop", self.crop, 8, 1 << 20)
        _whole("downsample", self.downsample, 1, 1 << 10)

    def _make_bare(self) -> None:
        """Make what a bare network implies explicit, and refuse what has no meaning for it."""
        for name, allowed, why in (
            ("arch", (None, Siren.kind), "it is a siren"),
            ("blocks", (None, 1), "it is one network"),
            ("mask", ("auto", "none"), "it holds the whole box"),
            ("symmetry", ("auto", "C1", "c1"), "it is fitted as C1"),
            ("gains", ("power",), "it has none"),
            ("weight_bits", (None, 16), "its weights are 16-bit floats"),
            ("preset", ("faithful",), "its goal is `target_fsc`, `max_bytes` or `hidden_features`"),
        ):
            value = getattr(self, name)
            if isinstance(value, DensityMap) or value not in allowed:
                shown = "of a map" if isinstance(value, DensityMap) else f"{value!s:.60}"
                raise OptionError(f"`{name}` {shown} with `bare`: {why}; leave one of the two out")
        for name, value in (("arch", Siren.kind), ("blocks", None), ("mask", "none"), ("symmetry", "auto")):
            object.__setattr__(self, name, value)

    def _check_choices(self) -> None:
        for name in ("mask", "half1", "half2"):
            value = getattr(self, name)
            if value is not None and not (name == "mask" and value in ("auto", "none")):
                _map(name, value)
        for name, value, wanted in (
            ("device", self.device, ("auto", "cpu", "cuda")),
            ("arch", self.arch, tuple(KINDS)),
            ("preset", self.preset, tuple(PRESETS)),
            ("gains", self.gains, ("power", "least-squares")),
            ("effort", self.effort, ("low", "default", "high")),
            ("weight_bits", self.weight_bits, (None, *WEIGHT_BITS)),
        ):
            if value not in wanted:
                raise OptionError(
                    f"`{name}` {value!r}: wanted one of {', '.join(str(w) for w in wanted if w is not None)}"
                )
        goals = [name for name in ("target_fsc", "max_bytes", "ratio") if getattr(self, name) is not None]
        if len(goals) > 1:
            given = " and ".join(f"`{name}`" for name in goals)
            raise OptionError(f"{given}: wanted one of them at most; leave the other out")
        if self.symmetry != "auto":
            PointGroup(self.symmetry)
        if (self.half1 is None) != (self.half2 is None):
            given, missing = ("half1", "half2") if self.half2 is None else ("half2", "half1")
            raise OptionError(f"`{given}` needs `{missing}`: wanted both half maps or none")
        if self.cross_validate and self.half1 is None:
            raise OptionError("`cross_validate` needs half maps: wanted `half1` and `half2`")

    def _chosen(self) -> list[str]:
        """Options beside the defaults that not every kind has; C1 is a symmetry that any kind can have."""
        special = {name for kind in KINDS.values() for name in kind.options}
        return [
            field.name
            for field in fields(self)
            if field.name in special
            and getattr(self, field.name) != field.default
            and not (field.name == "symmetry" and self.symmetry.upper() == "C1")
        ]

    def _fitting_kind(self) -> str:
        """The first kind that has all the options that are given, else the one that lacks the fewest."""
        given = self._chosen()

        def lacks(name: str) -> tuple[int, bool]:
            plain = name == BlockSiren.kind and not self._is_in_blocks()
            return sum(option not in KINDS[name].options for option in given), plain

        return min(CHOICES, key=lacks)

    @property
    def quicker_kind(self) -> str | None:
        """The kind to fit where time is too short for `arch`; None where that was asked for, or has no such kind."""
        kind = KINDS[str(self.arch)].quicker
        if not (self._is_open and kind) or any(name not in KINDS[kind].options for name in self._chosen()):
            return None
        return kind

    def _is_in_blocks(self) -> bool:
        """Whether a SIREN is fitted in blocks: unless one plain network, or what only plain ones have, is asked for."""
        if self.blocks is not None:
            return self.blocks > 1
        return all(getattr(self, name) is None for name in Siren.options)

    def _check_kind(self, asked: str | None) -> None:
        """Refuse an option that the kind of network does not have; `asked` is the kind that the caller gave."""
        chosen = [name for name in self._chosen() if not (self.bare and name in _SIZES)]
        lacking = [name for name in chosen if name not in KINDS[str(self.arch)].options]
        if not lacking:
            return
        option = lacking[0]
        if self.bare:
            raise OptionError(
                f"{_called(option)} with `bare`: a plain siren has none; leave one of the two out"
            )
        having = [name for name in CHOICES if option in KINDS[name].options]
        if asked is None:
            others = [name for name in chosen if not any(name in KINDS[kind].options for kind in having)]
            others = [name for name in others or chosen if name not in (option, "half2")]
            wanted = " and ".join(_called(name) for name in others)
            raise OptionError(f"{_called(option)} with {wanted}: no kind of network has both; leave one out")
        blocks = (
            ", which is block-siren by `blocks`" if asked == Siren.kind and self.blocks is not None else ""
        )
        only = " and ".join(having) + (" are" if len(having) > 1 else " is")
        left = "the half maps" if option == "half1" else f"`{option}`"
        raise OptionError(
            f"{_called(option)} with `arch` {asked}{blocks}: only {only} fitted with that so far: give another "
            f"`arch`, or leave {left} out"
        )

    @property
    def keeps_noise(self) -> bool:
        """Whether the map's own noise is to be kept: nothing is cut off then, but constant solvent."""
        return self.preset == "near-lossless" and self.target_fsc is None and not self.cross_validate

    @property
    def goal_fsc(self) -> float:
        """Worst-shell fidelity FSC to aim at: the target, or the preset's; 0 for a bare network without a target."""
        if self.bare and self.target_fsc is None:
            return 0.0
        return PRESETS[self.preset] if self.target_fsc is None else self.target_fsc

    def goal_for(self, in_noise: bool) -> float:
        """The same, for a map that is fitted inside a mask in noisy solvent, or not."""
        if in_noise and self.preset == "faithful" and self.target_fsc is None and not self.bare:
            return FAITHFUL_IN_NOISE
        return self.goal_fsc

    def goal_bytes(self, voxels: int) -> int | None:
        """Bytes that a map of so many voxels may take; None for no limit."""
        return self.max_bytes if self.ratio is None else max(int(4 * voxels / self.ratio), 1)


def _called(option: str) -> str:
    """An option in a message; half maps come as two."""
    return "half maps (`half1`, `half2`)" if option == "half1" else f"`{option}`"


def _map(name: str, value: Any) -> None:
    """Refuse what is neither a map nor the path of a file."""
    wanted = "wanted 'auto', 'none', a map or its path" if name == "mask" else "wanted a map or its path"
    if isinstance(value, DensityMap):
        return
    if not isinstance(value, str | os.PathLike):
        raise OptionError(f"`{name}` {value!r:.60}: {wanted}")
    if not is_remote(os.fspath(value)) and not Path(value).is_file():
        raise OptionError(f"`{name}` {os.fspath(value)!r}: there is no such file: {wanted}")


def _share(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1:
        raise OptionError(f"`{name}` {value:g}: wanted a number between 0 and 1")


def _positive(name: str, value: float | None, unit: str = "") -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise OptionError(f"`{name}` {value:g} {unit}".rstrip() + ": wanted a positive number")


def _whole(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not (isinstance(value, int) and least <= value <= most):
        raise OptionError(f"`{name}` {value!r}: wanted a whole number from {least} to {most}")

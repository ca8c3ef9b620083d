"""How to fit: what a caller may choose, checked before anything is read. Knows no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from nmap.errors import OptionError
from nmap.maps import DensityMap

WEIGHT_BITS = (2, 3, 4, 5, 6, 7, 8, 16)
MAX_FEATURES = 2048
MAX_LAYERS = 16


@dataclass(frozen=True, eq=False)
class EncodeOptions:
    """What to fit, and how. None lets the fit choose from the map.

    Attributes:
        resolution: band limit in Angstrom, nothing finer is kept; None estimates it from the power spectrum.
        mask: "auto" finds the envelope, "none" has none, a map gives it (solvent where it is 0.5 or less).
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        seed: of all that is random; same seed, same device, same result.
        time_budget: seconds that the whole fit may take; None for no limit.
        steps: training steps.
        arch: kind of network, "siren" or "fourier-features".
        hidden_features: neurons in a layer.
        hidden_layers: hidden layers after the first.
        omega0: sine factor of the first layer.
        omega_hidden: sine factor of the hidden layers.
        weight_bits: bits of a stored hidden weight: 16 (float), or 2 to 8 (integers, one step per neuron).
        crop: central voxels a side to take first.
        downsample: whole factor by which to lower the sampling first, by a Fourier crop.

    Raises:
        OptionError: a value that cannot be used.
    """

    resolution: float | None = None
    mask: Literal["auto", "none"] | DensityMap = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    time_budget: float | None = None
    steps: int | None = None
    arch: Literal["siren", "fourier-features"] = "siren"
    hidden_features: int | None = None
    hidden_layers: int | None = None
    omega0: float | None = None
    omega_hidden: float = 30.0
    weight_bits: int = 6
    crop: int | None = None
    downsample: int = 1

    def __post_init__(self) -> None:
        self._check_choices()
        _positive("resolution", self.resolution, "A")
        _positive("time budget", self.time_budget, "s")
        _positive("omega0", self.omega0)
        _positive("omega_hidden", self.omega_hidden)
        _whole("seed", self.seed, 0, 2**63 - 1)
        _whole("steps", self.steps, 1, 10**8)
        _whole("hidden features", self.hidden_features, 4, MAX_FEATURES)
        _whole("hidden layers", self.hidden_layers, 1, MAX_LAYERS)
        _whole("crop", self.crop, 8, 1 << 20)
        _whole("downsample", self.downsample, 1, 1 << 10)

    def _check_choices(self) -> None:
        if not isinstance(self.mask, DensityMap) and self.mask not in ("auto", "none"):
            raise OptionError(f"mask {self.mask!r}: wanted 'auto', 'none' or a map")
        for name, value, wanted in (
            ("device", self.device, ("auto", "cpu", "cuda")),
            ("arch", self.arch, ("siren", "fourier-features")),
            ("weight bits", self.weight_bits, WEIGHT_BITS),
        ):
            if value not in wanted:
                raise OptionError(f"{name} {value!r}: wanted one of {', '.join(map(str, wanted))}")


def _positive(name: str, value: float | None, unit: str = "") -> None:
    if value is not None and not (math.isfinite(value) and value > 0):
        raise OptionError(f"{name} {value:g} {unit}".rstrip() + ": wanted a positive number")


def _whole(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not (isinstance(value, int) and least <= value <= most):
        raise OptionError(f"{name} {value!r}: wanted a whole number from {least} to {most}")

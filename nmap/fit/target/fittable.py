"""What a map must hold for a network to be fitted to it, told before torch is loaded."""

from __future__ import annotations

import numpy as np

from nmap.errors import MapError, OptionError, VoxelSizeError
from nmap.maps import DensityMap

# Band limits beyond these, Angstrom, a `.nmap` does not hold (specification, 5).
_FINEST = 1e-3
_COARSEST = 1e6
# Transforms are squared in single precision: they are at most the span of the values times their number, and what
# is this small vanishes.
_LARGEST = 1e19
_SMALLEST = 1e-20
# Largest skewness and excess kurtosis of noise. White and smoothed noise of 32 to 100 voxels an edge has at most 0.14
# and 0.16; the middles of EMD-0093, 3488 and 11007, all molecule, have 0.85 to 1.3 and 1.1 to 2.2, whole maps more.
_NOISE_SKEWNESS = 0.2
_NOISE_KURTOSIS = 0.3
# Values that tell both well enough.
_ENOUGH = 1 << 20


def check_density(density: DensityMap, name: str = "") -> None:
    """Refuse a map that no network can be fitted to.

    Args:
        density: the map.
        name: what the refusal begins with.

    Raises:
        MapError: every voxel is the same, or the values are too large or too small for single precision.
        VoxelSizeError: the voxels are so small or so large that no file holds the band limit.
    """
    finest = 1 / density.grid.nyquist
    if not _FINEST <= finest < _COARSEST:
        raise VoxelSizeError(
            f"{name}voxels of {finest / 2:.3g} A: wanted {_FINEST / 2:g} A or more, and less than {_COARSEST / 2:g} A: "
            "give the true voxel size"
        )
    low, high = float(density.values.min()), float(density.values.max())
    if not high > low:
        raise MapError(
            f"{name}every voxel is {low + 0.0:g}: there is no density to fit: give another map or part of it"
        )
    most = _LARGEST / density.values.size
    if not _SMALLEST <= high - low <= most:
        raise MapError(
            f"{name}the values span {high - low:.3g}: wanted {_SMALLEST:g} to {most:.2g}, as single precision can be "
            "squared: multiply the map by a factor"
        )


def check_contour(density: DensityMap, level: float | None) -> None:
    """Refuse a contour level that encloses all of a map, or nothing of it.

    Args:
        density: the map.
        level: in its units; None for none.

    Raises:
        OptionError: it lies beyond the map's values.
    """
    if level is None:
        return
    low, high = float(density.values.min()), float(density.values.max())
    if not low <= level < high:
        raise OptionError(f"contour level {level:g}: wanted one between the map's {low:.4g} and {high:.4g}")


def like_noise(density: DensityMap) -> tuple[float, float] | None:
    """Skewness and excess kurtosis of a map whose values are spread as those of noise; None for others."""
    flat = density.values.reshape(-1)
    values = flat[:: flat.size // _ENOUGH | 1].astype(np.float64)
    values -= values.mean()
    squares = values * values
    variance = float(squares.mean())
    skewness = float((squares * values).mean()) / variance**1.5
    kurtosis = float((squares * squares).mean()) / variance**2 - 3
    return (
        (skewness, kurtosis) if abs(skewness) < _NOISE_SKEWNESS and abs(kurtosis) < _NOISE_KURTOSIS else None
    )


def nothing_left(shape: tuple[int, ...]) -> MapError:
    """What to raise where a mask leaves no point of the lattice `shape` (z, y, x) to fit."""
    return MapError(
        f"no site of the band limit's lattice, {shape} (z, y, x), lies where the mask leaves density: there is "
        "nothing to fit: give a finer resolution or a wider mask"
    )

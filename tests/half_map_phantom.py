"""A phantom molecule with a known truth and two noisy half maps of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nmap.grid import Grid
from nmap.maps import DensityMap


@dataclass(frozen=True, eq=False)
class Phantom:
    """The truth, both halves, their average, a mask, and the resolution at which the halves correlate by 1/7."""

    clean: DensityMap
    half1: DensityMap
    half2: DensityMap
    average: DensityMap
    mask: DensityMap
    resolution: float


def phantom(n: int = 48, voxel: float = 1.5, resolution: float = 5.0, seed: int = 3) -> Phantom:
    """Atoms of B = 80 A^2 in six overlapping globules of an n^3 box.

    The signal-to-noise ratio inside the mask falls exponentially with frequency, from 100 at 20 A to 1/6 (a
    half-map FSC of 1/7) at the resolution.
    """
    rng = np.random.default_rng(seed)
    globules = n / 2 + rng.uniform(-0.18, 0.18, (6, 3)) * n
    atoms = (globules[:, None] + rng.normal(0, 0.055 * n, (6, 150, 3))).reshape(-1, 3)
    counts = np.zeros((n, n, n))
    np.add.at(counts, tuple(np.rint(atoms).astype(int).T % n), 1.0)
    axes = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), np.fft.rfftfreq(n), indexing="ij")
    radius = np.sqrt(sum(axis**2 for axis in axes)) / voxel

    def filtered(values: np.ndarray, factor: np.ndarray) -> np.ndarray:
        return np.fft.irfftn(np.fft.rfftn(values) * factor, s=(n, n, n), axes=(0, 1, 2))

    clean = filtered(counts, np.exp(-20 * radius**2))
    clean /= clean.std()
    near = filtered(counts, np.exp(-2 * (np.pi * radius * 4) ** 2))
    mask = near > 0.08 * near.max()
    shell = np.rint(radius * n * voxel).astype(int)
    power = np.bincount(shell.ravel(), np.abs(np.fft.rfftn(clean)).ravel() ** 2) / np.bincount(shell.ravel())
    frequency = np.arange(power.size) / (n * voxel)
    snr = np.exp(np.interp(frequency, [0, 0.05, 1 / resolution, 1], np.log([200, 100, 1 / 6, 1e-4])))
    level = np.sqrt(power / snr / mask.mean() / n**3)[shell]
    halves = [clean + filtered(rng.standard_normal((n, n, n)), level) for _ in range(2)]
    grid = Grid((n, n, n), (voxel,) * 3)
    every = (clean, *halves, (halves[0] + halves[1]) / 2, mask)
    maps = [DensityMap(np.ascontiguousarray(values, np.float32), grid) for values in every]
    return Phantom(maps[0], maps[1], maps[2], maps[3], maps[4], resolution)

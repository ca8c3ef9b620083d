"""What tests measure on: atoms at known places, half maps of a known truth, networks of known density."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from nmap.coding.codings import CodedTensor, encode_float, encode_occupancy
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.model import FourierFeatures, Frame, Network, Siren
from nmap.neural_map import NeuralMap
from nmap.spectrum import lattice_shape


def gaussian_atoms(grid: Grid, places: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian atoms of height 1 on a constant solvent of 0.

    Args:
        grid: where to sample; its origin and angles do not count.
        places: (n, 3), (x, y, z), Angstrom from the first voxel.
        sigma: of each atom, Angstrom.

    Returns:
        (z, y, x), float32; 0 where it is below 1e-4.
    """
    nz, ny, nx = grid.shape
    x, y, z = (
        np.exp(-((np.arange(n) * step - at[:, None]) ** 2) / (2 * sigma**2))
        for n, step, at in zip((nx, ny, nz), grid.voxel_size, np.transpose(places), strict=True)
    )
    out = np.einsum("nz,ny,nx->zyx", z, y, x, optimize=True)
    out[out < 1e-4] = 0
    return np.asarray(out, np.float32)


def turned(places: np.ndarray, operators: np.ndarray, centre: tuple[float, ...]) -> np.ndarray:
    """Places (n, 3) about a centre and their copies under rotations (k, 3, 3): (n * k, 3), all (x, y, z)."""
    return np.einsum("kij,nj->nki", operators, places).reshape(-1, 3) + np.asarray(centre)


def ball_of_atoms(
    shape: tuple[int, int, int], centre: np.ndarray, radius: float, *, count: int, blur: float, seed: int = 0
) -> np.ndarray:
    """Atoms at random in a ball of a periodic box; centre (z, y, x), radius and blur in voxels."""
    import scipy.ndimage as ndi  # not above: a test asks what decoding a phantom loads

    rng = np.random.default_rng(seed)
    places = rng.normal(size=(count, 3))
    places *= (
        radius * rng.uniform(0, 1, (count, 1)) ** (1 / 3) / np.linalg.norm(places, axis=1, keepdims=True)
    )
    out = np.zeros(shape)
    np.add.at(out, tuple(np.rint(places + centre).astype(int).T % np.reshape(shape, (3, 1))), 1.0)
    return ndi.gaussian_filter(out, blur, mode="wrap")


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


def siren(
    width: int = 16, hidden: int = 2, *, seed: int = 0, omega: float = 4.0, output: str = "linear"
) -> Siren:
    """A random network, initialised as the SIREN paper says."""
    rng = np.random.default_rng(seed)
    bound = np.sqrt(6 / width) / omega

    def uniform(limit: float, *shape: int) -> np.ndarray:
        return rng.uniform(-limit, limit, shape).astype(np.float32)

    return Siren(
        uniform(1.0, width, 3),
        uniform(1.0, width),
        uniform(bound, hidden, width, width),
        uniform(bound, hidden, width),
        uniform(bound if output == "sine" else 0.5, 1, width),
        uniform(0.5, 1),
        omegas=(omega,) * (hidden + 1 + (output == "sine")),
        output=output,
    )


def fourier_features(m: int = 12, width: int = 16, hidden: int = 2, *, seed: int = 0) -> FourierFeatures:
    """A random network."""
    rng = np.random.default_rng(seed)

    def normal(scale: float, *shape: int) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    return FourierFeatures(
        normal(1.0, m, 3),
        normal(1.0, m),
        normal(0.4, width, 2 * m),
        normal(0.4, width),
        normal(0.4, hidden, width, width),
        normal(0.4, hidden, width),
        normal(0.4, 1, width),
        normal(0.4, 1),
    )


def waves(frequencies: list[tuple[int, int, int]], amplitudes: list[float], phases: list[float]) -> Siren:
    """The sum of amplitude * sin(2 pi k . f + phase) over the box, k and f in (z, y, x); one neuron each.

    Network coordinates are t = 2 f - 1, so that 2 pi k . f = pi k . t + pi (kz + ky + kx).
    """
    k = np.array(frequencies, np.float64)
    omega = 10.0
    weight, bias = np.pi * k / omega, (np.pi * k.sum(1) + np.array(phases)) / omega
    width = len(k)
    return Siren(
        weight.astype(np.float32),
        bias.astype(np.float32),
        np.zeros((0, width, width), np.float32),
        np.zeros((0, width), np.float32),
        np.array([amplitudes], np.float32),
        np.zeros(1, np.float32),
        omegas=(omega,),
    )


def constant(value: float = 1.0) -> Siren:
    """The same value everywhere."""
    return Siren(
        np.zeros((1, 3), np.float32),
        np.zeros(1, np.float32),
        np.zeros((0, 1, 1), np.float32),
        np.zeros((0, 1), np.float32),
        np.zeros((1, 1), np.float32),
        np.array([value], np.float32),
        omegas=(1.0,),
    )


def neural_map(
    network: Network,
    box: Grid,
    *,
    resolution: float | None = None,
    gains: np.ndarray | None = None,
    occupancy: np.ndarray | None = None,
    **field: Any,
) -> NeuralMap:
    """A neural map of float32 tensors, gains included: no coding loses anything."""
    tensors: dict[str, CodedTensor] = {name: encode_float(v) for name, v in network.tensors().items()}
    if gains is not None:
        tensors["gains"] = encode_float(gains)
    if occupancy is not None:
        tensors["envelope"] = encode_occupancy(occupancy)
    if resolution is not None:
        field.setdefault("lattice", lattice_shape(box, resolution))
    record = field.pop("record", None)
    frame = Frame(box, band_limit=resolution, **field)
    return NeuralMap.from_tensors(network.kind, network.settings(), tensors, frame, record)

"""Where the molecule is found, and where the map is admitted not to tell."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from phantoms import ball_of_atoms, phantom

from nmap.envelope.automatic import automatic_mask, constant_solvent, solvent_value
from nmap.envelope.envelope import Envelope
from nmap.fit.target.envelope import choose_envelope
from nmap.grid import Grid
from nmap.maps import read_map
from nmap.spectrum import Shells, fsc

GRID = Grid((48, 48, 48), (1.5, 1.5, 1.5))
BAND_LIMIT = 5.0


def atoms(centre, radius=10.0, count=120, seed=0) -> np.ndarray:
    """A ball of Gaussian atoms about a point (z, y, x) in Angstrom, in the periodic box."""
    middle = np.asarray(centre) / 1.5
    return ball_of_atoms(GRID.shape, middle, radius / 1.5, count=count, blur=1.0, seed=seed)


def inside(centre, radius) -> np.ndarray:
    """Voxels within a radius (Angstrom) of a point, in the periodic box."""
    axes = [(np.arange(48) * 1.5 - c + 36) % 72 - 36 for c in centre]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    return z**2 + y**2 + x**2 < radius**2


def found(values: np.ndarray) -> np.ndarray:
    """Voxels of GRID in the envelope that a file would store of the mask found."""
    made = automatic_mask(values.astype(np.float32), GRID, BAND_LIMIT)
    assert made.mask is not None, made.outcome
    return Envelope.covering(made.mask, made.grid, BAND_LIMIT).on_lattice(GRID.shape) > 0.5


def noise(sigma: float, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sigma, GRID.shape)


def test_a_molecule_in_noise_is_held_and_most_solvent_is_not():
    mask = found(atoms((36, 36, 36)) + noise(0.02))
    assert mask[inside((36, 36, 36), 9)].mean() > 0.99
    assert mask[~inside((36, 36, 36), 24)].mean() < 0.02


def test_a_masked_map_is_told_from_its_constant_solvent():
    values = (atoms((36, 36, 36)) + noise(0.02)) * inside((36, 36, 36), 16)
    assert constant_solvent(values.astype(np.float32)) == 0
    mask = found(values)
    assert mask[inside((36, 36, 36), 9)].mean() > 0.99
    assert mask.mean() < 0.25


def test_solvent_of_a_masked_map_is_its_constant_and_of_another_the_median_outside():
    values = np.where(inside((36, 36, 36), 16), atoms((36, 36, 36)), 0.7).astype(np.float32)
    assert solvent_value(values) == pytest.approx(0.7)
    noisy = (atoms((36, 36, 36)) + noise(0.05) - 2).astype(np.float32)
    assert solvent_value(noisy, inside((36, 36, 36), 20).astype(np.float32)) == pytest.approx(-2, abs=0.01)


def test_two_bodies_are_held_and_a_speck_is_dropped():
    speck = 0.04 * inside((60, 60, 60), 2.0)
    mask = found(atoms((20, 20, 20)) + atoms((44, 44, 20), seed=1) + noise(0.02) + speck)
    assert mask[inside((20, 20, 20), 9)].mean() > 0.99
    assert mask[inside((44, 44, 20), 9)].mean() > 0.99
    assert not mask[inside((60, 60, 60), 2)].any()


def test_a_molecule_that_crosses_the_boxs_face_stays_whole():
    mask = found(atoms((0, 36, 36)) + noise(0.02))
    assert mask[inside((0, 36, 36), 9)].mean() > 0.99
    assert mask[~inside((0, 36, 36), 24)].mean() < 0.02


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_mask_does_not_depend_on_the_maps_scale_and_level(scale):
    values = atoms((36, 36, 36)) + noise(0.02)
    assert (found(scale * (values + 3)) == found(values)).mean() > 0.999


def test_noise_is_everything():
    assert automatic_mask(noise(1.0).astype(np.float32), GRID, BAND_LIMIT).mask is None


def test_a_box_full_of_density_is_everything(data_dir):
    density = read_map(data_dir / "EMD-3197.map")
    made = automatic_mask(density.values, density.grid, 25.0)
    assert made.mask is None
    assert made.outcome.rule == "everything"


def test_gold_beads_do_not_make_a_molecule_of_a_tomogram():
    values = ndi.gaussian_filter(noise(1.0), 1.0)
    values -= 3 * inside((20, 20, 20), 3) + 3 * inside((50, 30, 40), 3)
    assert automatic_mask(values.astype(np.float32), GRID, BAND_LIMIT).mask is None


@pytest.mark.parametrize("seed", [3, 7])
def test_half_maps_do_not_correlate_outside_the_envelope_of_a_map_whose_noise_hides_it(seed):
    known = phantom(n=64, seed=seed)
    grid = known.clean.grid
    chosen = choose_envelope(known.average, "auto", known.resolution, solvent_value(known.average.values))
    assert chosen.envelope is not None
    assert chosen.outcome.seen_at > known.resolution
    inside = chosen.envelope.on_lattice(grid.shape)
    assert inside.mean() < 0.3
    outside = fsc(known.half1.values, known.half2.values, grid, 1 - inside)
    assert (outside.fsc[1 : Shells(grid).last(known.resolution) + 1] < 0.143).all()
    signal = (known.clean.values - np.median(known.clean.values)) ** 2
    assert (signal * (1 - inside)).sum() < 0.001 * signal.sum()


def solvent_noise(kind: str, seed: int) -> np.ndarray:
    """Noise of unit variance: white, coloured (amplitude as 1 / frequency), or patchy."""
    rng = np.random.default_rng(seed)
    out = rng.normal(size=GRID.shape)
    if kind == "coloured":
        frequency = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(48)] * 3, indexing="ij")))
        out = np.fft.ifftn(np.fft.fftn(out) / np.maximum(frequency, 1 / 48)).real
    elif kind == "patchy":
        field = ndi.gaussian_filter(rng.normal(size=GRID.shape), 6, mode="wrap")
        out *= np.exp(0.7 * field / field.std())
    return out / out.std()


def faint_part(centre, occupancy=0.25) -> np.ndarray:
    """A ball of atoms, present in a quarter of the particles, that move by 4 A (rms along each axis)."""
    return occupancy * ndi.gaussian_filter(atoms(centre, 9.0, seed=2), 4 / 1.5, mode="wrap")


@pytest.mark.parametrize("kind", ["white", "patchy"])
@pytest.mark.parametrize("seed", range(4))
def test_a_part_that_moves_is_held_whole(kind, seed):
    part = faint_part((36, 36, 49))
    values = (atoms((36, 36, 26)) + part + 0.01 * solvent_noise(kind, seed)).astype(np.float32)
    mask = found(values)
    assert (part * mask).sum() > 0.98 * part.sum()
    assert mask[~inside((36, 36, 26), 24) & ~inside((36, 36, 49), 24)].mean() < 0.02
    assert automatic_mask(values, GRID, BAND_LIMIT).outcome.parts_seen_at == pytest.approx(10)


@pytest.mark.parametrize("kind", ["white", "coloured", "patchy"])
@pytest.mark.parametrize("sigma", [0.001, 0.01])
@pytest.mark.parametrize("seed", range(5))
def test_nothing_joins_the_molecule_where_there_is_only_solvent(kind, sigma, seed):
    values = (atoms((36, 36, 26)) + sigma * solvent_noise(kind, seed)).astype(np.float32)
    made = automatic_mask(values, GRID, BAND_LIMIT)
    assert made.mask is not None
    assert made.outcome.parts_seen_at is None


@pytest.mark.parametrize("seed", range(4))
def test_a_body_that_moves_apart_from_the_molecule_is_held_too(seed):
    body = faint_part((4, 4, 60))
    values = (atoms((36, 36, 26)) + body + 0.01 * solvent_noise("white", seed)).astype(np.float32)
    mask = found(values)
    assert (body * mask).sum() > 0.95 * body.sum()
    assert mask.mean() < 0.25  # two balls with the envelope's margin


@pytest.mark.parametrize(
    "what, part",
    [("a trough", -faint_part((36, 36, 49))), ("chance, far away", faint_part((4, 4, 60), occupancy=0.1))],
)
def test_neither_a_trough_nor_what_may_be_chance_joins_the_molecule(what, part):
    values = atoms((36, 36, 26)) + part + 0.01 * solvent_noise("white", 0)
    made = automatic_mask(values.astype(np.float32), GRID, BAND_LIMIT)
    assert made.mask is not None
    assert made.outcome.parts_seen_at is None, what


@pytest.mark.parametrize("ratio", [0.05, 0.3, 1.0])
def test_a_crowded_tomogram_is_everything_and_it_is_said(ratio):
    rng = np.random.default_rng(5)
    crowd = np.zeros(GRID.shape, np.float32)
    for centre in rng.uniform(0, 72, (60, 3)):
        crowd += atoms(centre, radius=8.0, count=60, seed=int(centre[0] * 1000))
    values = crowd + rng.normal(0, crowd.std() / np.sqrt(ratio), GRID.shape)
    made = automatic_mask(values.astype(np.float32), GRID, BAND_LIMIT)
    assert made.mask is None
    assert made.outcome.rule == "everything" and made.outcome.why is not None

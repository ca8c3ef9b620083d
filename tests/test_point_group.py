"""Which point group a map has: in noise, where only half maps tell, and under a mask of one subunit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage as ndi
from phantoms import gaussian_atoms, turned

from nmap.envelope.envelope import Envelope
from nmap.errors import QualityError
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.target.copies import union_of_copies
from nmap.fit.target.self_correlation import Found, box_centre, choose, measure
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.point_group import PointGroup
from nmap.spectrum import Shells, fsc, invert, transform

GRID = Grid((48, 48, 48), (1.5,) * 3, (10.0, -20.0, 5.0))
RESOLUTION = 4.5


def atoms(group: str, count: int, seed: int = 0) -> np.ndarray:
    """Gaussian atoms about voxel n/2 with their copies under a group."""
    rng = np.random.default_rng(seed)
    places = turned(rng.uniform(-15, 15, (count, 3)), PointGroup(group).operators, (36.0, 36.0, 36.0))
    return gaussian_atoms(GRID, places, 1.6)


def mask_of(clean: np.ndarray) -> np.ndarray:
    near = ndi.gaussian_filter(clean, 2)
    return ndi.gaussian_filter((near > 0.1 * near.max()).astype(np.float32), 1)


def noise_of(clean: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
    """Noise whose power inside grows from 1/100 of the signal's at 20 A to six times it at the resolution."""
    shells = Shells(GRID)
    power = shells.sum(np.abs(transform(clean * mask)) ** 2) / shells.modes
    ratio = np.exp(np.interp(shells.frequency, [0.05, 1 / RESOLUTION], np.log([0.01, 6.0])))
    level = np.sqrt(power * ratio / float((mask**2).mean()) / GRID.size)
    white = transform(np.random.default_rng(seed).standard_normal(GRID.shape, np.float32))
    return invert(white * shells.spread(level.astype(np.float32)), GRID.shape)


def halves_of(clean: np.ndarray, mask: np.ndarray, seed: int = 100) -> tuple[np.ndarray, np.ndarray]:
    return clean + noise_of(clean, mask, seed), clean + noise_of(clean, mask, seed + 50)


@pytest.fixture(scope="module", name="fourfold")
def make_fourfold() -> tuple[np.ndarray, np.ndarray]:
    clean = atoms("C4", 25)
    return clean, mask_of(clean)


def found(halves, mask, wanted: str = "auto", *, known: bool = True) -> tuple[str, Found]:
    """The group chosen for the halves' average, and its or the highest correlation."""
    average = (halves[0] + halves[1]) / 2
    group, table = choose(average, GRID, mask, RESOLUTION, wanted, halves=halves if known else None)
    name = "C1" if group is None else group.name
    best = max(table, key=lambda one: (one.group == group, one.correlation))
    return name, best


def test_noise_hides_symmetry_from_a_map_alone_but_not_from_its_half_maps(fourfold):
    halves = halves_of(*fourfold)
    name, best = found(halves, fourfold[1], known=False)
    assert name == "C1" and best.group.name in ("C2", "C4") and best.correlation < 0.8
    name, best = found(halves, fourfold[1])
    assert name == "C4" and best.correlation + best.doubt >= 0.99 and 0.005 < best.error < 0.03


def test_symmetrised_noise_is_as_symmetric_as_the_signal(fourfold):
    clean, mask = fourfold
    # About voxel n/2 a quarter turn of the even box is a turn of the array and a shift by one.
    halves = tuple(
        clean + sum(np.roll(np.rot90(n, k, (1, 2)), (k in (1, 2), k in (2, 3)), (1, 2)) for k in range(4)) / 2
        for n in (noise_of(clean, mask, seed) for seed in (1, 2))
    )
    name, best = found(halves, mask)
    assert name == "C4" and best.correlation > 0.995


def test_half_maps_do_not_make_a_pseudo_symmetry_hold():
    """Four subunits of which two opposite ones hold a fifth more atoms: C2, and nearly C4."""
    clean = atoms("C4", 20) + atoms("C2", 8, seed=1)
    mask = mask_of(clean)
    truth = measure(clean, GRID, mask, RESOLUTION, ["C4", "C2"])
    assert truth[0].correlation < 0.95 and truth[1].correlation > 0.99
    halves = halves_of(clean, mask)
    assert found(halves, mask)[0] == "C2"
    with pytest.raises(QualityError, match=r"C4 .* correlation of only 0\.\d+ \+- 0\.0\d+ inside"):
        found(halves, mask, "C4")


def test_half_maps_of_a_lone_molecule_stay_c1():
    clean = atoms("C1", 90)
    mask = mask_of(clean)
    name, best = found(halves_of(clean, mask), mask)
    assert name == "C1" and best.correlation < 0.5


@pytest.mark.parametrize("group", ["C2", "C4", "O"])
def test_the_error_of_a_self_correlation_is_its_scatter(group):
    """With some atoms that break the symmetry, so that nothing is clipped at 1."""
    clean = atoms(group, 96 // PointGroup(group).order) + atoms("C1", 12, seed=5)
    mask = mask_of(clean)
    made = [
        measure(clean, GRID, mask, RESOLUTION, [group], halves=halves_of(clean, mask, seed))[0]
        for seed in range(16)
    ]
    scatter = float(np.std([one.correlation for one in made], ddof=1))
    assert 0.6 < scatter / float(np.mean([one.error for one in made])) < 1.6


def test_a_mask_of_one_subunit_does_not_spoil_the_symmetry(fourfold):
    clean, mask = fourfold
    y, x = np.meshgrid(np.arange(48) - 24, np.arange(48) - 24, indexing="ij")
    one = mask * ((x > 0) & (y >= 0))
    assert choose(clean, GRID, one, RESOLUTION, "C4")[1][0].correlation > 0.99
    group, _ = choose(clean, GRID, one, RESOLUTION, "auto")
    assert group is not None and group.name == "C4"
    lone = atoms("C1", 90)
    with pytest.raises(QualityError, match="C4"):
        choose(lone, GRID, mask_of(lone) * ((x > 0) & (y >= 0)), RESOLUTION, "C4")


def test_a_symmetric_fit_in_the_mask_of_one_subunit_holds_all_of_them(fourfold):
    clean, mask = fourfold
    y, x = np.meshgrid(np.arange(48) - 24, np.arange(48) - 24, indexing="ij")
    one = DensityMap((mask * ((x > 0) & (y >= 0))).astype(np.float32), GRID)
    density = DensityMap(clean, GRID)
    options = EncodeOptions(
        arch="radial-basis", resolution=RESOLUTION, mask=one, symmetry="C4", effort="low", device="cpu"
    )
    made = encode(density, options)
    assert made.field.symmetry is not None
    assert made.record["fit"]["mask"]["copies"] == "C4"
    assert fsc(made.as_array(), clean * mask, GRID).worst(RESOLUTION) > 0.85


def test_copies_of_a_quarter_fill_the_circle_and_a_symmetric_mask_needs_none():
    bits = np.zeros((8, 8, 8), bool)
    bits[2:7, 4:7, 5:7] = True
    centre = box_centre(GRID)
    group = PointGroup("C4", centre)
    grid = GRID.resampled((16, 16, 16))
    found = union_of_copies(Envelope(bits), GRID, group)
    assert found is not None and found.grid.matches(grid)
    union = found.values
    own = Envelope(bits).on_lattice(grid.shape) > 0.5
    assert (union[own] == 1).all()
    assert union.sum() == pytest.approx(4 * own.sum(), rel=0.25)
    turned = np.roll(np.rot90(union, 1, (1, 2)), 1, 1)
    assert (turned == union).mean() > 0.98
    ball = np.zeros((8, 8, 8), bool)
    ball[2:7, 2:7, 2:7] = True
    assert union_of_copies(Envelope(ball), GRID, group) is None


def test_a_symmetric_cross_validation_of_halves_with_noise_of_their_own_does_better_than_half_one(fourfold):
    clean, mask = fourfold
    half1, half2 = (DensityMap(half, GRID) for half in halves_of(clean, mask))
    options = EncodeOptions(
        resolution=RESOLUTION,
        mask=DensityMap((mask > 0.5).astype(np.float32), GRID),
        half1=half1,
        half2=half2,
        cross_validate=True,
        effort="low",
        device="cpu",
    )
    made = encode(DensityMap((half1.values + half2.values) / 2, GRID), options)
    assert made.field.symmetry is not None and made.field.symmetry.name == "C4"
    last = Shells(GRID).last(RESOLUTION)
    margin = (
        fsc(made.as_array(), half2.values, GRID, mask).fsc - fsc(half1.values, half2.values, GRID, mask).fsc
    )
    assert (margin[4 : last + 1] > 0).all() and margin[8 : last + 1].mean() > 0.05

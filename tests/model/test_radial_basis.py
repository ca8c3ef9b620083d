"""Radial basis function networks against sums of bumps known in closed form."""

import numpy as np
import pytest

from nmap.coding.codings import encode_lattice, encode_log
from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, LimitError
from nmap.grid import Grid
from nmap.model import Field, Frame, RadialBasis
from nmap.neural_map import NeuralMap
from nmap.point_group import PointGroup

EDGE = 40.0


def network(
    sites: dict[tuple[int, int, int], int], *, gains=None, symmetry=None, shape=(24, 24, 24)
) -> NeuralMap:
    weights = np.zeros(shape, np.int8)
    for place, weight in sites.items():
        weights[place] = weight
    tensors = {"weights": encode_lattice(weights)}
    if gains is not None:
        tensors["gains"] = encode_log(np.asarray(gains, np.float32))
    return NeuralMap.from_tensors(
        "radial-basis",
        {},
        tensors,
        Frame(
            Grid((20, 20, 20), (EDGE / 20,) * 3, (3.0, -5.0, 7.0)),
            band_limit=5.2,
            lattice=shape,
            scale=2.0,
            offset=0.5,
            symmetry=symmetry,
        ),
    )


def bump(points: np.ndarray, centre: np.ndarray, last: int = 7) -> np.ndarray:
    """Sum of all Fourier modes of the box up to a shell, by brute force."""
    k = np.arange(-last - 1, last + 2)
    h = np.stack(np.meshgrid(k, k, k, indexing="ij"), -1).reshape(-1, 3)
    h = h[np.floor(np.linalg.norm(h, axis=1) + 0.5) <= last]
    return np.cos(2 * np.pi / EDGE * ((points - centre) @ h.T)).sum(1) / 24**3


@pytest.fixture
def points() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, EDGE, (50, 3)) + np.array([3.0, -5.0, 7.0])


def test_a_weight_is_a_bump_at_its_site(points):
    neural = network({(6, 10, 3 * 2): 3, (5, 9, 11): -2})
    first = np.array([6, 10, 6]) * EDGE / 24 + np.array([3.0, -5.0, 7.0])
    second = np.array([11, 9, 5]) * EDGE / 24 + np.array([3.0, -5.0, 7.0])
    wanted = 0.5 + 2 * (3 * bump(points, first) - 2 * bump(points, second))
    np.testing.assert_allclose(neural.sample(points), wanted, atol=2e-6)


def test_gains_shape_the_bump(points):
    only = np.zeros(8)
    only[3] = 1.0
    neural = network({(12, 12, 12): 1}, gains=only)
    centre = np.full(3, EDGE / 2) + np.array([3.0, -5.0, 7.0])
    wanted = 0.5 + 2 * (bump(points, centre, 3) - bump(points, centre, 2))
    np.testing.assert_allclose(neural.sample(points), wanted, atol=2e-6)


@pytest.mark.parametrize("name", ["C4", "C7", "D7", "O", "I"])
def test_every_copy_of_a_site_is_there(name, points):
    group = PointGroup(name, (EDGE / 2,) * 3)
    neural = network({(15, 13, 19): 2, (12, 12, 20): 1}, symmetry=group)
    centre = np.full(3, EDGE / 2)
    wanted = np.zeros(len(points))
    for site, weight in (([19, 13, 15], 2), ([20, 12, 12], 1)):
        for operator in group.operators:
            place = operator @ (np.array(site) * EDGE / 24 - centre) + centre
            wanted += weight * bump(points, place + np.array([3.0, -5.0, 7.0]))
    np.testing.assert_allclose(neural.sample(points), 0.5 + 2 * wanted, atol=2e-5 * np.ptp(wanted))


@pytest.mark.parametrize(
    ("name", "tolerance"), [("C4", 1e-5), ("D2", 1e-5), ("O", 1e-5), ("C3", 0.1), ("D5", 0.1), ("I1", 0.1)]
)
def test_the_density_is_symmetric(name, tolerance, points):
    # Exactly for groups that the lattice has; else but for the tails of the neighbouring boxes' bumps.
    group = PointGroup(name, (EDGE / 2,) * 3)
    smooth = np.exp(-((np.arange(8) / 2.2) ** 2))
    neural = network({(13, 13, 15): 2, (11, 13, 13): -1}, gains=smooth, symmetry=group)
    centre = np.full(3, EDGE / 2) + np.array([3.0, -5.0, 7.0])
    near = centre + (points - centre) * 0.3
    here = neural.sample(near)
    for operator in group.operators[1:4]:
        turned = neural.sample((near - centre) @ operator.T + centre)
        np.testing.assert_allclose(turned, here, atol=tolerance * np.ptp(here))


def test_a_decode_holds_nothing_beyond_the_band_limit():
    neural = network({(6, 10, 6): 3, (5, 9, 11): -2})
    power = np.abs(np.fft.fftn(neural.as_array((40, 40, 40)) - 0.5)) ** 2
    k = np.fft.fftfreq(40) * 40
    radius = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)
    assert power[np.floor(radius + 0.5) > 7].sum() < 1e-8 * power.sum()


def test_weights_that_do_not_fit_the_lattice_are_refused():
    weights = RadialBasis(np.zeros((24, 24, 24), np.float32))
    with pytest.raises(FormatError, match="wanted the lattice"):
        Field(weights, Frame(Grid((20, 20, 20), (2.0,) * 3), band_limit=5.2, lattice=(28, 28, 28)))
    with pytest.raises(FormatError, match="without a band limit"):
        Field(weights, Frame(Grid((20, 20, 20), (2.0,) * 3)))
    with pytest.raises(FormatError, match="with an envelope"):
        Field(
            weights,
            Frame(Grid((20, 20, 20), (2.0,) * 3), band_limit=5.2, lattice=(24, 24, 24)),
            envelope=Envelope(np.ones((2, 2, 2), bool)),
        )


def test_a_lattice_too_coarse_for_its_sites_to_carry_the_band_is_refused():
    weights = RadialBasis(np.zeros((16, 16, 16), np.float32))
    with pytest.raises(FormatError, match=r"wanted 2.8 times \(7, 7, 7\)"):
        Field(weights, Frame(Grid((20, 20, 20), (2.0,) * 3), band_limit=5.2, lattice=(16, 16, 16)))


def test_a_weight_beside_the_sites_is_refused():
    weights = np.zeros((24, 24, 24), np.float32)
    weights[2, 4, 7] = 1
    with pytest.raises(FormatError, match="beside the sites"):
        RadialBasis.build({}, {"weights": weights})


def test_whole_numbers_stay_bytes_in_memory():
    assert network({(6, 10, 6): 3}).field.network.weights.dtype == np.int8


def test_copies_of_more_sites_than_the_lattice_has_are_refused_before_they_are_added():
    shape = (64, 64, 64)
    weights = np.zeros(shape, np.int8)
    weights[::4, ::4, ::4] = 1  # 4096 of 65536 sites
    box = Grid((40, 40, 40), (1.0, 1.0, 1.0))

    def decoded(group: str) -> NeuralMap:
        frame = Frame(box, band_limit=4.0, lattice=shape, symmetry=PointGroup(group, (19.3, 20.1, 19.8)))
        return NeuralMap.from_tensors("radial-basis", {}, {"weights": encode_lattice(weights)}, frame)

    assert np.isfinite(decoded("C16").as_array()).all()
    with pytest.raises(LimitError, match=r"4096 sites in 17 copies each \(C17\): at most 65536 are added"):
        decoded("C17").as_array()

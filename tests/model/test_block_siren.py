"""The block SIREN: blocks of equal counts, values against the plain SIREN, symmetry, a band limit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError
from nmap.grid import Grid
from nmap.model import BlockSiren, Field, Frame, Siren
from nmap.model.block_siren import BlockSizes, amplitude_count, wave_vectors, waves
from nmap.model.blocks import Blocks, Places, _touches
from nmap.point_group import PointGroup

BOX = Grid((24, 20, 22), (1.5, 1.4, 1.6))
OMEGAS = (4.0, 2.0, 2.0)


def ball(shape: tuple[int, int, int], radius: float) -> Envelope:
    at = np.indices(shape) - np.array(shape)[:, None, None, None] // 2
    return Envelope(np.linalg.norm(at, axis=0) <= radius)


def network(sizes: BlockSizes, seed: int = 0, amplitudes: int = 0) -> BlockSiren:
    count = sum(rows * columns for rows, columns in sizes.shapes(amplitudes))
    numbers = np.random.default_rng(seed).normal(0, 0.3, count).astype(np.float32)
    return BlockSiren(numbers, sizes, OMEGAS[: sizes.hidden + 1], 5.0)


@pytest.mark.parametrize("count", [1, 2, 7, 64, 300])
def test_blocks_hold_as_many_points_each_give_or_take_one(count: int) -> None:
    shape = (24, 20, 22)
    index = Places.of(BOX, ball((12, 10, 11), 4), None).index(shape)
    blocks = Blocks.of(index, count, shape)
    sizes = np.bincount(blocks.find(index), minlength=count)
    assert sizes.sum() == len(index)
    assert sizes.max() - sizes.min() <= 1


def test_a_block_lies_in_its_box_and_no_point_elsewhere_is_nearer_to_its_middle() -> None:
    shape = (16, 16, 16)
    index = np.stack(np.unravel_index(np.arange(16**3), shape), -1)
    blocks = Blocks.of(index, 8, shape)
    found = blocks.find(index)
    assert_allclose(np.sort(blocks.centers, 0)[[0, -1]], [[3.5] * 3, [11.5] * 3])
    assert (np.abs(index - blocks.centers[found]) <= (blocks.widths[found] - 1) / 2).all()
    assert (blocks.widths == 8).all()


def test_more_blocks_than_points_are_refused() -> None:
    with pytest.raises(FormatError, match="lattice points inside"):
        Blocks.of(np.zeros((3, 3), np.int64), 4, (4, 4, 4))


def test_one_block_without_codes_is_the_plain_siren() -> None:
    sizes = BlockSizes(blocks=1, width=8, hidden=2, code=2, waves=-1)
    made = network(sizes, 2)
    matrices = made._matrices
    matrices[-1][:] = 0
    made = BlockSiren(np.concatenate([m.ravel() for m in matrices]).astype(np.float32), sizes, OMEGAS, 5.0)
    lattice = Grid((12, 12, 12), (2.0, 2.0, 2.0))
    values = made.on_lattice(Frame(lattice, band_limit=6.0, lattice=lattice.shape), None)
    w0, w1, w2, b0, b1, b2, last = (m.astype(np.float32) for m in matrices[:7])
    plain = Siren(w0, b0[:, 0], np.stack((w1, w2)), np.stack((b1, b2))[..., 0], last[:-1].T, last[-1], OMEGAS)
    index = np.stack(np.unravel_index(np.arange(12**3), (12,) * 3), -1)
    assert_allclose(values.ravel(), plain((index - 5.5) * 2.0 / 5.0), atol=2e-5)


def test_the_waves_are_those_of_whole_number_vectors() -> None:
    vectors = wave_vectors(2, (8, 8, 8))
    assert len(vectors) == 10 and amplitude_count(vectors) == 19  # 0, 3 axes, 6 diagonals
    assert not wave_vectors(2, (8, 1, 8))[:, 1].any()
    t = np.array([[0.5, -0.25, 1.0]])
    basis = waves(t, vectors)[0]
    axis = vectors.tolist().index([0, 0, 1])
    assert_allclose(
        basis[2 * axis - 1 : 2 * axis + 1], [np.cos(0.75 * np.pi), np.sin(0.75 * np.pi)], atol=1e-6
    )


@pytest.mark.parametrize("group", ["C3", "D7", "T"])
def test_a_symmetric_field_is_the_same_at_every_copy(group: str) -> None:
    box = Grid((24, 24, 24), (1.5, 1.5, 1.5))
    symmetry = PointGroup(group, (18.0, 18.0, 18.0))
    sizes = BlockSizes(blocks=6, width=6, hidden=1, code=3, waves=1)
    made = network(sizes, 5, amplitude_count(wave_vectors(1, box.shape)))
    # Nodes that fall between lattice points: beside those in its own place an orbit has points between.
    envelope = ball((7, 7, 7), 2)
    places = Places.of(box, envelope, symmetry)
    assert len(places.flat) / len(places.own) == pytest.approx(symmetry.order, rel=0.1)
    frame = Frame(box, band_limit=5.0, lattice=box.shape, symmetry=symmetry)
    values = made.on_lattice(frame, envelope).ravel()
    # Points whose folded positions agree have one value.
    _, first, copy = np.unique(np.round(places.steps, 6), axis=0, return_index=True, return_inverse=True)
    inside = values[places.flat]
    assert_allclose(inside, inside[first][copy.reshape(-1)], atol=1e-5)
    assert np.ptp(inside) > 0.1


def test_it_needs_a_band_limit_and_its_own_number_of_waves() -> None:
    sizes = BlockSizes(blocks=2, width=4, hidden=1, code=2, waves=1)
    made = network(sizes, 1, 7)
    with pytest.raises(FormatError, match="band limit"):
        Field(made, Frame(BOX))
    with pytest.raises(FormatError, match="band limit"):
        made(np.zeros((1, 3)))
    frame = Frame(BOX, band_limit=5.0, lattice=(24, 20, 22))
    Field(made, frame)
    with pytest.raises(FormatError, match="wave amplitudes"):
        Field(network(sizes, 1, 5), frame)


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("blocks", 1 << 21), ("waves", -2), ("code", 2.5)])
def test_sizes_beyond_the_format_are_refused(name: str, value: float) -> None:
    given = {"blocks": 2, "width": 4, "hidden": 1, "code": 2, "waves": 1, name: value}
    with pytest.raises(FormatError, match=name):
        BlockSizes(**given)


@pytest.mark.parametrize("move", [-1e-12, 1e-12])
def test_rounding_does_not_decide_which_folded_points_are_inside(move: float) -> None:
    """Node 3 of 6 lies at point 4 of 8: a place there, give or take the rounding of a fold, touches no other node."""
    bits = np.zeros((6, 6, 6), bool)
    bits[2, 3, 3] = True
    shape = (8, 8, 8)
    place = np.array([[4.0, 4.0, 4.0]]) + move
    assert not _touches(Envelope(bits), place, shape)[0]
    bits[2:4] = bits[2] | bits[3]
    bits[3, 3, 3] = True
    assert _touches(Envelope(bits), place, shape)[0]
    # Elsewhere it is what the envelope's own interpolation says.
    draw = np.random.default_rng(0)
    random, places = draw.random((6, 6, 6)) > 0.9, draw.uniform(0, 8, (500, 3))
    assert (_touches(Envelope(random), places, shape) == (Envelope(random).at(places / 8) > 0)).all()

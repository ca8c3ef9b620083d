"""A series whose parts move by more than its detail, and one in noise: against the known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_files import run
from numpy.testing import assert_allclose
from phantoms import gaussian_atoms
from scipy import ndimage

import nmap
from nmap.axis import Axis
from nmap.container import decode_bytes, encode_bytes
from nmap.errors import OptionError
from nmap.fit.encode_series import encode_series
from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Progress, Watch
from nmap.fit.series.at_rest import detail_at_rest, moved_back
from nmap.fit.series.frames import specimens_of
from nmap.fit.series.motion import find_motion
from nmap.grid import Grid
from nmap.maps import DensityMap, write_map
from nmap.model.motion import Motion
from nmap.neural_map import NeuralMap
from nmap.sampling.polynomial import Polynomial
from nmap.sampling.splines import cubic, quintic
from nmap.spectrum import fsc, transform

GRID = Grid((32, 32, 32), (1.5,) * 3)
RESOLUTION = 5.0
KEPT = (0.0, 1.0, 3.0, 4.0)


def bent(k: float) -> DensityMap:
    """Sixty atoms; those at x < 0 turn about z, by 12 degrees a step: 2.5 A where they are furthest out."""
    places = np.random.default_rng(5).uniform(-12, 12, (60, 3)) * [1, 1, 0.6]
    angle = np.radians(12 * (k - 2)) * np.clip(-places[:, 0] / 6, 0, 1)
    x, y = places[:, 0].copy(), places[:, 1].copy()
    places[:, 0], places[:, 1] = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    return DensityMap(gaussian_atoms(GRID, places + 24.0, 1.3), GRID)


def options(**changes: object) -> nmap.EncodeOptions:
    given = {"arch": "siren", "resolution": RESOLUTION, "preset": "preview", "symmetry": "C1", **changes}
    return nmap.EncodeOptions(**given)  # type: ignore[arg-type]


def curve(values: np.ndarray, truth: DensityMap) -> np.ndarray:
    """FSC of the shells to the resolution."""
    return np.asarray(fsc(values, truth.values, GRID).fsc[1:10])


@pytest.fixture(scope="module")
def series() -> NeuralMap:
    return encode_series([bent(k) for k in KEPT], options(steps=320), at=KEPT)


def test_the_band_limit_that_is_said_is_that_of_the_frames(series: NeuralMap) -> None:
    assert series.field.band_limit is not None and series.field.band_limit < RESOLUTION
    assert "band limit 5 A" in repr(series) and "band limit 5 A" in repr(series.at(1.0))


def test_a_frame_left_out_is_nearer_to_the_truth_than_the_mean_of_its_neighbours(series: NeuralMap) -> None:
    assert series.field.network.has_motion
    truth = bent(2.0)
    ours, linear = (
        curve(series.at(2.0).as_array(), truth),
        curve((bent(1).values + bent(3).values) / 2, truth),
    )
    fine = slice(5, 9)
    assert (ours[fine] > linear[fine]).all()
    assert ours[fine].mean() > linear[fine].mean() + 0.05


def test_every_frame_is_held_as_the_record_says(series: NeuralMap) -> None:
    found = [curve(series.at(k).as_array(), bent(k)).min() for k in KEPT]
    assert_allclose(found, series.record["fidelity"]["frame_worst"], atol=0.02)
    assert min(found) > 0.9
    assert series.record["fidelity"]["resolution"] == RESOLUTION
    power = np.abs(transform(series.at(1.5).as_array()))
    assert series.at(1.5).field.band_limit == RESOLUTION
    index = np.stack(
        np.meshgrid(*(np.fft.fftfreq(32, 1.5) for _ in range(2)), np.fft.rfftfreq(32, 1.5), indexing="ij")
    )
    beyond = np.linalg.norm(index, axis=0) > 1 / RESOLUTION + 0.5 / 48 + 1e-6
    assert power[beyond].max() < 1e-4 * power.max()


def test_a_file_is_the_same_series(series: NeuralMap) -> None:
    again = decode_bytes(encode_bytes(series))
    assert_allclose(again.at(0.7).as_array(), series.at(0.7).as_array())
    assert again.field.network.settings()["nodes"] == list(series.field.network.settings()["nodes"])


@pytest.mark.parametrize("t", [0.0, 1.7, 4.0])
def test_the_rate_is_the_derivative_by_the_position(series: NeuralMap, t: float) -> None:
    low, high = max(t - 1e-3, 0.0), min(t + 1e-3, 4.0)
    change = (series.at(high).as_array() - series.at(low).as_array()) / (high - low)
    rate = series.rate(t).as_array()
    assert np.abs(change - rate).max() < 0.02 * np.abs(rate).max()


def test_one_map_of_it_is_sampled_anywhere_and_not_stored(series: NeuralMap, tmp_path: Path) -> None:
    one = series.at(1.7)
    points = GRID.points().reshape(-1, 3)[::997]
    assert_allclose(one.sample(points), one.as_array().reshape(-1)[::997], atol=1e-4 * np.ptp(one.as_array()))
    with pytest.raises(OptionError, match="save that, or decode the map"):
        nmap.save(one, tmp_path / "one.nmap")
    with pytest.raises(OptionError, match="no torch module"):
        one.to_torch()
    assert not list(tmp_path.iterdir())


def test_the_command_line_validates_and_shows_it(series: NeuralMap, tmp_path: Path) -> None:
    nmap.save(series, tmp_path / "s.nmap")
    frames = [tmp_path / f"f_{k:.0f}.mrc" for k in KEPT]
    for k, path in zip(KEPT, frames, strict=True):
        write_map(bent(k), path)
    ran = run("validate", tmp_path / "s.nmap", *frames, "--min-fsc", 0.9)
    assert ran.code == 0, ran.err
    said = run("inspect", tmp_path / "s.nmap").out
    assert "5 A band limit" in said and "parts move by up to" in said


def test_a_displacement_is_that_of_cubic_splines() -> None:
    nodes = np.random.default_rng(1).normal(size=(5, 6, 7, 3))
    found = Motion(nodes, RESOLUTION).on_planes(GRID.shape, slice(3, 9))
    places = np.stack(np.meshgrid(*(np.arange(32) * m / 32 for m in (5, 6, 7)), indexing="ij"))[:, 3:9]
    for axis in range(3):
        wanted = ndimage.map_coordinates(nodes[..., axis], places, order=3, mode="grid-wrap", prefilter=False)
        assert_allclose(found[..., axis], wanted, atol=1e-10)


def test_a_shift_of_all_moves_the_density_by_as_much() -> None:
    places = np.random.default_rng(4).uniform(12, 36, (30, 3))
    values = gaussian_atoms(GRID, places, 2.6)
    polynomial = Polynomial.of(transform(values), GRID.shape, (15, 15, 15))
    motion = Motion(np.broadcast_to([3.0, -1.5, 4.5], (5, 5, 5, 3)), RESOLUTION)
    moved = np.concatenate([polynomial.at(places) for _, places in motion.places(GRID, GRID.shape)])
    assert_allclose(
        moved.reshape(GRID.shape), np.roll(values, (3, -1, 2), (0, 1, 2)), atol=1e-4 * values.max()
    )


def test_where_parts_stretch_the_density_at_rest_is_held_finer() -> None:
    shifted = np.broadcast_to([2.0, 1.0, 0.0], (6, 6, 6, 3))
    phase = 2 * np.pi * np.arange(6) / 6
    stretched = np.zeros((6, 6, 6, 3))
    stretched[..., 0] = 2.0 * np.sin(phase)
    rest, still = [bent(2.0)] * 2, Motion(np.zeros((6, 6, 6, 3)), RESOLUTION)

    def held(nodes: np.ndarray, goal: float) -> float:
        return detail_at_rest(rest, [still, Motion(nodes, RESOLUTION)], RESOLUTION, goal)

    assert held(shifted, 0.995) == RESOLUTION
    finer = [held(stretched, goal) for goal in (0.5, 0.95, 0.999)]
    assert RESOLUTION >= finer[0] >= finer[1] > finer[2] >= 1 / GRID.nyquist


@pytest.mark.parametrize("shape", [(32, 32, 32), (31, 30, 27)])
def test_splines_are_near_to_the_polynomial(shape: tuple[int, int, int]) -> None:
    places = np.random.default_rng(4).uniform(12, 30, (40, 3))
    values = gaussian_atoms(Grid(shape, (1.5,) * 3), places, 1.3)
    z, y, x = ((n - 1) // 2 for n in shape)
    polynomial = Polynomial.of(transform(values), shape, (z, y, x))
    at = np.random.default_rng(5).uniform(-0.6, 1.4, (3000, 3))
    wanted = polynomial.at(at)
    assert np.std(cubic(polynomial, at) - wanted) < 0.003 * np.std(wanted)
    assert np.std(quintic(polynomial, at) - wanted) < 0.0003 * np.std(wanted)


def test_frames_that_stand_still_have_no_motion() -> None:
    series = encode_series([bent(2.0)] * 3, options(steps=16))
    assert not series.field.network.has_motion


def test_frames_that_change_along_a_line_have_no_motion() -> None:
    first, last = bent(0.0).values, bent(4.0).values
    frames = [DensityMap(first + (last - first) * np.float32(k / 4), GRID) for k in range(5)]
    line = encode_series(frames, options(steps=16)).field.network
    assert not line.has_motion and line.components == 2
    # What bends a little is no line, however low the goal.
    assert encode_series([bent(k) for k in (1.0, 1.5, 2.0)], options(steps=16)).field.network.has_motion
    # Of two frames nothing tells that they are the ends of a line.
    assert encode_series([bent(1.0), bent(2.0)], options(steps=16)).field.network.has_motion


def test_what_noisy_frames_share_is_nearer_to_the_truth_than_they_are() -> None:
    truth = [bent(k / 2) for k in range(9)]
    rng = np.random.default_rng(2)
    noisy = [
        DensityMap((t.values + rng.normal(0, 2.0 * t.values.std(), GRID.shape)).astype(np.float32), GRID)
        for t in truth
    ]
    series = encode_series(noisy, options())
    notices = [notice["code"] for notice in series.record["fit"]["notes"]]
    assert "shared-part" in notices and "below-goal" not in notices
    for k in (0, 4, 7):
        ours = curve(series.at(k / 8).as_array(), truth[k])
        assert ours[5:].mean() > curve(noisy[k].values, truth[k])[5:].mean() + 0.05


def test_frames_without_noise_are_held_themselves(series: NeuralMap) -> None:
    assert "shared-part" not in [notice["code"] for notice in series.record["fit"].get("notes", [])]


def test_a_short_time_budget_leaves_out_the_motion_and_says_so() -> None:
    heard: list[Progress] = []
    made = encode_series([bent(k) for k in KEPT], options(time_budget=0.5), at=KEPT, progress=heard.append)
    assert not made.field.network.has_motion
    assert [p.notice.code for p in heard if p.notice is not None].count("no-time-for-motion") == 1


def test_what_comes_from_outside_has_the_nearest_voxels_value_and_all_else_its_own() -> None:
    frame = bent(2.0)
    motion = Motion(np.broadcast_to([0.4, -1.1, 2.6], (5, 5, 5, 3)), RESOLUTION)
    inside = np.zeros(GRID.shape, bool)
    inside[8:24, 6:26, 10:28] = True
    everywhere, within = moved_back(frame, motion), moved_back(frame, motion, inside)
    # Voxels (z, y, x) of 1.5 A that values come from.
    shift = tuple(-round(v / 1.5) for v in (2.6, -1.1, 0.4))
    from_inside = np.roll(inside, shift, (0, 1, 2))
    assert_allclose(within.values[from_inside], everywhere.values[from_inside], rtol=1e-6)
    nearest = np.roll(frame.values, shift, (0, 1, 2))
    assert_allclose(within.values[~from_inside], nearest[~from_inside])
    assert np.abs(nearest - everywhere.values)[from_inside].max() > 0.05 * frame.values.max()


def test_a_small_molecule_in_a_large_box_is_moved_where_it_is() -> None:
    grid = Grid((48, 48, 48), (1.5,) * 3)

    def framed(k: float) -> DensityMap:
        values = np.zeros(grid.shape, np.float32)
        values[12:44, 10:42, 8:40] = bent(k).values
        return DensityMap(values, grid)

    frames = [framed(k) for k in KEPT]
    envelope = specimens_of(frames, EncodeOptions(resolution=RESOLUTION))[0].chosen.envelope
    assert envelope is not None
    inside = envelope.on_lattice(grid.shape) > 0
    assert not inside[:6].any() and not inside[:, :, :2].any()
    found = find_motion(frames, Axis(KEPT), RESOLUTION, envelope, 4, 0.9, Watch())
    assert found is not None
    back = np.stack([moved_back(f, found.at(k)).values[inside] for f, k in zip(frames, KEPT, strict=True)])
    moving = np.stack([frame.values[inside] for frame in frames])
    assert back.var(0).sum() < 0.45 * moving.var(0).sum()


@pytest.mark.parametrize(
    ("points", "resolution", "radius"), [(32, 14.0, 7.2), (40, 8.0, 3.0), (40, 8.0, 4.5)]
)
def test_a_mask_too_small_for_coarse_detail_is_no_fault(
    points: int, resolution: float, radius: float
) -> None:
    grid, edge = Grid((points,) * 3, (1.5,) * 3), (points - 32) // 2
    distance = np.linalg.norm(np.indices(grid.shape) * 1.5 - points * 0.75, axis=0)
    mask = DensityMap((distance < radius).astype(np.float32), grid)
    frames = [DensityMap(np.pad(bent(k).values, (edge, points - 32 - edge)), grid) for k in KEPT]
    given = EncodeOptions(
        arch="siren", resolution=resolution, symmetry="C1", mask=mask, preset="preview", steps=8
    )
    assert np.isfinite(encode_series(frames, given).at(0.3).as_array()).all()

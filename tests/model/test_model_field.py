"""The density as a composition: envelope, symmetry, gains, offset and scale, each against a closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np
import pytest
from phantoms import constant, neural_map, siren, waves
from scipy.fft import next_fast_len
from scipy.spatial.transform import Rotation

from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, GridError, LimitError, OptionError
from nmap.grid import Grid
from nmap.machine import memory
from nmap.model import Field, Frame, Network
from nmap.point_group import PointGroup
from nmap.spectrum import lattice_shape

BOX = Grid((24, 24, 24), (1.5, 1.5, 1.5), (10.0, -20.0, 5.0))


def smooth(t: float) -> float:
    return t * t * (3 - 2 * t)


def test_the_envelope_is_its_bits_at_the_nodes_and_smooth_in_between() -> None:
    bits = np.zeros((4, 5, 6), bool)
    bits[1, 2, 3] = True
    envelope = Envelope(bits)
    node = np.array([1 / 4, 2 / 5, 3 / 6])
    offsets = np.array([[0, 0, 0], [0.25, 0, 0], [0, 0, -0.5], [0.5, 0.5, 0], [1, 0, 0]])
    got = envelope.at(node + offsets / [4, 5, 6])
    np.testing.assert_allclose(got, [1, smooth(0.75), smooth(0.5), smooth(0.25), 0], atol=1e-6)
    assert envelope.at(np.array([[1.25, -1.6, 3.5]]))[0] == pytest.approx(1), "periodic"


def test_the_envelope_wraps_around_the_box() -> None:
    bits = np.zeros((4, 4, 4), bool)
    bits[0] = True
    assert Envelope(bits).at(np.array([[7 / 8, 0.3, 0.3]]))[0] == pytest.approx(0.5)


@pytest.mark.parametrize("shape", [(24, 20, 12), (7, 9, 11), (4, 5, 6), (3, 1, 2)])
def test_the_envelope_on_a_lattice_is_that_at_its_points(shape: tuple[int, int, int]) -> None:
    envelope = Envelope(np.random.default_rng(0).random((4, 5, 6)) < 0.4)
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"), -1)
    expected = envelope.at(points.reshape(-1, 3)).reshape(shape)
    np.testing.assert_allclose(envelope.on_lattice(shape), expected, atol=1e-6)


def test_the_envelope_gradient_is_its_finite_difference() -> None:
    envelope = Envelope(np.random.default_rng(1).random((3, 4, 5)) < 0.5)
    f = np.random.default_rng(2).uniform(-1, 2, (200, 3))
    step = 1e-3
    gradient = envelope.gradient_at(f)
    for axis in range(3):
        d = step * np.eye(3)[axis]
        near = np.floor((f - d) * [3, 4, 5]) == np.floor((f + d) * [3, 4, 5])
        slope = (envelope.at(f + d).astype(float) - envelope.at(f - d)) / (2 * step)
        np.testing.assert_allclose(gradient[:, axis][near.all(1)], slope[near.all(1)], atol=2e-3)


@pytest.mark.parametrize("spacing", [2.0, 4.7, 9.0, 100.0])
def test_a_covering_envelope_is_one_on_the_mask_and_zero_far_from_it(spacing: float) -> None:
    grid = Grid((20, 18, 22), (1.0, 1.5, 2.0))
    points = grid.points()
    mask = (np.linalg.norm(points - points.reshape(-1, 3).mean(0), axis=-1) < 7).astype(np.float32)
    envelope = Envelope.covering(mask, grid, spacing)
    on_grid = envelope.on_lattice(grid.shape)
    assert (on_grid[mask > 0.5] == 1).all()
    nodes = np.array(grid.edges[::-1]) / envelope.shape
    assert envelope.shape == tuple(max(1, round(e / spacing)) for e in grid.edges[::-1])
    if spacing < 5:
        far = np.linalg.norm(points - points.reshape(-1, 3).mean(0), axis=-1) > 7 + 2 * np.linalg.norm(nodes)
        assert far.any() and (on_grid[far] == 0).all()


def test_a_covering_envelope_of_everything_is_one_everywhere() -> None:
    grid = Grid((9, 9, 9), (1.0, 1.0, 1.0))
    assert Envelope.covering(np.ones(grid.shape), grid, 2.0).occupancy.all()


@pytest.mark.parametrize(
    "box", [BOX, replace(BOX, angles=(70.0, 95.0, 120.0)), Grid((20, 30, 9), (1.0, 1.0, 3.0))]
)
def test_no_part_of_an_envelope_lies_where_its_radial_support_denies_it(box: Grid) -> None:
    rng = np.random.default_rng(10)
    for share in (0.002, 0.02):
        envelope = Envelope(rng.random((11, 12, 13)) < share)
        center = box.box @ rng.uniform(0.2, 0.8, 3)
        support = envelope.radial_support(box, center)
        points = rng.uniform(-1, 1, (20000, 3)) * np.linalg.norm(box.edges)
        values = envelope.at(box.fractions(points + center + box.origin))
        allowed = support.reaches(np.linalg.norm(points, axis=1))
        assert (values[~allowed] == 0).all()


def test_the_radial_support_of_a_hollow_shell_leaves_out_its_inside() -> None:
    nodes = np.linalg.norm(np.moveaxis(np.indices((24, 24, 24)), 0, -1) - 12, axis=-1)
    envelope = Envelope((nodes > 7) & (nodes < 9))
    support = envelope.radial_support(BOX, np.array([18.0, 18.0, 18.0]))
    np.testing.assert_array_equal(support.reaches(np.array([2.0, 5.0, 10.5, 12.0, 13.5])), [0, 0, 1, 1, 1])


def test_an_envelope_that_cannot_be_is_refused() -> None:
    grid = Grid((4, 4, 4), (1.0, 1.0, 1.0))
    with pytest.raises(FormatError, match="three counts"):
        Envelope(np.zeros((3, 3), bool))
    with pytest.raises(GridError, match=r"\(3, 4, 4\).*\(4, 4, 4\)"):
        Envelope.covering(np.ones((3, 4, 4)), grid, 2.0)
    with pytest.raises(OptionError, match="spacing"):
        Envelope.covering(np.ones(grid.shape), grid, 0.0)


def test_offset_and_scale_are_affine() -> None:
    plain = neural_map(siren(), BOX, resolution=4.0)
    shifted = neural_map(siren(), BOX, resolution=4.0, offset=2.5, scale=-3.0)
    np.testing.assert_allclose(shifted.as_array(), 2.5 - 3 * plain.as_array(), atol=1e-5)


def test_a_wave_is_scaled_by_the_gain_of_its_shell_and_gone_beyond_the_band_limit() -> None:
    inside, second, beyond = (1, 2, 2), (0, 0, 7), (6, 6, 5)  # radii 3, 7 and 9.85 in a cube
    network = waves([inside, second, beyond], [1.0, 0.5, 2.0], [0.2, 0.4, 0.6])
    gains = np.arange(10, dtype=np.float32) / 3  # 36 A / 4 A: shells 0 to 9
    made = neural_map(network, BOX, resolution=4.0, gains=gains)
    f = np.moveaxis(np.indices(BOX.shape), 0, -1) / 24
    phase = [2 * np.pi * f @ np.array(k) for k in (inside, second)]
    expected = gains[3] * np.sin(phase[0] + 0.2) + gains[7] * 0.5 * np.sin(phase[1] + 0.4)
    np.testing.assert_allclose(made.as_array(), expected, atol=1e-5 * np.ptp(expected))


def test_no_gains_means_one_in_every_shell() -> None:
    network = waves([(1, 2, 2), (6, 6, 5)], [1.0, 2.0], [0.2, 0.6])
    expected = neural_map(waves([(1, 2, 2)], [1.0], [0.2]), BOX).as_array()
    np.testing.assert_allclose(neural_map(network, BOX, resolution=4.0).as_array(), expected, atol=1e-5)


@pytest.mark.parametrize("angles", [(90.0, 90.0, 90.0), (90.0, 111.6, 90.0), (80.0, 95.0, 120.0)])
def test_shells_of_a_skew_anisotropic_cell_follow_the_physical_frequency(
    angles: tuple[float, float, float],
) -> None:
    box = Grid((20, 24, 30), (1.7, 1.3, 1.1), angles=angles)
    resolution = 5.0
    cell = gemmi.UnitCell(*box.edges, *angles)
    last = int(max(box.edges) / resolution)
    gains = np.linspace(1, 2, last + 1).astype(np.float32)
    for k in [(1, 2, 3), (-2, 3, 1), (4, -1, 2), (6, 6, 6), (0, 0, -5)]:
        made = neural_map(waves([k], [1.0], [0.0]), box, resolution=resolution, gains=gains)
        shell = round(np.sqrt(cell.calculate_1_d2(k[::-1])) * max(box.edges))
        gain = gains[shell] if shell <= last else 0.0
        f = np.moveaxis(np.indices(box.shape), 0, -1) / box.shape
        np.testing.assert_allclose(made.as_array(), gain * np.sin(2 * np.pi * f @ np.array(k)), atol=2e-5)


def test_the_network_is_not_asked_where_the_envelope_is_zero() -> None:
    asked = []

    class Watched(Network):
        kind, tensors, build = "watched", None, None

        def __call__(self, t: np.ndarray, dtype: type = np.float32) -> np.ndarray:
            asked.append(t)
            return np.ones(len(t), dtype)

    bits = np.zeros((6, 6, 6), bool)
    bits[2, 3, 4] = True
    field = Field(
        Watched(), Frame(BOX, band_limit=4.0, lattice=lattice_shape(BOX, 4.0)), envelope=Envelope(bits)
    )
    values = field.lattice_values()
    t = np.concatenate(asked)
    assert len(t) == np.count_nonzero(values)
    assert (np.abs(t / 2 + 0.5 - np.array([2, 3, 4]) / 6) < 1 / 6).all()
    np.testing.assert_array_equal(values, field.envelope.on_lattice(field.lattice))


def test_progress_reaches_one() -> None:
    seen: list[float] = []
    neural_map(siren(), BOX, resolution=4.0).field.lattice_values(seen.append)
    assert seen[-1] == 1 and seen == sorted(seen)


@pytest.mark.parametrize("name", ["C4", "D7", "T", "O", "I"])
def test_a_symmetric_density_is_the_same_at_every_copy_and_its_gradient_turns_along(name: str) -> None:
    group = PointGroup(name, (18.0, 17.0, 19.0))
    bits = np.random.default_rng(5).random((5, 6, 7)) < 0.8
    made = neural_map(siren(32, omega=6.0), BOX, symmetry=group, occupancy=bits)
    middle = np.array(BOX.origin) + group.center
    points = np.random.default_rng(6).uniform(-9, 9, (300, 3))
    values, gradients = made.sample(middle + points), made.gradient(middle + points)
    assert np.ptp(values) > 0.1
    for operator in group.operators[:: max(1, group.order // 12)]:
        turned = middle + points @ operator.T
        np.testing.assert_allclose(made.sample(turned), values, atol=1e-5 * np.ptp(values))
        np.testing.assert_allclose(
            made.gradient(turned), gradients @ operator.T, atol=1e-4 * np.abs(gradients).max()
        )


def test_a_band_limited_c4_map_is_symmetric_on_its_grid_to_rounding() -> None:
    grid = replace(BOX, origin=(0.0, 0.0, 0.0))
    nodes = np.moveaxis(np.indices((12, 12, 12)), 0, -1) - 6
    made = neural_map(
        siren(32),
        grid,
        resolution=4.0,
        symmetry=PointGroup("C4", (18.0, 18.0, 18.0)),
        occupancy=np.linalg.norm(nodes, axis=-1) < 4.5,
    )
    values = made.as_array()[:, 1:, 1:]  # the centre is voxel 12 of 24, and row 0 has no mirror
    np.testing.assert_allclose(np.rot90(values, axes=(1, 2)), values, atol=2e-6 * np.ptp(values))


def test_the_fold_takes_the_copy_next_to_the_reference() -> None:
    """C2 about z: the half with x > 0 (but for the tilt of the reference) keeps the network's own values."""
    plain = neural_map(siren(), BOX)
    made = neural_map(siren(), BOX, symmetry=PointGroup("C2", (18.0, 18.0, 18.0)))
    middle = np.array(BOX.origin) + 18
    points = np.random.default_rng(7).uniform([1, -9, -9], [9, 9, 9], (100, 3))
    turn = Rotation.from_rotvec([0, 0, np.pi]).as_matrix()
    np.testing.assert_allclose(made.sample(middle + points), plain.sample(middle + points), atol=1e-6)
    np.testing.assert_allclose(
        made.sample(middle + points @ turn.T), plain.sample(middle + points), atol=1e-5
    )


@pytest.mark.parametrize("symmetry", [None, PointGroup("D3", (20.0, 16.0, 14.0))])
@pytest.mark.parametrize("angles", [(90.0, 90.0, 90.0), (75.0, 100.0, 110.0)])
def test_the_gradient_of_the_bare_density_is_its_finite_difference(
    angles: tuple[float, float, float], symmetry: PointGroup | None
) -> None:
    box = Grid((16, 20, 24), (1.9, 1.6, 1.4), (3.0, 4.0, 5.0), angles)
    bits = np.random.default_rng(8).random((2, 3, 2)) < 0.7
    made = neural_map(
        siren(),
        box,
        occupancy=bits,
        symmetry=symmetry,
        center=(0.4, 0.5, 0.6),
        half_width=(0.3, 0.4, 0.5),
        scale=3.0,
    )
    f = np.random.default_rng(9).uniform(0.02, 0.98, (200, 3))
    step = 1e-4

    def value(fractions: np.ndarray) -> np.ndarray:
        return 3.0 * made.field.product_at(fractions, np.float64)

    gradient = made.gradient(box.positions(f))
    for axis in range(3):
        d = box.fractions(np.array(box.origin) + step * np.eye(3)[axis])
        slope = (value(f + d) - value(f - d)) / (2 * step)
        off = np.abs(gradient[:, axis] - slope) > 2e-3 * np.abs(slope).max()
        assert off.sum() <= 2, "kinks of the envelope or walls of the unit within the step"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"half_width": (0.5, 0.0, 0.5)}, "half_width"),
        ({"center": (0.5, float("inf"), 0.5)}, "center"),
        ({"offset": float("nan")}, "offset"),
        ({"alignment": "centre"}, "'box' or 'corners'"),
        ({"band_limit": 4.0}, "together"),
        ({"lattice": (24, 24, 24)}, "together"),
        ({"gains": np.ones(3, np.float32)}, "together"),
        ({"band_limit": 4.0, "lattice": (18, 18, 18)}, "too coarse"),
        ({"band_limit": 4.0, "lattice": (20, 1016, 20)}, "at most"),
        ({"band_limit": 0.05, "lattice": (1620, 1620, 1620)}, "at most"),
        ({"band_limit": 0.0, "lattice": (20, 20, 20)}, "0.001"),
        ({"band_limit": 1e-320, "lattice": (20, 20, 20)}, "0.001"),
        ({"band_limit": 4.0, "lattice": (20, 20, 20), "gains": np.ones(9, np.float32)}, r"\(10,\)"),
        ({"band_limit": 4.0, "lattice": (20, 20, 20), "gains": np.full(10, np.inf, np.float32)}, "finite"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        gains = change.pop("gains", None)
        Field(constant(), Frame(BOX, **change), gains)


def test_a_bare_network_has_no_spectrum() -> None:
    with pytest.raises(FormatError, match="no band limit"):
        Field(constant(), Frame(BOX)).spectrum()


def test_a_spectrum_that_memory_cannot_hold_is_refused_before_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    field = neural_map(siren(), BOX, resolution=4.0).field
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    with pytest.raises(LimitError, match=r"lattice of \(.*GiB are free"):
        field.spectrum()
    monkeypatch.setattr(memory, "free_memory", lambda: None)
    assert field.spectrum().size


def test_free_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUP", tmp_path)
    assert memory.free_memory() == 4096000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_memory() == 4096000
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.stat").write_text("anon 1000000\nfile 800000\nshmem 5\n")
    assert memory.free_memory() == 1999995


@pytest.mark.parametrize("counts", [(1, 40, 40), (24, 100, 64), (256, 256, 256), (375, 375, 375)])
@pytest.mark.parametrize("thickness", [1.5, 60.0])
def test_every_lattice_that_a_fit_takes_lies_within_the_limits(
    counts: tuple[int, int, int], thickness: float
) -> None:
    """Its own lattice, and at least 2.83 points for each frequency as a radial-basis network has."""
    grid = Grid(counts, (1.25, 1.0, thickness))
    for times in (2.0, 2.2, 3.7, 9.0):
        limit = times * max(v for v, n in zip(grid.voxel_size, counts[::-1], strict=True) if n > 1)
        own = lattice_shape(grid, limit)
        field = Field(constant(), Frame(grid, band_limit=limit, lattice=own))
        wide = tuple(4 * next_fast_len(math.ceil(2.83 * (k + 1) / 4), True) for k in field.degree)
        assert Field(constant(), Frame(grid, band_limit=limit, lattice=wide)).degree == field.degree

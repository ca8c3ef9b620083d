"""FSC against other people's code, closed forms and the crystallographer's reciprocal cell."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest
import torch
from torch_fourier_shell_correlation import fourier_ring_correlation, fourier_shell_correlation

from nmap.errors import GridError, OptionError
from nmap.grid import Grid
from nmap.spectrum import ShellCurve, Shells, correlate_shells, frc, fsc, power, transform

# shape (z, y, x), voxel size (x, y, z), masked
PAIRS = {
    "even cube": ((24, 24, 24), (1.1, 1.1, 1.1), False),
    "odd cube": ((25, 25, 25), (0.9, 0.9, 0.9), False),
    "even cube in a mask": ((32, 32, 32), (1.05, 1.05, 1.05), True),
    "odd cube in a mask": ((27, 27, 27), (2.0, 2.0, 2.0), True),
    "box, even": ((20, 24, 30), (1.3, 1.3, 1.3), False),
    "box, odd": ((21, 27, 33), (1.3, 1.3, 1.3), False),
    "box, mixed, in a mask": ((18, 31, 26), (0.8, 0.8, 0.8), True),
    "anisotropic voxels": ((24, 24, 24), (1.0, 1.2, 1.5), False),
    "anisotropic voxels, box, odd": ((19, 25, 22), (1.37, 0.91, 1.11), False),
    "edges 3:2, so radii of exactly one half, in a mask": ((16, 24, 24), (1.01, 1.01, 1.01), True),
}


def coloured_pair(shape, seed):
    """Two maps with a common part, whose power falls with frequency, and an offset."""
    rng = np.random.default_rng(seed)
    common, own_a, own_b = (rng.standard_normal(shape) for _ in range(3))
    fall = 1 / (
        1 + 4 * sum(np.square(f) for f in np.meshgrid(*(np.fft.fftfreq(n) for n in shape), indexing="ij"))
    )

    def colour(v, slope):
        return np.fft.ifftn(np.fft.fftn(v) * fall**slope).real

    a = colour(common, 6) + 0.2 * colour(own_a, 2) + 0.05
    b = colour(common, 6) + 0.2 * colour(own_b, 2) + 0.05
    return a.astype(np.float32), b.astype(np.float32)


def soft_ball(shape):
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.clip(1.6 - 2 * np.sqrt(x * x + y * y + z * z), 0, 1).astype(np.float32)


@pytest.fixture(params=PAIRS, name="pair")
def make_pair(request):
    shape, voxel, masked = PAIRS[request.param]
    a, b = coloured_pair(shape, seed=list(PAIRS).index(request.param))
    return Grid(shape, voxel), a, b, soft_ball(shape) if masked else None


def every_mode_once(a, b, shape, voxel_xyz):
    """The definition, mode by mode, over the whole transform in double precision."""
    nz, ny, nx = shape
    edges = np.array([nz, ny, nx]) * np.array(voxel_xyz[::-1])
    fa, fb = np.fft.fftn(a.astype(float)), np.fft.fftn(b.astype(float))
    index = [np.fft.fftfreq(n, 1 / n) for n in shape]
    squared = sum((h / e) ** 2 for h, e in zip(np.meshgrid(*index, indexing="ij"), edges, strict=True))
    shell = (np.sqrt(squared) * edges.max() + 0.5 + 1e-9).astype(int)
    count = int(0.5 / max(voxel_xyz) * edges.max() + 1e-9) + 1
    cross = [np.sum(fa[shell == k] * fb[shell == k].conj()).real for k in range(count)]
    norm = [np.linalg.norm(fa[shell == k]) * np.linalg.norm(fb[shell == k]) for k in range(count)]
    return np.array(cross) / np.array(norm)


def relion_style(a, b, shape, voxel_xyz):
    """RELION's getFSC: each stored element of the half transform once, shell = ROUND(radius)."""
    nz, ny, nx = shape
    fa, fb = np.fft.rfftn(a.astype(float)), np.fft.rfftn(b.astype(float))
    longest = max(nz * voxel_xyz[2], ny * voxel_xyz[1], nx * voxel_xyz[0])
    kp = np.fft.fftfreq(nz, voxel_xyz[2])[:, None, None] * longest
    ip = np.fft.fftfreq(ny, voxel_xyz[1])[None, :, None] * longest
    jp = np.fft.rfftfreq(nx, voxel_xyz[0])[None, None, :] * longest
    idx = (np.sqrt(kp * kp + ip * ip + jp * jp) + 0.5 + 1e-9).astype(int).ravel()
    size = int(0.5 / max(voxel_xyz) * longest + 1e-9) + 1
    num = np.bincount(idx, (fa * fb.conj()).real.ravel())[:size]
    den1 = np.bincount(idx, (np.abs(fa) ** 2).ravel())[:size]
    den2 = np.bincount(idx, (np.abs(fb) ** 2).ravel())[:size]
    return num / np.sqrt(den1 * den2)


def test_fsc_equals_the_sum_over_the_whole_transform(pair):
    grid, a, b, mask = pair
    m = 1 if mask is None else mask
    curve = fsc(a, b, grid, mask)
    expected = every_mode_once(a * m, b * m, grid.shape, grid.voxel_size)
    np.testing.assert_allclose(curve.fsc, expected, atol=1e-4)


def test_fsc_in_relions_convention_equals_a_relion_style_reference(pair):
    grid, a, b, mask = pair
    m = 1 if mask is None else mask
    curve = fsc(a, b, grid, mask, convention="relion")
    np.testing.assert_allclose(curve.fsc, relion_style(a * m, b * m, grid.shape, grid.voxel_size), atol=1e-4)


def test_fsc_in_linear_shells_equals_torch_fourier_shell_correlation(pair):
    grid, a, b, mask = pair
    isotropic = Grid(grid.shape, (1.0, 1.0, 1.0))  # that library knows pixels only
    m = 1 if mask is None else mask
    theirs = fourier_shell_correlation(torch.from_numpy(a * m), torch.from_numpy(b * m)).numpy()
    ours = fsc(a, b, isotropic, mask, convention="linear")
    np.testing.assert_allclose(ours.fsc[1:], theirs[1:], atol=1e-4)  # it sets shell 0 to 1
    np.testing.assert_allclose(ours.frequency, np.fft.rfftfreq(min(grid.shape)), atol=1e-9)


@pytest.mark.parametrize("shape", [(32, 32), (33, 33), (24, 37)])
def test_frc_in_linear_rings_equals_torch_fourier_ring_correlation(shape):
    a, b = (v[0] for v in coloured_pair((1, *shape), seed=3))
    theirs = fourier_ring_correlation(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    np.testing.assert_allclose(frc(a, b, (1.0, 1.0), convention="linear").fsc[1:], theirs[1:], atol=1e-4)


def test_frc_frequency_is_in_inverse_angstrom_to_the_coarser_axis_nyquist():
    a, b = (v[0] for v in coloured_pair((1, 40, 30), seed=4))
    curve = frc(a, b, (1.5, 2.0))
    assert curve.frequency[-1] == pytest.approx(0.25)
    assert curve.frequency[1] == pytest.approx(1 / 80)


@pytest.mark.parametrize("snr", [0.25, 1.0, 4.0])
def test_map_against_itself_plus_noise_follows_the_closed_form(snr):
    n = 48
    rng = np.random.default_rng(1)
    signal, noise, other = (rng.standard_normal((n, n, n)).astype(np.float32) for _ in range(3))
    grid = Grid((n, n, n), (1.0, 1.0, 1.0))
    one = fsc(signal, signal + noise / np.sqrt(snr), grid)
    two = fsc(signal + other / np.sqrt(snr), signal + noise / np.sqrt(snr), grid)
    error = 4 / np.sqrt(one.modes[4:] / 2)
    assert np.all(np.abs(one.fsc[4:] - 1 / np.sqrt(1 + 1 / snr)) < error)
    assert np.all(np.abs(two.fsc[4:] - snr / (1 + snr)) < error)


def test_fsc_does_not_depend_on_which_axis_is_halved():
    a, b = coloured_pair((20, 24, 28), seed=5)
    turned = fsc(np.ascontiguousarray(a.T), np.ascontiguousarray(b.T), Grid((28, 24, 20), (1.0, 1.0, 1.0)))
    np.testing.assert_allclose(fsc(a, b, Grid((20, 24, 28), (1.0, 1.0, 1.0))).fsc, turned.fsc, atol=1e-5)


def test_fsc_does_not_depend_on_the_last_bit_of_the_voxel_size():
    a, b = coloured_pair((16, 24, 24), seed=6)
    curves = [
        fsc(a, b, Grid((16, 24, 24), (v, v, v))).fsc for v in (1.0, 1.01, 1.33, np.nextafter(0.7, 1), 0.7)
    ]
    for curve in curves[1:]:
        np.testing.assert_array_equal(curve, curves[0])


def test_shells_of_a_skew_cell_follow_gemmis_d_spacings():
    shape, angles = (12, 15, 10), (80.0, 95.0, 120.0)
    grid = Grid(shape, (1.1, 1.3, 0.9), angles=angles)
    cell = gemmi.UnitCell(*grid.edges, *angles)
    index = Shells(grid).index
    for z, y, x in [(0, 0, 3), (2, 14, 1), (11, 3, 4), (6, 7, 5), (7, 1, 0), (5, 5, 5)]:
        hkl = [x, y if y <= 7 else y - 15, z if z < 6 else z - 12]
        assert index[z, y, x] == round(np.sqrt(cell.calculate_1_d2(hkl)) * max(grid.edges))


def test_modes_of_a_cube_are_the_lattice_points_of_each_shell():
    modes = Shells(Grid((16, 16, 16), (1.0, 1.0, 1.0))).modes
    assert modes[:4].tolist() == [1, 18, 62, 98]  # r squared = 0; 1-2; 3-6; 8-12


def test_power_of_a_plane_wave_lies_in_its_shell_alone():
    n, k = 24, 5
    wave = np.broadcast_to(np.cos(2 * np.pi * k * np.arange(n) / n), (n, n, n)).astype(np.float32)
    grid = Grid((n, n, n), (1.0, 1.0, 1.0))
    total = power(wave, grid) * Shells(grid).modes
    assert total[k] == pytest.approx(n**6 / 2, rel=1e-5)
    assert np.delete(total, k).max() < 1e-6 * total[k]


def test_total_over_all_modes_obeys_parseval():
    a, _ = coloured_pair((13, 18, 22), seed=7)
    f = transform(a)
    shells = Shells(Grid(a.shape, (1.0, 1.0, 1.0)))
    assert shells.total(np.abs(f) ** 2) == pytest.approx(
        float(np.sum(a.astype(float) ** 2)) * a.size, rel=1e-5
    )


def low_passed(seed, n=32, keep=8):
    rng = np.random.default_rng(seed)
    f = np.fft.fftfreq(n, 1 / n)
    far = np.sqrt(f[:, None, None] ** 2 + f[:, None] ** 2 + f**2) > keep + 0.4
    spectrum = np.fft.fftn(rng.standard_normal((n, n, n)))
    spectrum[far] = 0
    return np.fft.ifftn(spectrum).real.astype(np.float32)


def test_shells_empty_in_both_maps_are_marked_and_never_count():
    a = low_passed(1)
    b = a + 0.1 * low_passed(2)
    curve = fsc(a, b, Grid(a.shape, (1.0, 1.0, 1.0)))
    assert curve.negligible is not None
    assert curve.negligible.tolist() == [False] * 9 + [True] * 8
    assert curve.crossing(0.9) is None
    assert curve.worst() > 0.98


def test_a_shell_empty_in_one_map_only_counts_unless_that_map_is_the_reference():
    a = low_passed(1)
    noisy = a + 0.1 * np.random.default_rng(3).standard_normal(a.shape).astype(np.float32)
    grid = Grid(a.shape, (1.0, 1.0, 1.0))
    assert 32 / 9 < fsc(noisy, a, grid).crossing(0.5) < 32 / 8
    assert fsc(noisy, a, grid, reference="second").crossing(0.5) is None
    assert fsc(a, noisy, grid, reference="second").crossing(0.5) is not None


def curve(values, width=0.01):
    values = np.array(values, float)
    return ShellCurve(np.arange(values.size) * width, values, np.full(values.size, 100.0))


def test_crossing_is_linear_between_the_last_shell_above_and_the_first_below():
    crossing = curve([1, 1, 0.9, 0.7, 0.3, 0.1]).crossing_at(0.5)
    assert crossing.resolution == pytest.approx(1 / 0.035)
    assert crossing.last_above == pytest.approx(1 / 0.03)
    assert crossing.first_below == pytest.approx(1 / 0.04)


def test_crossing_is_the_first_fall_even_if_the_curve_comes_back():
    assert curve([1, 1, 0.4, 0.9, 0.4]).crossing(0.5) == pytest.approx(1 / (0.01 + 0.01 * 0.5 / 0.6))


def test_curve_that_stays_above_has_no_crossing():
    crossing = curve([1, 0.9, 0.8]).crossing_at(0.5)
    assert crossing.resolution is None and crossing.first_below is None
    assert crossing.last_above == pytest.approx(50)


def test_curve_below_from_the_first_shell_crosses_there():
    assert curve([1, 0.2, 0.1]).crossing(0.5) == pytest.approx(100)


def test_shell_zero_never_counts():
    assert curve([-1, 0.9, 0.8]).crossing(0.5) is None
    assert curve([-1, 0.9, 0.8]).worst() == 0.8


def test_worst_shell_stops_at_the_resolution():
    c = curve([1, 0.95, 0.9, 0.85, 0.2])
    assert c.worst(1 / 0.03) == 0.85
    assert c.worst_shell(1 / 0.03) == 3
    assert c.worst() == 0.2


def test_maps_off_the_grid_are_refused_with_both_shapes_named():
    a = np.zeros((8, 8, 8), np.float32)
    with pytest.raises(GridError, match=r"second map has shape \(8, 8, 9\), the grid \(8, 8, 8\)"):
        fsc(a, np.zeros((8, 8, 9), np.float32), Grid((8, 8, 8), (1.0, 1.0, 1.0)))
    with pytest.raises(GridError, match="2-D images of one shape"):
        frc(a[0], a[0, :4], (1.0, 1.0))


def test_unknown_convention_is_refused_by_name():
    with pytest.raises(OptionError, match="'imagic'"):
        Shells(Grid((8, 8, 8), (1.0, 1.0, 1.0)), "imagic")  # type: ignore[arg-type]


def test_a_large_offset_costs_no_accuracy():
    a, b = coloured_pair((24, 24, 24), seed=8)
    grid = Grid(a.shape, (1.0, 1.0, 1.0))
    lifted = fsc(a.astype(np.float64) + 3e4, b.astype(np.float64) + 3e4, grid)
    np.testing.assert_allclose(lifted.fsc[1:], fsc(a, b, grid).fsc[1:], atol=1e-5)


def test_empty_map_gives_zeros_not_nan():
    zero = np.zeros((8, 8, 8), np.float32)
    grid = Grid(zero.shape, (1.0, 1.0, 1.0))
    result = correlate_shells(transform(zero), transform(zero), Shells(grid))
    assert np.all(result.fsc == 0)
    assert result.negligible is not None and result.negligible.all()
    assert result.crossing(0.5) is None

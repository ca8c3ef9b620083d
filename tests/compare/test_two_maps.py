"""What `validate` finds of two maps whose differences are known."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats

import nmap.spectrum.planes
from nmap.compare.agreement import Finer, compare_symmetry, displacement
from nmap.compare.comparison import Extras
from nmap.compare.measures import Limits
from nmap.compare.sizes import Sizes, gzip_bytes, measure_sizes
from nmap.compare.two_maps import compare_maps
from nmap.errors import GridError, OptionError
from nmap.grid import Grid
from nmap.maps import DensityMap, read_map
from nmap.point_group import PointGroup
from nmap.spectrum import Planes, band_limited, fsc, power, resample, transform

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "validate-schema.json").read_text())


def random_map(shape=(24, 24, 24), seed=0, voxel=(1.5, 1.5, 1.5), limit=None, origin=(0.0, 0.0, 0.0)):
    grid = Grid(shape, voxel, origin)
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return DensityMap(values if limit is None else band_limited(values, grid, limit), grid)


def changed(source, values):
    return DensityMap(np.asarray(values, np.float32), source.grid)


def test_map_against_itself_is_perfect():
    source = random_map()
    found = compare_maps(source, source)
    assert found.real_space.rmse == 0
    assert found.real_space.psnr == float("inf")
    assert found.real_space.correlation == pytest.approx(1)
    assert found.fidelity.worst == pytest.approx(1, abs=1e-6)
    assert [c.resolution for c in found.fidelity.crossings] == [None, None, None]
    assert found.shift == pytest.approx((0, 0, 0), abs=1e-6)
    assert found.holds and found.checks == ()


def test_voxel_measures_of_four_voxels_by_hand():
    source = DensityMap(np.array([[[0, 2, 4, 10]]], np.float32), Grid((1, 1, 4), (1.0, 1.0, 1.0)))
    real = compare_maps(changed(source, [[[1, 1, 5, 9]]]), source).real_space
    assert real.rmse == pytest.approx(1)
    assert real.max_error == 1
    assert real.psnr == pytest.approx(20)  # peak 10 - 0, rmse 1
    assert (real.mean_source, real.mean_decoded) == (4, 4)
    assert real.slope == pytest.approx(48 / 56)  # sum of products over sum of squares, about the means


def test_correlation_and_rmse_agree_with_scipy_far_from_a_zero_mean():
    source = random_map(seed=1)
    far = changed(source, source.values + 1000)
    decoded = changed(far, 0.8 * source.values + 1000.5 + 0.3 * random_map(seed=2).values)
    real = compare_maps(decoded, far).real_space
    a, b = decoded.values.ravel().astype(float), far.values.ravel().astype(float)
    assert real.correlation == pytest.approx(scipy.stats.pearsonr(a, b).statistic, abs=1e-6)
    assert real.rmse == pytest.approx(np.sqrt(np.mean((a - b) ** 2)), rel=1e-6)
    assert real.slope == pytest.approx(scipy.stats.linregress(b, a).slope, rel=1e-5)


def test_an_envelope_tells_inside_from_outside():
    source = random_map(seed=3)
    envelope = np.zeros(source.grid.shape, np.float32)
    envelope[6:18, 6:18, 6:18] = 1
    inside = envelope > 0.5
    noise = random_map(seed=4).values
    decoded = changed(source, np.where(inside, source.values + 0.1 * noise, noise))
    real = compare_maps(decoded, source, extras=Extras(envelope=Planes.of(envelope))).real_space
    for value, chosen in ((real.correlation_inside, inside), (real.correlation_outside, ~inside)):
        expected = scipy.stats.pearsonr(decoded.values[chosen], source.values[chosen]).statistic
        assert value == pytest.approx(expected, abs=1e-6)
    assert real.inside_fraction == pytest.approx(1 / 8)
    assert real.rmse_inside == pytest.approx(np.sqrt(np.mean((0.1 * noise[inside]) ** 2)), rel=1e-4)


def test_a_low_passed_copy_crosses_at_its_cut_off():
    source = random_map((32, 32, 32), voxel=(1.0, 1.0, 1.0))
    found = compare_maps(changed(source, band_limited(source.values, source.grid, 4.0)), source)
    crossing = found.fidelity.crossings[1]
    assert crossing.last_above == pytest.approx(4.0)
    assert crossing.first_below == pytest.approx(32 / 9)
    assert found.fidelity.curve.worst(4.0) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shift", [(0.01, -0.02, 0.03), (0.1, 0.0, -0.05)])
def test_displacement_finds_a_known_sub_voxel_shift(shift):
    source = random_map((20, 24, 28), seed=5, limit=6.0)
    moved = scipy.ndimage.fourier_shift(np.fft.fftn(source.values), shift[::-1])
    found = displacement(transform(np.fft.ifftn(moved).real), transform(source.values), source.grid)
    assert found == pytest.approx(shift, rel=0.02, abs=2e-5)


def test_column_by_column_the_sums_over_modes_are_those_of_whole_transforms(monkeypatch):
    monkeypatch.setattr(nmap.spectrum.planes, "_HELD", 1)
    source = random_map((20, 24, 28), seed=5, limit=6.0)
    moved = scipy.ndimage.fourier_shift(np.fft.fftn(source.values), (0.03, -0.02, 0.01))
    noise = 0.1 * random_map((20, 24, 28), seed=6).values
    decoded = changed(source, np.fft.ifftn(moved).real + noise)
    mask = changed(source, np.clip(random_map((20, 24, 28), seed=7, limit=9.0).values + 0.5, 0, 1))
    fine = decoded.grid.resampled((40, 48, 56))
    doubled = Finer.of(DensityMap(resample(decoded.values, fine.shape), fine))
    found = compare_maps(decoded, source, mask=mask, extras=Extras(band_limit=6.0, doubled=doubled))
    whole, grid = (decoded.values, source.values), source.grid
    np.testing.assert_allclose(found.fidelity.curve.fsc, fsc(*whole, grid).fsc, atol=1e-6)
    np.testing.assert_allclose(found.masked.curve.fsc, fsc(*whole, grid, mask.values).fsc, atol=1e-6)
    np.testing.assert_allclose(found.power.decoded, power(decoded.values, grid), rtol=1e-5)
    assert found.fidelity.curve.modes.sum() == pytest.approx(fsc(*whole, grid).modes.sum())
    shift = displacement(*map(transform, whole), grid)
    assert found.shift == pytest.approx(shift, rel=1e-4)
    outside = noise - band_limited(noise, grid, 6.0)
    share = np.square(outside).sum() / np.square(decoded.values - decoded.values.mean()).sum()
    assert found.band_limit.beyond_decoded == pytest.approx(share, rel=1e-4)
    assert found.off_grid.power_beyond == pytest.approx(share, rel=1e-4)
    assert found.off_grid.lowest_ratio == pytest.approx(1, abs=1e-5)
    assert found.off_grid.shift == pytest.approx((0, 0, 0), abs=1e-5)


def test_a_faithful_decode_at_twice_the_sampling_passes():
    source = random_map(seed=6, limit=4.0)
    fine_grid = source.grid.resampled((48, 48, 48))
    fine = DensityMap(resample(source.values, (48, 48, 48)), fine_grid)
    found = compare_maps(source, source, extras=Extras(band_limit=4.0, doubled=Finer.of(fine)))
    assert found.off_grid is not None
    assert found.off_grid.lowest_ratio == pytest.approx(1, abs=1e-4)
    assert found.off_grid.power_beyond < 1e-8
    assert found.holds and len(found.checks) == 4


def test_nearest_neighbour_interpolation_fails_between_the_voxels():
    source = random_map(seed=6, limit=4.0)
    repeated = source.values.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    fine = DensityMap(repeated, source.grid.resampled((48, 48, 48)))
    found = compare_maps(source, source, extras=Extras(band_limit=4.0, doubled=Finer.of(fine)))
    assert found.off_grid is not None and found.off_grid.power_beyond > 0.1
    assert found.off_grid.shift == pytest.approx((0.25, 0.25, 0.25), rel=0.3)
    assert [check.holds for check in found.checks] == [True, False, False, False]


def test_power_beyond_the_band_limit_falls_short():
    source = random_map(seed=7, voxel=(1.0, 1.0, 1.0))
    found = compare_maps(source, source, extras=Extras(band_limit=4.0))
    assert found.band_limit is not None
    assert found.band_limit.beyond_decoded == pytest.approx(0.92, abs=0.03)  # 1 - ball of radius 6 in 24^3
    assert not found.holds
    assert [check.name for check in found.failed] == ["invented"] and found.failed[0].value > 0.8


def test_a_decode_that_has_nothing_of_its_source_is_not_judged_between_the_voxels():
    source, other = random_map(seed=6, limit=4.0), random_map(seed=7, limit=4.0)
    fine = DensityMap(resample(other.values, (48, 48, 48)), source.grid.resampled((48, 48, 48)))
    found = compare_maps(
        changed(source, other.values), source, extras=Extras(band_limit=4.0, doubled=Finer.of(fine))
    )
    assert found.off_grid is not None
    assert found.off_grid.shift == pytest.approx((0, 0, 0), abs=1e-5)
    assert found.holds


def test_a_finer_decode_of_another_box_is_refused():
    source = random_map()
    other = random_map((48, 48, 48))
    with pytest.raises(GridError, match="wanted a sampling of the box"):
        compare_maps(source, source, extras=Extras(doubled=Finer.of(other)))


def test_limits_are_held_against_the_masked_fsc_if_there_is_a_mask():
    source = random_map(seed=8)
    soft = np.zeros(source.grid.shape, np.float32)
    soft[8:16, 8:16, 8:16] = 1
    soft = scipy.ndimage.gaussian_filter(soft, 1.5, truncate=3)
    outside = np.where(soft > 0, 0, 5 * random_map(seed=9).values)
    decoded = changed(source, source.values + outside)
    whole = compare_maps(decoded, source, limits=Limits(min_fsc=0.9))
    masked = compare_maps(decoded, source, mask=changed(source, soft), limits=Limits(min_fsc=0.9))
    assert not whole.holds and whole.judged.within == "box"
    assert (
        masked.holds and masked.judged.within == "mask" and masked.judged.worst == pytest.approx(1, abs=1e-5)
    )


@pytest.mark.parametrize(
    "limits",
    [Limits(min_fsc=0.99), Limits(min_correlation=0.99), Limits(min_psnr=60), Limits(max_rmse=0.1)],
)
def test_each_limit_can_fall_short(limits):
    source = random_map(seed=10)
    decoded = changed(source, source.values + 0.5 * random_map(seed=11).values)
    assert not compare_maps(decoded, source, limits=limits).holds


def test_size_limit_and_ratios():
    sizes = Sizes(nmap=1000, raw=56320, gz=50000, gz_is_source=True, float16=28672, voxels=13824)
    source = random_map()
    assert not compare_maps(source, source, limits=Limits(max_bytes=999), extras=Extras(sizes=sizes)).holds
    assert compare_maps(source, source, limits=Limits(max_bytes=1000), extras=Extras(sizes=sizes)).holds
    assert sizes.ratio(sizes.raw) == 56.32
    assert sizes.bits_per_voxel == pytest.approx(8000 / 13824)


def test_sizes_of_real_files_raw_gzipped_and_bzipped(data_dir):
    plain, packed = data_dir / "EMD-3197.map", data_dir / "EMD-3001.map.bz2"
    sizes = measure_sizes(1000, read_map(plain), plain)
    assert sizes.raw == plain.stat().st_size == 33024
    assert sizes.float16 == 1024 + 2 * 8000
    assert not sizes.gz_is_source and sizes.gz == gzip_bytes(plain) < 33024
    assert measure_sizes(1000, read_map(packed), packed).raw == 315084  # of the uncompressed file
    gz = data_dir / "emd_21457_seg.mrc.gz"
    found = measure_sizes(1000, read_map(gz), gz)
    assert found.gz_is_source and found.gz == gz.stat().st_size


def four_fold(grid):
    z, y, x = np.meshgrid(*(np.arange(n) - n / 2 for n in grid.shape), indexing="ij")
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    return np.exp(-((radius - 7) ** 2) / 8 - z**2 / 30) * (1 + np.cos(4 * angle))


def test_symmetry_is_seen_where_it_is_and_missed_where_it_is_not():
    grid = Grid((32, 32, 32), (2.0, 2.0, 2.0), (5.0, -7.0, 11.0))
    source = DensityMap(four_fold(grid), grid)
    centre = (32.0, 32.0, 32.0)
    good = compare_symmetry(source, source, PointGroup("C4", centre))
    bad = compare_symmetry(source, source, PointGroup("C5", centre))
    off = compare_symmetry(source, source, PointGroup("C4", (36.0, 32.0, 32.0)))
    assert good.decoded > 0.99 and good.points > 500
    assert bad.decoded < 0.8 and off.decoded < 0.9


def test_maps_that_lie_elsewhere_are_refused_with_both_grids_named():
    source = random_map()
    with pytest.raises(GridError, match=r"from \(1.5, 0, 0\) A, the source on .* from \(0, 0, 0\) A"):
        compare_maps(random_map(origin=(1.5, 0.0, 0.0)), source)


def test_a_density_given_as_a_mask_is_refused():
    source = random_map()
    with pytest.raises(OptionError, match="mask values from -"):
        compare_maps(source, source, mask=source)


def test_a_resolution_that_is_no_number_above_zero_is_refused():
    source = random_map()
    with pytest.raises(OptionError, match="`resolution` -3"):
        compare_maps(source, source, resolution=-3)


def test_a_resolution_coarser_than_the_box_is_refused_rather_than_passed():
    source = random_map()
    with pytest.raises(OptionError, match="coarser than the box's first shell, 36 A"):
        compare_maps(source, source, resolution=100, limits=Limits(min_fsc=0.9))


def test_an_empty_source_never_passes_a_limit():
    source = changed(random_map(), np.full((24, 24, 24), 3.0))
    assert not compare_maps(source, source, limits=Limits(min_fsc=0.1)).holds


def test_findings_json_keeps_to_its_documented_schema():
    source = random_map(seed=12, limit=4.0)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    bare = compare_maps(source, source).to_json()
    fine = DensityMap(resample(source.values, (48, 48, 48)), source.grid.resampled((48, 48, 48)))
    ball = np.clip(source.values, 0, 1)
    full = compare_maps(
        changed(source, source.values + 0.1),
        source,
        mask=changed(source, ball),
        limits=Limits(min_fsc=0.9),
        extras=Extras(
            sizes=Sizes(1, 2, None, False, 3, 4),
            band_limit=4.0,
            envelope=Planes.of(ball),
            doubled=Finer.of(fine),
            symmetry=PointGroup("C2", (18.0, 18.0, 18.0)),
            half_maps=(source, random_map(seed=13)),
        ),
    ).to_json()
    for found in (bare, full):
        jsonschema.validate(found, SCHEMA)
        json.dumps(found, allow_nan=False)
    assert bare["real_space"]["psnr"] is None
    assert full["fidelity"]["frequency"][1] == pytest.approx(1 / 36)

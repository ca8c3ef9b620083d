"""Fits with half maps: the band limit they set, what noise costs, cross-validation; and noise stays out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from cli_files import run
from container_samples import full_record, sample_map
from phantoms import Phantom, phantom

from nmap.container import open_map, save
from nmap.errors import GridError, OptionError
from nmap.fit.encode import encode
from nmap.fit.options import EncodeOptions
from nmap.fit.target.envelope import choose_envelope
from nmap.fit.target.half_maps import cross_validation
from nmap.grid import Grid
from nmap.inspection import inspect
from nmap.maps import DensityMap
from nmap.neural_map import NeuralMap
from nmap.spectrum import Margin, Shells, fsc, power


@pytest.fixture(scope="module")
def known() -> Phantom:
    """The phantom with its truth."""
    return phantom()


def fitted(known: Phantom, **options: Any) -> NeuralMap:
    """A fit of the average with both halves, inside the phantom's mask."""
    given: dict[str, Any] = {"mask": known.mask, "half1": known.half1, "half2": known.half2, "symmetry": "C1"}
    given["effort"] = "default" if options.get("cross_validate") else "low"
    return encode(known.average, EncodeOptions(**{**given, "device": "cpu", **options}))


@pytest.fixture(scope="module")
def preview(known: Phantom) -> NeuralMap:
    """The fit with half maps that aims lowest."""
    return fitted(known, preset="preview")


@pytest.fixture(scope="module")
def validated(known: Phantom) -> NeuralMap:
    """Half 1 alone, to be set against half 2."""
    return fitted(known, cross_validate=True)


def envelope(known: Phantom, limit: float | None) -> np.ndarray:
    """The soft mask that a fit to a resolution makes of the phantom's."""
    assert limit is not None
    found = choose_envelope(known.average, known.mask, limit, 0.0).envelope
    assert found is not None
    return found.on_lattice(known.clean.grid.shape)


def test_the_band_limit_is_where_signal_and_noise_say_that_the_halves_part(
    known: Phantom, preview: NeuralMap
) -> None:
    grid, limit = known.clean.grid, preview.field.band_limit
    assert limit is not None
    mask = envelope(known, limit)
    signal = power(known.clean.values * mask, grid)
    noise = power((known.half1.values - known.clean.values) * mask, grid)
    true = 1 + int(np.flatnonzero((signal / (signal + noise))[1:] < 0.143)[0])
    assert abs(Shells(grid).last(limit) + 1 - true) <= 1
    record = preview.record
    found: Any = record["fidelity"]["half_map_resolution"]
    assert abs(1 / found - 1 / limit) <= Shells(grid).width
    fit: Any = record["fit"]
    assert fit["band_limit_from"] == {"rule": "half-maps", "threshold": 0.143, "within": "envelope"}
    assert fit["mask"]["rule"] == "given" and fit["mask"]["outside"]["passed"]


def test_a_given_resolution_stays_and_its_origin_is_said(known: Phantom) -> None:
    made = fitted(known, resolution=9.0, preset="preview", effort="low")
    assert made.field.band_limit == 9.0
    assert made.record["fit"]["band_limit_from"] == {"rule": "given"}


def test_every_shell_reaches_its_share_of_what_the_halves_allow_in_fewer_bytes(
    known: Phantom, preview: NeuralMap
) -> None:
    fidelity: Any = preview.record["fidelity"]
    limit, count = preview.field.band_limit, fidelity["fsc"].size
    mask = envelope(known, limit)
    truth = fsc(known.average.values, known.clean.values, known.clean.grid, mask).fsc[:count]
    # What the average correlates with the truth by is the ceiling, but for the scatter of FSC in few modes.
    assert (fidelity["fsc"][1:] / truth[1:] > 0.9 - 0.06).all()
    without = encode(
        known.average,
        EncodeOptions(
            arch="radial-basis",
            mask=known.mask,
            resolution=limit,
            symmetry="C1",
            effort="low",
            preset="preview",
        ),
    )
    assert preview.tensors["weights"].nbytes < without.tensors["weights"].nbytes


@pytest.mark.parametrize(("preset", "share"), [("preview", 0.9), ("faithful", 0.87)])
def test_against_the_truth_a_decode_is_nearly_as_good_as_the_noisy_average(
    known: Phantom, preview: NeuralMap, preset: str, share: float
) -> None:
    made = preview if preset == "preview" else fitted(known, preset=preset)
    fidelity: Any = made.record["fidelity"]
    mask, grid = envelope(known, made.field.band_limit), known.clean.grid
    decoded, average = (
        fsc(values, known.clean.values, grid, mask).fsc[1 : fidelity["fsc"].size]
        for values in (made.as_array(), known.average.values)
    )
    assert (decoded >= share * average).all()
    assert (decoded - average).mean() > -0.03


def test_half_one_alone_decodes_no_further_from_half_two_than_half_one_is(
    known: Phantom, validated: NeuralMap
) -> None:
    fidelity: Any = validated.record["fidelity"]
    assert fidelity["cross_validation"]["passed"]
    count = fidelity["fsc"].size
    decoded, grid, mask = validated.as_array(), known.clean.grid, envelope(known, validated.field.band_limit)
    half1, half2 = known.half1.values, known.half2.values
    against, halves = (fsc(a, half2, grid, mask).fsc[1:count] for a in (decoded, half1))
    assert (against >= halves - 0.01).all()
    np.testing.assert_allclose(fidelity["decode_half2_fsc"][1:], against, atol=2e-3)
    np.testing.assert_allclose(fidelity["half_map_fsc"][1:], halves, atol=2e-3)
    np.testing.assert_allclose(fidelity["fsc"][1:], fsc(decoded, half1 * mask, grid).fsc[1:count], atol=2e-3)
    over_the_box = np.subtract(*(fsc(a, half2, grid).fsc[1:count] for a in (decoded, half1)))
    assert (over_the_box >= 0).all()
    # Inside the mask half 1 is cut at the band limit as the decode is.
    keep = Shells(grid).index < count
    cut = np.fft.irfftn(np.fft.rfftn(half1) * keep, half1.shape, (0, 1, 2)).astype(np.float32)
    within = fsc(cut, half2, grid, mask).fsc[1:count]
    told = fidelity["cross_validation"]
    assert told["whole_box"]["value"] == pytest.approx(over_the_box.min(), abs=1e-4)
    # Here each map is about its own solvent, there about zero.
    assert told["inside"]["value"] == pytest.approx((against - within).min(), abs=1e-3)
    assert told["allowed"] == -0.01


def curves(margins: list[float]) -> Margin:
    """Margins of shells 1 and up, with a standard error of 0.001."""
    value = np.array([0, *margins])
    return Margin(
        value + 0.5, np.full(value.size, 0.5), np.full(value.size, 1e-3), np.arange(value.size) / 60
    )


def test_a_cross_validation_passes_or_fails_by_its_rule() -> None:
    """At most 0.01 below anywhere, and over the whole box at most two standard errors below."""
    assert cross_validation(curves([0.2, 0.1]), curves([0.02, -0.009]), 2).passed
    assert not cross_validation(curves([0.2, 0.1]), curves([0.02, -0.011]), 2).passed
    assert cross_validation(curves([0.2, -0.0019]), curves([0.02, 0.01]), 2).passed
    assert not cross_validation(curves([0.2, -0.0021]), curves([0.02, 0.01]), 2).passed
    assert not cross_validation(curves([0.2, -0.0021]), None, 2).passed
    few_modes = curves([0.2, -0.011])
    assert not cross_validation(replace(few_modes, error=few_modes.error * 100), None, 2).passed
    # Shells beyond the band limit do not count.
    found = cross_validation(curves([0.2, 0.1, -0.3]), curves([0.02, -0.004, -0.2]), 2)
    assert found.passed and found.inside is not None
    assert found.whole_box.value == pytest.approx(0.1) and found.whole_box.resolution == pytest.approx(30)
    assert found.inside.value == pytest.approx(-0.004) and found.inside.errors == pytest.approx(-4)


def test_crop_and_downsampling_take_the_halves_along(known: Phantom) -> None:
    made = fitted(known, mask="none", crop=40, downsample=2, resolution=9.0, preset="preview", effort="low")
    assert made.grid.shape == (20, 20, 20)
    shifted = {name: cropped(getattr(known, name)) for name in ("half1", "half2")}
    expected = fsc(shifted["half1"].values, shifted["half2"].values, shifted["half1"].grid).fsc
    got: Any = made.record["fidelity"]["half_map_fsc"]
    np.testing.assert_allclose(got[1:], expected[1 : got.size], atol=2e-3)


def cropped(density: DensityMap) -> DensityMap:
    return DensityMap(np.ascontiguousarray(density.values[4:44, 4:44, 4:44]), Grid((40,) * 3, (1.5,) * 3))


def test_halves_come_both_or_not_at_all_and_on_the_maps_grid(known: Phantom) -> None:
    half = known.half1
    with pytest.raises(OptionError, match="`half1` needs `half2`"):
        EncodeOptions(half1=half)
    with pytest.raises(OptionError, match="`half2` needs `half1`"):
        EncodeOptions(half2=half)
    with pytest.raises(OptionError, match="`cross_validate` needs half maps"):
        EncodeOptions(cross_validate=True)
    with pytest.raises(OptionError, match="siren"):
        EncodeOptions(half1=half, half2=half, arch="siren")
    other = DensityMap(half.values, Grid(half.grid.shape, (1.6, 1.6, 1.6)))
    with pytest.raises(GridError) as error:
        encode(known.average, EncodeOptions(half1=half, half2=other))
    assert str(other.grid) in str(error.value) and str(half.grid) in str(error.value)


def test_halves_that_agree_nowhere_are_refused_unless_a_resolution_is_given() -> None:
    a, b = noise(1), noise(2)
    with pytest.raises(OptionError, match="or `resolution`"):
        encode(a, EncodeOptions(mask="none", half1=a, half2=DensityMap(-a.values, a.grid)))
    made = encode(
        a,
        EncodeOptions(
            mask="none", half1=a, half2=b, resolution=9.0, preset="preview", effort="low", symmetry="C1"
        ),
    )
    assert made.record["fidelity"]["half_map_fsc"].size == made.record["fidelity"]["fsc"].size  # type: ignore[union-attr]


def noise(seed: int, n: int = 32) -> DensityMap:
    """White noise on n^3 voxels of 2 A."""
    values = np.random.default_rng(seed).standard_normal((n, n, n), dtype=np.float32)
    return DensityMap(values, Grid((n, n, n), (2.0, 2.0, 2.0)))


@pytest.mark.parametrize(
    "given", [{"mask": "none", "symmetry": "C1", "resolution": 6.0}, {"resolution": 6.0}, {}]
)
@pytest.mark.parametrize("preset", ["preview", "faithful", "near-lossless"])
def test_noise_stays_noise_and_nothing_appears_beyond_the_band_limit(
    preset: Any, given: dict[str, Any]
) -> None:
    """Also where envelope, symmetry and resolution are sought: noise is refused at no preset."""
    source, other = noise(1), noise(2)
    made = encode(
        source, EncodeOptions(arch="radial-basis", preset=preset, effort="low", device="cpu", **given)
    )
    decoded, shells, limit = made.as_array(), Shells(source.grid), made.field.band_limit
    assert limit is not None and made.field.symmetry is None
    last = shells.last(limit)
    found = fsc(decoded, other.values, source.grid)
    # The correlation of two noises scatters by 1 / sqrt(independent modes).
    assert (np.abs(found.fsc[1 : last + 1]) < 4.5 / np.sqrt(found.modes[1 : last + 1] / 2)).all()
    assert abs(np.average(found.fsc[1 : last + 1], weights=found.modes[1 : last + 1])) < 0.02
    spectrum = np.abs(np.fft.rfftn(decoded)) ** 2 * shells.multiplicity
    assert spectrum[shells.index > last].sum() < 1e-4 * spectrum.sum()


LOWEST = {
    "value": -0.00453211,
    "resolution": 11.2345,
    "errors": -1.23456,
    "lowest_errors": -2.34567,
    "lowest_errors_resolution": 9.87654,
}


def test_a_full_record_with_half_maps_keeps_to_eight_kib(tmp_path: Path) -> None:
    record = full_record()
    curve = np.linspace(0.9999, 0.143, 64).round(4)
    record["fidelity"] |= {
        "half_map_fsc": curve,
        "half_map_resolution": 3.012,
        "decode_half2_fsc": curve - 0.001,
        "cross_validation": {"passed": True, "allowed": -0.01, "whole_box": LOWEST, "inside": LOWEST},
    }
    neural_map = sample_map(width=96, record=record)
    total = save(neural_map, tmp_path / "a.nmap")
    assert total - sum(coded.nbytes for coded in neural_map.tensors.values()) <= 8192
    found: Any = open_map(tmp_path / "a.nmap").record["fidelity"]
    assert found["half_map_fsc"].size == found["decode_half2_fsc"].size == found["fsc"].size >= 16
    assert found["half_map_resolution"] == 3.012


def test_the_record_of_a_cross_validation_keeps_to_eight_kib(validated: NeuralMap, tmp_path: Path) -> None:
    total = save(validated, tmp_path / "a.nmap")
    assert total - sum(coded.nbytes for coded in validated.tensors.values()) <= 8192
    again: Any = inspect(tmp_path / "a.nmap")
    assert again.outcome("cross_validation", "fidelity") == validated.record["fidelity"]["cross_validation"]
    assert again.outcome("mask") == validated.record["fit"]["mask"]


def test_the_command_fits_half_one_and_says_how_it_stands_to_half_two(known: Phantom, tmp_path: Path) -> None:
    names = {"average": "map", "half1": "h1", "half2": "h2", "mask": "mask"}
    for name, short in names.items():
        with mrcfile.new(tmp_path / f"{short}.mrc", getattr(known, name).values) as mrc:
            mrc.voxel_size = 1.5
    halves = ("--half1", tmp_path / "h1.mrc", "--half2", tmp_path / "h2.mrc")
    fast = ("--mask", tmp_path / "mask.mrc", "--symmetry", "C1", "--device", "cpu")
    ran = run(
        "encode",
        tmp_path / "map.mrc",
        tmp_path / "a.nmap",
        *fast,
        *halves,
        "--cross-validate",
        "--effort",
        "low",
    )
    assert ran.code == 0, ran.err
    assert "cross-validation" in ran.out
    assert "\n                  whole box: " in ran.out
    assert "\n                  inside the mask, half 1 cut as well, allowed -0.01: " in ran.out
    assert "the half maps' FSC inside the mask falls below 0.143" in ran.out
    ran = run("encode", tmp_path / "map.mrc", tmp_path / "b.nmap", *halves[:2])
    assert ran.code == 2 and "both half maps" in ran.err
    assert not (tmp_path / "b.nmap").exists()

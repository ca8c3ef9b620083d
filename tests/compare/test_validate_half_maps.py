"""Half-map FSC, RELION's correction for the mask, and the files that carry the curves."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import gemmi
import numpy as np
import pytest

from nmap.compare.comparison import Extras
from nmap.compare.curve_files import fidelity_star, fsc_xml
from nmap.compare.half_maps import compare_half_maps, correct, first_below
from nmap.compare.json_values import as_json
from nmap.compare.two_maps import compare_maps
from nmap.errors import GridError
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.report.finding_words import fidelity_title, half_map_title
from nmap.spectrum import ShellCurve, band_limited

N = 48
GRID = Grid((N, N, N), (1.0, 1.0, 1.0))


def noise(seed):
    return np.random.default_rng(seed).standard_normal((N, N, N)).astype(np.float32)


def tight_ball(radius=9.0):
    z, y, x = np.meshgrid(*(np.arange(N) - N / 2,) * 3, indexing="ij")
    return np.clip(radius + 1.5 - np.sqrt(x * x + y * y + z * z), 0, 1).astype(np.float32)


def density(values):
    return DensityMap(values, GRID)


@pytest.fixture(scope="module", name="halves")
def make_halves():
    """Two halves that share everything to 6 A and nothing but their mean beyond."""
    signal = 4 * band_limited(noise(1), GRID, 6.0) + 1.0
    return density(signal + 0.5 * noise(2)), density(signal + 0.5 * noise(3))


def test_a_sharp_mask_inflates_the_fsc_and_phase_randomisation_takes_it_off(halves):
    sharp = density((tight_ball() > 0.5).astype(np.float32))
    found = compare_half_maps(*halves, mask=sharp)
    assert found.masked is not None and found.corrected is not None and found.randomised is not None
    beyond = slice(first_below(found.unmasked, 0.8) + 3, None)
    assert found.masked.fsc[beyond].mean() > 0.2
    assert found.randomised.fsc[beyond].mean() > 0.2
    assert abs(found.corrected.fsc[beyond].mean()) < 0.06
    assert found.resolution == found.corrected.crossing(0.143)


def test_phases_are_randomised_from_the_first_shell_below_four_fifths(halves):
    found = compare_half_maps(*halves, mask=density(tight_ball()))
    first = first_below(found.unmasked, 0.8)
    assert first == 9  # 48 / 6 = 8 is the last shell they share
    assert found.randomised_from == pytest.approx(48 / 9)
    assert found.masked is not None and found.corrected is not None
    np.testing.assert_array_equal(found.corrected.fsc[: first + 2], found.masked.fsc[: first + 2])


def test_correction_by_hand():
    modes, frequency = np.ones(7), np.arange(7) / 100
    masked = ShellCurve(frequency, np.array([1, 1, 0.9, 0.8, 0.6, 0.2, 0.1]), modes)
    null = ShellCurve(frequency, np.array([1, 1, 0.5, 0.5, 0.2, 0.3, 0.0]), modes)
    assert correct(masked, null, 2).fsc == pytest.approx([1, 1, 0.9, 0.8, 0.5, 0.0, 0.1])
    assert correct(masked, None, None) is masked


def test_halves_that_never_part_are_left_uncorrected():
    one = density(noise(1))
    found = compare_half_maps(one, one, mask=density(tight_ball()))
    assert found.randomised is None and found.corrected is found.masked
    assert found.randomised_from is None and found.resolution is None


def test_without_a_mask_the_unmasked_curve_gives_the_resolution(halves):
    found = compare_half_maps(*halves)
    assert found.masked is None and found.corrected is None
    assert found.resolution == found.unmasked.crossing(0.143)
    assert 48 / 9.5 < found.resolution < 6


def test_a_decode_is_set_against_each_half(halves):
    found = compare_half_maps(*halves, decoded=halves[0], source=halves[1])
    assert found.decoded is not None and found.source is not None
    np.testing.assert_allclose(found.decoded[0].fsc, 1, atol=1e-5)
    np.testing.assert_allclose(found.decoded[1].fsc, found.unmasked.fsc, atol=1e-5)
    np.testing.assert_allclose(found.source[1].fsc, 1, atol=1e-5)


def test_the_margin_of_a_decode_is_told_with_and_without_the_mask(halves):
    mask = density(tight_ball())
    found = compare_half_maps(*halves, mask=mask, decoded=halves[0])
    assert found.margin is not None and found.margin_masked is not None
    assert not found.margin.value.any() and not found.margin_masked.value.any()
    signal = density((halves[0].values + halves[1].values) / 2)
    found = compare_half_maps(*halves, mask=mask, decoded=signal)
    assert found.margin is not None and found.margin_masked is not None and found.decoded is not None
    np.testing.assert_allclose(
        found.margin.first, compare_half_maps(*halves, decoded=signal).decoded[1].fsc, atol=1e-5
    )
    np.testing.assert_allclose(found.margin_masked.first, found.decoded[1].fsc, atol=1e-5)
    np.testing.assert_allclose(found.margin_masked.second, found.masked.fsc, atol=1e-5)
    assert set(as_json(found)["margin"]) == {"what", "frequency", "value", "standard_error"}
    assert as_json(compare_half_maps(*halves))["margin"] is None


def test_a_half_map_that_lies_elsewhere_is_refused(halves):
    moved = DensityMap(halves[1].values, Grid((N, N, N), (1.0, 1.0, 1.0), (3.0, 0.0, 0.0)))
    with pytest.raises(GridError, match="second half map lies on"):
        compare_half_maps(halves[0], moved)


def test_fsc_xml_has_the_deposition_form_and_escapes_its_title():
    curve = ShellCurve(np.array([0, 0.01, 0.02]), np.array([1, 0.9, 0.123456789]), np.ones(3))
    text = fsc_xml(curve, 'a <b> & "c"\x00')
    root = ET.fromstring(text)
    assert root.tag == "fsc"
    assert root.attrib == {
        "title": 'a <b> & "c"',
        "xaxis": "Resolution (A-1)",
        "yaxis": "Correlation Coefficient",
    }
    assert [(c.findtext("x"), c.findtext("y")) for c in root.findall("coordinate")][2] == (
        "0.020000",
        "0.123457",
    )
    assert text.startswith("<fsc title=")


def test_star_file_is_read_by_gemmi_with_relions_labels_for_half_maps_only(halves):
    found = compare_maps(halves[0], halves[1], mask=density(tight_ball()), extras=Extras(half_maps=halves))
    document = gemmi.cif.read_string(fidelity_star(found.fidelity, found.masked, found.half_maps))
    assert [block.name for block in document] == ["fidelity", "fsc"]
    own = document[0].find(["_rlnAngstromResolution", "_nmapFidelityFsc", "_nmapFidelityFscMasked"])
    assert len(own) == N // 2 + 1
    assert float(own[4][0]) == pytest.approx(12)
    assert float(own[4][1]) == pytest.approx(found.fidelity.curve.fsc[4], abs=1e-5)
    theirs = document[1].find(["_rlnFourierShellCorrelationCorrected"])
    assert found.half_maps is not None and found.half_maps.corrected is not None
    assert float(theirs[4][0]) == pytest.approx(found.half_maps.corrected.fsc[4], abs=1e-5)
    assert "FourierShell" not in document[0].as_string()


def test_titles_keep_fidelity_and_half_map_curves_apart(halves):
    found = compare_maps(halves[0], halves[1], extras=Extras(half_maps=halves))
    assert found.half_maps is not None
    assert "not a half-map FSC" in fidelity_title(found)
    assert half_map_title(found.half_maps, GRID) == "Half-map FSC, unmasked"

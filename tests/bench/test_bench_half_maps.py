"""The half-map benchmark: its curves on maps whose correlations are known, and its page."""

from __future__ import annotations

import numpy as np
import pytest
from phantoms import phantom

from bench.half_maps import main, shares
from nmap.maps import write_map
from nmap.spectrum import Shells, fsc


def test_half_one_itself_has_no_margin_and_the_truth_has_one():
    known = phantom(n=32, resolution=6.0)
    last = Shells(known.clean.grid).last(6.0)
    same = shares(known.half1.values, known.half1, known.half2, known.clean.values, None, 6.0)
    for margin in (same["margin_whole_box"], same["margin_inside"]):
        assert margin["lowest"] == 0 and margin["shells_below"] == 0
    assert same["decode_half1"] == pytest.approx([1.0] * last, abs=1e-5)
    expected = fsc(known.half1.values, known.half2.values, known.clean.grid).fsc[1 : last + 1]
    np.testing.assert_allclose(same["half1_half2"], expected, atol=1e-4)
    better = shares(known.clean.values, known.half1, known.half2, None, None, 6.0)
    assert np.mean(np.subtract(better["decode_half2"], better["half1_half2"])) > 0.05
    assert "decode_truth" not in better
    assert better["half1_cut_half2"] == pytest.approx(better["half1_half2"], abs=1e-5)
    assert better["margin_inside"]["lowest_in_standard_errors"] > -3


def test_inside_a_mask_the_whole_box_is_told_too():
    known = phantom(n=32, resolution=6.0)
    last = Shells(known.clean.grid).last(6.0)
    mask = known.mask.values
    found = shares(known.clean.values * mask, known.half1, known.half2, None, mask, 6.0)
    expected = fsc(known.clean.values * mask, known.half2.values, known.clean.grid).fsc[1 : last + 1]
    np.testing.assert_allclose(found["whole_box_decode_half2"], expected, atol=1e-4)
    assert np.mean(found["whole_box_half1_half2"]) < np.mean(found["half1_half2"])
    assert found["margin_whole_box"]["in_words"].startswith("never below, at least +0.")


def test_halves_on_two_grids_are_refused(tmp_path, capsys):
    for name, n in (("a", 16), ("b", 20)):
        write_map(phantom(n=n, resolution=6.0).half1, tmp_path / f"{name}.mrc")
    assert main([str(tmp_path / "a.mrc"), str(tmp_path / "b.mrc"), "--resolution", "6"]) != 0
    assert "resample one of them" in capsys.readouterr().err

"""What a decode keeps of the atoms of a real model."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np
import pytest

from nmap.compare.comparison import Extras
from nmap.compare.kept_atoms import compare_atoms, q_change
from nmap.compare.marked_model import marked_model
from nmap.compare.measures import Limits
from nmap.compare.two_maps import compare_maps
from nmap.errors import MapError, OptionError
from nmap.maps import DensityMap, read_map
from nmap.spectrum import Planes, band_limited

MODEL = Path(__file__).parents[1] / "data" / "5me2_A1-30.pdb.gz"
EXAMPLE = Path(__file__).parents[2] / "examples" / "emd_3488.map.gz"


@pytest.fixture(scope="module", name="source")
def make_source():
    return read_map(EXAMPLE)


def test_the_cut_source_itself_keeps_every_atom(source):
    cut = band_limited(source.values, source.grid, 3.2)
    found = compare_atoms(MODEL, cut, source.values, source.grid, band_limit=3.2)
    assert found.verdict == "kept" and found.inside == 1 and found.atoms == 214
    assert found.against_cut.mean_abs == 0 and found.against_cut.worst == 0
    # Against the source as it is, the cut itself shows.
    assert 0 < found.against_source.mean_abs < 0.03
    assert found.q_decoded == found.q_cut != found.q_source


def test_a_blurred_map_loses_the_side_chains_and_its_worst_residues_are_named(source):
    blurred = band_limited(source.values, source.grid, 5.0)
    found = compare_atoms(MODEL, blurred, source.values, source.grid, band_limit=3.2)
    assert found.verdict == "lost"
    assert len(found.worst) == 10
    first = found.worst[0]
    assert first.q_decoded - first.q_cut == pytest.approx(found.against_cut.worst)
    assert first.residue in found.residues and first.q_cut >= 0.4
    assert found.cc_mask_decoded < found.cc_mask_source


def test_atoms_that_the_mask_cuts_off_are_counted(source):
    envelope = np.zeros(source.grid.shape, np.float32)
    envelope[:, :, 40:] = 1
    found = compare_atoms(MODEL, source.values, source.values, source.grid, envelope=Planes.of(envelope))
    assert 0 < found.in_envelope < 1


def test_a_change_is_told_over_what_the_reference_resolves():
    reference = np.array([0.8, 0.6, 0.3, np.nan, 0.5])
    decoded = np.array([0.7, 0.62, 0.9, 0.5, 0.5])
    found = q_change(reference, decoded)
    assert found.resolved == 3
    assert found.mean_abs == pytest.approx(0.04) and found.worst == pytest.approx(-0.1)
    assert found.notable == pytest.approx(1 / 3) and found.mean_all == pytest.approx(0.13)
    assert q_change(np.array([0.1, np.nan]), np.array([0.5, 0.5])) is None


def test_limits_hold_what_validate_is_asked_for(source):
    blurred = DensityMap(band_limited(source.values, source.grid, 5.0), source.grid)
    extras = Extras(model=str(MODEL), band_limit=3.2)
    found = compare_maps(blurred, source, extras=extras, limits=Limits(max_dq=0.02, max_worst_q_loss=2.0))
    assert [check.name for check in found.failed] == ["dq"]
    with pytest.raises(OptionError, match="`max_dq` needs an atomic model"):
        compare_maps(blurred, source, limits=Limits(max_dq=0.02))


def test_a_model_elsewhere_is_refused(source):
    away = source.grid.region((1000, 0, 0), source.grid.shape)
    with pytest.raises(MapError, match="none of 214 atoms lies in the box"):
        compare_atoms(MODEL, source.values, source.values, away)


def test_a_marked_model_has_the_loss_of_each_residue_as_its_b_factors(source, tmp_path):
    blurred = band_limited(source.values, source.grid, 5.0)
    kept = compare_atoms(MODEL, blurred, source.values, source.grid, band_limit=3.2)
    path = tmp_path / "marked.cif"
    path.write_text(marked_model(MODEL, kept), encoding="utf-8")
    before, after = gemmi.read_structure(str(MODEL)), gemmi.read_structure(str(path))
    assert [a.atom.pos.tolist() for a in after[0].all()] == [a.atom.pos.tolist() for a in before[0].all()]
    stated = {str(site.residue.seqid): site.atom.b_iso for site in after[0].all()}
    worst = kept.worst[0]
    number = worst.residue.split()[-1]
    assert stated[number] == max(stated.values())
    assert stated[number] == pytest.approx(100 * (worst.q_cut - worst.q_decoded), abs=0.01)
    unresolved = {kept.residues[i].split()[-1] for i in np.flatnonzero(~(kept.residue_q_cut >= 0.4))}
    assert {stated[n] for n in unresolved} <= {0.0}

"""Map-model FSC of small models made here."""

from __future__ import annotations

import gemmi
import numpy as np
import pytest

from nmap.compare.atomic_model import compare_model, model_density, place_in_box
from nmap.compare.structure import read_model
from nmap.errors import MapError
from nmap.grid import Grid
from nmap.maps import DensityMap
from nmap.spectrum import band_limited

GRID = Grid((40, 44, 48), (0.9, 0.9, 0.9), (100.0, -20.0, 7.0))


def write_model(path, offset=(0.0, 0.0, 0.0), element="C"):
    """Sixty atoms at random in the middle of the grid's box, displaced by `offset` (x, y, z) Angstrom."""
    places = GRID.positions(np.random.default_rng(1).uniform(0.25, 0.75, (60, 3))) + np.asarray(offset)
    structure = gemmi.Structure()
    structure.add_model(gemmi.Model(1))
    structure[0].add_chain(gemmi.Chain("A"))
    for number, place in enumerate(places, 1):
        residue = gemmi.Residue()
        residue.name, residue.seqid = "UNK", gemmi.SeqId(str(number))
        atom = gemmi.Atom()
        atom.name, atom.element, atom.b_iso = element, gemmi.Element(element), 30.0
        atom.pos = gemmi.Position(*place)
        residue.add_atom(atom)
        structure[0]["A"].add_residue(residue)
    if path.suffix == ".pdb":
        structure.write_pdb(str(path))
    else:
        structure.make_mmcif_document().write_file(str(path))
    return path


def gaussian_atoms(path):
    """The same atoms as plain Gaussians, by hand: no scattering table."""
    points = GRID.points()
    out = np.zeros(GRID.shape)
    for site in gemmi.read_structure(str(path))[0].all():
        out += np.exp(-np.square(points - site.atom.pos.tolist()).sum(-1) / (2 * 0.8**2))
    return DensityMap(out, GRID)


@pytest.fixture(scope="module", name="source")
def make_source(tmp_path_factory):
    return gaussian_atoms(write_model(tmp_path_factory.mktemp("model") / "m.cif"))


@pytest.mark.parametrize("name", ["m.cif", "m.pdb"])
def test_a_model_in_its_own_density_correlates_in_every_shell(tmp_path, source, name):
    found = compare_model(write_model(tmp_path / name), source, source, resolution=2.0)
    assert found.atoms == 60 and found.inside == 1
    assert found.source.worst(2.2) > 0.97
    assert found.correlation_source > 0.97
    assert found.mask == "around the atoms"


def test_source_and_decode_stand_side_by_side(tmp_path, source):
    blurred = DensityMap(band_limited(source.values, GRID, 5.0), GRID)
    found = compare_model(write_model(tmp_path / "m.cif"), blurred, source, resolution=2.5)
    assert found.source.worst(2.5) > 0.97
    assert 3 < found.decoded.crossing(0.5) < 5  # the mask spreads a sharp cut over a few shells
    assert found.correlation_decoded < 0.9 < found.correlation_source


def test_a_model_one_angstrom_off_is_seen(tmp_path, source):
    off = compare_model(write_model(tmp_path / "m.cif", (1.0, 0.0, 0.0)), source, source)
    assert off.source.crossing(0.5) > 3


def test_atoms_outside_the_box_are_counted_and_a_model_elsewhere_is_refused(tmp_path, source):
    half = compare_model(write_model(tmp_path / "half.cif", (22.0, 0.0, 0.0)), source, source)
    assert 0.2 < half.inside < 0.8
    with pytest.raises(MapError, match="none of 60 atoms lies in the box"):
        compare_model(write_model(tmp_path / "away.cif", (500.0, 0.0, 0.0)), source, source)


@pytest.mark.parametrize("text", ["", "nonsense\n", "data_x\n_cell.length_a 3\n"])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "bad.cif"
    path.write_text(text)
    with pytest.raises(MapError) as failure:
        read_model(path)
    assert "bad.cif" in str(failure.value) and "\n" not in str(failure.value)


def test_electron_scattering_weighs_atoms_by_element(tmp_path):
    total = {}
    for element in ("C", "S"):
        model = read_model(write_model(tmp_path / f"{element}.cif", element=element))[0]
        place_in_box(model, GRID)
        total[element] = float(model_density(model, GRID).sum(dtype=np.float64))
    assert total["S"] / total["C"] == pytest.approx(
        5.16 / 2.51, rel=0.02
    )  # f(0), Int. Tables C, table 4.3.2.2

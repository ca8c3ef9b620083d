"""Atomic models as arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nmap.compare.structure import read_atoms
from nmap.errors import MapError

DATA = Path(__file__).parents[1] / "data"
LINE = "ATOM  {0:5d} {1:^4s}{2:1s}{3:3s} {4:1s}{5:4d}    {6:8.3f}{7:8.3f}{8:8.3f}{9:6.2f} 30.00          {10:>2s}\n"


def pdb(path, *atoms):
    """A PDB file of atoms (name, altloc, residue, chain, number, x, occupancy, element)."""
    lines = [
        LINE.format(i, name, alt, residue, chain, number, x, 0.0, 0.0, occupancy, element)
        for i, (name, alt, residue, chain, number, x, occupancy, element) in enumerate(atoms, 1)
    ]
    path.write_text("".join([*lines, "END\n"]))
    return path


def test_a_real_model_is_read_atom_by_atom():
    atoms = read_atoms(DATA / "5me2_A1-30.pdb.gz")
    assert len(atoms) == 214 and len(atoms.residues) == 30
    assert str(atoms.residues[0]) == "A VAL 1" and atoms.chains == ("A",)
    assert atoms.names[1] == "CA" and atoms.elements[1] == "C"
    assert atoms.by_residue(np.ones(214)) == pytest.approx(np.ones(30))


def test_hydrogens_and_rarer_places_are_left_out(tmp_path):
    path = pdb(
        tmp_path / "m.pdb",
        ("N", " ", "SER", "A", 1, 0.0, 1.0, "N"),
        ("H", " ", "SER", "A", 1, 1.0, 1.0, "H"),
        ("OG", "A", "SER", "A", 1, 2.0, 0.3, "O"),
        ("OG", "B", "SER", "A", 1, 3.0, 0.7, "O"),
        ("D", " ", "SER", "A", 1, 4.0, 1.0, "D"),
        ("CA", " ", "GLY", "B", 1, 5.0, 1.0, "C"),
    )
    atoms = read_atoms(path)
    assert atoms.positions[:, 0].tolist() == [0.0, 3.0, 5.0]
    assert [str(r) for r in atoms.residues] == ["A SER 1", "B GLY 1"]


def test_of_two_residues_in_one_place_the_likelier_is_taken(tmp_path):
    path = pdb(
        tmp_path / "m.pdb",
        ("CA", "A", "SER", "A", 1, 0.0, 0.4, "C"),
        ("OG", "A", "SER", "A", 1, 1.0, 0.4, "O"),
        ("CA", "B", "THR", "A", 1, 0.1, 0.6, "C"),
        ("CB", "B", "THR", "A", 1, 1.1, 0.6, "C"),
    )
    atoms = read_atoms(path)
    assert [str(r) for r in atoms.residues] == ["A THR 1"]
    assert atoms.names.tolist() == ["CA", "CB"]


def test_means_leave_out_what_has_no_value(tmp_path):
    path = pdb(
        tmp_path / "m.pdb",
        *(("CA", " ", "GLY", chain, number, 0.0, 1.0, "C") for chain in "AB" for number in (1, 2)),
    )
    atoms = read_atoms(path)
    values = np.array([0.5, np.nan, np.nan, np.nan])
    assert atoms.by_residue(values)[0] == 0.5 and np.isnan(atoms.by_residue(values)[1:]).all()
    assert atoms.by_chain(values)[0] == 0.5 and np.isnan(atoms.by_chain(values)[1])


def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path):
    path = tmp_path / "m.cif"
    path.write_text("data_x\n_a.b 1\n")
    with pytest.raises(MapError, match=r"without atoms|not an atomic model") as refused:
        read_atoms(path)
    assert "\n" not in str(refused.value)
    hydrogens = pdb(tmp_path / "h.pdb", ("H", " ", "HOH", "A", 1, 0.0, 1.0, "H"))
    with pytest.raises(MapError, match="hydrogens alone"):
        read_atoms(hydrogens)

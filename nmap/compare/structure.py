"""Atomic models (mmCIF, PDB, gzipped or not) as arrays: atoms, residues, chains, as measures against a map need."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmap.errors import MapError, NmapError
from nmap.machine.inputs import existing

if TYPE_CHECKING:
    import gemmi

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Residue:
    """One residue, nucleotide, ligand or water.

    Attributes:
        chain: name of its chain.
        number: residue number, with its insertion code if it has one.
        name: of the residue, such as LEU.
    """

    chain: str
    number: str
    name: str

    def __str__(self) -> str:
        return f"{self.chain} {self.name} {self.number}"


@dataclass(frozen=True, eq=False)
class Atoms:
    """The atoms of a model but hydrogens, one place for each, in the file's order.

    Attributes:
        positions: (n, 3), Cartesian (x, y, z) in Angstrom.
        names: (n,) such as CA.
        elements: (n,) such as C.
        occupancies: (n,).
        b_factors: (n,), isotropic, Angstrom^2.
        residue: (n,), index into `residues` of each atom; never falls.
        residues: those that have atoms.
    """

    positions: F64
    names: NDArray[np.str_]
    elements: NDArray[np.str_]
    occupancies: F64
    b_factors: F64
    residue: NDArray[np.intp]
    residues: tuple[Residue, ...]

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def chains(self) -> tuple[str, ...]:
        """Names of the chains, in the file's order."""
        return tuple(dict.fromkeys(residue.chain for residue in self.residues))

    @cached_property
    def chain(self) -> NDArray[np.intp]:
        """(n,), index into `chains` of each atom."""
        of_residue = [self.chains.index(residue.chain) for residue in self.residues]
        return np.asarray(of_residue, np.intp)[self.residue]

    def by_residue(self, values: F64) -> F64:
        """Mean over the atoms of each residue, (residues,); an atom of value NaN is left out, NaN if all are."""
        return _mean_by(self.residue, values, len(self.residues))

    def by_chain(self, values: F64) -> F64:
        """Mean over the atoms of each chain, (chains,); an atom of value NaN is left out, NaN if all are."""
        return _mean_by(self.chain, values, len(self.chains))


def _mean_by(index: NDArray[np.intp], values: F64, count: int) -> F64:
    told = np.isfinite(values)
    number = np.bincount(index[told], minlength=count)
    total = np.bincount(index[told], values[told], minlength=count)
    return np.asarray(np.divide(total, number, out=np.full(count, np.nan), where=number > 0), np.float64)


def read_atoms(path: str | os.PathLike[str]) -> Atoms:
    """The atoms of a file's first model, as `atoms_of` takes them.

    Args:
        path: mmCIF or PDB file, gzipped or not.

    Raises:
        MapError: the file is no atomic model, or holds none but hydrogens.
    """
    atoms = atoms_of(read_model(path)[0])
    if len(atoms) == 0:
        raise MapError(f"{path}: an atomic model of hydrogens alone: give one with other atoms")
    return atoms


def read_model(path: str | os.PathLike[str]) -> gemmi.Structure:
    """An atomic model with at least one atom, as gemmi holds it.

    Raises:
        MapError: the file is none.
    """
    import gemmi

    try:
        structure = gemmi.read_structure(os.fspath(existing(path)))
    except NmapError:
        raise
    except (RuntimeError, ValueError, IndexError, OSError) as failure:
        reason = " ".join(str(failure).split())
        raise MapError(f"{path}: not an atomic model in mmCIF or PDB format: {reason}") from failure
    if len(structure) == 0 or structure[0].count_atom_sites() == 0:
        raise MapError(f"{path}: an atomic model without atoms: give one with coordinates")
    return structure


def atoms_of(model: gemmi.Model) -> Atoms:
    """The atoms of a model but hydrogens; of alternate locations the one of the highest occupancy.

    No symmetry is applied: copies count if the model has them.
    """
    residues: list[Residue] = []
    kept: list[tuple[gemmi.Atom, int]] = []
    for chain in model:
        for group in _at_one_number(chain):
            chosen, name = _one_conformer(group)
            if chosen:
                kept.extend((atom, len(residues)) for atom in chosen)
                residues.append(Residue(chain.name, str(group[0].seqid), name))
    return Atoms(
        positions=np.array([atom.pos.tolist() for atom, _ in kept], np.float64).reshape(-1, 3),
        names=np.array([atom.name for atom, _ in kept], np.str_),
        elements=np.array([atom.element.name for atom, _ in kept], np.str_),
        occupancies=np.array([atom.occ for atom, _ in kept], np.float64),
        b_factors=np.array([atom.b_iso for atom, _ in kept], np.float64),
        residue=np.array([index for _, index in kept], np.intp),
        residues=tuple(residues),
    )


def _at_one_number(chain: gemmi.Chain) -> list[list[gemmi.Residue]]:
    """Residues by number: more than one in a group are alternatives to each other."""
    groups: list[list[gemmi.Residue]] = []
    for residue in chain:
        alternative = any(atom.has_altloc() for atom in residue)
        if groups and alternative and groups[-1][0].seqid == residue.seqid:
            groups[-1].append(residue)
        else:
            groups.append([residue])
    return groups


def _one_conformer(group: list[gemmi.Residue]) -> tuple[list[gemmi.Atom], str]:
    """Heavy atoms of the likeliest conformer of a residue, one for each name, and the residue's name."""
    occupancies: dict[tuple[str, str], list[float]] = defaultdict(list)
    for residue in group:
        for atom in residue:
            if atom.has_altloc():
                occupancies[residue.name, atom.altloc].append(atom.occ)
    likely = {key: sum(values) / len(values) for key, values in occupancies.items()}
    best = max(likely, key=lambda key: (likely[key], -ord(key[1])), default=(group[0].name, ""))
    residue = next(one for one in group if one.name == best[0])
    chosen: dict[str, gemmi.Atom] = {}
    for atom in residue:
        if atom.element.is_hydrogen:
            continue
        rival = chosen.get(atom.name)
        if rival is None or _rank(atom, best[1]) > _rank(rival, best[1]):
            chosen[atom.name] = atom
    return list(chosen.values()), residue.name


def _rank(atom: gemmi.Atom, conformer: str) -> tuple[bool, float]:
    """How much an atom is wanted among those of one name: of the conformer first, then by occupancy."""
    return atom.altloc in ("\0", conformer), atom.occ

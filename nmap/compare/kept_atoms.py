"""Whether a decode keeps the atoms: Q-scores and correlations of a model in the source, cut as the file is, and in it.

A decode holds nothing beyond its band limit, and the noise that a source holds there lowers its Q. So a decode is set
against the source cut at the same limit, which tells what the network lost, and against the source as it is, which
tells what the file costs a user in all. Residues that the reference does not resolve say little: their Q is mostly
noise, and they count in the mean over all residues only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.compare.model_correlation import correlation_by_residue, correlation_in_mask, model_map
from nmap.compare.q_score import q_scores
from nmap.compare.structure import Atoms, read_atoms
from nmap.errors import MapError
from nmap.grid import Grid
from nmap.spectrum import Planes, band_limited

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Verdict = Literal["kept", "weak", "lost"]

RESOLVED = 0.4
"""Q of a residue in the reference from which it counts as resolved: a map at some 3.6 A (Pintilie et al. 2020)."""

NOTABLE = 0.05
"""Change of a residue's Q that can be seen in the density."""

KEPT_MEAN = 0.02
KEPT_PERCENTILE = -0.05
"""Atoms are kept where the mean absolute change of Q, and its 5th percentile, are no worse."""

WEAK_PERCENTILE = -0.15
"""They are weak where the 5th percentile is no worse; below, side chains are lost."""

WORST = 10
"""Residues that are named."""


@dataclass(frozen=True)
class QChange:
    """How the Q of residues changes from a reference to a decode.

    Attributes:
        resolved: residues that the reference resolves, Q of 0.4 or more; all below but `mean_all` are over them.
        mean_abs: mean absolute change.
        mean: mean change.
        fifth_percentile: a twentieth of them change by less.
        worst: the lowest change.
        notable: share of them that change by more than 0.05, up or down.
        mean_all: mean change over all residues that both have a Q for.
    """

    resolved: int
    mean_abs: float
    mean: float
    fifth_percentile: float
    worst: float
    notable: float
    mean_all: float


@dataclass(frozen=True)
class ChangedResidue:
    """A residue and what a decode makes of it.

    Attributes:
        residue: chain, name, number.
        q_source: Q in the source.
        q_cut: in the source cut at the band limit.
        q_decoded: in the decode.
    """

    residue: str
    q_source: float
    q_cut: float
    q_decoded: float


@dataclass(frozen=True, eq=False)
class KeptAtoms:
    """A model in a source and in its decode.

    Attributes:
        name: file name of the model.
        atoms: number of its atoms but hydrogens.
        inside: share of them that lies in the box.
        in_envelope: share of them where the file's envelope keeps at least half; None without an envelope.
        resolution: the band limit of the cut, and of the model's density, Angstrom.
        q_source: mean Q over the atoms in the source.
        q_cut: in the source cut at the band limit.
        q_decoded: in the decode.
        against_cut: change of the residues' Q from the cut source to the decode.
        against_source: from the source as it is.
        cc_mask_source: correlation with the model's density in its mask, of the cut source.
        cc_mask_decoded: of the decode.
        residues: names of all residues, chain by chain.
        residue_q_source: their Q in the source, (residues,); NaN outside the box.
        residue_q_cut: in the cut source.
        residue_q_decoded: in the decode.
        residue_cc_cut: their correlation with the model's density, of the cut source.
        residue_cc_decoded: of the decode.
    """

    name: str
    atoms: int
    inside: float
    in_envelope: float | None
    resolution: float
    q_source: float
    q_cut: float
    q_decoded: float
    against_cut: QChange | None
    against_source: QChange | None
    cc_mask_source: float
    cc_mask_decoded: float
    residues: tuple[str, ...]
    residue_q_source: F64
    residue_q_cut: F64
    residue_q_decoded: F64
    residue_cc_cut: F64
    residue_cc_decoded: F64

    WHAT: ClassVar = "Q-scores (Pintilie et al. 2020, every shell weighed alike) and correlations (as Phenix)"
    ALSO: ClassVar = ("verdict", "worst")

    @property
    def verdict(self) -> Verdict | None:
        """Whether the atoms are kept, by the residues that the cut source resolves; None if there are none."""
        change = self.against_cut
        if change is None:
            return None
        if change.mean_abs <= KEPT_MEAN and change.fifth_percentile >= KEPT_PERCENTILE:
            return "kept"
        return "weak" if change.fifth_percentile >= WEAK_PERCENTILE else "lost"

    @cached_property
    def worst(self) -> tuple[ChangedResidue, ...]:
        """The residues that lose most against the cut source, of those that it resolves; the worst first."""
        change = self.residue_q_decoded - self.residue_q_cut
        counted = np.flatnonzero((change < 0) & (self.residue_q_cut >= RESOLVED))
        return tuple(
            ChangedResidue(
                self.residues[i],
                float(self.residue_q_source[i]),
                float(self.residue_q_cut[i]),
                float(self.residue_q_decoded[i]),
            )
            for i in counted[np.argsort(change[counted], kind="stable")[:WORST]]
        )


def compare_atoms(
    path: str | os.PathLike[str],
    decoded: F32,
    source: F32,
    grid: Grid,
    *,
    band_limit: float | None = None,
    resolution: float | None = None,
    envelope: Planes | None = None,
) -> KeptAtoms:
    """Q-scores and correlations of a model in a source and in its decode.

    Args:
        path: of the model, in the frame of the maps (mmCIF or PDB).
        decoded: (z, y, x).
        source: the same shape.
        grid: where both lie.
        band_limit: where the source is cut, Angstrom; None: not at all.
        resolution: of the model's density where there is no band limit, Angstrom; Nyquist if None.
        envelope: of the file, 0 to 1, (z, y, x).

    Raises:
        MapError: the model cannot be read, or none of its atoms lies in the box.
    """
    atoms = read_atoms(path)
    inside = _inside(atoms, grid)
    if not inside.any():
        raise MapError(
            f"{path}: none of {len(atoms)} atoms lies in the box of {grid}: give one in the map's frame"
        )
    limit = band_limit or resolution or 1 / grid.nyquist
    cut = source if band_limit is None else band_limited(source, grid, band_limit)
    q = [q_scores(values, grid, atoms.positions) for values in (source, cut, decoded)]
    by_residue = [atoms.by_residue(scores) for scores in q]
    model = model_map(atoms, grid, limit)
    return KeptAtoms(
        name=os.path.basename(os.fspath(path)),
        atoms=len(atoms),
        inside=float(inside.mean()),
        in_envelope=None if envelope is None else _share_in(envelope, grid, atoms.positions[inside]),
        resolution=limit,
        q_source=_mean(q[0]),
        q_cut=_mean(q[1]),
        q_decoded=_mean(q[2]),
        against_cut=q_change(by_residue[1], by_residue[2]),
        against_source=q_change(by_residue[0], by_residue[2]),
        cc_mask_source=correlation_in_mask(cut, model),
        cc_mask_decoded=correlation_in_mask(decoded, model),
        residues=tuple(str(residue) for residue in atoms.residues),
        residue_q_source=by_residue[0],
        residue_q_cut=by_residue[1],
        residue_q_decoded=by_residue[2],
        residue_cc_cut=correlation_by_residue(cut, grid, atoms, model),
        residue_cc_decoded=correlation_by_residue(decoded, grid, atoms, model),
    )


def q_change(reference: F64, decoded: F64) -> QChange | None:
    """How residues' Q changes; None where the reference resolves none.

    Args:
        reference: Q of each residue, (residues,); NaN for none.
        decoded: the same in the decode.
    """
    change = decoded - reference
    told = np.isfinite(change)
    resolved = change[told & (reference >= RESOLVED)]
    if resolved.size == 0:
        return None
    return QChange(
        resolved=resolved.size,
        mean_abs=float(np.abs(resolved).mean()),
        mean=float(resolved.mean()),
        fifth_percentile=float(np.quantile(resolved, 0.05)),
        worst=float(resolved.min()),
        notable=float((np.abs(resolved) > NOTABLE).mean()),
        mean_all=float(change[told].mean()),
    )


def _inside(atoms: Atoms, grid: Grid) -> NDArray[np.bool_]:
    fractions = grid.fractions(atoms.positions)
    return np.asarray(np.all((fractions >= 0) & (fractions < 1), -1))


def _share_in(envelope: Planes, grid: Grid, positions: F64) -> float:
    """Share of positions whose nearest voxel the envelope keeps at least half of."""
    shape = np.asarray(grid.shape)
    index = np.rint(grid.fractions(positions) * shape).astype(int) % shape
    kept = 0
    for planes, slab in envelope.slabs():
        z, y, x = index[(index[:, 0] >= planes.start) & (index[:, 0] < planes.stop)].T
        kept += int(np.count_nonzero(slab[z - planes.start, y, x] >= 0.5))
    return kept / len(index)


def _mean(values: F64) -> float:
    told = values[np.isfinite(values)]
    return float(told.mean()) if told.size else float("nan")

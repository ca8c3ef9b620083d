"""An atomic model that carries in its B-factors what a decode loses of it, for any viewer that colours by those."""

from __future__ import annotations

import os

import numpy as np

from nmap.compare.kept_atoms import RESOLVED, KeptAtoms
from nmap.compare.structure import read_model

HUNDREDTHS = 100.0
"""B-factors for one unit of Q: files keep two decimals of them."""


def marked_model(path: str | os.PathLike[str], kept: KeptAtoms) -> str:
    """A model as mmCIF, its B-factors the loss of Q of each residue against the cut source, in hundredths.

    A gain is negative. Residues that the cut source does not resolve have 0, as has what has no Q.

    Args:
        path: of the model that `kept` was measured on (mmCIF or PDB).
        kept: what became of its residues.

    Raises:
        MapError: the file is no atomic model.
    """
    structure = read_model(path)
    loss = kept.residue_q_cut - kept.residue_q_decoded
    told = np.isfinite(loss) & (kept.residue_q_cut >= RESOLVED)
    by_name = {
        name: HUNDREDTHS * float(v) for name, v in zip(kept.residues, np.where(told, loss, 0), strict=True)
    }
    while len(structure) > 1:
        del structure[1]
    for chain in structure[0]:
        for residue in chain:
            value = by_name.get(f"{chain.name} {residue.name} {residue.seqid}", 0.0)
            for atom in residue:
                atom.b_iso = value
    return structure.make_mmcif_document().as_string()

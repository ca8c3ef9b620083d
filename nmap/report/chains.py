"""A model's residues along its chains: change of Q, and correlation of source and decode; an SVG."""

from __future__ import annotations

import numpy as np

from nmap.compare.kept_atoms import NOTABLE, RESOLVED, KeptAtoms
from nmap.report.drawing import DECODED, QUIET, SOURCE, new_figure, styled, svg

CHAINS = 12
"""Chains that are drawn: with more a page would be all curves."""

_ROW = 1.15
_WIDTH = 7.4


def chain_names(atoms: KeptAtoms) -> list[str]:
    """Names of the chains, in the model's order."""
    return list(dict.fromkeys(_chain(residue) for residue in atoms.residues))


@styled
def chains_figure(atoms: KeptAtoms) -> str:
    """Change of each residue's Q against the cut source, chain below chain, and the correlations beside it."""
    names = chain_names(atoms)[:CHAINS]
    figure, ax = new_figure(_WIDTH, 0.9 + 2 * _ROW * len(names))
    ax.remove()
    axes = figure.subplots(2 * len(names), 1, sharex=False, squeeze=False)[:, 0]
    change = atoms.residue_q_decoded - atoms.residue_q_cut
    resolved = atoms.residue_q_cut >= RESOLVED
    for row, name in enumerate(names):
        own = np.array([index for index, residue in enumerate(atoms.residues) if _chain(residue) == name])
        at = np.arange(own.size)
        above, below = axes[2 * row], axes[2 * row + 1]
        for chosen, colour in ((resolved[own], DECODED), (~resolved[own], QUIET)):
            above.vlines(at[chosen], 0, np.clip(change[own[chosen]], -0.3, 0.3), color=colour, lw=1)
        above.axhline(0, color=QUIET, lw=0.6)
        for level in (-NOTABLE, NOTABLE):
            above.axhline(level, color=QUIET, lw=0.6, ls=":")
        above.set_ylim(-0.3, 0.3)
        above.set_ylabel("change of Q", fontsize=7)
        above.set_title(f"chain {name}", fontsize=8, pad=2)
        below.plot(at, atoms.residue_cc_cut[own], color=SOURCE, lw=1.0, label="source, cut")
        below.plot(at, atoms.residue_cc_decoded[own], "--", color=DECODED, lw=1.0, label="decode")
        below.set_ylim(0, 1)
        below.set_ylabel("CC", fontsize=7)
        ticks = np.unique(np.linspace(0, own.size - 1, min(8, own.size)).astype(int))
        for ax in (above, below):
            ax.set_xlim(-1, own.size)
            ax.set_xticks(ticks, [atoms.residues[own[t]].rpartition(" ")[2] for t in ticks], fontsize=7)
            ax.tick_params(axis="y", labelsize=7)
    if names:
        axes[1].legend(fontsize=7, loc="lower right", ncols=2)
    return svg(figure, "Residues along each chain")


def _chain(residue: str) -> str:
    """The chain of a residue's name: "A" of "A LEU 14"."""
    return residue.rpartition(" ")[0].rpartition(" ")[0]

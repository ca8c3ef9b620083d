"""What becomes of atoms and side chains, in words; values come in, text goes out. Lengths are in Angstrom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmap.side_chains import subject
from nmap.spectrum import floored

if TYPE_CHECKING:
    from nmap.compare.findings import Findings
    from nmap.compare.kept_atoms import KeptAtoms, QChange, Verdict
    from nmap.compare.local_loss import LocalLoss

_MEANINGS: dict[Verdict, str] = {
    "kept": "kept",
    "weak": "weak: some residues lose density that a model builder needs",
    "lost": "lost: use the file for a look; a higher goal keeps more",
}


def detail_verdict(found: Findings) -> Verdict | None:
    """What becomes of the finest parts, by the atoms where there is a model, else by the local correlation.

    None where neither tells, or where the source is not the file's own.
    """
    if found.of_another_map:
        return None
    if found.atoms is not None and found.atoms.verdict is not None:
        return found.atoms.verdict
    return None if found.local is None else found.local.verdict


def detail_name(found: Findings) -> str:
    """What the verdict is on: "Side chains", or "Detail" in a map too coarse to show them."""
    limit = found.fidelity.resolution if found.band_limit is None else found.band_limit.limit
    return subject(limit).capitalize()


def detail_words(found: Findings) -> list[str]:
    """The verdict and what it rests on; empty without one."""
    if found.of_another_map:
        return ["not judged: the source looks like another map than the one that the file was made from"]
    verdict = detail_verdict(found)
    if verdict is None:
        return []
    if found.atoms is not None and found.atoms.against_cut is not None:
        change = found.atoms.against_cut
        why = f"Q of a residue changes by {change.mean_abs:.3f} on average; 1 in 20 loses {_fall(change)}"
        return [_MEANINGS[verdict], why]
    if verdict == "kept" and any(remark.code == "side-chains" for remark in found.remarks):
        return [
            "kept on the whole; the weakest may be missing",
            "judged by the local correlation and the worst shell",
        ]
    return [_MEANINGS[verdict], "judged by the local correlation; with --model atom by atom"]


def _fall(change: QChange) -> str:
    return f"{max(-change.fifth_percentile, 0):.3f} or more"


def local_words(local: LocalLoss) -> str:
    """Where a decode differs most from its source."""
    x, y, z = local.place
    return f"lowest {floored(local.lowest)}, at ({x:.1f}, {y:.1f}, {z:.1f}) A; mean {floored(local.mean)}"


def atom_lines(atoms: KeptAtoms) -> list[str]:
    """A model's Q-scores and correlations in the source and in the decode."""
    inside = f"{100 * atoms.inside:.4g} % in the box"
    if atoms.in_envelope is not None:
        inside += f", {100 * atoms.in_envelope:.4g} % of these inside the file's mask"
    lines = [
        f"{atoms.name}: {atoms.atoms} atoms, {inside}",
        f"mean Q {atoms.q_source:.3f} in the source, {atoms.q_cut:.3f} in the source cut at {atoms.resolution:g} A, "
        f"{atoms.q_decoded:.3f} in the decode",
    ]
    for name, change in (("cut source", atoms.against_cut), ("whole source", atoms.against_source)):
        if change is None:
            lines.append(f"against the {name}: no residue is resolved (Q of 0.4 or more)")
        else:
            lines.append(f"against the {name}: {change_words(change)}")
    return [
        *lines,
        f"CC in the model's mask: {atoms.cc_mask_source:.4f} of the cut source, {atoms.cc_mask_decoded:.4f} of the "
        "decode",
    ]


def change_words(change: QChange) -> str:
    """How the Q of residues changes."""
    return (
        f"{change.resolved} resolved residues change by {change.mean_abs:.3f} on average, 5th percentile "
        f"{change.fifth_percentile:+.3f}, worst {change.worst:+.3f}, {100 * change.notable:.2g} % by more than 0.05; "
        f"all residues on average {change.mean_all:+.3f}"
    )


def worst_residues(atoms: KeptAtoms) -> list[tuple[str, str, str, str, str]]:
    """The residues that lose most: name, Q in the source, in the cut source, in the decode, change."""
    return [
        (
            one.residue,
            f"{one.q_source:.2f}",
            f"{one.q_cut:.2f}",
            f"{one.q_decoded:.2f}",
            f"{one.q_decoded - one.q_cut:+.3f}",
        )
        for one in atoms.worst
    ]

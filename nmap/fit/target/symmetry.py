"""Which point group a fit takes, and what is said of it."""

from __future__ import annotations

import numpy as np

from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.target.prepare import Target
from nmap.fit.target.self_correlation import choose
from nmap.point_group import PointGroup

# Measuring the symmetry may take this share of a time budget; it takes so many times as long as preparing.
_SYMMETRY_SHARE, _SYMMETRY = 0.3, 3.0
UNSOUGHT = "the time budget leaves none to look for symmetry"


def find_symmetry(target: Target, options: EncodeOptions, watch: Watch) -> tuple[PointGroup | None, str]:
    """The point group to fit with, and what was measured of it, in words.

    Raises:
        QualityError: a point group that was asked for and does not hold.
        OptionError: a point group for a cell that is not orthogonal.
    """
    if options.symmetry.upper() == "C1":
        return None, "C1, as asked"
    left = watch.left
    if (
        options.symmetry == "auto"
        and left is not None
        and _SYMMETRY * watch.slowdown.factor * watch.prepared > _SYMMETRY_SHARE * left
    ):
        return None, f"C1: {UNSOUGHT}"
    watch.say("measuring the symmetry")
    grid = target.density.grid
    mask = None if target.envelope is None else target.envelope.on_lattice(grid.shape)
    group, table = choose(
        target.density.values - np.float32(target.solvent),
        grid,
        mask,
        target.band_limit,
        options.symmetry,
        threshold=options.symmetry_threshold,
        force=options.force_symmetry,
        halves=None if target.halves is None else target.halves.about_solvents,
    )
    held = max(table, key=lambda found: (found.group == group, found.correlation), default=None)
    if held is None:
        return group, "C1: the cell is not orthogonal"
    error = f" +- {held.error:.4f} between the half maps" if target.halves is not None else ""
    said = f"{held.group.name} has a self-correlation of {held.correlation:.4f}{error} inside the envelope"
    return group, said if group is not None else f"C1: {said}, the highest found"

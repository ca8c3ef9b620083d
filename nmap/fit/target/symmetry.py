"""Which point group a fit takes."""

from __future__ import annotations

from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.target.self_correlation import choose
from nmap.fit.target.specimen import Specimen
from nmap.outcomes import SymmetryOutcome
from nmap.point_group import PointGroup
from nmap.spectrum import Planes

# Share of a time budget that looking for a symmetry may take.
_SHARE = 0.3
# Seconds that looking for a symmetry takes, for each second that preparing took (measured on EMD-3488, EMD-0093).
_OF_PREPARING = 3.0


def find_symmetry(
    specimen: Specimen, options: EncodeOptions, watch: Watch
) -> tuple[PointGroup | None, SymmetryOutcome]:
    """The point group to fit with, None for C1, and how it was decided.

    Raises:
        QualityError: a point group that was asked for and does not hold.
        OptionError: a point group for a cell that is not orthogonal.
    """
    if options.symmetry.upper() == "C1":
        return None, SymmetryOutcome("asked")
    seconds = _OF_PREPARING * watch.preparing_seconds
    if options.symmetry == "auto" and watch.left is not None and seconds > _SHARE * watch.left:
        return None, SymmetryOutcome("no-time")
    watch.say("measuring-symmetry")
    grid, envelope, halves = specimen.density.grid, specimen.chosen.envelope, specimen.halves()
    group, table = choose(
        Planes.of(specimen.density.values, specimen.solvent),
        grid,
        None if envelope is None else Planes(grid.shape, lambda part: envelope.planes(grid.shape, part)),
        specimen.band_limit,
        options.symmetry,
        threshold=options.symmetry_threshold,
        force=options.force_symmetry,
        halves=None if halves is None else halves.about_solvents,
    )
    measured = max(table, key=lambda found: (found.group == group, found.correlation), default=None)
    if measured is None:
        return group, SymmetryOutcome("oblique")
    return group, SymmetryOutcome(
        "asked" if options.symmetry != "auto" else "none-holds" if group is None else "found",
        measured.group.name,
        measured.correlation,
        None if halves is None else measured.error,
    )

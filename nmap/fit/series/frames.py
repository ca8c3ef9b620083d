"""What a series is fitted to: a target for each frame, alike in band limit, envelope, solvent, gains and scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nmap.coding.codings import decode_tensor, encode_log
from nmap.fit.options import EncodeOptions
from nmap.fit.target.envelope import Chosen, envelope_around
from nmap.fit.target.prepare import F64, Target, levelled, target_of
from nmap.fit.target.specimen import Specimen, specimen_of
from nmap.maps import DensityMap
from nmap.outcomes import SymmetryOutcome
from nmap.point_group import PointGroup

# Value from which an envelope is 1, but for rounding.
_FULL = 1 - 1e-6
# Shells up to this share of the last one are left unwhitened at most.
_EMPHASISED = 0.5


def specimens_of(frames: Sequence[DensityMap], options: EncodeOptions) -> list[Specimen]:
    """What of each frame is fitted: to the finest of their resolutions, inside the union of their envelopes.

    Args:
        frames: maps on one grid.
        options: as for one map.
    """
    alone = [specimen_of(frame, options) for frame in frames]
    finest = min(alone, key=lambda specimen: specimen.band_limit)
    chosen = _union([specimen.chosen for specimen in alone], alone[0].density, finest.band_limit)
    solvent = float(np.mean([specimen.solvent for specimen in alone]))
    return [
        replace(
            specimen,
            band_limit=finest.band_limit,
            band_limit_outcome=finest.band_limit_outcome,
            chosen=chosen,
            solvent=solvent,
        )
        for specimen in alone
    ]


def specimens_at_rest(
    moving: Sequence[Specimen], rest: Sequence[DensityMap], finer: float, options: EncodeOptions
) -> list[Specimen]:
    """The same of the molecule at rest.

    Args:
        moving: what of each frame is fitted.
        rest: each frame's density, moved back.
        finer: resolution that holds it, Angstrom.
        options: as for the frames.
    """
    first = moving[0]
    same = replace(options, resolution=finer, slice=None, crop=None, downsample=1)
    return [
        replace(specimen, band_limit=finer, band_limit_outcome=first.band_limit_outcome)
        for specimen in specimens_of(rest, same)
    ]


def _union(chosen: Sequence[Chosen], density: DensityMap, band_limit: float) -> Chosen:
    """The envelope around all of these; none where one of them has none."""
    envelopes = [c.envelope for c in chosen]
    if any(envelope is None for envelope in envelopes) or chosen[0].outcome.rule == "given":
        return next((c for c in chosen if c.envelope is None), chosen[0])
    # Where an envelope is wholly 1, so that the union's is no wider than they are.
    full = [e.on_lattice(density.grid.shape) > _FULL for e in envelopes if e is not None]
    inside = np.any(full, axis=0).astype(np.float32)
    return envelope_around(DensityMap(inside, density.grid), density.grid, band_limit, chosen[0].outcome)


def targets_of(
    specimens: Sequence[Specimen], group: PointGroup | None, outcome: SymmetryOutcome
) -> list[Target]:
    """A target for each frame; the gains whiten their mean power.

    Args:
        specimens: of the frames.
        group: point group that the series is fitted with; None for C1.
        outcome: how that was decided.
    """
    alone = [target_of(specimen, group, outcome) for specimen in specimens]
    strength = np.sqrt(np.mean([(t.scale * t.gains.astype(np.float64)) ** 2 for t in alone], axis=0))
    return _with_strength(alone, strength, max(t.white_from for t in alone))


def emphasised(targets: Sequence[Target], owed: F64) -> list[Target]:
    """The targets with as many coarse shells not whitened as make them stand out by what they owe.

    Args:
        targets: alike in gains.
        owed: share of its power that each shell may miss, in units of what the goal allows, (last + 1,).
    """
    first = targets[0]
    strength = first.scale * first.gains.astype(np.float64)
    start, most = first.white_from, int(_EMPHASISED * first.last)
    while start < most and ((strength[start] / strength[1:start]) ** 2 > owed[1:start]).any():
        start += 1
    return _with_strength(targets, *levelled(strength, start))


def _with_strength(targets: Sequence[Target], strength: F64, start: int) -> list[Target]:
    """The targets with gains of this strength, density units, that whiten from a shell on."""
    scale = float(strength.max())
    coded = encode_log((strength / scale).astype(np.float32))
    gains = np.asarray(decode_tensor(coded), np.float32)
    return [replace(t, gains=gains, scale=scale, coded_gains=coded, white_from=start) for t in targets]

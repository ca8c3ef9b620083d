"""What a comparison of two maps found: plain data. JSON is made of it in `findings_json`, words in `nmap.report`.

Every number travels with what it was measured on: box, voxel size, mask, resolution and shell convention.
"Fidelity" FSC compares a decoded map with its own source; it says nothing of the source's resolution, which
a half-map FSC does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from nmap.compare.agreement import (
    BandLimit,
    OffGrid,
    RealSpace,
    Symmetry,
    compare_off_grid,
    compare_symmetry,
    compare_voxels,
)
from nmap.compare.atomic_model import MapModel, compare_model
from nmap.compare.comparison import Comparison, found_by
from nmap.compare.fidelity import Fidelity, in_the_envelope, in_the_mask, over_the_box
from nmap.compare.half_maps import HalfMaps, compare_half_maps
from nmap.compare.json_values import as_json, fields_json
from nmap.compare.kept_atoms import KeptAtoms, compare_atoms
from nmap.compare.local_loss import LocalLoss, local_loss
from nmap.compare.measures import MEASURES, Check
from nmap.compare.sizes import Sizes
from nmap.envelope.automatic import constant_solvent
from nmap.grid import Grid, Shape, Triple
from nmap.maps.contour import Contour, compare_contour
from nmap.spectrum import F64, Shells, floored, invert, lattice_shape, transform_values

SCHEMA = "nmap-validate/1"
UNLIKE = 0.1
"""Maps whose mean FSC and correlation both lie below this have nothing in common."""

OTHER_MAP = 0.5
"""A map is another than a file's source where the correlation is below this share of what the file's record says."""


@dataclass(frozen=True)
class Container:
    """What the file itself turned out to be; a file that breaks the format never gets this far.

    Attributes:
        parts: bytes by use: weights, gains, envelope, header, record, hdf5, total.
        record: whether it carries a record of its source and fit, and all of that could be read.
        same_source: whether the source given is the file that the record names by its SHA-256; None: no
            record.
    """

    parts: Mapping[str, int]
    record: bool
    same_source: bool | None


Code = Literal[
    "mask-leaks",
    "no-mask",
    "off-grid-left-out",
    "other-map",
    "other-source",
    "part-of-source",
    "record-damaged",
    "side-chains",
    "unlike",
]


@dataclass(frozen=True)
class Remark:
    """Something that the reader of the numbers should know; `nmap.report.finding_words` puts it in words.

    Attributes:
        code: what it is.
        values: numbers and names that belong to it.
    """

    code: Code
    values: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Power:
    """Power spectra of a decode and of its source.

    Attributes:
        frequency: shell centres, 1/Angstrom.
        source: mean squared Fourier amplitude of each shell of the source.
        decoded: the same of the decoded map.
    """

    frequency: F64
    source: F64
    decoded: F64

    WHAT: ClassVar = "mean squared Fourier amplitude by shell, DFT without 1/N"


def _power(c: Comparison) -> Power:
    decoded, source = c.sums[0].shells.mean_powers
    return Power(c.curve.frequency, source, decoded)


def _band_limit(c: Comparison) -> BandLimit | None:
    limit = c.extras.band_limit
    return None if limit is None else BandLimit(limit, *c.sums[0].shares_beyond)


def _off_grid(c: Comparison) -> OffGrid | None:
    _, finer, cut = c.sums
    return None if finer is None else compare_off_grid(finer, cut, c.curve, c.resolution)


def _symmetry(c: Comparison) -> Symmetry | None:
    group = c.extras.symmetry
    return None if group is None else compare_symmetry(c.decoded, c.source, group)


def _contour(c: Comparison) -> Contour | None:
    level = c.extras.contour
    return None if level is None else compare_contour(c.decoded.values, c.source.values, c.grid, level)


def _half_maps(c: Comparison) -> HalfMaps | None:
    if c.extras.half_maps is None:
        return None
    first, second = c.extras.half_maps
    return compare_half_maps(
        first, second, mask=c.mask, decoded=c.decoded, source=c.source, band_limit=c.extras.band_limit
    )


def _model(c: Comparison) -> MapModel | None:
    if c.extras.model is None:
        return None
    return compare_model(c.extras.model, c.decoded, c.source, mask=c.mask, resolution=c.resolution)


def _atoms(c: Comparison) -> KeptAtoms | None:
    if c.extras.model is None:
        return None
    return compare_atoms(
        c.extras.model,
        c.decoded.values,
        c.source.values,
        c.grid,
        band_limit=c.extras.band_limit,
        resolution=c.resolution,
        envelope=c.extras.envelope,
    )


def _local(c: Comparison) -> LocalLoss | None:
    """Local correlation within the band limit, on the lattice that holds it: fewer voxels tell as much."""
    limit = c.extras.band_limit or c.resolution
    if limit is None:
        return local_loss(c.decoded.values, c.source.values, c.grid, inside=_inside(c, c.grid.shape))
    lattice = c.grid.resampled(lattice_shape(c.grid, limit))
    keep = Shells(lattice).spread(np.ones(Shells(lattice).last(limit) + 1, np.float32))
    decoded, source = (
        invert(transform_values(density.values, lattice.shape) * keep, lattice.shape)
        for density in (c.decoded, c.source)
    )
    del keep
    masked = constant_solvent(c.source.values) is not None
    return local_loss(decoded, source, lattice, masked=masked, inside=_inside(c, lattice.shape))


def _inside(c: Comparison, shape: Shape) -> NDArray[np.bool_] | None:
    """Where the envelope exceeds one half, by its nearest voxels, on a lattice of the same box; None without one."""
    if c.extras.envelope is None:
        return None
    z, y, x = (
        np.rint(np.arange(m) * n / m).astype(int) % n for m, n in zip(shape, c.grid.shape, strict=True)
    )
    planes = (c.extras.envelope.make(slice(k, k + 1))[0][np.ix_(y, x)] > 0.5 for k in z.tolist())
    return np.stack(list(planes))


@dataclass(frozen=True)
class Findings:
    """All that a comparison of a decoded map with its source found.

    Attributes:
        decoded: name of the decoded file.
        source: name of the source.
        grid: where both lie.
        real_space: voxel against voxel.
        fidelity: FSC over the whole box.
        masked: FSC within a mask; None if there was none.
        enveloped: FSC against the source times the envelope of the fit, as the file states it; None if the file
            keeps none.
        power: mean squared Fourier amplitude of each shell, of both maps.
        shift: displacement of the decoded map from the source, voxels (x, y, z), from the phases.
        sizes: bytes; None if not given.
        container: the `.nmap` file; None if there is none.
        band_limit: None if the file has none.
        off_grid: None if not asked for.
        symmetry: None if the file has no point group.
        contour: the source's recommended level and the decode's; None if the file keeps none.
        half_maps: None without half maps.
        model: None without an atomic model.
        atoms: what becomes of the atomic model's residues; None without one.
        local: local correlation with the source within the band limit; None where nothing stands above noise.
        checks: what was held against a limit.
        remarks: what the reader of the numbers should know.
    """

    decoded: str
    source: str
    grid: Grid
    real_space: RealSpace = found_by(
        lambda c: compare_voxels(c.decoded.values, c.source.values, c.extras.envelope)
    )
    fidelity: Fidelity = found_by(over_the_box)
    masked: Fidelity | None = found_by(in_the_mask)
    enveloped: Fidelity | None = found_by(in_the_envelope)
    power: Power = found_by(_power)
    shift: Triple = found_by(lambda c: c.sums[0].shift)
    sizes: Sizes | None = found_by(lambda c: c.extras.sizes)
    band_limit: BandLimit | None = found_by(_band_limit)
    off_grid: OffGrid | None = found_by(_off_grid)
    symmetry: Symmetry | None = found_by(_symmetry)
    contour: Contour | None = found_by(_contour)
    half_maps: HalfMaps | None = found_by(_half_maps)
    model: MapModel | None = found_by(_model)
    atoms: KeptAtoms | None = found_by(_atoms)
    local: LocalLoss | None = found_by(_local)
    container: Container | None = None
    checks: tuple[Check, ...] = ()
    remarks: tuple[Remark, ...] = ()

    RENAMED: ClassVar = {
        "masked": "fidelity_masked",
        "enveloped": "fidelity_enveloped",
        "shift": "shift_xyz",
    }

    def __repr__(self) -> str:
        """One line: both maps, sampling, the FSC that counts, and whether every check holds."""
        limit = "" if self.band_limit is None else f", band limit {self.band_limit.limit:.4g} A"
        held = "holds" if self.holds else f"falls short in {len(self.failed)} of {len(self.checks)} checks"
        size = "" if self.sizes is None else f", {self.sizes.nmap} bytes"
        return (
            f"<Findings: {self.decoded} against {self.source}, {self.grid.brief}{limit}{size}, "
            f"lowest FSC {floored(self.judged.worst)}, {held}>"
        )

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that do not hold."""
        return tuple(check for check in self.checks if not check.holds)

    @property
    def holds(self) -> bool:
        """Whether every check holds."""
        return not self.failed

    @property
    def unlike(self) -> bool:
        """Whether the two maps have nothing in common, whatever was asked for."""
        return not (self.judged.mean >= UNLIKE or self.real_space.correlation >= UNLIKE)

    @property
    def of_another_map(self) -> bool:
        """Whether the source looks like another map than the one that the file was made from."""
        return any(remark.code in ("unlike", "other-map") for remark in self.remarks)

    @property
    def judged(self) -> Fidelity:
        """The FSC that counts: within a given mask, else what the file itself states, else over the whole box."""
        return self.masked or self.enveloped or self.fidelity

    def to_json(self) -> dict[str, Any]:
        """The findings as JSON values, as `docs/validate-schema.json` describes them."""
        measured = {measure.name: measure.value(self) for measure in MEASURES}
        judged = {id(self.masked): "fidelity_masked", id(self.enveloped): "fidelity_enveloped"}
        return {
            "schema": SCHEMA,
            **fields_json(self),
            "judged": judged.get(id(self.judged), "fidelity"),
            "holds": self.holds,
            "measures": as_json(measured),
        }


def find(compared: Comparison, decoded: str, source: str) -> Findings:
    """Make every part of the findings that can be made of a comparison."""
    wanted = [f for f in fields(Findings) if "compare" in f.metadata]
    made = {f.name: f.metadata["compare"](compared) for f in wanted}
    return Findings(decoded, source, compared.grid, **made)

"""Validate a `.nmap` file against its source: decode it where the source lies, then compare the two maps."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nmap.coding.codings import MAX_OCCUPANCY_NODES
from nmap.coding.occupancy import of_shape
from nmap.compare.agreement import Finer
from nmap.compare.comparison import Extras
from nmap.compare.findings import OTHER_MAP, Container, Findings, Remark
from nmap.compare.measures import Limits
from nmap.compare.sizes import measure_sizes
from nmap.compare.two_maps import compare_maps
from nmap.envelope.automatic import solvent_value
from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, GridError, NonFiniteError
from nmap.file_kind import NMAP, START_BYTES, kind_of
from nmap.grid import Grid, Shape, told_apart
from nmap.machine.archive import open_input, shown_name
from nmap.maps import DEFAULT_READING, DensityMap, ReadOptions, read_map_with
from nmap.maps.checked import judge_mask, mask_on, require_contrast, require_half_maps, sound_mask
from nmap.model import Field
from nmap.neural_map import NeuralMap, Record
from nmap.plain_text import printable
from nmap.remote import located
from nmap.sampling.moved import MovedField, moved_envelope
from nmap.side_chains import side_chains, subject
from nmap.spectrum import Convention, Planes

if TYPE_CHECKING:
    from nmap.container import MapFile

F32 = NDArray[np.float32]
PathLike = str | os.PathLike[str]

DOUBLED_VOXELS = 2**29
"""Largest decode at twice the sampling that is made unasked: about 1 GB of memory."""

SOFT_EDGE = 6.0
"""Width of the edge of an automatic mask, Angstrom."""


@dataclass(frozen=True, eq=False)
class Validation:
    """The findings, and the maps that they were made from.

    Attributes:
        findings: what was found.
        decoded: the decode on the source's grid.
        source: the source, or the part of it that the file holds.
        mask: the mask that was used.
        opened: the file.
        record: what the file says of its source and fit.
        neural_map: the file's map; of a series that at the position.
    """

    findings: Findings
    decoded: DensityMap
    source: DensityMap
    mask: DensityMap | None
    opened: MapFile
    record: Record
    neural_map: NeuralMap

    def __repr__(self) -> str:
        """One line: its findings'."""
        return f"<Validation: {self.findings!r}>"


def validate_file(
    file: PathLike | MapFile,
    source: DensityMap | PathLike,
    *,
    resolution: float | None = None,
    mask: DensityMap | PathLike | None = None,
    half_maps: tuple[DensityMap | PathLike, DensityMap | PathLike] | None = None,
    model: PathLike | None = None,
    limits: Limits | None = None,
    off_grid: bool | None = None,
    convention: Convention = "nmap",
    source_path: PathLike | None = None,
    reading: ReadOptions = DEFAULT_READING,
    at: float | None = None,
) -> Validation:
    """Measure how true a `.nmap` file is to the map it was made from.

    Args:
        file: the `.nmap` file, or what it was opened as.
        source: the map, or its path.
        resolution: shells count to here, Angstrom; the file's band limit if None, or what a bare file was fitted to.
        mask: a mask or its path, or "auto" for one made from the source.
        half_maps: the source's two half maps, or their paths.
        model: an atomic model in the map's frame.
        limits: what the findings are held against.
        off_grid: whether to decode at twice the sampling too; None: if it takes no more than about 4 GB.
        convention: of the shells.
        source_path: where the map was read from, if it is not given as a path; to know what gzip makes of it.
        reading: how the maps given as paths are read.
        at: position on the axis of a series; of a series only.

    Raises:
        FormatError: the file breaks the format. Damage to its record alone, which no decoder needs, is a remark.
        MapError: a map or the model cannot be read.
        GridError: the source does not cover the file's box, or another map lies elsewhere.
        OptionError: an option that cannot be used.
    """
    from nmap.container import MapFile, open_file

    source = source if isinstance(source, DensityMap) else located(source)
    opened = file if isinstance(file, MapFile) else open_file(file)
    neural_map = opened.neural_map if at is None else opened.neural_map.at(at)
    record, damage = neural_map.record, "; ".join(opened.record_faults)
    resolution = resolution or _fitted_resolution(neural_map)
    path = source_path if isinstance(source, DensityMap) else source
    whole = as_map(source, reading)
    part = part_of_source(neural_map.grid, whole)
    cropped = part is not whole
    del whole  # where it was read here, its memory is free again
    require_contrast(part, "source" if path is None else os.fspath(path))
    soft = read_mask(mask, part, neural_map.field.band_limit or resolution, reading)
    large = off_grid is None and 8 * part.grid.size > DOUBLED_VOXELS
    container = _container(opened, record, part, readable=not damage)
    decoded = DensityMap(_decode(neural_map, part.grid), part.grid)
    if not np.isfinite(decoded.values).all():
        raise NonFiniteError(
            f"{os.fspath(opened.path)}: its network gives values that are not finite, and no density map"
        )
    extras = replace(
        _extras(neural_map, part.grid, off_grid=off_grid is not False and not large),
        sizes=measure_sizes(opened.sizes["total"], part, None if cropped else path),
        half_maps=None if half_maps is None else _halves(half_maps, part.grid, reading),
        model=None if model is None else located(model),
        contour=_contour(record),
    )
    findings = compare_maps(
        decoded,
        part,
        resolution=resolution,
        mask=soft,
        mask_name=mask_name(mask),
        limits=limits,
        extras=_fitted(extras, neural_map, part),
        convention=convention,
    )
    kept, of = side_chains(record), subject(neural_map.field.band_limit)
    sure = findings.atoms is not None and findings.atoms.verdict == "kept"  # atom by atom
    other = _other_map(record, findings, container)
    remarks = (
        (other is not None, other or Remark("other-map")),
        (cropped, Remark("part-of-source", {"grid": str(part.grid)})),
        (mask is not None and soft is None, Remark("no-mask")),
        (large, Remark("off-grid-left-out")),
        (container.same_source is False and other is None, Remark("other-source")),
        (
            not sure and kept.verdict == "may-be-missing",
            Remark("side-chains", {"wanted": kept.wanted, "of": of}),
        ),
        (bool(damage), Remark("record-damaged", {"reason": damage})),
    )
    found = (remark for remark in findings.remarks if other is None or remark.code != "unlike")
    told = (*found, *(remark for holds, remark in remarks if holds))
    findings = replace(findings, decoded=shown_name(opened.path), container=container, remarks=told)
    return Validation(findings, decoded, part, soft, opened, record, neural_map)


def validate_map(
    decoded: NeuralMap | DensityMap,
    source: DensityMap,
    *,
    resolution: float | None = None,
    mask: DensityMap | PathLike | None = None,
    half_maps: tuple[DensityMap | PathLike, DensityMap | PathLike] | None = None,
    model: PathLike | None = None,
    limits: Limits | None = None,
) -> Findings:
    """The same of a decoded map, or of a neural map without a file; arguments and failures as `validate_file`."""
    extras, part = Extras(), source
    if isinstance(decoded, NeuralMap):
        resolution = resolution or _fitted_resolution(decoded)
        part = part_of_source(decoded.grid, source)
        extras = _extras(decoded, part.grid, off_grid=8 * part.grid.size <= DOUBLED_VOXELS)
        decoded = DensityMap(_decode(decoded, part.grid), part.grid)
    soft = read_mask(mask, part, extras.band_limit or resolution)
    extras = replace(
        extras,
        half_maps=None if half_maps is None else _halves(half_maps, part.grid, DEFAULT_READING),
        model=None if model is None else located(model),
    )
    return compare_maps(
        decoded,
        part,
        resolution=resolution,
        mask=soft,
        mask_name=mask_name(mask),
        limits=limits,
        extras=extras,
    )


def as_map(given: DensityMap | PathLike, reading: ReadOptions = DEFAULT_READING) -> DensityMap:
    """A map that is given as it is, or by its path."""
    return given if isinstance(given, DensityMap) else read_map_with(given, reading)


def mask_name(mask: DensityMap | PathLike | None) -> str:
    """What to call a mask: its file's name, or "given"."""
    if isinstance(mask, DensityMap):
        return "given" if mask.header is None else mask.header.name
    return Path(os.fspath(mask or "none")).name


def is_nmap(path: PathLike) -> bool:
    """Whether a file begins as a `.nmap` does; a remote one is fetched for that.

    Raises:
        MissingFileError: there is no such file.
    """
    with open_input(path) as file:
        return kind_of(file.read(START_BYTES)) is NMAP


def _extras(neural_map: NeuralMap, grid: Grid, off_grid: bool) -> Extras:
    """What the file itself gives to compare."""
    return Extras(
        band_limit=neural_map.field.band_limit,
        envelope=envelope_on(neural_map.field, grid),
        doubled=_doubled(neural_map, grid) if off_grid else None,
        symmetry=neural_map.field.symmetry,
        own_grid=None if neural_map.grid.shape == grid.shape else neural_map.grid,
    )


def _fitted_resolution(neural_map: NeuralMap) -> float | None:
    """The resolution that a file without a band limit was fitted to, Angstrom, where its record says so."""
    said = neural_map.record.get("fidelity", {}).get("resolution")
    if neural_map.field.band_limit is not None or not isinstance(said, int | float):
        return None
    return float(said) if 0 < said <= max(neural_map.grid.edges) else None


def _contour(record: Record) -> float | None:
    """The source's recommended contour level, density units, as the record keeps it."""
    level = record.get("source", {}).get("contour_level")
    return float(level) if isinstance(level, int | float) and math.isfinite(level) else None


def _fitted(extras: Extras, neural_map: NeuralMap, source: DensityMap) -> Extras:
    """With the envelope that fidelity was measured within, and the source times it, where the record keeps one."""
    fidelity, field, box = neural_map.record.get("fidelity", {}), neural_map.field, neural_map.grid
    if isinstance(field, MovedField) and fidelity.get("mask") == "envelope" and box.matches(source.grid):
        moved = moved_envelope(field, source.grid)
        if moved is not None:
            about = Planes.of(source.values, solvent_value(source.values, moved))
            return replace(extras, fitted=about.times(lambda part: moved[part]))
    kept = fidelity.get("envelope")
    if not isinstance(kept, bytes) or not np.allclose(source.grid.edges, box.edges):
        return extras
    try:
        envelope = Envelope(of_shape(kept, MAX_OCCUPANCY_NODES))
    except FormatError:
        # No decoder needs it: the rest of the comparison stands.
        return extras
    shape = source.grid.shape
    about = Planes.of(source.values, solvent_value(source.values, envelope))
    fitted = about.times(lambda part: envelope.planes(shape, part))
    inside = Planes(shape, lambda part: envelope.planes(shape, part))
    return replace(extras, envelope=inside, fitted=fitted)


def _halves(
    halves: tuple[DensityMap | PathLike, DensityMap | PathLike], grid: Grid, reading: ReadOptions
) -> tuple[DensityMap, DensityMap]:
    """Both half maps, where the file lies."""
    first, second = (part_of_source(grid, as_map(half, reading)) for half in halves)
    require_half_maps(first, second)
    return first, second


def _container(opened: MapFile, record: Record, source: DensityMap, readable: bool) -> Container:
    parts = opened.sizes
    kept = record.get("source", {})
    known, frames = kept.get("sha256"), kept.get("frames")
    given = None if source.header is None else source.header.sha256
    sums = [entry[-1] for entry in frames if entry] if isinstance(frames, list) else [known]
    return Container(parts, bool(record) and readable, None if known is None else given in sums)


def _other_map(record: Record, found: Findings, container: Container) -> Remark | None:
    """Why the source looks like another map than the file's own; None where it does not, or the file cannot tell."""
    recorded, file = record.get("fidelity", {}).get("correlation"), record.get("source", {}).get("file")
    correlation = found.real_space.correlation
    if container.same_source is not False or not isinstance(recorded, int | float):
        return None
    if correlation >= OTHER_MAP * recorded:
        return None
    values: dict[str, float | str] = {
        "correlation": correlation,
        "recorded": float(recorded),
        "file": printable(str(file)),
    }
    return Remark("other-map", values)


def _decode(neural_map: NeuralMap, grid: Grid) -> F32:
    return neural_map.as_array() if grid.matches(neural_map.grid) else neural_map.on_grid(grid)


def part_of_source(box: Grid, source: DensityMap) -> DensityMap:
    """The source, or the part of it that a file made from a crop of it holds.

    Args:
        box: the file's grid, at the source's sampling or a coarser one.
        source: the map.

    Raises:
        GridError: the box is no part of the source's, to whole voxels, or it is sampled finer.
    """
    grid = source.grid
    if box.matches(grid):
        return source
    first = grid.fractions(box.origin) * np.asarray(grid.shape)
    extent = np.asarray(box.edges[::-1]) / np.asarray(grid.voxel_size[::-1])
    start, shape = np.rint(first).astype(int), np.rint(extent).astype(int)
    whole = np.abs(first - start).max() < 0.02 and np.abs(extent - shape).max() < 0.02
    within = np.all(start >= 0) and np.all(start + shape <= grid.shape)
    same_axes = np.allclose(box.angles, grid.angles, atol=1e-2)
    no_finer = np.all(np.asarray(box.shape) <= shape)
    if not (whole and within and same_axes and no_finer):
        held, given = told_apart(box, grid)
        raise GridError(f"the file holds {held}, the source {given}: give the map that it was made from")
    region = grid.region(_triple(start), _triple(shape))
    chosen = tuple(slice(a, a + n) for a, n in zip(start, shape, strict=True))
    return DensityMap(source.values[chosen], region, source.header)


def _triple(values: NDArray[np.integer]) -> Shape:
    return (int(values[0]), int(values[1]), int(values[2]))


def _doubled(neural_map: NeuralMap, grid: Grid) -> Finer | None:
    """The decode at twice the sampling; None where samples beyond the last voxel centre do not exist."""
    if neural_map.field.alignment == "corners":
        return None
    fine = grid.resampled(grid.wide(_triple(2 * np.asarray(grid.shape))))

    def make(part: slice) -> F32:
        rows = part.stop - part.start
        return neural_map.on_grid(fine.region((part.start, 0, 0), (rows, *fine.shape[1:])))

    return Finer(fine, Planes(fine.shape, make, lambda: neural_map.slabs(fine)))


def envelope_on(field: Field, grid: Grid) -> Planes | None:
    """The field's envelope on a grid over its own box, (z, y, x); None if it has none.

    Under symmetry it is taken at every other voxel: folding positions is slow, and the envelope is coarse.
    """
    envelope, shape = field.envelope, grid.shape
    if envelope is None or not np.allclose(grid.edges, field.box.edges):
        return None
    if isinstance(field, MovedField):
        moved = moved_envelope(field, grid)
        return None if moved is None else Planes(shape, lambda part: moved[part])
    if field.symmetry is None:
        return Planes(shape, lambda part: envelope.planes(shape, part))
    coarse = np.empty([-(-n // 2) for n in shape], np.float32)
    centre = np.asarray(grid.origin) + np.asarray(field.symmetry.center)
    y, x = np.meshgrid(*(np.arange(0, n, 2) / n for n in shape[1:]), indexing="ij")
    for row in range(len(coarse)):
        z = np.full(y.shape, 2 * row / shape[0])
        points = grid.positions(np.stack([z, y, x], -1).reshape(-1, 3)) - centre
        folded, _ = field.symmetry.fold(points)
        coarse[row] = envelope.at(grid.fractions(folded + centre)).reshape(y.shape)
    nearest = [np.arange(n) // 2 for n in shape]
    return Planes(shape, lambda part: coarse[np.ix_(nearest[0][part], *nearest[1:])])


def read_mask(
    mask: DensityMap | PathLike | None,
    source: DensityMap,
    band_limit: float | None,
    reading: ReadOptions = DEFAULT_READING,
) -> DensityMap | None:
    """A mask on the source's grid, from a file, or "auto" made from the source; None if none can be."""
    if mask is None:
        return None
    if isinstance(mask, str) and mask == "auto":
        from nmap.envelope.automatic import automatic_mask

        found = automatic_mask(source.values, source.grid, band_limit or 2 * max(source.grid.voxel_size))
        if found.mask is None:
            return None
        soft = Envelope.covering(found.mask, found.grid, SOFT_EDGE)
        return DensityMap(soft.on_lattice(source.grid.shape), source.grid)
    placed = mask_on(sound_mask(as_map(mask, reading)), source.grid)
    judge_mask(placed, source)
    return placed

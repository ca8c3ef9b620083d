"""The 1024 bytes at the head of an MRC or CCP4 map: what they say, checked before anything else is read.

Format: Cheng et al., J. Struct. Biol. 192 (2015) 146; https://www.ccpem.ac.uk/mrc_format/mrc2014.php.
A header counts in columns, rows and sections; MAPC, MAPR and MAPS say which cell axis each one runs along.
Cell, MX and ORIGIN are along x, y, z already, NX and NXSTART are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE
from mrcfile.utils import dtype_from_mode
from numpy.typing import NDArray

from nmap.errors import GridError, MapError, VoxelSizeError
from nmap.grid import Grid, Shape, Triple

HEADER_BYTES = 1024
FARTHEST = 1e7
"""Voxels from zero beyond which float32, the header's number type, cannot tell one voxel from the next."""

_MODES = (0, 1, 2, 6, 12)
_OTHER_MODES = {
    3: "complex 16-bit integers: wanted a density map in real space",
    4: "complex numbers: wanted a density map in real space",
    16: "RGB colours: wanted densities",
    101: "4-bit integers: convert it to mode 0 or 2 first",
}
_MAX_COUNT = 65535  # no map is longer; a header read in the wrong byte order nearly always is
_IMOD_STAMP = 1146047817
_STACKS = (400, 630)  # space groups that mean a stack of volumes
_NOTHING = 1e-6  # Angstrom; integers that a program left in words for lengths look like 1e-44


@dataclass(frozen=True)
class Layout:
    """How the data block of a map file is laid out, and where its box lies.

    Attributes:
        mode: MRC data mode, one of 0, 1, 2, 6, 12.
        dtype: number type of the values in the file, with its byte order.
        counts: columns, rows, sections.
        axes: cell axis (0 x, 1 y, 2 z) that columns, rows and sections run along.
        extended_bytes: length of the extended header.
        nstart: first voxel along the cell axes (x, y, z).
        sampling: voxels in one cell edge (x, y, z), MX MY MZ; may differ from the counts.
        cell: cell edges (x, y, z) in Angstrom.
        angles: cell angles alpha, beta, gamma in degrees.
        origin: ORIGIN field (x, y, z) in Angstrom.
        space_group: ISPG.
        labels: text labels.
        raw: the header's own bytes.
        oddities: where the header contradicts itself, and how it is read all the same; in words.
        is_exact: whether the file must be exactly as long as declared, as nothing else says that it is a map.
    """

    mode: int
    dtype: np.dtype[Any]
    counts: tuple[int, int, int]
    axes: tuple[int, int, int]
    extended_bytes: int
    nstart: tuple[int, int, int]
    sampling: tuple[int, int, int]
    cell: Triple
    angles: Triple
    origin: Triple
    space_group: int
    labels: tuple[str, ...]
    raw: bytes
    oddities: tuple[str, ...] = ()
    is_exact: bool = False

    @property
    def shape(self) -> Shape:
        """Voxels along (z, y, x)."""
        x, y, z = _by_axis(self.counts, self.axes)
        return (z, y, x)

    @property
    def is_stack(self) -> bool:
        """Whether it says that it is a stack of volumes: ISPG 401 is one of volumes in space group 1."""
        return _STACKS[0] <= self.space_group <= _STACKS[1]

    @property
    def data_bytes(self) -> int:
        """Length of the data block."""
        return math.prod(self.counts) * self.dtype.itemsize

    @property
    def file_bytes(self) -> int:
        """Length that the whole file should have, once decompressed."""
        return HEADER_BYTES + self.extended_bytes + self.data_bytes

    @property
    def face_bytes(self) -> int:
        """Length of the smallest face of the box: less than any wrong count would leave over."""
        return self.data_bytes // max(self.counts)

    def file_order(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """A view of (z, y, x) values in the file's order (sections, rows, columns)."""
        columns, rows, sections = (2 - axis for axis in self.axes)
        return values.transpose(sections, rows, columns)

    def grid(self, voxel_size: Triple | None = None) -> Grid:
        """Where the voxels lie.

        The voxel size is cell / sampling; an image whose cell has no third edge is as thick as its pixels. The
        origin is ORIGIN (Cartesian) if any of it is not zero, else NSTART steps along the cell axes. Three zero
        angles, which some programs write, mean 90 degrees.

        Args:
            voxel_size: taken instead of the header's (x, y, z), in Angstrom.

        Raises:
            VoxelSizeError: the header gives no voxel size, and none is passed.
            MapError: cell angles or an origin that cannot be.
        """
        voxel = voxel_size or self._voxel_size()
        angles = self.angles if any(self.angles) else (90.0, 90.0, 90.0)
        try:
            grid = Grid(self.shape, voxel, angles=angles)
        except GridError as error:
            raise MapError(f"{error}: mend the header") from None
        if not all(math.isfinite(v) for v in self.origin):
            raise MapError(f"ORIGIN {self.origin} A: wanted three finite numbers (x, y, z): mend the header")
        origin = np.asarray(self.origin)
        if np.abs(origin).max() <= _NOTHING and any(self.nstart):
            origin = grid.axes @ np.asarray(self.nstart, np.float64)
        if not is_near(origin, grid):
            raise MapError(
                f"origin {_show(origin)} A, from ORIGIN {_show(self.origin)} and NSTART {self.nstart}: "
                f"wanted less than {FARTHEST:.0e} voxels from zero: mend the header"
            )
        return replace(grid, origin=(float(origin[0]), float(origin[1]), float(origin[2])))

    def _voxel_size(self) -> Triple:
        edges = [c / m if m > 0 else 0.0 for c, m in zip(self.cell, self.sampling, strict=True)]
        if 1 in self.shape and edges[thin := self.shape[::-1].index(1)] == 0:
            edges[thin] = min(edge for axis, edge in enumerate(edges) if axis != thin)
        voxel = (edges[0], edges[1], edges[2])
        if not all(_NOTHING < v < math.inf for v in voxel):
            raise VoxelSizeError(
                f"no voxel size: cell {_show(self.cell)} A over sampling {self.sampling} (x, y, z), "
                "wanted positive numbers: give the voxel size"
            )
        return voxel


def parse_header(raw: bytes, permissive: bool = False, stack: bool = False) -> Layout:
    """What the 1024 header bytes `raw` say, if they are those of a volume that nmap reads.

    The machine stamp gives the byte order; where it is unknown, or the header makes no sense under it, the
    order under which it does is taken. A header whose MAP word is zero, as old programs left it, is read where
    it makes sense; its file must then be exactly as long as it declares.

    Args:
        raw: the header.
        permissive: read another MAP word too, and a space group that contradicts the counts.
        stack: read a stack of volumes too, as one volume with them one after the other along z.

    Raises:
        MapError: not an MRC header, a field that cannot be, or other than one volume of real numbers.
    """
    fields = _in_byte_order(raw)
    oddities = _map_word(raw, fields, permissive)
    mode, axes = int(fields["mode"]), _axes(fields)
    counts = _triple(fields, "nx", "ny", "nz")
    if not all(1 <= n <= _MAX_COUNT for n in counts):
        raise MapError(
            f"{_times(counts)} columns, rows, sections: wanted 1 to {_MAX_COUNT} of each: mend the header"
        )
    if mode not in _MODES:
        what = _OTHER_MODES.get(mode, "no data type that nmap knows: wanted mode 0, 1, 2, 6 or 12")
        raise MapError(f"mode {mode}: {what}")
    if sorted(axes) != [0, 1, 2]:
        crs = _triple(fields, "mapc", "mapr", "maps")
        raise MapError(f"axis order MAPC MAPR MAPS {crs}: wanted 1, 2, 3 in some order: mend the header")
    if int(fields["nsymbt"]) < 0:
        raise MapError(f"extended header of {fields['nsymbt']} bytes: wanted 0 or more: mend the header")
    dtype, unsigned = _dtype(raw, fields)
    layout = Layout(
        mode=mode,
        dtype=dtype,
        counts=counts,
        axes=axes,
        extended_bytes=int(fields["nsymbt"]),
        nstart=_by_axis(_triple(fields, "nxstart", "nystart", "nzstart"), axes),
        sampling=_triple(fields, "mx", "my", "mz"),
        cell=_floats(fields["cella"]),
        angles=_floats(fields["cellb"]),
        origin=_floats(fields["origin"]),
        space_group=int(fields["ispg"]),
        labels=_labels(fields),
        raw=raw,
        oddities=oddities + unsigned,
        is_exact=bool(oddities) and not permissive,
    )
    layout = _as_stack(layout) if stack and layout.is_stack else _as_volume(layout, permissive)
    _refuse_skew(raw, fields)
    return layout


def is_near(origin: NDArray[np.float64], grid: Grid) -> bool:
    """Whether a header's float32 numbers can still place voxels at `origin` (x, y, z; Angstrom)."""
    return bool(np.abs(origin).max() <= FARTHEST * min(grid.voxel_size))


def _in_byte_order(raw: bytes) -> np.void:
    stamp = raw[212:214]
    orders = (">", "<") if stamp == b"\x11\x11" else ("<", ">")
    found = [np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0] for order in orders]
    best: np.void = next((fields for fields in found if _makes_sense(fields)), found[0])
    return best


def _makes_sense(fields: np.void) -> bool:
    counts = _triple(fields, "nx", "ny", "nz")
    mode = int(fields["mode"])
    known_mode = mode in _MODES or mode in _OTHER_MODES
    return known_mode and all(1 <= n <= _MAX_COUNT for n in counts) and sorted(_axes(fields)) == [0, 1, 2]


def _map_word(raw: bytes, fields: np.void, permissive: bool) -> tuple[str, ...]:
    """Refuse a header without its MAP word, but where all else says that it is one; then say so."""
    word = raw[208:212]
    if word[:3] == b"MAP":
        return ()
    if (permissive or not any(word)) and _makes_sense(fields):
        return (f"no 'MAP ' at byte 208 but {word!r}: read as a map, as the rest of its header is one's",)
    way_in = "permissive" if _makes_sense(fields) else None
    raise MapError(f"no 'MAP ' at byte 208 but {word!r}: not an MRC or CCP4 map", option=way_in)


def _dtype(raw: bytes, fields: np.void) -> tuple[np.dtype[Any], tuple[str, ...]]:
    """Number type of the data, in the byte order of `fields`, and what is odd in it.

    Bytes are signed, as the format says, but where IMOD says by a flag that they are not
    (https://bio3d.colorado.edu/imod/doc/mrc_format.txt, bytes 152 to 159), or where the header gives a range
    that only unsigned ones can have.
    """
    word = fields.dtype["nx"]
    mode = int(fields["mode"])
    stamp, flags = np.frombuffer(raw, word, 2, offset=152)
    if mode == 0 and stamp == _IMOD_STAMP:
        return np.dtype(np.int8 if flags & 1 else np.uint8), ()
    low, high = float(fields["dmin"]), float(fields["dmax"])
    if mode == 0 and low >= 0 and np.iinfo(np.int8).max < high <= np.iinfo(np.uint8).max:
        return np.dtype(np.uint8), (
            f"mode 0 holds signed bytes, its header gives {low:g} to {high:g}: read as unsigned bytes",
        )
    plain: np.dtype[Any] = dtype_from_mode(mode)
    return plain.newbyteorder(word.byteorder), ()


def _as_volume(layout: Layout, permissive: bool) -> Layout:
    """The layout, if it is of one volume or image; `permissive` takes one that says it is a stack for a volume."""
    size = f"{_times(layout.counts)} columns, rows, sections"
    if sorted(layout.counts)[1] == 1:
        raise MapError(f"a line of samples ({size}): wanted a volume or an image")
    group, sections, sampled = layout.space_group, layout.counts[2], layout.sampling[2]
    if group == 0 and sampled == 1 and sections > 1:
        if permissive:
            return _unstacked(layout)
        raise MapError(
            f"a stack of {sections} images (ISPG 0, MZ 1): wanted a volume; if it is one, set its ISPG to 1, or "
            "read it as permissive",
            option="permissive",
        )
    odd = f"space group ISPG {group}"
    if layout.is_stack:
        if permissive and sampled == sections:
            return replace(layout, oddities=(*layout.oddities, f"{odd}, a stack of one volume: read as it"))
        raise MapError(
            f"a stack of volumes (ISPG {group}, {sections} sections): wanted one: take one out, or encode them all as "
            "a series"
        )
    if group < 0:
        if permissive:
            return replace(layout, oddities=(*layout.oddities, f"{odd}: wanted 0 or more: ignored"))
        raise MapError(f"{odd}: wanted 0 or more: mend the header", option="permissive")
    return layout


def _as_stack(layout: Layout) -> Layout:
    """The layout of a stack of volumes, if its sections are a whole number of volumes, one after the other along z."""
    sections, deep = layout.counts[2], layout.sampling[2]
    if deep < 1 or sections % deep or layout.axes[2] != 2:
        raise MapError(
            f"a stack of volumes (ISPG {layout.space_group}) of {sections} sections, {deep} to a volume (MZ), along "
            f"{'xyz'[layout.axes[2]]}: wanted whole volumes along z: mend the header"
        )
    return layout


def _unstacked(layout: Layout) -> Layout:
    """A volume that says it is a stack; its cell is that of all sections or of one, whichever makes voxels cubes."""
    sections, (mx, my, _) = layout.counts[2], layout.sampling
    thick, wide = layout.cell[2], layout.cell[0] / mx if mx > 0 else 0.0
    of_all = thick > 0 and wide > 0 and abs(math.log(thick / sections / wide)) < abs(math.log(thick / wide))
    said = f"ISPG 0 and MZ 1 of a stack of images: read as a volume of {sections} sections"
    sampling = (mx, my, sections if of_all else 1)
    return replace(layout, sampling=sampling, oddities=(*layout.oddities, said))


def _refuse_skew(raw: bytes, fields: np.void) -> None:
    """Refuse a CCP4 map that its header turns into another frame; MRC2014 has other things in those words."""
    word = fields.dtype["nx"]
    flag = np.frombuffer(raw, word, 1, offset=96)[0]
    skew = np.frombuffer(raw, word.byteorder + "f4", 12, offset=100)
    if flag != 1 or not np.isfinite(skew).all():
        return
    skew = skew.astype(np.float64)
    matrix, shift = skew[:9].reshape(3, 3), skew[9:]
    is_rotation = np.abs(matrix @ matrix.T - np.eye(3)).max() < 1e-3
    if is_rotation and (np.abs(matrix - np.eye(3)).max() > 1e-6 or shift.any()):
        raise MapError("a skewed CCP4 map (LSKFLG 1): wanted one in its own frame: apply its rotation first")


def _labels(fields: np.void) -> tuple[str, ...]:
    """Printable text of the labels; all ten are looked at where NLABL makes no sense."""
    count = int(fields["nlabl"])
    texts = (bytes(label).split(b"\0")[0] for label in fields["label"][: count if 1 <= count <= 10 else 10])
    lines = ("".join(chr(b) for b in text if 32 <= b < 127).rstrip() for text in texts)
    return tuple(line for line in lines if line)


def _axes(fields: np.void) -> tuple[int, int, int]:
    """Cell axis (0 x, 1 y, 2 z) of columns, rows, sections; three zeros were left unset and mean x, y, z."""
    columns, rows, sections = _triple(fields, "mapc", "mapr", "maps")
    return (0, 1, 2) if columns == rows == sections == 0 else (columns - 1, rows - 1, sections - 1)


def _by_axis(counts: tuple[int, int, int], axes: tuple[int, int, int]) -> tuple[int, int, int]:
    """Numbers per column, row, section as numbers along x, y, z."""
    return (counts[axes.index(0)], counts[axes.index(1)], counts[axes.index(2)])


def _triple(fields: np.void, first: str, second: str, third: str) -> tuple[int, int, int]:
    return (int(fields[first]), int(fields[second]), int(fields[third]))


def _floats(record: np.void) -> Triple:
    return (float(record[0]), float(record[1]), float(record[2]))


def _times(counts: tuple[int, int, int]) -> str:
    return " x ".join(str(n) for n in counts)


def _show(numbers: Any) -> str:
    return "(" + ", ".join(f"{v:.6g}" for v in numbers) + ")"

"""What the options mean: one click parameter type for each value of the field: shape, voxel size, mask."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap.errors import NmapError, OptionError
from nmap.machine.archive import SEPARATOR, is_address, member_of
from nmap.machine.inputs import existing
from nmap.remote import RemoteFile, is_remote
from nmap_cli.progress import fetching

Input = Path | RemoteFile
"""A file to be read: on this machine, or at a URL."""

NmapInput = Input | str
"""A `.nmap` file to be read, or one of an archive."""

if TYPE_CHECKING:
    from nmap.grid import Shape, Triple

Region = tuple["Shape", "Shape"]
"""First voxel and shape, both (z, y, x)."""

Frames = tuple[float, float, int]
"""First and last position, and how many."""

Slice = tuple[str, int]
"""Axis across which a section lies, and its voxel along it."""

MAX_FRAMES = 10_000
"""Maps that one command decodes."""

# A whole number, and one with decimals, of no more digits than a machine's own numbers hold.
_WHOLE = r"\d{1,12}"
_NUMBER = r"\d{1,15}(?:\.\d{0,15})?"
_BYTES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class InputFile(click.ParamType[Input]):
    """A file that is there to be read; one that is not is a bad input file (exit code 3).

    A URL or an EMDB entry is fetched when the command reads it.
    """

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Input:
        """The path, checked."""
        if isinstance(value, RemoteFile):
            return value
        if isinstance(value, str) and is_remote(value):
            remote = RemoteFile(value, fetching(ctx))
            if ctx is not None:
                ctx.call_on_close(remote.close)
            return remote
        path = existing(value)
        if path.is_dir():
            raise NmapError(f"{path}: is a folder: give the path of a file")
        if not path.is_file():
            raise NmapError(f"{path}: is not a regular file: give the path of a file")
        if not os.access(path, os.R_OK):
            raise NmapError(f"{path}: may not be read: change its permissions or give another file")
        return path


class NmapFile(click.ParamType[NmapInput]):
    """A `.nmap` file, or one of an archive: `archive.zip::NAME`, where the archive may be an http address."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> NmapInput:
        """The path, checked; one in an archive as it was given, its archive checked where that is a path."""
        inside = member_of(value)
        if inside is None:
            return InputFile().convert(value, param, ctx)
        archive, name = inside
        if not name:
            self.fail(f"{value!r:.80}: wanted the name of a map after {SEPARATOR}", param, ctx)
        if not is_address(archive):
            InputFile().convert(archive, param, ctx)
        return str(value)


class OutputFile(click.ParamType[Path]):
    """A file to be written, in a folder that exists and may be written to.

    Args:
        makes: code of the kind of file that is written (`nmap.file_kind`), "" for one that no command reads.
        goes_on: whether a file that is there is gone on with, and replaced without being asked.
    """

    name = "file"

    def __init__(self, makes: str = "", goes_on: bool = False) -> None:
        self.makes, self.goes_on = makes, goes_on

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """The path, checked."""
        path = Path(value)
        if isinstance(value, str) and is_remote(value):
            # Refused by `check_paths`, for it may yet turn out to be a source.
            return INPUT.convert(value, param, ctx)  # type: ignore[return-value]
        if str(value) == "-":
            raise OptionError(
                "-: nothing is written to stdout: give the path of a file (./- for that very name)"
            )
        if path.is_dir():
            raise OptionError(f"{path}: is a folder: give the path of a file to write")
        folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
        if not folder.is_dir():
            raise OptionError(f"{path}: there is no folder {folder}: make it first")
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "may not be written to: give another folder", str(folder))
        return path


class SliceType(click.ParamType[Slice]):
    """`z=150`: the axis across a section, and the section's voxel along it."""

    name = "slice"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Slice:
        """Axis and voxel."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(rf"([xyz])=({_WHOLE})", value)
        if match is None:
            self.fail(
                f"{value!r:.80}: wanted x=N, y=N or z=N, a voxel counted from 0, such as z=150", param, ctx
            )
        return (match[1], int(match[2]))


class ShapeType(click.ParamType["Shape"]):
    """`N` or `NX,NY,NZ` samples, as (z, y, x)."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shape:
        """Counts (z, y, x)."""
        if isinstance(value, tuple):
            return (int(value[0]), int(value[1]), int(value[2]))
        if not re.fullmatch(rf"{_WHOLE}(,{_WHOLE},{_WHOLE})?", value) or "0" in (counts := value.split(",")):
            self.fail(
                f"{value!r:.80}: wanted N or NX,NY,NZ, whole numbers of at least 1, such as 200", param, ctx
            )
        x, y, z = (int(n) for n in (counts * 3 if len(counts) == 1 else counts))
        return (z, y, x)


class VoxelSizeType(click.ParamType["Triple"]):
    """`A` or `X,Y,Z` Angstrom, as (x, y, z)."""

    name = "voxel size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Triple:
        """Angstrom (x, y, z)."""
        if isinstance(value, tuple):
            return (float(value[0]), float(value[1]), float(value[2]))
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (1, 3) or not all(math.isfinite(n) and n > 0 for n in numbers):
            self.fail(
                f"{value!r:.80}: wanted one or three positive numbers of Angstrom, such as 1.05", param, ctx
            )
        x, y, z = numbers * 3 if len(numbers) == 1 else numbers
        return (x, y, z)


class RegionType(click.ParamType[Region]):
    """`X0:X1,Y0:Y1,Z0:Z1` voxels, half open, as first voxel and shape, both (z, y, x)."""

    name = "region"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Region:
        """First voxel and shape."""
        if isinstance(value, tuple):
            return value
        if not re.fullmatch(rf"-?{_WHOLE}:-?{_WHOLE}(,-?{_WHOLE}:-?{_WHOLE}){{2}}", value):
            self.fail(
                f"{value!r:.80}: wanted X0:X1,Y0:Y1,Z0:Z1 in voxels, such as 20:80,20:80,30:70", param, ctx
            )
        (x0, x1), (y0, y1), (z0, z1) = (map(int, part.split(":")) for part in value.split(","))
        if x1 <= x0 or y1 <= y0 or z1 <= z0:
            self.fail(f"{value!r:.80}: each range must end after it begins", param, ctx)
        return ((z0, y0, x0), (z1 - z0, y1 - y0, x1 - x0))


class FramesType(click.ParamType[Frames]):
    """`T0:T1:N`: N positions from T0 to T1, both included."""

    name = "frames"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Frames:
        """First and last position, and how many."""
        if isinstance(value, tuple):
            return (float(value[0]), float(value[1]), int(value[2]))
        try:
            first, last, count = value.split(":")
            found = (float(first), float(last), int(count))
        except ValueError:
            found = (math.nan, math.nan, 0)
        if not (math.isfinite(found[0]) and math.isfinite(found[1]) and 1 <= found[2] <= MAX_FRAMES):
            self.fail(
                f"{value!r:.80}: wanted first position, last position and a count of 1 to {MAX_FRAMES}, such as 0:1:30",
                param,
                ctx,
            )
        return found


class PositionsType(click.ParamType[tuple[float, ...]]):
    """`T,T,...`: positions along an axis."""

    name = "positions"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        """The numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            numbers = (math.nan,)
        if not all(map(math.isfinite, numbers)):
            self.fail(
                f"{value!r:.80}: wanted numbers with commas between them, such as 0,0.1,0.35", param, ctx
            )
        return numbers


class DurationType(click.ParamType[float]):
    """`30s`, `5m` or `1.5h`, as seconds; a bare number is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        match = re.fullmatch(rf"({_NUMBER})([smh]?)", value)
        if match is None or float(match[1]) <= 0:
            self.fail(f"{value!r:.80}: wanted a time such as 30s, 5m or 1h", param, ctx)
        return float(match[1]) * _SECONDS[match[2]]


class BytesType(click.ParamType[int]):
    """`512M` or `4G`, as bytes (powers of 1024); a bare number is bytes."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(rf"({_NUMBER})([KMGT]?)(i?B)?", value, re.IGNORECASE)
        if match is None or float(match[1]) <= 0:
            self.fail(f"{value!r:.80}: wanted an amount such as 512M or 4G", param, ctx)
        return int(float(match[1]) * _BYTES[match[2].upper()])


class MaskType(click.ParamType[str | Input]):
    """`auto`, `none` or a mask file."""

    name = "mask"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | Input:
        """One of the two words, or a path, checked."""
        return value if value in ("auto", "none") else InputFile().convert(value, param, ctx)


class Folder(click.Path):
    """A folder, which need not be there."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, if a folder can be there."""
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        if path.exists() and not path.is_dir():
            self.fail(f"{path} is no folder: give another path", param, ctx)
        return path


INPUT = InputFile()
NMAP_INPUT = NmapFile()
FOLDER = Folder()
OUTPUT = OutputFile()
MAP_OUTPUT = OutputFile(makes="mrc")
NMAP_OUTPUT = OutputFile(makes="nmap")
RESULTS = OutputFile(goes_on=True)
SHAPE = ShapeType()
SLICE = SliceType()
VOXEL_SIZE = VoxelSizeType()
REGION = RegionType()
FRAMES = FramesType()
POSITIONS = PositionsType()
DURATION = DurationType()
BYTES = BytesType()
MASK = MaskType()

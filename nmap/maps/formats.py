"""Read a map of any format. Another format is one file with a `MapFormat`, and one line in `FORMATS`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from nmap.errors import LimitError, MapError, MapWarning
from nmap.file_kind import kind_of
from nmap.grid import Grid, Triple
from nmap.maps.density_map import DensityMap, MapFrame
from nmap.maps.mrc_reader import MrcFormat
from nmap.maps.packing import PackedFile, open_packed
from nmap.maps.read_options import ReadOptions
from nmap.remote import located, url_of

Result = TypeVar("Result")


class MapFormat(Protocol):
    """How the files of one format are read.

    A reader raises `MapError` and `LimitError` without the file's name, which is put before what they say, and
    takes no memory before it knows that the file is whole and that the map fits.
    """

    @property
    def name(self) -> str:
        """Of the format."""
        ...

    def recognises(self, start: bytes) -> bool:
        """Whether a file that begins so, unpacked, is of this format."""
        ...

    def read(self, file: PackedFile, options: ReadOptions, warn: Callable[[str], None]) -> DensityMap:
        """The whole map, values in (z, y, x)."""
        ...

    def read_frame(self, file: PackedFile, options: ReadOptions, warn: Callable[[str], None]) -> MapFrame:
        """Where its voxels lie; its values are not looked at."""
        ...


FORMATS: tuple[MapFormat, ...] = (MrcFormat(),)


def read_map(
    path: str | os.PathLike[str],
    *,
    voxel_size: Triple | None = None,
    replace_nonfinite: str | None = None,
    max_memory: int | None = None,
    permissive: bool = False,
) -> DensityMap:
    """Read a map from an MRC or CCP4 file, plain, compressed with gzip or bzip2, or alone in a zip archive.

    Data modes 0, 1, 2, 6 and 12, either byte order, any axis order, any cell. The header is checked first, and
    only then is memory taken: 4 bytes a voxel, the extended header and less than 100 MB of work space. A
    packed file is unpacked once, its length checked on the way. How it is packed is told from the first bytes,
    not from the name. Zeros after the data block are dropped, with a warning, if they are fewer than the
    smallest face of the box, as padding is; more of them mean that the header's counts are wrong.

    Args:
        path: a regular file; or, with the extra `remote`, a URL that fsspec knows (`https://`, `s3://`), or `emd:` and
            the number of an EMDB entry, such as "emd:11007", whose map is fetched from the archive.
        voxel_size: taken instead of the header's (x, y, z), in Angstrom.
        replace_nonfinite: "mean" puts the mean of all finite values where a value is NaN or infinite.
        max_memory: most bytes that the values, as float32, and the extended header may take; half of what is
            free if None.
        permissive: read, with a warning, what else is refused: a header without its MAP word, an extended
            header that is declared and not there, bytes after the data, a space group that contradicts the counts.

    Returns:
        The map, its values in (z, y, x) whatever the file's order.

    Raises:
        MapError: not a map file, damaged or truncated, or not one volume of real numbers.
        VoxelSizeError: the header gives no voxel size, and `voxel_size` is not given.
        NonFiniteError: NaN or infinite values, without `replace_nonfinite` or with nothing else there.
        LimitError: the map needs more than `max_memory`, or more than the machine has.
        OptionError: an option that cannot be used.
        OSError: the file is missing or cannot be read; `RemoteError` where it could not be fetched.

    Warns:
        MapWarning: the file contradicts itself; how it was read.
    """
    options = ReadOptions(voxel_size, replace_nonfinite, max_memory, permissive)
    return read_map_with(path, options)


def map_of(source: DensityMap | str | os.PathLike[str]) -> DensityMap:
    """A map, read from its file where a path is given; raises as `read_map`."""
    return source if isinstance(source, DensityMap) else read_map(source)


def read_map_with(path: str | os.PathLike[str], options: ReadOptions) -> DensityMap:
    """As `read_map`, its options as one object."""
    path = located(path)
    density = _named(path, lambda file, warn: _format(file, options).read(file, options, warn))
    if density.header is None or not url_of(path):
        return density
    return replace(density, header=replace(density.header, url=url_of(path)))


def read_grid(
    path: str | os.PathLike[str],
    *,
    voxel_size: Triple | None = None,
    permissive: bool = False,
    stack: bool = False,
) -> Grid:
    """Where the voxels of a map file lie, from its header alone; Args and Raises as in `read_map`.

    With `stack` a stack of volumes is one volume with them one after the other along z.
    """
    options = ReadOptions(voxel_size, permissive=permissive, stack=stack)
    path = located(path)
    return _named(path, lambda file, warn: _format(file, options).read_frame(file, options, warn)).grid


def read_frame(
    path: str | os.PathLike[str], *, voxel_size: Triple | None = None, permissive: bool = False
) -> MapFrame:
    """The same, and how the header says so."""
    options = ReadOptions(voxel_size, permissive=permissive)
    return _named(located(path), lambda file, warn: _format(file, options).read_frame(file, options, warn))


def printed(path: str | os.PathLike[str]) -> str:
    """A path as an error message shows it: what cannot be printed is escaped."""
    name = os.fspath(path)
    return name if name.isprintable() else ascii(name)


def _named(
    path: str | os.PathLike[str], read: Callable[[PackedFile, Callable[[str], None]], Result]
) -> Result:
    """What `read` makes of the file; its name before every refusal and every warning."""
    name = printed(path)

    def warn(text: str) -> None:
        warnings.warn(f"{name}: {text}", MapWarning, stacklevel=5)

    try:
        with open_packed(path) as file:
            return read(file, warn)
    except (MapError, LimitError) as error:
        raise type(error)(f"{name}: {error}", option=error.option) from None
    except MemoryError as error:
        raise LimitError(f"{name}: {error}: this machine has not the memory for it") from None


def _format(file: PackedFile, options: ReadOptions) -> MapFormat:
    """The format of a file; one that no reader knows goes to the first, which says what is wrong with it."""
    start = file.start()
    if not start:
        raise MapError("an empty file: wanted a density map: get it again")
    for one in FORMATS:
        if one.recognises(start):
            return one
    kind = kind_of(start)
    if kind is not None and not options.permissive:
        advice = kind.advice or "unpack it first"
        raise MapError(f"is {kind.name}, not an MRC or CCP4 map: {advice}")
    return FORMATS[0]

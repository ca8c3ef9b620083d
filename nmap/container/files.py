"""`.nmap` files on disk: open, save, strip, repair, say where the bytes went."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from nmap.container.codec import assemble, checked_parts, decode_bytes, encode_bytes
from nmap.container.layout import RECORD, Layout, read_layout
from nmap.errors import FormatError
from nmap.file_kind import NMAP, SAFETENSORS, START_BYTES, FileKind, kind_of
from nmap.machine.archive import SEPARATOR, member_of, open_input
from nmap.machine.archive import names as archive_names
from nmap.machine.atomic import atomic_output
from nmap.model.frame import Frame
from nmap.neural_map import NeuralMap, Record
from nmap.remote import located

Path = str | os.PathLike[str]

# Maps of an archive that are named where one of them has to be chosen.
_NAMED = 5


@dataclass(frozen=True, eq=False)
class MapFile:
    """A `.nmap` file that was read and checked once, for all that may be asked of it.

    Attributes:
        path: the file.
        neural_map: the map, with as much of its record as could be read.
        sizes: bytes by use; see `sizes`.
        record_faults: what of the record could not be read, in words.
    """

    path: Path
    neural_map: NeuralMap
    sizes: Mapping[str, int]
    record_faults: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Glance:
    """What a `.nmap` file says of itself, checked against its checksum, without a weight decoded.

    Attributes:
        kind: of network.
        frame: where the density lies, and what makes it of the network's values.
        sizes: bytes by use; see `sizes`.
        record: as much of it as could be read.
    """

    kind: str
    frame: Frame
    sizes: Mapping[str, int]
    record: Record


def glance(path: Path) -> Glance:
    """Look at a `.nmap` file; raises as `open_map`, but for weights that no decoder takes."""
    path = located(path)
    with _naming(path):
        layout, data = _read(path)
        header, _, (record, _) = checked_parts(layout, data)
        return Glance(header.kind, header.frame, _sizes(layout), record)


def open_file(path: Path) -> MapFile:
    """Open a `.nmap` file: its map, its record and its sizes from one reading. Raises as `open_map`."""
    path = located(path)
    with _naming(path):
        layout, data = _read(path)
        neural_map, faults = assemble(layout, data)
        return MapFile(path, neural_map, _sizes(layout), faults)


def open_map(path: Path) -> NeuralMap:
    """Open a `.nmap` file. HDF5 is never read; of a damaged record the rest is kept.

    Args:
        path: of the file, or a URL that fsspec knows (`https://`, `s3://`), which needs the extra `remote`.

    Raises:
        RemoteError: a URL could not be fetched.
        OSError: the file cannot be read.
        FormatError: it breaks the format, or a limit; nothing of that size was allocated.
        UnsupportedError: it needs a newer reader.
        AppendedDataError: another program appended to it; `repair` mends that.
    """
    return open_file(path).neural_map


def save(
    neural_map: NeuralMap,
    path: Path,
    *,
    hdf5: bool = True,
    thumbnail: bool = False,
    overwrite: bool = False,
) -> int:
    """Write a `.nmap` file: whole or not at all.

    Args:
        neural_map: the map.
        path: the file.
        hdf5: write the HDF5 part too.
        thumbnail: add three central slices to the record.
        overwrite: whether an existing file may be replaced.

    Returns:
        Bytes written.

    Raises:
        OutputExistsError: the file exists and may not be replaced.
        OptionError: a record item that the format cannot hold.
    """
    return _write(encode_bytes(neural_map, hdf5, thumbnail), path, overwrite)


def strip(path: Path, out: Path, *, overwrite: bool = False) -> int:
    """Copy a file without its HDF5 part: plain safetensors, the same weights, checksum and record.

    Returns:
        Bytes written.

    Raises:
        FormatError: the file breaks the format.
        OutputExistsError: `out` exists and may not be replaced.
    """
    return _write(encode_bytes(open_map(path), hdf5=False), out, overwrite)


def repair(path: Path, out: Path, *, overwrite: bool = False) -> list[str]:
    """Restore a file that an HDF5 program appended to; only `out` is written.

    The weights are checked against the checksum and stay as they are, and so does the record. The HDF5 part is
    written anew, so attributes and datasets that the other program added are lost.

    Returns:
        What was done, line by line.

    Raises:
        FormatError: the file is damaged in another way.
        OutputExistsError: `out` exists and may not be replaced.
    """
    path = located(path)
    with _naming(path):
        layout, data = _read(path, appended=True)
        neural_map, faults = assemble(layout, data)
    done = ["weights agree with their checksum"]
    done += [f"a part of the record could not be read and is lost ({fault})" for fault in faults]
    if layout.has_hdf5:
        done.append("the HDF5 part was written anew; what another program added to it is lost")
    written = _write(encode_bytes(neural_map, layout.has_hdf5), out, overwrite)
    appended = len(data) - layout.length
    lost = f"{appended} appended bytes were dropped" if appended else "nothing was appended to it"
    done.append(f"{lost}, {written} bytes written")
    return done


def sizes(path: Path) -> dict[str, int]:
    """Bytes of a file by use: weights, gains, envelope, header (with its length field), record, hdf5, total.

    Its layout alone is read; whether the rest holds together, `open_map` says.

    Raises:
        FormatError: the layout breaks the format.
    """
    path = located(path)
    with _naming(path):
        return _sizes(_read(path)[0])


def _sizes(layout: Layout) -> dict[str, int]:
    out = dict.fromkeys(("weights", "gains", "envelope"), 0) | {"header": layout.prefix, "record": 0}
    if RECORD in layout.entries:
        out["record"] = layout.entries[RECORD].end - layout.entries[RECORD].start
    for name, entry in layout.weights.items():
        owner = name.split(".")[0]
        out[owner if owner in ("gains", "envelope") else "weights"] += entry.end - entry.start
    return out | {"hdf5": layout.length - sum(out.values()), "total": layout.length}


def _read(path: Path, appended: bool = False) -> tuple[Layout, bytes]:
    with open_input(path) as file:
        try:
            return read_layout(file, appended)
        except FormatError:
            file.seek(0)
            kind = kind_of(file.read(START_BYTES))
            if kind in (None, NMAP, SAFETENSORS):
                raise
            raise FormatError(f"is {kind.name}, not a .nmap file: {_instead(path, kind)}") from None


def _instead(path: Path, kind: FileKind) -> str:
    """What to give in the place of a file of another kind."""
    if kind.code != "zip" or member_of(path) is not None:
        return (
            "give a .nmap file, which nmap encode makes of a map; where a command takes both, it comes first"
        )
    inside = archive_names(path)
    if not inside:
        return "there is none in it either: give one of 'nmap batch pack'"
    more = f" and {len(inside) - _NAMED} more" if len(inside) > _NAMED else ""
    return (
        f"name one of its {len(inside)}, {os.fspath(path)}{SEPARATOR}ID: {', '.join(inside[:_NAMED])}{more}"
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Put the file's name before what is wrong with it."""
    try:
        yield
    except FormatError as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from None


def _write(data: bytes, path: Path, overwrite: bool) -> int:
    """Write what the reader reads: its checks are run on the very bytes before anything is written."""
    try:
        decode_bytes(data)
    except FormatError as error:
        raise type(error)(
            f"{os.fspath(path)}: is not written, for no reader would take it: {error}"
        ) from None
    with atomic_output(path, overwrite) as file:
        file.write(data)
    return len(data)

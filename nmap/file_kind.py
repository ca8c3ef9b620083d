"""What kind of file some first bytes belong to: every reader names the files of the others.

Pure bytes to a name and what to do with it. Sources: each format's own magic number.
"""

from __future__ import annotations

from dataclasses import dataclass

START_BYTES = 1024
"""First bytes of a file from which its kind is told: an MRC header, the longest of them."""

# The header of a `.nmap` begins after its length, eight bytes, with the JSON key of its metadata.
_NMAP_HEADER = b'{"__metadata__":{"nmap"'
_MAP_WORD = slice(208, 211)


@dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
        code: short and stable, such as "nmap".
        name: with its article, such as "a PDB file".
        advice: what to do where a density map was wanted; "" where nothing can be said.
    """

    code: str
    name: str
    advice: str = ""


NMAP = FileKind("nmap", "a .nmap file", "decode it first: nmap decode FILE -o MAP")
MRC = FileKind("mrc", "an MRC map")
SAFETENSORS = FileKind("safetensors", "a safetensors file of another program", "give the density map")
MODEL = FileKind("model", "an atomic model, no density map", "give the density map")

_BEGINNINGS: tuple[tuple[bytes, FileKind], ...] = (
    (b"\x1f\x8b", FileKind("gzip", "a gzip file")),
    (b"BZh", FileKind("bzip2", "a bzip2 file")),
    (b"\xfd7zXZ\0", FileKind("xz", "an xz file", "unpack it first: xz -d FILE")),
    (b"\x28\xb5\x2f\xfd", FileKind("zstd", "a Zstandard file", "unpack it first: zstd -d FILE")),
    (b"PK\x03\x04", FileKind("zip", "a zip archive")),
    (b"PK\x05\x06", FileKind("zip", "an empty zip archive")),
    (b"Rar!", FileKind("rar", "a rar archive", "unpack it first")),
    (b"7z\xbc\xaf\x27\x1c", FileKind("7z", "a 7z archive", "unpack it first")),
    (b"\x1f\x9d", FileKind("compress", "a file packed by compress", "unpack it first: uncompress FILE")),
    (b"\x89HDF\r\n\x1a\n", FileKind("hdf5", "an HDF5 file", "convert it to MRC with the program that wrote it")),
    (b"\x93NUMPY", FileKind("npy", "a numpy array", "write it as MRC with nmap.write_map or mrcfile")),
    (b"\x89PNG", FileKind("png", "a PNG picture", "give the density map")),
    (b"\xff\xd8\xff", FileKind("jpeg", "a JPEG picture", "give the density map")),
    (b"%PDF", FileKind("pdf", "a PDF document", "give the density map")),
    (b"II*\0", FileKind("tiff", "a TIFF image", "convert it to MRC first")),
    (b"MM\0*", FileKind("tiff", "a TIFF image", "convert it to MRC first")),
    (b"\x80\x02", FileKind("pickle", "a Python pickle", "write the densities as MRC")),
    (b"\x80\x04", FileKind("pickle", "a Python pickle", "write the densities as MRC")),
    (b"version https://git-lfs", FileKind("lfs", "a Git LFS pointer, not the file itself", "fetch it: git lfs pull")),
)  # fmt: skip

_WEB = FileKind("html", "a web page", "download the file itself: an address gave a page instead")
_WORDS: tuple[tuple[bytes, FileKind], ...] = (
    (b"<!doctype html", _WEB),
    (b"<html", _WEB),
    (b"<?xml", FileKind("xml", "an XML file", "give the density map")),
    (b"data_", MODEL),
    (b"header ", MODEL),
    (b"atom  ", MODEL),
    (b"hetatm", MODEL),
    (b"cryst1", MODEL),
    (b"remark", MODEL),
    (b"title ", MODEL),
    (b"{", FileKind("json", "a JSON file", "give the density map")),
)


def kind_of(start: bytes) -> FileKind | None:
    """The kind of file that begins so; None if it is none that is known.

    Args:
        start: its first bytes, `START_BYTES` of them where there are as many.
    """
    if start[8 : 8 + len(_NMAP_HEADER)] == _NMAP_HEADER:
        return NMAP
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < 1 << 40:
        return SAFETENSORS
    if start[_MAP_WORD] == b"MAP":
        return MRC
    if start[257:262] == b"ustar":
        return FileKind("tar", "a tar archive", "unpack it first: tar -xf FILE")
    for beginning, kind in _BEGINNINGS:
        if start.startswith(beginning):
            return kind
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")[:16].lower()
    return next((kind for beginning, kind in _WORDS if text.startswith(beginning)), None)

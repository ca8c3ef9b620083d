"""Many `.nmap` files in one zip archive, stored as they are, with an index: each can be read by itself.

`nmap.machine.archive` reads them, and so does every program that reads zip: APPNOTE 6.3.10. The index, `index.json`,
is the archive's last file. It says where the bytes of each map begin, so that a range of bytes is all that is fetched.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from nmap.errors import OptionError
from nmap.machine.atomic import atomic_output
from nmap.plain_text import escaped

INDEX = "index.json"
FORMAT = 1
_SUFFIX = ".nmap"
# The earliest time that zip knows: the same maps make the same archive.
_WHEN = (1980, 1, 1, 0, 0, 0)
# Of a local header: its fixed part, with the lengths of name and extra field at its end (APPNOTE 4.3.7).
_LOCAL = struct.Struct("<4s5H3L2H")
_MODE = 0o644 << 16


def pack(
    maps: Iterable[tuple[str, Path, Mapping[str, Any]]], archive: Path, *, overwrite: bool = False
) -> tuple[int, int]:
    """Write an archive, whole or not at all.

    Args:
        maps: id, file, and what the index says of it, of each map; in the order that they are to have.
        archive: the file to write.
        overwrite: whether it may be replaced.

    Returns:
        Maps and bytes written.

    Raises:
        OptionError: no maps, two of one id, or an id that is no UTF-8.
        OutputExistsError: the archive exists and may not be replaced.
    """
    index: dict[str, dict[str, Any]] = {}
    with atomic_output(archive, overwrite) as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as out:
            for name, path, facts in maps:
                try:
                    name.encode()
                except UnicodeEncodeError:
                    raise OptionError(
                        f"{escaped(str(path))}: its name is no UTF-8, which names in an archive are: rename it"
                    ) from None
                if name in index:
                    raise OptionError(f"{path}: there is a map {name} already: wanted one of each name")
                data = path.read_bytes()
                info = _info(name + _SUFFIX)
                out.writestr(info, data)
                index[name] = {"offset": info.header_offset, "bytes": len(data), **facts}
            if not index:
                raise OptionError(f"{archive}: no maps to pack: nothing is written")
            _place(file, index)
            out.writestr(_info(INDEX), json.dumps({"nmap_archive": FORMAT, "maps": index}, indent=0))
        file.seek(0, 2)
        return len(index), file.tell()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _WHEN)
    info.external_attr = _MODE
    return info


def _place(file: BinaryIO, index: dict[str, dict[str, Any]]) -> None:
    """From where each file's header begins to where its bytes do."""
    end = file.tell()
    for entry in index.values():
        file.seek(entry["offset"])
        *_, name, extra = _LOCAL.unpack(file.read(_LOCAL.size))
        entry["offset"] += _LOCAL.size + name + extra
    file.seek(end)

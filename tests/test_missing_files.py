"""A file that is not there is named, by every verb, as an error of nmap's own and as Python's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import nmap

GRID = nmap.Grid((8, 8, 8), (1.0, 1.0, 1.0))
VERBS: dict[str, Callable[[Path], object]] = {
    "open": nmap.open,
    "decode": nmap.decode,
    "inspect": nmap.inspect,
    "encode": nmap.encode,
    "read_map": nmap.read_map,
    "strip": lambda path: nmap.strip(path, path.with_name("out.nmap")),
    "repair": lambda path: nmap.repair(path, path.with_name("out.nmap")),
    "import_weights": lambda path: nmap.import_weights(path, GRID),
}


@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS.keys())
def test_a_missing_file_is_both_an_nmap_error_and_a_file_not_found_error(
    verb: Callable[[Path], object], tmp_path: Path
) -> None:
    missing = tmp_path / "missing.mrc"
    with pytest.raises(nmap.NmapError, match=r"missing\.mrc: no such file") as found:
        verb(missing)
    assert isinstance(found.value, FileNotFoundError)
    assert list(tmp_path.iterdir()) == []

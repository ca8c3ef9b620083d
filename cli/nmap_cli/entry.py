"""What the header of an EMDB entry gives an encode that was not told: resolution and contour level."""

from __future__ import annotations

from typing import Any

from nmap.errors import NmapError
from nmap.machine.inputs import existing
from nmap.remote import header_of
from nmap_cli.common import tell, warn
from nmap_cli.parameters import Input

# Bytes of the largest header that is fetched; the archive's own are below 1 MB.
_MOST_BYTES = 1 << 23


def take_from_header(source: Input, fitting: dict[str, Any], quiet: bool) -> None:
    """Set `resolution` and `contour` where they are not given and the source is an EMDB entry, and say so.

    Half maps tell the resolution better. A header that cannot be had is warned of, and does without.
    """
    header_file = header_of(source)
    if header_file is None:
        return
    from nmap.batch.emdb import read_header

    try:
        header = read_header(existing(header_file, most=_MOST_BYTES))
    except NmapError as error:
        warn(f"without the entry's header: {error}")
        return
    finally:
        header_file.close()
    for odd in header.odd:
        warn(f"{odd} of the entry's header could not be used")
    found = {"resolution": None if fitting["half1"] else header.resolution, "contour": header.contour}
    for name, value in found.items():
        if value is not None and fitting[name] is None:
            fitting[name] = value
            if not quiet:
                tell(f"{name} {value:g} from the entry's header; --{name} sets another")

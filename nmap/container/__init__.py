"""`.nmap` files: one file that safetensors and HDF5 readers both open, over the same bytes."""

from __future__ import annotations

from nmap.container.codec import decode_bytes, encode_bytes
from nmap.container.files import Glance, MapFile, glance, open_file, open_map, repair, save, sizes, strip
from nmap.container.vocabulary import VOCABULARY, labels

__all__ = [
    "VOCABULARY",
    "Glance",
    "MapFile",
    "decode_bytes",
    "encode_bytes",
    "glance",
    "labels",
    "open_file",
    "open_map",
    "repair",
    "save",
    "sizes",
    "strip",
]

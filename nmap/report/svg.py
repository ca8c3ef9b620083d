"""SVG drawings made fit to stand side by side on one page."""

from __future__ import annotations

import xml.etree.ElementTree as ET

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"


def inline_svg(document: str, name: str) -> str:
    """An SVG document as an element of a page.

    Metadata are dropped. So are the ids that nothing refers to: matplotlib numbers its groups anew in every figure,
    and on one page they would clash.

    Args:
        document: what matplotlib wrote.
        name: what the drawing shows, for those who cannot see it.
    """
    ET.register_namespace("", SVG)
    ET.register_namespace("xlink", XLINK)
    root = ET.fromstring(document)
    for metadata in root.findall(f"{{{SVG}}}metadata"):
        root.remove(metadata)
    for group in root.iter(f"{{{SVG}}}g"):
        group.attrib.pop("id", None)
    root.set("role", "img")
    root.set("aria-label", name)
    return ET.tostring(root, encoding="unicode").strip()

"""The viewer's page as a widget of a notebook: in a frame of its own, which can reach neither notebook nor network."""

from __future__ import annotations

from pathlib import PurePath

import anywidget
import traitlets

from nmap.container import encode_bytes
from nmap.neural_map import NeuralMap
from nmap.plain_text import printable
from nmap.viewer import Contents, exported_page

HEIGHT = 640
"""Of the widget, pixels."""

_FRAME = """
function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.title = "nmap view";
  frame.style.cssText = `width: 100%; border: 0; height: ${model.get("height")}px`;
  frame.srcdoc = model.get("page");
  el.append(frame);
}
export default { render };
"""


class MapView(anywidget.AnyWidget):
    """A map in the viewer's page.

    Attributes:
        page: the page, with reader and weights inside.
        height: of the frame, pixels.
    """

    _esm = _FRAME
    page = traitlets.Unicode("").tag(sync=True)
    height = traitlets.Int(HEIGHT).tag(sync=True)


def view(neural_map: NeuralMap, level: float | None = None, height: int = HEIGHT) -> MapView:
    """The widget of a map.

    Args:
        neural_map: the map.
        level: surface level in density; None for the file's own.
        height: pixels.

    Raises:
        OptionError: a record item that the format cannot hold.
    """
    source = printable(str(neural_map.record.get("source", {}).get("file", "map")))
    name = PurePath(source.removesuffix(".gz").removesuffix(".bz2")).with_suffix(".nmap").name
    page = exported_page(Contents([(name, encode_bytes(neural_map, hdf5=False))], level=level))
    return MapView(page=page, height=height)

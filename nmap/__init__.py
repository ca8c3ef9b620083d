"""Cryo-EM density maps as small neural networks.

    import nmap

    neural = nmap.encode("emd_3488.map.gz", nmap.EncodeOptions(resolution=3.2))
    nmap.save(neural, "emd_3488.nmap")
    neural = nmap.open("emd_3488.nmap")
    nmap.write_map(nmap.decode(neural), "decoded.mrc")
    neural.sample([[52.5, 52.5, 52.5]])  # density at a point (x, y, z) in Angstrom

Every name below is imported when it is first used, so `import nmap` costs nothing and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nmap.version import __version__

if TYPE_CHECKING:
    from nmap import errors as errors
    from nmap.container import open_map as open
    from nmap.container import repair, save, strip
    from nmap.errors import NmapError
    from nmap.export_siren import export_weights
    from nmap.fit.encode import encode
    from nmap.fit.encode_series import encode_series
    from nmap.fit.module.density import from_torch
    from nmap.fit.options import EncodeOptions
    from nmap.grid import Grid
    from nmap.import_siren.import_siren import import_weights
    from nmap.inspection import inspect
    from nmap.maps import DensityMap, read_map, write_map
    from nmap.neural_map import NeuralMap
    from nmap.verbs import decode, fsc, validate

_HOMES = {
    "DensityMap": "nmap.maps",
    "EncodeOptions": "nmap.fit.options",
    "Grid": "nmap.grid",
    "NeuralMap": "nmap.neural_map",
    "NmapError": "nmap.errors",
    "decode": "nmap.verbs",
    "encode": "nmap.fit.encode",
    "encode_series": "nmap.fit.encode_series",
    "errors": "nmap.errors",
    "export_weights": "nmap.export_siren",
    "from_torch": "nmap.fit.module.density",
    "fsc": "nmap.verbs",
    "import_weights": "nmap.import_siren.import_siren",
    "inspect": "nmap.inspection",
    "open": "nmap.container",
    "read_map": "nmap.maps",
    "repair": "nmap.container",
    "save": "nmap.container",
    "strip": "nmap.container",
    "validate": "nmap.verbs",
    "write_map": "nmap.maps",
}

__all__ = [  # noqa: RUF022
    "open",
    "save",
    "encode",
    "encode_series",
    "decode",
    "inspect",
    "validate",
    "fsc",
    "import_weights",
    "export_weights",
    "from_torch",
    "strip",
    "repair",
    "read_map",
    "write_map",
    "NeuralMap",
    "DensityMap",
    "Grid",
    "EncodeOptions",
    "NmapError",
    "errors",
    "__version__",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nmap' has no attribute {name!r}")
    home = importlib.import_module(_HOMES[name])
    value = home if name == "errors" else getattr(home, "open_map" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)

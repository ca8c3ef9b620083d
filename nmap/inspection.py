"""What a `.nmap` file says of itself: identity, sizes, sampling, network, fit and fidelity."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nmap.axis import Axis
from nmap.coding.codings import CodedTensor
from nmap.container import MapFile, labels, open_file
from nmap.errors import MapError
from nmap.grid import Grid, Triple
from nmap.machine.archive import shown_name
from nmap.maps.mrc_header import parse_header
from nmap.neural_map import NeuralMap, Record
from nmap.side_chains import SideChains, side_chains
from nmap.spectrum import Shells, floored

_MOST_LAYERS = 6
"""Counts of a network's layers that are written out one by one."""

_PICTURES = ("xy", "xz", "yz")


@dataclass(frozen=True, eq=False)
class Inspection:
    """A `.nmap` file without its densities.

    Attributes:
        file: name of the file.
        neural_map: the map, as decoding sees it.
        sizes: bytes by use: weights, gains, envelope, header, record, hdf5, total.
        record: what decoding does not need, by group, as far as it could be read.
        record_error: what of the record could not be read, and why; "" where all could.
    """

    file: str
    neural_map: NeuralMap
    sizes: Mapping[str, int]
    record: Record
    record_error: str = ""

    def __repr__(self) -> str:
        """One line: file, kind, sampling, band limit, bytes, fidelity."""
        worst = self.record.get("fidelity", {}).get("worst")
        told = f"lowest FSC {floored(worst)}" if isinstance(worst, int | float) else "fidelity not recorded"
        return f"<Inspection of {self.file}: {self.neural_map.brief}, {self.sizes.get('total', 0)} bytes, {told}>"

    @property
    def source_labels(self) -> tuple[str, ...]:
        """Text labels of the source's MRC header."""
        header = self.record.get("source", {}).get("mrc_header")
        return labels(header) if isinstance(header, bytes) else ()

    @property
    def side_chains(self) -> SideChains:
        """What the record tells of side chains."""
        return side_chains(self.record)

    @property
    def source_bytes(self) -> int | None:
        """Bytes of the source file as it lay on disk, compressed or not; None if not recorded."""
        stored = None if self.axis is not None else self.record.get("source", {}).get("bytes")
        return stored if isinstance(stored, int) else None

    def outcome(self, name: str, group: str = "fit") -> Mapping[str, Any]:
        """How something was decided (`nmap.outcomes`), as JSON values; empty if that is not recorded."""
        found = self.record.get(group, {}).get(name)
        return found if isinstance(found, Mapping) else {}

    @property
    def symmetry_outcome(self) -> Mapping[str, Any]:
        """How the point group was decided; empty if that is not recorded."""
        found = self.outcome("settings").get("symmetry")
        return found if isinstance(found, Mapping) else {}

    @property
    def notices(self) -> list[Any]:
        """What the fit noticed (`nmap.outcomes.Notice`), as JSON values."""
        found = self.record.get("fit", {}).get("notes")
        return found if isinstance(found, list) else []

    @property
    def is_part(self) -> bool:
        """Whether the file was made from a part of its source: one section, or the central voxels."""
        return is_part(self.record)

    @property
    def axis(self) -> Axis | None:
        """The fourth axis of a series; None for one map."""
        return self.neural_map.axis

    @property
    def raw_bytes(self) -> int:
        """Bytes of the source's uncompressed MRC file; of float32 ones of what it holds for a part or a series."""
        if self.axis is not None:
            return len(self.axis.at) * (1024 + 4 * self.grid.size)
        return raw_bytes(self.record, self.grid)

    @property
    def grid(self) -> Grid:
        """The source's grid."""
        return self.neural_map.grid

    @property
    def parameters(self) -> int:
        """Parameters of the network; of a radial-basis one the weights that are not zero."""
        return self.neural_map.field.network.parameters

    @property
    def widths(self) -> tuple[int, ...] | None:
        """Neurons of each hidden layer, the first included; None for a network without layers."""
        return self.neural_map.field.network.widths

    @property
    def network(self) -> str:
        """The network in a few words: "siren, 3-64-64-1, 4481 parameters"."""
        kind, layers = self.neural_map.field.network.kind, self.layers
        if layers is None:
            return f"{kind}, {self.parameters} weights that are not zero"
        words = "-".join(map(str, layers))
        if len(layers) > _MOST_LAYERS:
            words = f"{layers[0]}-{layers[1]}x{len(layers) - 2}-{layers[-1]}"
        return f"{kind}, {words}, {self.parameters} parameters"

    @property
    def layers(self) -> tuple[int, ...] | None:
        """Coordinates, neurons of each hidden layer, and the one value: (3, 64, 64, 1); None without layers."""
        return None if self.widths is None else (3, *self.widths, 1)

    @property
    def omegas(self) -> tuple[float, ...] | None:
        """Factor of each sine layer; None for a network that has none."""
        found = self.neural_map.field.network.settings().get("omegas")
        return None if found is None else tuple(found)

    @property
    def blocks(self) -> int | None:
        """Blocks of a SIREN: 1 for a plain one; None for a network that is no SIREN."""
        found = self.neural_map.field.network.settings().get("blocks", 1)
        return None if self.omegas is None else int(found)

    @property
    def bits_per_weight(self) -> float:
        """Stored bits for each parameter of the network, steps and places included."""
        return 8 * sum(tensor.nbytes for tensor in self._network.values()) / max(self.parameters, 1)

    @property
    def bounds(self) -> tuple[Triple, Triple]:
        """First and last corner (x, y, z) of the box's axis-aligned bounds, Angstrom."""
        return self.grid.bounds

    @property
    def envelope_share(self) -> float | None:
        """Share of the box where the envelope is above 0.5, by its nodes; None without an envelope."""
        envelope = self.neural_map.field.envelope
        return None if envelope is None else float(envelope.occupancy.mean())

    @property
    def last_shell(self) -> tuple[int, float] | None:
        """The last Fourier shell that is kept and the resolution of its centre, Angstrom; None if there is none.

        Shells lie one over the longest edge apart, so in a small box the last one may be coarser than the limit.
        """
        field = self.neural_map.field
        if field.resolution is None:
            return None
        width = Shells(field.box).width
        last = int(1 / (field.resolution * width) + 1e-6)
        return None if last == 0 else (last, 1 / (last * width))

    @property
    def _network(self) -> dict[str, CodedTensor]:
        return {n: t for n, t in self.neural_map.tensors.items() if n not in ("gains", "envelope")}

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON values; names end in their unit and axis order where they have one."""
        field, grid, low_high = self.neural_map.field, self.grid, self.bounds
        return {
            "file": self.file,
            "bytes": dict(self.sizes),
            "size_ratio": {
                "to_raw_mrc": self.raw_bytes / self.sizes["total"],
                "to_source_file": _ratio(None if self.is_part else self.source_bytes, self.sizes["total"]),
            },
            "source": {**_plain(self.record.get("source", {})), "labels": list(self.source_labels)},
            "grid": {
                "shape_zyx": list(grid.shape),
                "voxel_size_xyz_A": list(grid.voxel_size),
                "origin_xyz_A": list(grid.origin),
                "bounds_xyz_A": [list(corner) for corner in low_high],
                "angles_deg": list(grid.angles),
                "alignment": field.alignment,
            },
            "model": {
                "kind": field.network.kind,
                "network": self.network,
                "widths": None if self.widths is None else list(self.widths),
                "layers": None if self.layers is None else list(self.layers),
                "omegas": None if self.omegas is None else list(self.omegas),
                "blocks": self.blocks,
                "parameters": self.parameters,
                "bits_per_parameter": self.bits_per_weight,
                "codings": {name: tensor.coding for name, tensor in sorted(self._network.items())},
                "settings": field.network.settings(),
                "offset": field.offset,
                "scale": field.scale,
                "band_limit_A": field.resolution,
                "last_shell": None if self.last_shell is None else self.last_shell[0],
                "last_shell_A": None if self.last_shell is None else self.last_shell[1],
                "lattice_zyx": None if field.lattice is None else list(field.lattice),
                "envelope_nodes_zyx": None if field.envelope is None else list(field.envelope.shape),
                "envelope_share_of_box": self.envelope_share,
                "symmetry": "C1" if field.symmetry is None else field.symmetry.name,
            },
            **({} if self.axis is None else {"series": series_json(self.axis)}),
            "fidelity": _plain(self.record.get("fidelity", {})),
            "side_chains": asdict(self.side_chains),
            "fit": _plain(self.record.get("fit", {})),
            "record_error": self.record_error or None,
        }


def series_json(axis: Axis) -> dict[str, Any]:
    """An axis as JSON values."""
    return {"axis": axis.name, "frames": len(axis.at), "measured_at": list(axis.at), "period": axis.period}


def is_part(record: Record) -> bool:
    """Whether a file was made from a part of its source: one section, or the central voxels."""
    chosen = record.get("fit", {}).get("settings")
    return isinstance(chosen, Mapping) and any(chosen.get(name) is not None for name in ("slice", "crop"))


def raw_bytes(record: Record, grid: Grid) -> int:
    """Bytes of the source's uncompressed MRC file; of a float32 one of a file's grid if it holds a part of that."""
    header = record.get("source", {}).get("mrc_header")
    try:
        if isinstance(header, bytes) and not is_part(record):
            return parse_header(header).file_bytes
    except MapError:
        pass
    return 1024 + 4 * grid.size


def inspect(source: str | os.PathLike[str] | MapFile) -> Inspection:
    """Look into a `.nmap` file; no density is decoded.

    Args:
        source: the path of the file, or the file if it is open already.

    Raises:
        OSError: the file cannot be read.
        FormatError: it breaks the format; a damaged record alone is named in `record_error` instead.
    """
    opened = source if isinstance(source, MapFile) else open_file(source)
    faults = "; ".join(opened.record_faults)
    return Inspection(
        shown_name(opened.path), opened.neural_map, opened.sizes, opened.neural_map.record, faults
    )


def _ratio(other: int | None, total: int) -> float | None:
    return None if other is None else other / total


def _plain(items: Mapping[str, Any]) -> dict[str, Any]:
    """Record items as JSON values: arrays as lists, infinite numbers as null; bytes and pictures left out."""
    return {
        name: _json_value(value)
        for name, value in items.items()
        if name not in _PICTURES and not isinstance(value, bytes)
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_json_value(item) for item in value.tolist()]
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value if not isinstance(item, bytes)]
    return None if isinstance(value, float) and not math.isfinite(value) else value

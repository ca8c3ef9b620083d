"""The catalogue of a batch: one row a map, as CSV, and as Parquet where pyarrow is installed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nmap.batch.manifest import Entry, State
from nmap.machine.atomic import atomic_output
from nmap.plain_text import cell, escaped

CSV = "catalogue.csv"
PARQUET = "catalogue.parquet"

COLUMNS: dict[str, type] = {
    "id": str,
    "file": str,
    "state": str,
    "bytes": int,
    "source_bytes": int,
    "raw_bytes": int,
    "ratio": float,
    "nx": int,
    "ny": int,
    "nz": int,
    "voxel_x_A": float,
    "voxel_y_A": float,
    "voxel_z_A": float,
    "resolution_A": float,
    "kind": str,
    "symmetry": str,
    "envelope_share": float,
    "worst_fsc": float,
    "correlation": float,
    "goal_met": bool,
    "validated_fsc": float,
    "mean_abs_dq": float,
    "seconds": float,
    "peak_bytes": int,
    "host": str,
    "nmap": str,
    "source": str,
    "sha256": str,
    "error_class": str,
    "error_code": int,
    "error": str,
}
"""Columns by name, and the type of their values; a value may be missing."""


def rows(state: State) -> Iterator[dict[str, Any]]:
    """The rows of the catalogue, in the order of the ids."""
    validated = state.last("validate")
    for name, entry in state.last("encode").items():
        yield row(name, entry, validated.get(name, {}))


def row(name: str, entry: Entry, validated: Entry) -> dict[str, Any]:
    """One row: an entry of a fit, and one of its validation, which may be empty."""
    shape, voxel = (entry.get(key) or (None,) * 3 for key in ("shape_zyx", "voxel_size_xyz_A"))
    error: Mapping[str, Any] = entry.get("error") or {}
    measures: Mapping[str, Any] = validated.get("measures") or {}
    found = {
        **{column: entry.get(column) for column in COLUMNS},
        "id": name,
        "state": entry["event"],
        **dict(zip(("nz", "ny", "nx"), shape, strict=True)),
        **dict(zip(("voxel_x_A", "voxel_y_A", "voxel_z_A"), voxel, strict=True)),
        "validated_fsc": measures.get("fsc"),
        "mean_abs_dq": measures.get("dq"),
        "nmap": (entry.get("versions") or {}).get("nmap"),
        "error_class": error.get("class"),
        "error_code": error.get("code"),
        "error": error.get("message"),
    }
    return {column: _typed(found[column], kind) for column, kind in COLUMNS.items()}


def write_catalogue(folder: Path, state: State) -> list[Path]:
    """Write the catalogue of a batch anew, each file whole or not at all.

    Returns:
        The files.

    Raises:
        OSError: one cannot be written.
    """
    made = list(rows(state))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_cells(one) for one in made)
    with atomic_output(folder / CSV, overwrite=True) as file:
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))
    if find_spec("pyarrow") is None:
        return [folder / CSV]
    _write_parquet(folder / PARQUET, made)
    return [folder / CSV, folder / PARQUET]


def as_cells(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row as CSV has it."""
    return {name: cell(value) if isinstance(value, str) else value for name, value in values.items()}


def _write_parquet(path: Path, made: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    with atomic_output(path, overwrite=True) as file:
        parquet.write_table(pa.Table.from_pylist(made, schema=schema), file)


def _typed(value: Any, kind: type) -> Any:
    """A value of a column's type; None where there is none, or another that a foreign manifest may hold."""
    if value is None:
        return None
    if kind is str:
        return escaped(str(value))
    if kind is bool:
        return value if isinstance(value, bool) else None
    return kind(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

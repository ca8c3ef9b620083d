"""`nmap inspect`: what a `.nmap` file holds, as a table that a biologist reads, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from nmap.report.finding_words import recorded_crossing_words, recorded_fsc_words
from nmap.report.fit_words import (
    band_limit_words,
    cross_validation_words,
    is_estimated,
    mask_words,
    notices_words,
    side_chain_words,
    symmetry_words,
)
from nmap.report.series_words import axis_name, axis_words, motion_words, source_words
from nmap.side_chains import subject
from nmap.spectrum import floored
from nmap_cli.common import json_option, say_json, say_lines, size, span, table, voice_options
from nmap_cli.help import Command
from nmap_cli.parameters import NMAP_INPUT, NmapInput

if TYPE_CHECKING:
    from nmap.inspection import Inspection

Rows = Iterator[tuple[str, str]]


@click.command(
    "inspect",
    short_help="Show which map a .nmap holds, how small and how true.",
    cls=Command,
    examples=(
        ("what a file holds", "nmap inspect emd_3488.nmap"),
        ("where its bytes went, and every setting of the fit", "nmap inspect emd_3488.nmap --verbose"),
    ),
)
@click.argument("file", type=NMAP_INPUT)
@json_option
@voice_options
def command(file: NmapInput, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Show what a .nmap FILE holds: which map, how small, how true, on what grid, by what network.

    FILE may be a URL. No density is decoded. --verbose adds where the bytes went and every setting of the fit.
    """
    from nmap.inspection import inspect
    from nmap.spectrum import worded

    found = inspect(file)
    if as_json:
        say_json({**found.to_json(), **alternatives_json(found)})
    else:
        rows = [
            *_identity(found),
            *_series(found),
            *_fidelity(found),
            *_sampling(found),
            *_network(found),
            *_fit(found),
            *alternative_rows(found),
        ]
        if found.record_error:
            rows.append(("damage", f"of the record this could not be read: {found.record_error}"))
        text = worded(table(rows + list(_details(found)) if verbose else rows), found.grid)
        say_lines(text.split("\n"), quiet)


def summary(found: Inspection) -> list[tuple[str, str]]:
    """The rows that matter right after a fit: size, resolution kept, fidelity, envelope, network, fit."""
    kept = {
        "size",
        "ratio",
        "series",
        "resolution kept",
        "fidelity FSC",
        "side chains",
        "detail",
        "contour level",
        "half maps",
        "cross-validation",
        "mask",
        "symmetry",
        "network",
        "how fitted",
    }
    rows: list[tuple[str, str]] = []
    wanted = False
    for rule in (_identity, _series, _fidelity, _sampling, _network, _fit):
        for name, value in rule(found):
            wanted = name in kept or (wanted and not name)
            if wanted:
                rows.append((name, value))
    return rows


def alternative_rows(found: Inspection, seconds: float | None = None) -> Rows:
    """What another kind of network would take, in bytes and, where this fit's `seconds` are known, in time."""
    from nmap.alternatives import alternatives

    for other in alternatives(found, seconds):
        taken = "" if other.seconds is None else f" in {span(other.seconds)}"
        about = size(int(float(f"{other.nbytes:.2g}"))).split(" (")[0]
        yield "other kind", f"{other.kind}: about {about}{taken}, estimated (encode --arch {other.arch})"


def alternatives_json(found: Inspection, seconds: float | None = None) -> dict[str, Any]:
    """The same as JSON values."""
    from nmap.alternatives import alternatives

    return {"alternatives": [other.to_json() for other in alternatives(found, seconds)]}


def _identity(found: Inspection) -> Rows:
    source = _group(found, "source")
    total, raw, on_disk = found.sizes["total"], found.raw_bytes, found.source_bytes
    frames = source.get("frames")
    if found.axis is not None and isinstance(frames, list) and frames:
        yield "maps", source_words([str(entry[0]) for entry in frames if entry])
    else:
        yield "map", str(source.get("file", "not recorded"))
    if "url" in source:
        yield "", f"from {source['url']}"
    for label in found.source_labels:
        yield "", label
    what = "this part of the map" if found.is_part else "the map"
    if found.axis is not None:
        what = f"the {len(found.axis.at)} maps"
    yield "size", f"{size(total)}; {what} uncompressed {'was' if found.axis is None else 'were'} {size(raw)}"
    if on_disk is not None and source.get("compression") and not found.is_part:
        yield "", f"its {source['compression']} file was {size(on_disk)}"
        yield (
            "ratio",
            f"1/{raw / total:.4g} of the map, 1/{on_disk / total:.4g} of its {source['compression']} file",
        )
    else:
        yield "ratio", f"1/{raw / total:.4g} of {what}"


def _series(found: Inspection) -> Rows:
    axis, fidelity = found.axis, _group(found, "fidelity")
    if axis is None:
        return
    name = axis_name(axis)
    yield "series", axis_words(axis)
    yield "", f"measured at {name} = {', '.join(f'{t:.4g}' for t in axis.at)}; interpolated between"
    if found.neural_map.field.network.has_motion:
        yield "", motion_words(found.neural_map.field.network)
    by_frame = fidelity.get("frame_worst")
    if isinstance(by_frame, list) and len(by_frame) == len(axis.at):
        low, mean = min(by_frame), sum(by_frame) / len(by_frame)
        at = axis.at[by_frame.index(low)]
        yield (
            "",
            f"lowest FSC of a frame: {floored(low)} at {name} = {at:.4g}, {floored(mean)} in the mean",
        )


def _fidelity(found: Inspection) -> Rows:
    limit, fidelity = found.neural_map.field.resolution, _group(found, "fidelity")
    source = _group(found, "source")
    outcome = found.outcome("band_limit_from")
    how = band_limit_words(outcome)
    if limit is None:
        yield "resolution kept", "no band limit: the bare network"
    else:
        yield "resolution kept", f"{limit:.4g} A band limit" + (f" ({how})" if how else "")
        if found.last_shell is not None and found.last_shell[1] > 1.001 * limit:
            yield "", f"finest detail kept: {found.last_shell[1]:.3g} A"
        if is_estimated(outcome):
            yield "", "if you know the map's resolution, set it: nmap encode --resolution"
    if "worst" in fidelity:
        reach, within = fidelity.get("resolution", limit), str(fidelity.get("mask", "none"))
        yield "fidelity FSC", recorded_fsc_words(fidelity["worst"], reach, within)
        crossings = [
            recorded_crossing_words(threshold, fidelity[f"resolution_{threshold}"], fidelity["worst"], reach)
            for threshold in ("0.5", "0.143")
            if f"resolution_{threshold}" in fidelity
        ]
        if crossings:
            yield "", ", ".join(crossings) + " (not a half-map FSC)"
        if "correlation" in fidelity:
            yield "", f"correlation {floored(fidelity['correlation'])} over the whole box"
        if not found.grid.is_flat:
            yield subject(limit), side_chain_words(found.side_chains)
        if "contour_level" in fidelity and "contour_level" in source:
            yield (
                "contour level",
                f"{fidelity['contour_level']:.4g}, for {source['contour_level']:.4g} of the map",
            )
            volume = fidelity.get("contour_volume", 0.0)
            yield "", f"each encloses {volume / 1000:.4g} nm^3"
        yield from _half_maps(fidelity, found.outcome("cross_validation", "fidelity"))
    else:
        yield "fidelity FSC", "not recorded; measure it with nmap validate FILE SOURCE"


def _half_maps(fidelity: Mapping[str, Any], cross_validation: Mapping[str, Any]) -> Rows:
    if "half_map_fsc" not in fidelity:
        return
    resolution = fidelity.get("half_map_resolution")
    crossing = "stays above 0.143" if resolution is None else f"falls below 0.143 at {_angstrom(resolution)}"
    yield "half maps", f"their FSC {crossing}"
    if cross_validation:
        verdict, *lines = cross_validation_words(cross_validation)
        yield "cross-validation", f"FSC(decode, half 2) - FSC(half 1, half 2): {verdict}"
        yield from (("", line) for line in lines)


def _sampling(found: Inspection) -> Rows:
    grid, (low, high) = found.grid, found.bounds
    nz, ny, nx = grid.shape
    yield "sampling", f"{nx} x {ny} x {nz} voxels of {_triple(grid.voxel_size, ' x ')} A (x, y, z)"
    yield "bounds", f"from ({_triple(low)}) to ({_triple(high)}) A (x, y, z)"
    if not grid.is_orthogonal:
        yield "cell angles", f"{_triple(grid.angles)} degrees (alpha, beta, gamma)"
    field = found.neural_map.field
    lines = mask_words(found.outcome("mask"))
    if field.envelope is not None and found.envelope_share is not None:
        lines.append(f"it holds {100 * found.envelope_share:.3g} % of the box")
    yield from (("" if number else "mask", line) for number, line in enumerate(lines))
    how = symmetry_words(found.symmetry_outcome)
    yield "symmetry", ("C1" if field.symmetry is None else field.symmetry.name) + (f" ({how})" if how else "")


def _network(found: Inspection) -> Rows:
    yield "network", found.network
    if found.omegas is not None and found.blocks is not None:
        blocks = f"{found.blocks} blocks" if found.blocks > 1 else "1 block"
        yield "", f"omegas {', '.join(f'{omega:g}' for omega in found.omegas)}; {blocks}"


def _fit(found: Inspection) -> Rows:
    fit = _group(found, "fit")
    if "imported_from" in fit:
        yield "how made", f"weights imported from {fit['imported_from']}"
        return
    said = (("steps", "{} steps"), ("seconds", "{}"), ("device", "{}"), ("seed", "seed {}"))
    parts = [
        words.format(span(fit[name]) if name == "seconds" else fit[name])
        for name, words in said
        if name in fit
    ]
    yield "how fitted", ", ".join(parts) or "not recorded"
    yield from (("", words) for words in notices_words(found.notices))


def _details(found: Inspection) -> Rows:
    names = {"hdf5": "HDF5 side"}
    bytes_by_use = [f"{names.get(k, k)} {v}" for k, v in found.sizes.items() if k != "total"]
    yield "bytes", ", ".join(bytes_by_use)
    yield "", f"{found.bits_per_weight:.3g} bits for each weight"
    field = found.neural_map.field
    if field.envelope is not None:
        kz, ky, kx = field.envelope.shape
        yield "mask nodes", f"{kx} x {ky} x {kz} (x, y, z)"
    for group in ("source", "fit", "fidelity"):
        for name, value in _group(found, group).items():
            if isinstance(value, Mapping | list):
                yield f"{group}/{name}", json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
            elif isinstance(value, str | int | float):
                yield f"{group}/{name}", f"{value}"


def _group(found: Inspection, name: str) -> Mapping[str, Any]:
    return found.record.get(name, {})


def _triple(values: tuple[float, float, float], between: str = ", ") -> str:
    return between.join(f"{v:.5g}" for v in values)


def _angstrom(value: Any) -> str:
    return f"{value:.3g} A"

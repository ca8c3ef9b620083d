"""`nmap batch`: thousands of maps, on an engine that does them, with a manifest that says what is done."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap.batch.job import FITTING, READING, Job, facts, options_of
from nmap.batch.sources import MAP_SUFFIXES, NMAP_SUFFIXES, Source, find_sources
from nmap.errors import NmapError, OptionError
from nmap.grid import Shape, Triple
from nmap.machine.packages import require_package
from nmap.plain_text import escaped
from nmap.spectrum import floored
from nmap_cli.batch_options import (
    ENCODE_OPTIONS,
    HEADINGS,
    EngineOptions,
    add_encode_options,
    as_value,
    converter,
    engine_options,
    given_options,
)
from nmap_cli.batch_progress import BatchLine, words
from nmap_cli.common import (
    json_option,
    overwrite_option,
    say,
    say_json,
    size,
    tell,
    voice_options,
    warn,
    write_text,
)
from nmap_cli.comparison import HEADINGS as COMPARISON
from nmap_cli.encode import HEADINGS as ENCODE_HEADINGS
from nmap_cli.help import Group
from nmap_cli.interrupt import StopOnInterrupt
from nmap_cli.limits import HEADINGS as LIMITS
from nmap_cli.limits import checked_limits, limit_options
from nmap_cli.main import INTERRUPTED
from nmap_cli.parameters import FOLDER, OUTPUT, SHAPE, VOXEL_SIZE

if TYPE_CHECKING:
    from nmap.batch.manifest import State

# Failed maps that are named at the end; the catalogue names all.
_NAMED = 20
_MODELS = (".cif", ".cif.gz", ".pdb", ".pdb.gz", ".ent", ".ent.gz", ".mmcif", ".mmcif.gz")
# Exit codes: of a run that something kept from its end, and of one in which a map failed or fell short.
_STOPPED, _SHORT = 4, 1

_sources = click.argument("sources", nargs=-1, required=True, metavar="SOURCES...")
_out = click.option(
    "-o",
    "--out",
    type=FOLDER,
    required=True,
    metavar="DIR",
    help="Folder of the results; made if it is not there.",
)
_batch = click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR"
)


@click.group("batch", cls=Group, short_help="Encode, check and pack thousands of maps.")
def command() -> None:
    """Encode, decode, validate, inspect, report on and pack thousands of maps.

    Everything that is known of a batch is in the manifest of its folder. The same command again does only what
    is missing or has changed, whatever became of the run before.
    """


@command.command(
    "encode",
    short_help="Fit a network to every map.",
    headings={**ENCODE_HEADINGS, **HEADINGS},
    examples=(
        ("every map below a folder, on four cores", "nmap batch encode maps --out out --workers 4"),
        ("a list with options by row", "nmap batch encode list.csv --out out --arch radial-basis"),
        ("the third of eight array jobs", "nmap batch encode maps --out out --shard 2/8"),
    ),
)
@_sources
@_out
@engine_options
@json_option
@voice_options
@click.pass_context
def encode(
    context: click.Context,
    /,
    sources: tuple[str, ...],
    out: Path,
    how: EngineOptions,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **options: Any,
) -> int:
    """Fit a network to every map of SOURCES and write DIR/ID.nmap for each.

    SOURCES are map files, folders, patterns such as 'maps/*.mrc', lists, or a tree laid out as EMDB's
    (EMD-NNNN/map, header, other), whose headers give resolution, contour level, symmetry and half maps where you
    do not. A list is a .csv with a line of names or a .jsonl, with a column source, perhaps id, and any option of
    'nmap encode' by its name.

    DIR/manifest.jsonl says what was done; DIR/catalogue.csv is a table of it, DIR/logs has a log of each map.
    Exit code 0 if every map is done, 1 if one failed or missed its goal, 4 if the run could not go on, 130 after
    Ctrl-C: the first lets the maps in flight come to their ends, a second one drops them.
    """
    require_package("torch", "fit", "encode")
    given = given_options(context, options)
    from nmap.fit.options import EncodeOptions
    from nmap.maps import ReadOptions

    EncodeOptions(**options_of(given, FITTING))  # refuse what cannot be used before anything is read
    ReadOptions(**options_of(given, READING))
    found = find_sources(sources, MAP_SUFFIXES, converter(ENCODE_OPTIONS))
    out = out.absolute()
    jobs = [
        Job(
            id=one.id,
            task="encode",
            source=one.path,
            output=str(out / f"{one.id}.nmap"),
            log=str(out / "logs" / f"{one.id}.log"),
            options={**given, **one.options},
            header=one.header,
        )
        for one in found
    ]
    return _run(jobs, out, how, device=str(given.get("device", "auto")), as_json=as_json, quiet=quiet)


add_encode_options(encode)


@command.command(
    "decode",
    short_help="Decode every .nmap to MRC.",
    headings={"Sampling": ("shape", "voxel_size", "at", "dtype"), **HEADINGS},
    examples=(("every file below a folder, on its own grid", "nmap batch decode out --out decoded"),),
)
@_sources
@_out
@click.option("--shape", type=SHAPE, metavar="N|NX,NY,NZ", help="Samples over each map's box.")
@click.option(
    "--voxel-size", type=VOXEL_SIZE, metavar="A|X,Y,Z", help="Spacing in Angstrom, from each map's origin."
)
@click.option("--at", type=float, metavar="T", help="Position on the axis, where the files are series.")
@click.option(
    "--dtype",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Voxel type, as of decode.",
)
@engine_options
@json_option
@voice_options
def decode(
    sources: tuple[str, ...],
    out: Path,
    shape: Shape | None,
    voxel_size: Triple | None,
    at: float | None,
    dtype: str,
    how: EngineOptions,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Decode every .nmap of SOURCES, files, folders or patterns, to DIR/ID.mrc."""
    if shape is not None and voxel_size is not None:
        raise OptionError("--shape and --voxel-size contradict each other: give one of them")
    chosen = {"shape": shape, "voxel_size": voxel_size, "at": at, "dtype": dtype}
    options = {name: as_value(name, value) for name, value in chosen.items() if value is not None}
    out = out.absolute()
    jobs = [
        Job(
            id=one.id,
            task="decode",
            source=one.path,
            output=str(out / f"{one.id}.mrc"),
            log=str(out / "logs" / f"{one.id}.decode.log"),
            options=options,
        )
        for one in find_sources(sources, NMAP_SUFFIXES)
    ]
    return _run(jobs, out, how, device="cpu", as_json=as_json, quiet=quiet)


@command.command(
    "validate",
    short_help="Hold every .nmap of a batch against its map.",
    headings={**COMPARISON, **LIMITS, **HEADINGS},
    examples=(
        ("every map that batch encode did", "nmap batch validate out"),
        ("those below 0.99 are named", "nmap batch validate out --min-fsc 0.99"),
    ),
)
@_batch
@click.option(
    "--models",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Atomic models, each called as its map: ID.cif, ID.pdb, or these with .gz.",
)
@limit_options
@engine_options
@json_option
@voice_options
def validate(
    folder: Path,
    models: Path | None,
    how: EngineOptions,
    as_json: bool,
    quiet: bool,
    verbose: bool,
    **limits: Any,
) -> int:
    """Hold every map of the batch in DIR against its source, as 'nmap validate' does.

    Exit code 1 if one falls short of a limit; what was measured goes into manifest, catalogue and report.
    """
    from nmap.batch.manifest import read_state, require_batch

    checked_limits(limits)
    require_batch(folder)
    folder = folder.absolute()
    held = {name: value for name, value in limits.items() if value is not None}
    jobs = []
    encoded = read_state(folder).last("encode")
    if not encoded:
        raise NmapError(f"{folder}: its manifest names no encoded map: give the --out of 'nmap batch encode'")
    for name, entry in encoded.items():
        if entry["event"] != "done":
            continue
        options = {"file": str(folder / str(entry["file"])), **held, **options_of(entry["options"], READING)}
        model = _model(models, name)
        if model is not None:
            options["model"] = str(model)
        jobs.append(
            Job(
                id=name,
                task="validate",
                source=str(entry["source"]),
                log=str(folder / "logs" / f"{name}.validate.log"),
                options={key: as_value(key, value) for key, value in options.items()},
            )
        )
    return _run(jobs, folder, how, device="cpu", as_json=as_json, quiet=quiet)


def _model(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return None
    return next((path for end in _MODELS if (path := folder.absolute() / (name + end)).is_file()), None)


@command.command(
    "inspect",
    short_help="Say in a line what each .nmap holds.",
    examples=(("a table of a folder", "nmap batch inspect out -o table.csv"),),
)
@_sources
@click.option("-o", "--output", type=OUTPUT, metavar="CSV", help="Write the table as CSV instead.")
@overwrite_option
@json_option
@voice_options
def inspect(
    sources: tuple[str, ...], output: Path | None, overwrite: bool, as_json: bool, quiet: bool, verbose: bool
) -> int:
    """Say of every .nmap of SOURCES, files, folders or patterns, what it holds: one line each.

    With --json one JSON object a line. Exit code 3 if one cannot be read; the others are shown all the same.
    """
    began = time.monotonic()
    found = find_sources(sources, NMAP_SUFFIXES)
    bad = 0
    kept = []
    for one, values in _inspected(found):
        bad += values is None
        if values is None:
            continue
        kept.append({"id": one.id, **values})
        if as_json:
            say_json(kept[-1], indent=None)
        elif output is None:
            say(_line(escaped(one.id), values), quiet)
    if output is not None:
        write_text(output, _csv(kept), overwrite)
    if not as_json:
        took = time.monotonic() - began
        say(f"{len(kept)} files, {bad} that cannot be read, in {took:.1f} s", quiet)
    return 3 if bad else 0


def _inspected(found: Sequence[Source]) -> Iterator[tuple[Source, dict[str, Any] | None]]:
    from nmap.container import glance

    for one in found:
        try:
            yield one, facts(glance(one.path))
        except (NmapError, OSError) as error:
            tell(f"nmap: {one.path}: {error}" if isinstance(error, OSError) else f"nmap: {error}")
            yield one, None


def _line(name: str, values: dict[str, Any]) -> str:
    fsc, limit = values["worst_fsc"], values["resolution_A"]
    return (
        f"{name}: {size(values['bytes'])}, 1/{values['ratio']:.4g} of the map, "
        f"{'no band limit' if limit is None else f'{limit:.4g} A'}, "
        f"worst-shell FSC {'not recorded' if fsc is None else floored(fsc)}, {values['kind']}, {values['symmetry']}"
    )


def _csv(kept: Sequence[dict[str, Any]]) -> str:
    from nmap.batch.catalogue import as_cells

    text = io.StringIO()
    if kept:
        writer = csv.DictWriter(text, list(kept[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(as_cells(one) for one in kept)
    return text.getvalue()


@command.command(
    "report",
    short_help="Write one HTML page on a batch.",
    examples=(("a page on a batch", "nmap batch report out -o batch.html"),),
)
@_batch
@click.option("-o", "--output", type=OUTPUT, required=True, metavar="HTML", help="The page to write.")
@overwrite_option
@voice_options
def report(folder: Path, output: Path, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Write one page on the batch in DIR: how small, how true, how long; the worst maps; what failed, and why.

    Needs the extra report: pip install '.[report]' in a checkout of nmap.
    """
    from nmap.batch.manifest import read_state, require_batch
    from nmap.batch.summary import summary_page

    require_batch(folder)
    beside = Path(os.path.relpath(folder.absolute(), output.absolute().parent)).as_posix()
    write_text(output, summary_page(read_state(folder), beside), overwrite)
    say(f"{output}: {size(output.stat().st_size)}", quiet)


@command.command(
    "pack",
    short_help="Put all .nmap files into one zip archive.",
    examples=(
        ("one file of all", "nmap batch pack out -o archive.zip"),
        ("one map of it again", "nmap decode archive.zip::ID -o map.mrc"),
    ),
)
@_batch
@click.option("-o", "--output", type=OUTPUT, required=True, metavar="ZIP", help="The archive to write.")
@overwrite_option
@voice_options
def pack(folder: Path, output: Path, overwrite: bool, quiet: bool, verbose: bool) -> None:
    """Put all .nmap files of DIR into one zip archive, stored as they are, with an index.

    'nmap decode ARCHIVE.zip::ID -o MAP' reads one of them, and so do inspect, validate, report and view; ARCHIVE
    may be an http address whose server gives ranges of bytes.
    """
    from nmap.batch.manifest import read_state
    from nmap.batch.pack import pack as write_archive

    done = read_state(folder).last("encode")
    maps = []
    for one in find_sources([str(folder)], NMAP_SUFFIXES):
        entry = done.get(one.id, {})
        kept = {
            key: entry[key]
            for key in ("resolution_A", "worst_fsc", "shape_zyx")
            if entry.get(key) is not None
        }
        maps.append((one.id, Path(one.path), kept))
    count, length = write_archive(maps, output, overwrite=overwrite)
    say(f"{output}: {count} maps, {size(length)}", quiet)


def _run(
    jobs: list[Job], folder: Path, how: EngineOptions, *, device: str, as_json: bool, quiet: bool
) -> int:
    """Do what of the jobs is to be done, and say how it went."""
    from nmap.batch.catalogue import write_catalogue
    from nmap.batch.manifest import Manifest, read_state
    from nmap.batch.run import clean_up, make_plan, run

    engine = how.engine(device)
    folder.mkdir(parents=True, exist_ok=True)
    jobs = how.part(jobs)
    with Manifest(folder, how.shard_name) as manifest, BatchLine(quiet, as_json) as line:
        state = read_state(folder)
        if state.damaged:
            warn(f"{folder}: {state.damaged} lines of its manifest cannot be read: their maps are done again")
        serial = how.shard is not None
        plan = make_plan(jobs, state, retry_failed=how.retry_failed, force=how.force, serial=serial)
        _say_plan(plan, quiet or as_json)

        def told() -> None:
            line.clear()
            tell(
                "nmap: Ctrl-C: no map is begun any more, those in flight come to their ends; Ctrl-C again drops them"
            )

        tally = None
        try:
            if plan.jobs:
                with engine, StopOnInterrupt(True, told) as interrupt:
                    say(f"on {engine.words}", quiet or as_json)
                    tally = run(plan, engine, manifest, report=line, should_stop=interrupt.stopped)
        except KeyboardInterrupt:
            line.clear()
            tell("nmap: aborted: the maps in flight are dropped; the same command goes on from here")
        finally:
            clean_up(plan.jobs)
        aborted = bool(plan.jobs) and tally is None
        state = read_state(folder)
        catalogue = write_catalogue(folder, state) if state.last("encode") and not how.shard_name else []
    if as_json:
        told_of = {} if tally is None else tally.to_json()
        line.event({"event": "end", "kept": len(plan.kept), "failed_before": len(plan.failed), **told_of})
    elif tally is not None:
        say(words(tally), quiet)
        for path in catalogue:
            say(f"catalogue: {path}", quiet)
    failed = [*plan.failed, *(tally.failed if tally else ())]
    _say_failed(failed, {job.id: job for job in jobs}, state)
    if aborted or (tally is not None and tally.stopped == "interrupted"):
        return INTERRUPTED
    if tally is not None and tally.stopped:
        tell(f"nmap: stopped ({tally.stopped}): {tally.reason}")
        return _STOPPED
    if tally is not None and tally.short:
        tell(f"nmap: {len(tally.short)} fall short of what was asked, such as {tally.short[0]}")
        return _SHORT
    return _SHORT if failed else 0


def _say_failed(failed: list[str], jobs: dict[str, Job], state: State) -> None:
    """Name the maps that failed, each with its file and its cause."""
    for name in failed[:_NAMED]:
        job = jobs[name]
        error = state.of(job.task, name).last.get("error", {})
        message = str(error.get("message", "its process ended each time it was tried"))
        tell(
            f"nmap: failed: {escaped(name)}: {message if job.source in message else f'{job.source}: {message}'}"
        )
    if len(failed) > _NAMED:
        tell(f"nmap: and {len(failed) - _NAMED} more failed: see the catalogue")


def _say_plan(plan: Any, quiet: bool) -> None:
    kept = f", {len(plan.kept)} are done already" if plan.kept else ""
    failed = f", {len(plan.failed)} failed before (--retry-failed tries them again)" if plan.failed else ""
    say(f"{len(plan.jobs)} maps to do{kept}{failed}", quiet)

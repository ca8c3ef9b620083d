"""One map of a batch: what is to be done, and doing it in whatever process it lands. Its answer is JSON values.

What goes wrong with a map is part of the answer. Only what no map is to blame for is raised: see `Unfinished`.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import platform
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nmap.batch.emdb import half_maps, read_header
from nmap.errors import GridError, LimitError, MapError, NmapError, OptionError, QualityError
from nmap.fit.options import EncodeOptions
from nmap.inspection import raw_bytes
from nmap.maps.read_options import ReadOptions
from nmap.plain_text import printable
from nmap.version import __version__

if TYPE_CHECKING:
    from nmap.container import Glance
    from nmap.inspection import Inspection

Task = Literal["encode", "decode", "validate"]

READING = tuple(one.name for one in fields(ReadOptions))
"""Options that say how a map is read."""
WRITING = ("no_hdf5", "thumbnail")
"""Options that say what is written beside the network."""
FITTING = tuple(one.name for one in fields(EncodeOptions) if one.name != "checkpoint")
"""Options of the fit; a folder for its state is of no use to many."""
FILES = ("mask", "half1", "half2", "model")
"""Options whose value may be the path of a file."""

# What a fit says where a value that a header gave does not suit the map.
_UNSUITED = (GridError, OptionError, QualityError, MapError)
# Only a full disk, or a quota, fails so.
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NO_MEMORY = "can't allocate memory"
"""In what torch says where there is none."""


@dataclass(frozen=True)
class Job:
    """One map.

    Attributes:
        id: its name in the batch, and that of its output.
        task: what to do.
        source: absolute path of the map, or of the `.nmap` file.
        output: absolute path of the file to write; "" where none is.
        log: absolute path of its log; "" for none.
        options: by name, JSON values, as they were given.
        header: absolute path of the entry's header in the archive, to take from it what was not given; "" for none.
        replace: whether the output may be replaced.
    """

    id: str
    task: Task
    source: str
    output: str = ""
    log: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    header: str = ""
    replace: bool = False

    def stamps(self) -> dict[str, list[int]]:
        """Size and time of change, ns, of every file that it reads; what is missing is left out."""
        out = {}
        for path in (self.source, self.header, *(self.options.get(name) for name in (*FILES, "file"))):
            if isinstance(path, str) and os.path.isfile(path):
                stat = os.stat(path)
                out[path] = [stat.st_size, stat.st_mtime_ns]
        return out


class Unfinished(Exception):
    """Nothing came of a map, and it is not to blame: the disk is full."""


def work(job: Job) -> dict[str, Any]:
    """Do one job.

    Returns:
        "event": "done" or "failed", and everything that the manifest keeps of it.

    Raises:
        Unfinished: the disk is full.
    """
    if job.task == "encode":
        importlib.import_module("nmap.fit.record")  # torch, which takes seconds: of no one map's time
    began, cpu = time.monotonic(), time.process_time()
    _forget_peak()
    answer: dict[str, Any] = {"files": job.stamps()}
    with _log(job) as say:
        say(f"{job.task} {job.source}, options {dict(job.options)}")
        try:
            answer |= {"event": "done", **_TASKS[job.task](job, say)}
        except Exception as error:  # whatever a strange map brings about: it must not stop the others
            if isinstance(error, OSError) and error.errno in _FULL:
                say(f"the disk is full: {error}")
                raise Unfinished(f"{error.filename or job.output}: {error.strerror}") from None
            answer |= {"event": "failed", "error": _error(error)}
            known = isinstance(error, NmapError)
            say("failed: " + (str(error) if known else "".join(traceback.format_exception(error)).rstrip()))
        answer |= {
            "seconds": round(time.monotonic() - began, 3),
            "cpu_seconds": round(time.process_time() - cpu, 3),
            "peak_bytes": _peak(),
            "host": platform.node(),
            "versions": {"nmap": __version__, "python": platform.python_version()},
        }
        say(f"{answer['event']} in {answer['seconds']} s")
    return answer


def _encode(job: Job, say: Callable[[str], None]) -> dict[str, Any]:
    """Fit and write; what a header gave and the map does not suit is left out, once."""
    taken, notes = _taken(job)
    if taken:
        say(f"taken from {job.header}: {taken}")
    try:
        return {"taken": taken, "notes": notes, **_fit(job, taken, say)}
    except _UNSUITED as error:
        kept: dict[str, Any] = {name: taken[name] for name in ("resolution", "contour") if name in taken}
        if kept == taken:
            raise
        notes.append(f"left out symmetry and half maps of the header: {error}")
        say(notes[-1])
    return {"taken": kept, "notes": notes, **_fit(job, kept, say)}


def _taken(job: Job) -> tuple[dict[str, Any], list[str]]:
    """Options that the entry's header gives and the user did not, and what of it could not be used."""
    if not job.header:
        return {}, []
    from nmap.model.kinds import KINDS

    try:
        header = read_header(Path(job.header))
    except NmapError as error:
        return {}, [str(error)]
    given: dict[str, Any] = {
        "resolution": header.resolution,
        "contour": header.contour,
        "symmetry": header.symmetry,
    }
    halves = half_maps(Path(job.header), header)
    if halves is not None and not {"half1", "half2"} & job.options.keys():
        given |= {"half1": str(halves[0]), "half2": str(halves[1])}
    arch = str(EncodeOptions(**options_of(job.options, FITTING)).arch)
    taken = {
        name: value
        for name, value in given.items()
        if value is not None
        and name not in job.options
        and (name != "symmetry" or "symmetry" in KINDS[arch].options)
    }
    return taken, [f"{odd} of the header could not be used" for odd in header.odd]


def _fit(job: Job, taken: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    from nmap.container import glance, save
    from nmap.fit.encode import encode
    from nmap.goal import goal_of
    from nmap.inspection import inspect
    from nmap.maps import read_map_with

    began = time.monotonic()
    given = {**taken, **job.options}
    fitting = options_of(given, FITTING)
    options = EncodeOptions(**fitting)
    reading = ReadOptions(**options_of(given, READING))
    density = read_map_with(job.source, reading)
    density.park()
    for name in ("mask", "half1", "half2"):
        if isinstance(fitting.get(name), str) and fitting[name] not in ("auto", "none"):
            fitting[name] = read_map_with(fitting[name], reading)
    neural_map = encode(density, EncodeOptions(**fitting), started=began)
    for notice in neural_map.record.get("fit", {}).get("notes") or ():
        say(f"notice: {notice}")
    output = Path(job.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    save(
        neural_map,
        output,
        hdf5=not given.get("no_hdf5", False),
        thumbnail=bool(given.get("thumbnail", False)),
        overwrite=job.replace,
    )
    found = inspect(output)
    header = density.header
    goal = goal_of(options, found)
    return {
        "sha256": None if header is None else header.sha256,
        "source_bytes": os.path.getsize(job.source),
        "output": {"bytes": found.sizes["total"], "sha256": _sha256(output)},
        "goal_met": goal.met,
        "parameters": found.parameters,
        "envelope_share": envelope_share(found),
        **facts(glance(output)),
    }


def envelope_share(found: Inspection) -> float | None:
    """Share of the box in the envelope that the fit had, whether the network keeps it or the record alone."""
    from nmap.coding.codings import MAX_OCCUPANCY_NODES
    from nmap.coding.occupancy import of_shape

    kept = found.record.get("fidelity", {}).get("envelope")
    if found.envelope_share is None and isinstance(kept, bytes):
        return float(of_shape(kept, MAX_OCCUPANCY_NODES).mean())
    return found.envelope_share


def facts(seen: Glance) -> dict[str, Any]:
    """What a catalogue says of a `.nmap` file, as JSON values."""
    frame, fidelity = seen.frame, seen.record.get("fidelity", {})
    raw, total = raw_bytes(seen.record, frame.box), seen.sizes["total"]
    return {
        "map": seen.record.get("source", {}).get("file"),
        "bytes": total,
        "raw_bytes": raw,
        "ratio": raw / total,
        "shape_zyx": list(frame.box.shape),
        "voxel_size_xyz_A": list(frame.box.voxel_size),
        "kind": seen.kind,
        "symmetry": "C1" if frame.symmetry is None else frame.symmetry.name,
        "resolution_A": frame.band_limit,
        "worst_fsc": _plain(fidelity.get("worst")),
        "correlation": _plain(fidelity.get("correlation")),
    }


def _decode(job: Job, say: Callable[[str], None]) -> dict[str, Any]:
    from nmap.container import labels, open_file
    from nmap.maps import MapWriter

    opened = open_file(job.source)
    neural_map, at = opened.neural_map, job.options.get("at")
    if at is None and neural_map.axis is not None:
        raise OptionError(f"it holds a series of {len(neural_map.axis.at)} maps: choose a position with --at")
    if at is not None:
        neural_map = neural_map.at(float(at))
    grid = neural_map.grid
    if "shape" in job.options:
        grid = neural_map.grid_for(tuple(job.options["shape"]))
    elif "voxel_size" in job.options:
        grid = grid.with_voxel_size(tuple(job.options["voxel_size"]))
    output = Path(job.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    header = opened.neural_map.record.get("source", {}).get("mrc_header")
    kept = labels(header) if isinstance(header, bytes) else ()
    say(f"decoding to {grid}")
    with MapWriter(
        output,
        grid,
        dtype=job.options.get("dtype", "float32"),
        overwrite=job.replace,
        labels=kept,
        label=f"Decoded by nmap {__version__}",
    ) as writer:
        for _, slab in neural_map.slabs(grid):
            writer.write(slab)
    return {
        "source_bytes": opened.sizes["total"],
        "output": {"bytes": output.stat().st_size},
        "shape_zyx": list(grid.shape),
        "voxel_size_xyz_A": list(grid.voxel_size),
    }


def _validate(job: Job, say: Callable[[str], None]) -> dict[str, Any]:
    """Hold a file, `options["file"]`, against its source."""
    from nmap.compare.json_values import as_json
    from nmap.compare.measures import MEASURES, Limits
    from nmap.validation import validate_file

    given = dict(job.options)
    found = validate_file(
        given.pop("file"),
        job.source,
        model=given.pop("model", None),
        reading=ReadOptions(**options_of(given, READING)),
        limits=Limits(**{name: value for name, value in given.items() if name not in READING}),
    ).findings
    measured = {measure.name: as_json(measure.value(found)) for measure in MEASURES}
    return {
        "source_bytes": os.path.getsize(job.source),
        "holds": found.holds,
        "fell_short": [check.name for check in found.failed],
        "measures": {name: value for name, value in measured.items() if value is not None},
    }


_TASKS: dict[Task, Callable[[Job, Callable[[str], None]], dict[str, Any]]] = {
    "encode": _encode,
    "decode": _decode,
    "validate": _validate,
}


def options_of(given: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Those of some names, JSON lists as the tuples that they stand for."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in given.items()
        if name in names
    }


def is_out_of_memory(error: Mapping[str, Any]) -> bool:
    """Whether a map failed for want of memory, so that it may succeed alone."""
    return bool(error.get("out_of_memory"))


def _error(error: Exception) -> dict[str, Any]:
    short = isinstance(error, (MemoryError, LimitError)) or (
        isinstance(error, RuntimeError) and _NO_MEMORY in str(error)
    )
    code = error.exit_code if isinstance(error, NmapError) else 4
    message = printable(str(error)) or ("out of memory" if short else "")
    return {"class": type(error).__name__, "code": code, "message": message, "out_of_memory": short}


@contextmanager
def _log(job: Job) -> Iterator[Callable[[str], None]]:
    """A function that writes lines into the job's log, as they come; warnings go there too.

    A log that cannot be written stops no map.
    """
    began = time.monotonic()
    file = None
    if job.log:
        with suppress(OSError):
            Path(job.log).parent.mkdir(parents=True, exist_ok=True)
            file = open(job.log, "w", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115

    def say(text: str) -> None:
        if file is not None:
            with suppress(OSError):
                file.write(f"{time.monotonic() - began:8.2f} s  {text}\n")

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = lambda message, *_, **__: say(f"warning: {message}")
            yield say
    finally:
        if file is not None:
            with suppress(OSError):
                file.close()


def _forget_peak() -> None:
    """Let the kernel count this process's most memory anew (man 5 proc, clear_refs)."""
    with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def _peak() -> int | None:
    """Most memory of this process since, bytes; None where the system does not say."""
    with suppress(OSError, ValueError), open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> float | None:
    """A number that JSON holds."""
    return float(value) if isinstance(value, int | float) and abs(value) < float("inf") else None

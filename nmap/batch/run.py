"""A run: which maps are still to be done, and doing them on an engine, with the manifest kept at every step."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nmap.batch.engine import Answer, Engine, EngineLost
from nmap.batch.job import Job, is_out_of_memory
from nmap.batch.manifest import Entry, Manifest, Record, State
from nmap.errors import OptionError
from nmap.machine.atomic import remove_orphans
from nmap.version import __version__

# How often a map may lose its worker before it is given up: what kills workers may be something else, so first it
# is tried again among others, then alone. If memory is what was short, it is tried once more only, alone.
_AMONG_OTHERS = 2
_DEATHS = 5
# How often a map that was done alone in its process may leave no trace of an end.
_VANISHED = 3
# Seconds to wait for an answer before asking whether to stop.
_LOOK = 0.2

Why = Literal["", "interrupted", "disk-full", "engine-lost"]


@dataclass(frozen=True)
class Plan:
    """What a run has to do.

    Attributes:
        jobs: to be done.
        kept: ids that are done already, and have not changed.
        failed: ids that failed before, and are not tried again.
    """

    jobs: Sequence[Job]
    kept: Sequence[str] = ()
    failed: Sequence[str] = ()


@dataclass
class Tally:
    """How far a run is.

    Attributes:
        total: jobs of this run.
        done: that came to a good end.
        failed: ids that did not.
        short: ids whose file misses the goal.
        running: in flight now.
        bytes_in: of the maps that are done, as they lie on disk.
        bytes_out: that were written for them.
        began: `time.monotonic` at the beginning.
        bytes_left: of the maps that are not done.
        stopped: why the run ended before its jobs did; "" if it did not.
        reason: of that, in words.
    """

    total: int
    done: int = 0
    failed: list[str] = field(default_factory=list)
    short: list[str] = field(default_factory=list)
    running: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    began: float = field(default_factory=time.monotonic)
    bytes_left: int = 0
    stopped: Why = ""
    reason: str = ""

    @property
    def ended(self) -> int:
        """Jobs with an end, good or not."""
        return self.done + len(self.failed)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self.began

    @property
    def per_hour(self) -> float:
        """Jobs an hour so far."""
        return 3600 * self.ended / max(self.seconds, 1e-3)

    @property
    def seconds_left(self) -> float | None:
        """To the end, by the bytes that are left; None before anything ended."""
        if not self.ended:
            return None
        share = self.bytes_left / self.bytes_in if self.bytes_in else (self.total - self.ended) / self.ended
        return self.seconds * share

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "total": self.total,
            "done": self.done,
            "failed": len(self.failed),
            "below_goal": len(self.short),
            "running": self.running,
            "bytes_in": self.bytes_in,
            "bytes_out": self.bytes_out,
            "seconds": round(self.seconds, 3),
            "maps_per_hour": round(self.per_hour, 1),
            "seconds_left": None if self.seconds_left is None else round(self.seconds_left),
            "stopped": self.stopped or None,
        }


Report = Callable[[Tally, Entry | None], None]
"""Called with how far the run is, and the manifest's newest entry, None where there is none."""


def make_plan(
    jobs: Iterable[Job],
    state: State,
    *,
    retry_failed: bool = False,
    force: bool = False,
    serial: bool = False,
) -> Plan:
    """What of some jobs is missing, or changed: its files, its options, the version, or its output.

    Args:
        jobs: all of the batch.
        state: what the manifests say.
        retry_failed: do what failed again.
        force: do everything again.
        serial: whether one process does the jobs in turn, so that a map whose start has no end killed its process.

    Raises:
        OptionError: an output that exists and is not this batch's own.
    """
    todo: list[Job] = []
    kept: list[str] = []
    failed: list[str] = []
    for job in jobs:
        record = state.of(job.task, job.id)
        same = bool(record.last) and not force and is_unchanged(job, record.last)
        if same and record.event == "done" and _output_stands(job, record.last):
            kept.append(job.id)
        elif (same and record.event == "failed" and not retry_failed) or (
            serial and record.unfinished >= _VANISHED and not (retry_failed or force)
        ):
            failed.append(job.id)
        else:
            _check_owner(job, record, force)
            todo.append(_replacing(job, record, force))
    # The largest first: then no worker is left alone with one of them at the end.
    return Plan(sorted(todo, key=lambda job: -_size(job.source)), kept, failed)


def is_unchanged(job: Job, entry: Entry) -> bool:
    """Whether a map's files, options and the version are those of an entry of the manifest.

    A file whose time alone has changed is read: its SHA-256 decides where the manifest has it.
    """
    if entry.get("options") != dict(job.options) or entry.get("versions", {}).get("nmap") != __version__:
        return False
    before, now = entry.get("files", {}), job.stamps()
    if before == now:
        return True
    sizes_before = {path: stamp[0] for path, stamp in before.items()}
    if sizes_before != {path: stamp[0] for path, stamp in now.items()} or not entry.get("sha256"):
        return False
    moved = [path for path in now if before[path] != now[path]]
    return moved == [job.source] and _sha256(job.source) == str(entry["sha256"])


def _sha256(path: str) -> str:
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _output_stands(job: Job, entry: Entry) -> bool:
    """Whether the output is there, as long as the manifest says."""
    if not job.output:
        return True
    try:
        return bool(os.path.getsize(job.output) == entry.get("output", {}).get("bytes"))
    except OSError:
        return False


def _check_owner(job: Job, record: Record, force: bool) -> None:
    """Refuse an output that exists and that no run of this batch began."""
    if job.output and os.path.lexists(job.output) and not record.started and not force:
        raise OptionError(
            f"{job.output}: exists and is not this batch's own: give another --out, or --force to replace it"
        )


def _replacing(job: Job, record: Record, force: bool) -> Job:
    from dataclasses import replace

    return replace(job, replace=record.started or force)


def run(
    plan: Plan,
    engine: Engine,
    manifest: Manifest,
    *,
    report: Report = lambda tally, entry: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Tally:
    """Do what a plan has to do.

    When `should_stop` says so, no map is begun any more, and those in flight come to their ends. A full disk and a
    lost scheduler end the run too. A map that loses its worker, or lacks memory, is done again at the end, alone.

    Args:
        plan: what to do.
        engine: what does it; entered already.
        manifest: where it is kept.
        report: called when something ended, and now and then.
        should_stop: asked now and then.

    Returns:
        How it went.
    """
    going = _Run(plan, engine, manifest, report, should_stop)
    try:
        going.all()
    except EngineLost as lost:
        going.tally.stopped, going.tally.reason = "engine-lost", str(lost)
    except BaseException:
        going.give_up()
        raise
    report(going.tally, None)
    return going.tally


def clean_up(jobs: Iterable[Job]) -> None:
    """Remove what killed workers of this machine left half written; when no worker is left."""
    for folder in {os.path.dirname(job.output) for job in jobs if job.output}:
        remove_orphans(Path(folder))


class _Run:
    """The loop, and what it has to remember."""

    def __init__(
        self,
        plan: Plan,
        engine: Engine,
        manifest: Manifest,
        report: Report,
        should_stop: Callable[[], bool],
    ) -> None:
        self.engine, self.manifest, self.report, self.should_stop = engine, manifest, report, should_stop
        self.waiting = deque(plan.jobs)
        self.alone: deque[Job] = deque()
        self.is_alone = False
        self.flying: dict[str, Job] = {}
        self.deaths: dict[str, int] = {}
        self.sizes = {job.id: _size(job.source) for job in plan.jobs}
        self.tally = Tally(len(plan.jobs), bytes_left=sum(self.sizes.values()))

    def all(self) -> None:
        """Everything; what has to be alone at the end."""
        self._drain(self.waiting)
        if self.alone and not self.tally.stopped:
            self.engine.alone()
            self.is_alone = True
            self._drain(self.alone)

    def give_up(self) -> None:
        """Note that what is in flight was given up on purpose."""
        for job in list(self.flying.values()):
            try:
                self.manifest.append("stopped", job.task, job.id)
            except OSError:
                return

    def _drain(self, jobs: deque[Job]) -> None:
        while jobs or self.flying:
            if not self.tally.stopped and self.should_stop():
                self.tally.stopped, self.tally.reason = "interrupted", "Ctrl-C"
            while jobs and not self.tally.stopped and len(self.flying) < self.engine.slots:
                self._begin(jobs.popleft())
            if not self.flying:
                return
            answer = self.engine.next(_LOOK)
            if answer is not None:
                self._take(answer)
            self.report(self.tally, None)

    def _begin(self, job: Job) -> None:
        try:
            self.manifest.append("started", job.task, job.id)
        except OSError as error:
            self._full(str(error))
            return
        self.flying[job.id] = job
        self.tally.running = len(self.flying)
        self.engine.submit(job)

    def _take(self, answer: Answer) -> None:
        job = answer.job
        self.flying.pop(job.id, None)
        self.tally.running = len(self.flying)
        if answer.stopped:
            self._full(answer.stopped)
            self._keep("stopped", job, {})
        elif answer.died:
            self._died(job, answer.died, answer.short, {})
        elif answer.result["event"] == "failed" and is_out_of_memory(answer.result["error"]):
            self._died(job, answer.result["error"]["message"], True, answer.result)
        else:
            self._keep(answer.result["event"], job, answer.result)

    def _died(self, job: Job, cause: str, short: bool, result: Mapping[str, Any]) -> None:
        """Do it again, unless that was tried often enough; then it is the map's own fault."""
        times = self.deaths[job.id] = self.deaths.get(job.id, 0) + 1
        if not short and times < _AMONG_OTHERS:
            self.waiting.append(job)
            return
        if not self.is_alone or (not short and times < _DEATHS):
            self.alone.append(job)
            return
        error = {
            "class": "OutOfMemory" if short else "WorkerDied",
            "code": 4,
            "message": f"{cause}; tried {times} times, the last time alone",
        }
        base = result or {"files": job.stamps(), "versions": {"nmap": __version__}}
        self._keep("failed", job, {**base, "error": error})

    def _keep(self, event: str, job: Job, result: Mapping[str, Any]) -> None:
        """Note in the manifest how a job ended, and count it."""
        more = {name: value for name, value in result.items() if name != "event"}
        if event != "stopped":
            more = {"source": job.source, "options": dict(job.options), **_below(job, self.manifest), **more}
        try:
            entry = self.manifest.append(event, job.task, job.id, more.items())
        except OSError as error:
            self._full(str(error))
            return
        if event == "stopped":
            return
        size = self.sizes[job.id]
        self.tally.bytes_left -= size
        self.tally.bytes_in += size
        self.tally.bytes_out += (result.get("output") or {}).get("bytes", 0)
        if event == "failed":
            self.tally.failed.append(job.id)
        else:
            self.tally.done += 1
            if result.get("goal_met") is False or result.get("holds") is False:
                self.tally.short.append(job.id)
        self.report(self.tally, entry)

    def _full(self, reason: str) -> None:
        self.tally.stopped, self.tally.reason = "disk-full", reason


def _below(job: Job, manifest: Manifest) -> dict[str, str]:
    """The output's path from the manifest's folder."""
    if not job.output:
        return {}
    return {"file": os.path.relpath(job.output, manifest.path.parent)}


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:
        return 0

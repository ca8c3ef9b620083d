"""What does the jobs: this process, one after the other, or Dask distributed (https://distributed.dask.org).

The engines of Dask give each worker process one thread. A worker keeps torch and all else loaded between maps.
"""

from __future__ import annotations

import glob
import logging
import math
import os
import queue
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Protocol, Self

from nmap.batch.job import Job, Unfinished, work
from nmap.errors import LimitError, MissingPackageError, NmapError, OptionError
from nmap.machine.memory import free_memory
from nmap.machine.packages import require_package
from nmap.machine.threads import workers as usable_cores
from nmap.version import __version__

# Share of the free memory that the workers may take, all together.
_SHARE = 0.9
# Seconds in which a scheduler has to answer, and the first worker to come.
_PATIENCE = 30.0
# Seconds in which a first job of a batch system has to start.
_QUEUE_PATIENCE = 24 * 3600.0
# Seconds between two looks at how many workers there are.
_COUNT_EVERY = 1.0
# Seconds that ending a cluster may take; a scheduler that is gone never answers.
_LAST = 5.0
# How often a cluster of this machine is begun before that counts as impossible.
_STARTS = 3
_DASHBOARD = ":8787"
# Topic of what a worker's nanny tells when it ends it for want of memory.
_OVER_LIMIT = "worker-restart-memory"
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_WORKER = "nmap.batch.worker"
# Variables that dask sets beside those of its configuration.
_SPAWNING = ("PYTHONHASHSEED", "__DASK_PARENT_PID")


class EngineLost(NmapError):
    """The scheduler does not answer any more; what was in flight is lost."""

    exit_code = 4


@dataclass(frozen=True)
class Answer:
    """What came of a job.

    Attributes:
        job: the job.
        result: what `work` gave; empty where nothing came.
        died: the worker process that had it ended, and why that may be, in words; "" where it did not.
        short: it ended because it took more memory than it may.
        stopped: the run must end, and why; "" where it need not.
    """

    job: Job
    result: Mapping[str, Any]
    died: str = ""
    short: bool = False
    stopped: str = ""


class Engine(Protocol):
    """Does jobs; a context manager, at whose end nothing of it is left running."""

    @property
    def slots(self) -> int:
        """Jobs that it does at once."""
        ...

    @property
    def words(self) -> str:
        """What it is, for a person."""
        ...

    def submit(self, job: Job) -> None:
        """Begin a job, or do so soon."""
        ...

    def next(self, patience: float) -> Answer | None:
        """The next answer; None if none comes in so many seconds.

        Raises:
            EngineLost: no answer will come any more.
        """
        ...

    def alone(self) -> None:
        """From now on one job at a time, with all the memory that there is. Nothing is in flight then."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Serial:
    """Every job in this process, when its answer is asked for."""

    slots = 1
    words = "this process"

    def __init__(self) -> None:
        self._waiting: list[Job] = []

    def submit(self, job: Job) -> None:
        """Keep it until an answer is asked for."""
        self._waiting.append(job)

    def next(self, patience: float) -> Answer | None:
        """Do the job that waits."""
        if not self._waiting:
            return None
        job = self._waiting.pop(0)
        try:
            return Answer(job, work(job))
        except Unfinished as full:
            return Answer(job, {}, stopped=str(full))

    def alone(self) -> None:
        """It always is."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.clear()


class Dask:
    """A Dask client, and the cluster that it was given to use or begins itself.

    Args:
        scheduler: address of one that runs, such as "tcp://host:8786"; None to begin a cluster.
        slurm: begin it as jobs of Slurm, through dask-jobqueue and its configuration.
        workers: to begin; None for one a GPU, or one a core.
        memory: bytes that each of them may take; None for its share of what is free.
        device: "cpu" begins no worker for a GPU.

    Raises:
        MissingPackageError: distributed, or dask-jobqueue, is not installed.
    """

    def __init__(
        self,
        *,
        scheduler: str | None = None,
        slurm: bool = False,
        workers: int | None = None,
        memory: int | None = None,
        device: str = "auto",
    ) -> None:
        require_package("distributed", "batch", "a batch on several processes")
        if slurm:
            require_package("dask_jobqueue", "batch", "--slurm")
        self._scheduler, self._slurm = scheduler, slurm
        self._environments = [] if scheduler or slurm else worker_environments(device, workers)
        self._count = workers or max(len(self._environments), 1)
        self._memory = memory or _share_of_memory(self._count)
        self._whole_memory = max(self._memory * self._count, self._memory)
        self._answers: queue.Queue[Answer] = queue.Queue()
        self._flying: dict[str, tuple[Job, Any]] = {}
        self._alone = False
        self._attempt = 0
        self._threads, self._counted = 1, -math.inf
        self._over_limit: set[str] = set()
        self._scratch = ""
        self._environment: dict[str, str | None] = {}
        self._cluster: Any = None
        self._client: Any = None

    @property
    def slots(self) -> int:
        """Threads of all workers that are there now; one when jobs are done alone."""
        if self._alone:
            return 1
        now = time.monotonic()
        if now - self._counted > _COUNT_EVERY:
            with suppress(OSError):  # a scheduler that is gone: the next answer says so
                found = sum(self._client.nthreads().values())
                self._threads = max(found, 1)
                if found < self._count and self._cluster is not None and not self._slurm:
                    self._cluster.scale(
                        self._count
                    )  # a worker that was killed while it started is begun anew
            self._counted = now
        return self._threads

    @property
    def words(self) -> str:
        """Which scheduler, and its dashboard where Dask has one."""
        link = getattr(self._client, "dashboard_link", None) if find_spec("bokeh") else None
        place = self._scheduler or ("Slurm" if self._slurm else f"{self._count} processes of this machine")
        return f"Dask, {place}" + (f", dashboard at {link}" if link else "")

    def __enter__(self) -> Self:
        for name in ("distributed", "distributed.nanny", "distributed.scheduler", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def submit(self, job: Job) -> None:
        """Hand it to the scheduler."""
        self._attempt += 1
        future = self._client.submit(
            work, job, key=f"{job.task}-{self._attempt}-{job.id}", pure=False, retries=0
        )
        self._flying[job.id] = (job, future)
        future.add_done_callback(lambda done: self._answers.put(self._answer(job, done)))

    def next(self, patience: float) -> Answer | None:
        """Wait for an answer; a scheduler that is gone raises."""
        try:
            answer = self._answers.get(timeout=patience)
        except queue.Empty:
            if self._client.status not in ("running", "connecting"):
                raise self._lost() from None
            return None
        if answer.stopped == "lost":
            raise self._lost()
        self._flying.pop(answer.job.id, None)
        return answer

    def alone(self) -> None:
        """One worker of its own cluster with all the memory; of another's cluster, one job at a time."""
        self._alone = True
        if self._scheduler or self._slurm:
            return
        self._close()
        self._environments = self._environments[:1]
        self._count, self._memory = 1, self._whole_memory
        self._open()

    def _lost(self) -> EngineLost:
        return EngineLost(
            f"the scheduler{f' {self._scheduler}' if self._scheduler else ''} does not answer any more: the maps that "
            "were in flight are lost, all else is kept: run the same command again"
        )

    def _answer(self, job: Job, done: Any) -> Answer:
        """From a future that ended to what came of it. Runs in a thread of Dask's."""
        from distributed import KilledWorker

        if done.status == "finished":
            return Answer(job, done.result())
        if done.status in ("cancelled", "lost"):
            return Answer(job, {}, stopped="lost")
        error = done.exception()
        if isinstance(error, Unfinished):
            return Answer(job, {}, stopped=str(error))
        if isinstance(error, KilledWorker):
            worker = error.last_worker.address
            if worker in self._over_limit:
                self._over_limit.discard(worker)
                return Answer(job, {}, died="it takes more memory than its worker may", short=True)
            return Answer(job, {}, died="its worker process ended, killed or out of memory")
        return Answer(job, {}, died=f"its worker could not do it: {type(error).__name__}: {error}")

    def _open(self) -> None:
        """Begin, or find, the cluster; one whose worker is killed while it starts is begun anew."""
        for attempt in range(_STARTS):
            try:
                return self._open_once()
            except RuntimeError as error:
                self._close()
                if self._scheduler or attempt == _STARTS - 1:
                    raise EngineLost(f"no cluster comes up ({error}): run the same command again") from None
            except BaseException:
                self._close()
                raise

    def _open_once(self) -> None:
        import dask
        from distributed import Client

        # A worker ends when it takes more than it may; it never waits for memory that only its own map could free.
        # Each map that loses its worker comes back here, to be done alone.
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                "distributed.scheduler.worker-saturation": 1.0,
                "distributed.worker.memory.target": False,
                "distributed.worker.memory.spill": False,
                "distributed.worker.memory.pause": False,
                "distributed.worker.memory.terminate": 0.95,
                "distributed.comm.timeouts.connect": f"{_PATIENCE:g}s",
            }
        )
        if self._scheduler is None:
            self._cluster = self._slurm_cluster() if self._slurm else self._local_cluster()
        try:
            self._client = Client(self._scheduler or self._cluster, timeout=_PATIENCE, set_as_default=False)
            self._client.wait_for_workers(1, timeout=_QUEUE_PATIENCE if self._slurm else _PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            raise OptionError(
                f"{self._scheduler or 'cluster'}: no scheduler with a worker answers there ({error}): start "
                "'dask scheduler' and 'dask worker tcp://HOST:8786 --nthreads 1' first"
            ) from None
        self._client.subscribe_topic(_OVER_LIMIT, lambda event: self._over_limit.add(event[1]["worker"]))
        self._check_workers()

    def _check_workers(self) -> None:
        """Refuse workers without nmap, or with another version of it."""
        try:
            found = self._client.run(worker_version)
        except Exception as error:
            raise MissingPackageError(
                f"{self._scheduler}: its workers cannot load nmap ({error}): install the same nmap there"
            ) from None
        odd = sorted({version for version in found.values() if version != __version__})
        if odd:
            raise OptionError(f"workers with nmap {', '.join(odd)}: wanted {__version__}, as here")

    def _local_cluster(self) -> Any:
        from distributed import Nanny, Scheduler, SpecCluster

        address = _DASHBOARD if find_spec("bokeh") else None
        if not self._environment:
            self._environment = _set_by_dask()
        self._scratch = tempfile.mkdtemp(prefix="nmap-batch-")
        worker = {
            "nthreads": 1,
            "memory_limit": self._memory,
            "preload": [_WORKER],
            "dashboard": False,
            "local_directory": self._scratch,
            "silence_logs": logging.CRITICAL,
        }
        workers = {
            number: {"cls": Nanny, "options": {**worker, "env": environment}}
            for number, environment in enumerate(self._environments)
        }
        options = {"host": "127.0.0.1", "dashboard": bool(address), "dashboard_address": address or ":0"}
        return SpecCluster(
            workers=workers, scheduler={"cls": Scheduler, "options": options}, silence_logs=logging.CRITICAL
        )

    def _slurm_cluster(self) -> Any:
        from dask_jobqueue import SLURMCluster

        cluster = SLURMCluster(
            cores=1,
            processes=1,
            memory=f"{self._memory / 1e9:.3f}GB",
            worker_extra_args=["--preload", _WORKER],
            job_script_prologue=[f"export {name}=1" for name in _THREADS],
        )
        cluster.scale(jobs=self._count)
        return cluster

    def _close(self) -> None:
        for one in (self._client, self._cluster):
            if one is not None:
                try:
                    one.close(timeout=_LAST)
                except (OSError, TimeoutError):
                    continue
        self._client = self._cluster = None
        self._flying.clear()
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)


def worker_version() -> str:
    """The version of nmap that a worker has."""
    return __version__


def worker_environments(device: str, count: int | None) -> list[dict[str, str]]:
    """The environment of each worker of this machine: one thread, and a GPU of its own where there are GPUs.

    Args:
        device: "cpu" uses no GPU.
        count: workers; None for one a GPU, or one a core. More than there are GPUs share them.
    """
    threads = dict.fromkeys(_THREADS, "1")
    cards = [] if device == "cpu" else gpus()
    number = count or len(cards) or usable_cores()
    if not cards:
        return [threads] * number
    return [{**threads, "CUDA_VISIBLE_DEVICES": cards[i % len(cards)]} for i in range(number)]


def _set_by_dask() -> dict[str, str | None]:
    """What dask changes in this process's own environment where it starts workers, as it is before that."""
    import dask.config
    import distributed  # its defaults

    names = dask.config.get(f"{distributed.__name__}.nanny.pre-spawn-environ")
    return {name: os.environ.get(name) for name in (*names, *_SPAWNING)}


def gpus() -> list[str]:
    """Names of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them; torch is not loaded."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.split(",") if name.strip() not in ("", "-1")]
    found = glob.glob("/dev/nvidia[0-9]*")
    return [str(number) for number in range(len(found))]


def _share_of_memory(count: int) -> int:
    free = free_memory()
    if free is None:
        raise LimitError("this system does not say how much memory is free: give --memory")
    return int(_SHARE * free / count)

"""The rows of a comparison: every codec at every target, measured step by step in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.ours import Settings
from bench.process import StepError, run_step
from bench.rivals import CODECS
from bench.source import Referee, Source

OURS = "nmap"


@dataclass(frozen=True)
class Row:
    """One codec at one target.

    Attributes:
        codec: its name.
        target: worst-shell FSC asked for.
        size: bytes that decoding needs; None where there is no result.
        ratio: 4 bytes a voxel over `size`.
        worst_fsc: lowest FSC over shells 1 to the resolution, of what was decoded from the bytes.
        psnr: decibel over the box, from the source's range; None for equal maps.
        encode_seconds: one encode; of nmap with its search, of the others at the knob that was found.
        decode_seconds: from the bytes to the map.
        encode_peak: most memory of the encoding process, bytes; interpreter, libraries and source included.
        decode_peak: the same of the decoding process.
        search_seconds: what finding the knob took; None for nmap, whose search is its encode.
        knob: decibel; None where there is none.
        container: bytes of the whole file; None for the others.
        note: why there is no result, or what to know about it.
    """

    codec: str
    target: float
    size: int | None = None
    ratio: float | None = None
    worst_fsc: float | None = None
    psnr: float | None = None
    encode_seconds: float | None = None
    decode_seconds: float | None = None
    encode_peak: int | None = None
    decode_peak: int | None = None
    search_seconds: float | None = None
    knob: float | None = None
    container: int | None = None
    note: str = ""

    @property
    def meets(self) -> bool:
        """Whether the decoded map reaches the target."""
        return self.worst_fsc is not None and self.worst_fsc >= self.target


def is_ours(codec: str) -> bool:
    """Whether a codec's name is nmap's: "nmap", or "nmap:" and a model kind."""
    return codec.partition(":")[0] == OURS


def measure(
    source: Source,
    codecs: Sequence[str],
    targets: Sequence[float],
    work: Path,
    *,
    symmetry: str = "",
    effort: str = "",
    report: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Measure every codec at every target.

    Args:
        source: what to code.
        codecs: names in `CODECS`, "nmap", or "nmap:" and a model kind.
        targets: worst-shell FSC to reach.
        work: empty folder for the run's files.
        symmetry: for nmap alone; "" for its default.
        effort: for nmap alone; "" for its default.
        report: called with each row as it is done.
    """
    bench = _Bench(source, work)
    rows = []
    for codec in codecs:
        found: Iterator[Row]
        if is_ours(codec):
            found = (bench.ours(codec, target, symmetry, effort) for target in targets)
        else:
            found = bench.rival(codec, targets)
        for row in found:
            report(row)
            rows.append(row)
    return rows


class _Bench:
    """A run's files: the source once, one coded and one decoded map at a time."""

    def __init__(self, source: Source, work: Path) -> None:
        self.source, self.referee = source, Referee(source)
        self.files = {"source": str(work / "source.pickle")}
        self.coded, self.decoded = str(work / "coded.nmap"), str(work / "decoded.npy")
        source.save(Path(self.files["source"]))

    def ours(self, codec: str, target: float, symmetry: str, effort: str) -> Row:
        settings = Settings(target, codec.partition(":")[2], symmetry, effort)
        try:
            encoded = run_step(
                "bench.steps:encode_ours", settings=asdict(settings), coded=self.coded, **self.files
            )
            decoded = run_step("bench.steps:decode_ours", coded=self.coded, decoded=self.decoded)
        except StepError as error:
            return Row(codec, target, note=str(error))
        size, container = decoded["size"], decoded["container"]
        return self._row(codec, target, size, encoded, decoded, container=container)

    def rival(self, codec: str, targets: Sequence[float]) -> Iterator[Row]:
        started = time.perf_counter()
        try:
            found = run_step("bench.steps:search_rival", codec=codec, targets=list(targets), **self.files)
        except StepError as error:
            yield from (Row(codec, target, note=str(error)) for target in targets)
            return
        if "missing" in found:
            yield from (Row(codec, target, note=f"not installed: {found['missing']}") for target in targets)
            return
        seconds = (time.perf_counter() - started) / len(targets)
        for target, trial in zip(targets, found["trials"], strict=True):
            if trial is None:
                yield Row(codec, target, note="does not reach it at any setting tried")
            else:
                yield self._rival_row(codec, target, trial, seconds)

    def _rival_row(self, codec: str, target: float, trial: dict[str, Any], seconds: float) -> Row:
        common = {"codec": codec, "knob": trial["knob"], "coded": self.coded}
        try:
            encoded = run_step("bench.steps:encode_rival", **common, **self.files)
            grid = asdict(self.source.grid)
            decoded = run_step("bench.steps:decode_rival", **common, grid=grid, decoded=self.decoded)
        except StepError as error:
            return Row(codec, target, note=str(error))
        knob = None if CODECS[codec].knob is None else trial["knob"]
        size = encoded["size"]
        return self._row(codec, target, size, encoded, decoded, knob=knob, search_seconds=seconds)

    def _row(
        self,
        codec: str,
        target: float,
        size: int,
        encoded: dict[str, Any],
        decoded: dict[str, Any],
        **more: Any,
    ) -> Row:
        values = np.load(self.decoded)
        psnr = self.referee.psnr(values)
        worst = self.referee.worst(values)
        row = Row(
            codec=codec,
            target=target,
            size=size,
            ratio=self.source.raw_bytes / size,
            worst_fsc=worst,
            psnr=psnr if np.isfinite(psnr) else None,
            encode_seconds=encoded["seconds"],
            decode_seconds=decoded["seconds"],
            encode_peak=encoded["peak_bytes"],
            decode_peak=decoded["peak_bytes"],
            note="" if worst >= target else f"misses the target by {target - worst:.2g}",
            **more,
        )
        Path(self.coded).unlink()
        return row

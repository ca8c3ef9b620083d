"""A series in one file against a file for each frame, and frames left out against interpolation of their neighbours.

    python -m bench.series PREFIX --resolution 5 --goal 0.95 [--symmetry C7] [--singles 0,6] [-o RESULTS.md]

PREFIX_00.mrc and so on are the frames, as `bench.simulate_series` writes them; with PREFIX_true_00.mrc, the same
without noise, FSC against those is measured too. Three questions, each at one goal:

- Bytes: of the series, and of frames encoded alone by the same kind of network, inside the same envelope; inside
  their own where the series has a motion.
- Time: CPU seconds of both, preparing included.
- Between frames: every third frame is left out, the others are encoded, and the map decoded at its position is held
  against it, beside the mean of its two neighbours, all inside the envelope there: solvent outside counts for neither.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nmap.container import encode_bytes
from nmap.fit.encode import encode
from nmap.fit.encode_series import encode_series
from nmap.fit.options import PRESETS, EncodeOptions
from nmap.machine import compiled
from nmap.maps import DensityMap, read_map
from nmap.neural_map import NeuralMap
from nmap.spectrum import Shells, fsc
from nmap.validation import envelope_on

F64 = NDArray[np.float64]

FINE = 8.0
"""Shells finer than this, Angstrom, are those that motion blurs."""


@dataclass(frozen=True)
class Made:
    """A file.

    Attributes:
        weights: bytes of network, gains and envelope.
        total: bytes of the file, without HDF5 side.
        worst: worst shell, of the worst frame.
        seconds: CPU.
    """

    weights: int
    total: int
    worst: float
    seconds: float


def made_of(neural_map: NeuralMap, seconds: float) -> Made:
    """What an encoded map or series is worth."""
    weights = sum(tensor.nbytes for tensor in neural_map.tensors.values())
    total = len(encode_bytes(neural_map, hdf5=False))
    return Made(weights, total, float(neural_map.record["fidelity"]["worst"]), seconds)


def curve(
    decoded: NDArray[np.float32], truth: DensityMap, mask: NDArray[np.float32] | None, last: int
) -> F64:
    """FSC of each shell from 1 to the last, inside a mask."""
    return np.asarray(fsc(decoded, truth.values, truth.grid, mask).fsc[1 : last + 1])


def mask_of(series: NeuralMap, t: float) -> NDArray[np.float32] | None:
    """The envelope at a position, moved as the density is, (z, y, x): all maps are masked alike; None for the box."""
    envelope = envelope_on(series.at(t).field, series.grid)
    return None if envelope is None else envelope.make(slice(0, envelope.shape[0]))


def fine_part(
    decoded: NDArray[np.float32], truth: DensityMap, mask: NDArray[np.float32] | None, resolution: float
) -> float:
    """Mean FSC over the shells finer than `FINE`, to a resolution, inside a mask."""
    shells = Shells(truth.grid)
    last = shells.last(resolution)
    frequency = np.asarray(shells.frequency[1 : last + 1])
    return float(curve(decoded, truth, mask, last)[frequency > 1 / FINE].mean())


def held_out(
    frames: Sequence[DensityMap], truths: Sequence[DensityMap], options: EncodeOptions
) -> tuple[list[int], F64, F64, F64]:
    """Frames left out, FSC of the decode and of the neighbours' mean with them, and frequency; (frames, shells)."""
    count = len(frames)
    left = [i for i in range(1, count - 1) if i % 3 == 1]
    kept = [i for i in range(count) if i not in left]
    at = [i / (count - 1) for i in range(count)]
    series = encode_series([frames[i] for i in kept], options, at=[at[i] for i in kept])
    shells = Shells(frames[0].grid)
    last = shells.last(series.field.resolution or 1.0)
    ours, linear = [], []
    for i in left:
        mask = mask_of(series, at[i])
        ours.append(curve(series.at(at[i]).as_array(), truths[i], mask, last))
        between = np.asarray((frames[i - 1].values + frames[i + 1].values) / 2, np.float32)
        linear.append(curve(between, truths[i], mask, last))
    return left, np.array(ours), np.array(linear), np.asarray(shells.frequency[1 : last + 1])


def timed(encoding: object) -> tuple[NeuralMap, float]:
    """What a function without arguments makes, and its CPU seconds."""
    began = time.process_time()
    made = encoding()  # type: ignore[operator]
    return made, time.process_time() - began


def report(
    prefix: str,
    frames: Sequence[DensityMap],
    truths: Sequence[DensityMap],
    options: EncodeOptions,
    singles: Sequence[int],
) -> list[str]:
    """The lines of a table on one series."""
    # Loads and compiles what both fits use, which is not counted.
    compiled.PATIENCE = 0
    encode(frames[0], EncodeOptions(arch="block-siren", resolution=options.resolution, steps=8))
    series, seconds = timed(lambda: encode_series(frames, options))
    whole = made_of(series, seconds)
    group = "C1" if series.field.symmetry is None else series.field.symmetry.name
    envelope = series.field.envelope
    mask: DensityMap | str = "none"
    if series.field.network.has_motion:
        mask = "auto"
    elif envelope is not None:
        mask = DensityMap(envelope.on_lattice(frames[0].grid.shape), frames[0].grid)
    alone = EncodeOptions(
        arch="siren", resolution=options.resolution, preset="preview", symmetry=group, mask=mask
    )
    files = [timed(lambda i=i: encode(frames[i], alone)) for i in singles]
    each = [made_of(*file) for file in files]
    mean = [
        float(np.mean([getattr(m, name) for m in each])) for name in ("weights", "total", "worst", "seconds")
    ]
    n = len(frames)
    lines = [
        f"## {Path(prefix).name}: {n} frames, {frames[0].grid}, {options.resolution:g} A, {group}",
        "",
        f"| | {n} frames in one file | mean of frames {', '.join(map(str, singles))} alone | times {n} | ratio |",
        "|---|---|---|---|---|",
    ]
    for name, value, one in (
        ("bytes of weights, gains, envelope", whole.weights, mean[0]),
        ("bytes of the file, no HDF5 side", whole.total, mean[1]),
    ):
        lines.append(f"| {name} | {value} | {one:.0f} | {n * one:.0f} | {value / (n * one):.3f} |")
    by_frame = series.record["fidelity"]["frame_worst"]
    low, high = min(m.worst for m in each), max(m.worst for m in each)
    frames_said = f"{min(by_frame):.4f} to {max(by_frame):.4f}"
    lines += [
        f"| worst shell of each frame | {frames_said} | {low:.4f} to {high:.4f} | | |",
        f"| CPU s | {whole.seconds:.0f} | {mean[3]:.0f} | | {whole.seconds / mean[3]:.1f} of one |",
    ]
    if truths is not frames:
        resolution = series.field.resolution or 1.0
        places = [i / (n - 1) for i in singles]
        found = [
            np.mean(
                [
                    fine_part(v, truths[i], mask_of(series, t), resolution)
                    for v, i, t in zip(values, singles, places, strict=True)
                ]
            )
            for values in (
                [series.at(t).as_array() for t in places],
                [file.as_array() for file, _ in files],
                [frames[i].values for i in singles],
            )
        ]
        lines.append(
            f"| mean FSC with the truth beyond {FINE:g} A, frames {', '.join(map(str, singles))} | {found[0]:.4f} | "
            f"{found[1]:.4f} (the maps themselves {found[2]:.4f}) | | |"
        )
    left, ours, linear, frequency = held_out(frames, truths, options)
    fine = frequency > 1 / FINE
    lines += [
        "",
        f"Left out: frames {', '.join(map(str, left))}. FSC with the true frame, mean over shells finer than {FINE:g} "
        "A: "
        f"decoded {ours[:, fine].mean():.4f}, mean of the neighbours {linear[:, fine].mean():.4f}, difference "
        f"{(ours - linear)[:, fine].mean():+.4f}. Shells of any frame in which the decode is lower: "
        f"{int((ours < linear).sum())} of {ours.size}, by {max(float((linear - ours).max()), 0.0):.4f} at most.",
        "",
        "| A | decoded, lowest frame | neighbours, same frame | decoded, mean | neighbours, mean |",
        "|---|---|---|---|---|",
    ]
    for shell, f in enumerate(frequency):
        frame = int(np.argmin(ours[:, shell]))
        lines.append(
            f"| {1 / f:.2f} | {ours[frame, shell]:.4f} | {linear[frame, shell]:.4f} | {ours[:, shell].mean():.4f} | "
            f"{linear[:, shell].mean():.4f} |"
        )
    return [*lines, ""]


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("prefix")
    parser.add_argument("--resolution", type=float, required=True)
    parser.add_argument("--goal", type=float, default=0.95, help="worst-shell FSC")
    parser.add_argument("--symmetry", default="C1")
    parser.add_argument("--singles", default="0,6")
    parser.add_argument("-o", "--output", help="add the lines to this file")
    given = parser.parse_args()
    folder, name = Path(given.prefix).parent, Path(given.prefix).name
    found = sorted(folder.glob(f"{name}_[0-9][0-9].mrc"))
    frames = [read_map(path) for path in found]
    true = [folder / path.name.replace(f"{name}_", f"{name}_true_") for path in found]
    truths = [read_map(path) for path in true] if all(path.exists() for path in true) else frames
    # A goal that warns where it is not met, as a preset's does.
    PRESETS["preview"] = given.goal
    options = EncodeOptions(
        arch="siren", resolution=given.resolution, preset="preview", symmetry=given.symmetry
    )
    singles = [int(i) for i in given.singles.split(",")]
    text = "\n".join(report(given.prefix, frames, truths, options, singles))
    print(text)
    if given.output is not None:
        with open(given.output, "a", encoding="utf-8") as out:
            out.write(text + "\n")


if __name__ == "__main__":
    main()

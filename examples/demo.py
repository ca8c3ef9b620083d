"""`make demo`: the main job on a real map, EMD-3488. Usage: python examples/demo.py FOLDER."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

RESOLUTION = 3.2
SOURCE = Path(os.path.relpath(Path(__file__).with_name("emd_3488.map.gz")))


def run(*arguments: object) -> None:
    """Run one nmap command, shown as a person would type it."""
    words = [str(a) for a in arguments]
    print(f"\n$ nmap {shlex.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "nmap", *words], check=True)


def draw(source: Path, decoded: Path, stored: int, picture: Path) -> float:
    """Draw a slice of the source, the same one decoded, and the FSC of both; return the worst shell."""
    import matplotlib as mpl
    import numpy as np

    import nmap
    from nmap.spectrum import fsc

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    a, b = nmap.read_map(source), nmap.read_map(decoded)
    curve = fsc(a.values, b.values, a.grid)
    nz = a.grid.shape[0]
    edge = a.grid.edges[0]
    low, high = np.percentile(a.values[nz // 2], [0.5, 99.8])
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.9), layout="constrained")
    titles = f"source, {4 * a.grid.size / 1e6:.1f} MB", f"decoded from {stored / 1e3:.1f} kB"
    for axes, density, title in ((left, a, titles[0]), (middle, b, titles[1])):
        axes.imshow(
            density.values[nz // 2],
            cmap="gray",
            vmin=low,
            vmax=high,
            origin="lower",
            extent=(0, edge, 0, edge),
        )
        axes.set(title=f"{title} (slice z = {nz // 2})", xlabel="x (Å)", ylabel="y (Å)")
    right.plot(curve.frequency[1:], curve.fsc[1:], color="tab:blue")
    end = float(curve.frequency[-1])
    right.axvspan(1 / RESOLUTION, end, color="0.92")
    right.text(
        (1 / RESOLUTION + end) / 2, 0.7, f"beyond {RESOLUTION} Å\nnothing is kept", ha="center", va="center"
    )
    for level in (0.143, 0.5, 0.9):
        right.axhline(level, color="gray", linewidth=0.6)
        right.text(end - 0.004, level + 0.01, f"{level:g}", color="gray", fontsize=8, ha="right")
    right.set(title="fidelity FSC, decoded against source", xlabel="1/Å", xlim=(0, end), ylim=(-0.05, 1.02))
    figure.savefig(picture, dpi=110)
    plt.close(figure)
    return curve.worst(RESOLUTION)


def main() -> None:
    """Encode, inspect, decode at two samplings, validate, draw; say where everything is."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    folder.mkdir(exist_ok=True)
    started = time.monotonic()
    neural, once, twice = (folder / name for name in ("emd_3488.nmap", "decoded.mrc", "decoded_2x.mrc"))
    bumps = folder / "emd_3488_radial.nmap"
    run("encode", SOURCE, neural, "--resolution", RESOLUTION, "--overwrite")
    run("encode", SOURCE, bumps, "--resolution", RESOLUTION, "--arch", "radial-basis", "--overwrite")
    run("inspect", neural)
    run("decode", neural, "-o", once, "--overwrite")
    run("decode", neural, "-o", twice, "--shape", 200, "--overwrite")
    run("validate", neural, SOURCE)
    picture = folder / "demo.png"
    stored, packed = neural.stat().st_size, SOURCE.stat().st_size
    worst = draw(SOURCE, once, stored, picture)

    from nmap.spectrum import floored

    raw = once.stat().st_size
    print("\nEMD-3488 by both kinds of network:")
    print("  kind                            bytes   of the map   of its .gz")
    for name, path in (("siren (default)", neural), ("radial-basis, for archives", bumps)):
        size = path.stat().st_size
        print(
            f"  {name:<28} {size:>8} {'1/' + format(raw / size, '.0f'):>12} {'1/' + format(packed / size, '.0f'):>12}"
        )
    print(
        f"worst-shell fidelity FSC to {RESOLUTION} A, decoded MRC against source, no mask: {floored(worst)}"
    )
    print(f"done in {time.monotonic() - started:.0f} s")
    for path, what in (
        (neural, "the map as a SIREN"),
        (bumps, "the same as a radial basis network"),
        (once, "decoded on the source's grid"),
        (twice, "decoded at twice the sampling"),
        (picture, "source slice, decoded slice, FSC"),
    ):
        print(f"  {path!s:<24} {what}")


if __name__ == "__main__":
    main()

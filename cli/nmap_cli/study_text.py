"""What `nmap study` prints: its findings as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nmap.report.fit_words import notices_words
from nmap.spectrum import floored

if TYPE_CHECKING:
    from nmap.maps import DensityMap
    from nmap.study.contenders import Contender, Network
    from nmap.study.interpolation import Interpolation, Standing
    from nmap.study.sweep import Cell, Sweep

WORDS = {
    "worst_error": "worst error",
    "total_error": "total error",
    "worst_fsc": "worst FSC",
    "correlation": "correlation",
}
"""Measures as the table's columns name them."""


def interpolation_text(found: Interpolation, by_shell: bool = False) -> str:
    """The study as a table, its measures, and who is truer by which."""
    kept, limit = found.last, 1 / found.lowered.nyquist
    whole = 4 * found.lowered.size
    lines = [
        f"{found.source}: {found.full}",
        f"lowered to {found.lowered}; mask: {found.mask}",
        f"the lowered map, lossless, that the rivals start from: {whole} bytes, {found.lowered_gzip} gzipped",
        *(f"kind of network: {kind}" for kind in sorted({network.kind for network in found.networks})),
        f"shells 1 to {kept}, wholly within the lowered map's Nyquist of {limit:.3g} A:",
        f"  {'':<20}{'bytes':>9}" + "".join(f"{word:>13}" for word in WORDS.values()) + f"{'FSC beyond':>12}",
    ]
    lines += [_row(found, network, network.stored_bytes) for network in found.networks]
    for missed in found.missed:
        lines.append(f"  network at {missed.goal:g}: not reached: {missed.reason.partition(': ')[0]}")
    lines += [_row(found, rival, whole) for rival in found.rivals]
    lines += _definitions()
    lines += ["by which measures a network is truer than a rival:"]
    lines += [f"  {line}" for standing in found.standings for line in _standing(standing)]
    lines.append(
        f"sampling at the full grid: FSC differs from the encoded grid's by {found.sampling_loss:.1e} at most"
    )
    if by_shell:
        lines += _by_shell(found)
    return "\n".join([*lines, *_notes(found.networks)])


def _row(found: Interpolation, each: Contender, size: int) -> str:
    beyond = each.fsc[found.last + 2 :]
    mean = f"{beyond.mean():.3f}" if beyond.size else ""
    values = "".join(f"{_value(name, getattr(each, name)):>13}" for name in WORDS)
    return f"  {each.name:<20}{size:>9}{values}{mean:>12}"


def _value(measure: str, value: float) -> str:
    return f"{value:.4f}" if measure.endswith("error") else floored(value)


def _definitions() -> list[str]:
    from nmap.study.contenders import MEASURES

    lines = [f"  {WORDS[name]}: {words}" for name, words in MEASURES.items()]
    return [
        *lines,
        "  FSC beyond: mean FSC beyond that Nyquist, where the lowered map's corners are all there is",
    ]


def _standing(standing: Standing) -> list[str]:
    better = [WORDS[name] for name, truer in standing.truer.items() if truer]
    worse = [WORDS[name] for name, truer in standing.truer.items() if not truer]
    which = f"by {', '.join(better)}; not by {', '.join(worse)}"
    if not better or not worse:
        which = "by none" if worse else "by all of them"
    return [
        f"{standing.network} against {standing.rival}: {which}",
        f"  error lower in {standing.lower_error}, FSC higher in {standing.higher_fsc} "
        f"of {standing.shells} shells",
    ]


def _notes(networks: tuple[Network, ...]) -> list[str]:
    return [f"note: {net.name}: {words}" for net in networks for words in notices_words(net.notes)]


def _by_shell(found: Interpolation) -> list[str]:
    names = [c.name for c in found.contenders]
    lines = ["FSC and error by shell: " + ", ".join(names)]
    for shell in range(1, found.frequency.size):
        fsc = " ".join(f"{floored(c.fsc[shell]):>7}" for c in found.contenders)
        error = " ".join(f"{c.error[shell]:8.5f}" for c in found.contenders)
        lines.append(f"  {shell:4d} {1 / found.frequency[shell]:8.2f} A  {fsc}   {error}")
    return lines


def sweep_text(cells: list[Cell], source: DensityMap, sweep: Sweep) -> str:
    """The sweep as a table, best first, and what it was measured on."""
    options = sweep.options
    limit = next((f" to {c.limit:.3g} A" for c in cells if c.limit is not None), " to the band limit")
    how = [f"{options.steps} steps each" if options.steps else "as many steps as nmap takes for the map"]
    how += [f"central {options.crop} voxels a side"] if options.crop else []
    how += [f"sampling lowered by {options.downsample}"] if options.downsample > 1 else []
    lines = [
        f"{source.header.name if source.header else 'map'}: {source.grid}",
        f"SIRENs without a mask, {', '.join(how)}; fidelity FSC (decoded against this map) of the shells{limit}",
        f"{'depth':>5} {'width':>5} {'omega':>6} {'parameters':>10} {'bytes':>8} "
        f"{'worst FSC':>9} {'mean FSC':>8} {'seconds':>8}",
    ]
    for c in sorted(cells, key=lambda c: -c.mean):
        lines.append(
            f"{c.depth:>5} {c.width:>5} {c.omega:>6g} {c.parameters:>10} {c.bytes:>8} "
            f"{floored(c.worst):>9} {floored(c.mean):>8} {c.seconds:>8.1f}"
        )
    return "\n".join(lines)

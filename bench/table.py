"""Rows as text: columns lined up for a terminal, which is also valid Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from bench.measure import Row, is_ours

YARDSTICK = "white+sperr"


def markdown_table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up; the first is flush left, the others right."""
    widths = [max(len(row[i]) for row in (head, *body)) for i in range(len(head))]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if i else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if i else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(head), rule, *(line(row) for row in body)])


def rate_table(rows: Sequence[Row], bound: dict[str, float], raw_bytes: int) -> str:
    """One line for each codec and target, the Gaussian bound first."""
    head = ["codec", "FSC asked", "worst shell", "bytes", "ratio", f"of {YARDSTICK}", "PSNR dB"]
    head += ["encode s", "decode s", "encode MB", "decode MB", "file bytes", "note"]
    yard = {row.target: row.size for row in rows if row.codec == YARDSTICK and row.size}
    body = []
    for target, size in bound.items():
        share = _times(size, yard.get(float(target)))
        cells = ["Gaussian bound", target, "", f"{size:.0f}", f"{raw_bytes / size:.1f}", share]
        body.append(cells + [""] * 6 + ["a yardstick, not a codec"])
    for row in rows:
        body.append(
            [
                row.codec,
                f"{row.target:g}",
                _number(row.worst_fsc, ".4f"),
                _number(row.size, "d"),
                _number(row.ratio, ".1f"),
                _times(row.size, yard.get(row.target)),
                _number(row.psnr, ".1f") or ("exact" if row.size else ""),
                _number(row.encode_seconds, ".2f"),
                _number(row.decode_seconds, ".2f"),
                _megabytes(row.encode_peak),
                _megabytes(row.decode_peak),
                _number(row.container, "d"),
                row.note.replace("|", "/"),
            ]
        )
    return markdown_table(head, body)


def summary(rows: Sequence[Row]) -> list[str]:
    """One line for each of nmap's rows that has a yardstick: how many of its bytes nmap needs."""
    yard = {row.target: row.size for row in rows if row.codec == YARDSTICK and row.size}
    lines = []
    for row in rows:
        other = yard.get(row.target)
        if not is_ours(row.codec) or not row.size or not other:
            continue
        share = f"{row.size / other:.3f} of {YARDSTICK}'s {other} B"
        line = f"at {row.target:g}: {row.codec} {row.size} B, {share}"
        lines.append(line if row.meets else f"{line}, but {row.note}")
    return lines


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _times(size: float | None, other: int | None) -> str:
    return "" if size is None or not other else f"{size / other:.3f}"


def _megabytes(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:.0f}"

"""Bytes and times as a person reads them."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes as a person reads them: exact below 10 kB, three digits and the exact number above."""
    if count < 10_000:
        return f"{count} bytes"
    value, unit = (
        (count / 1e9, "GB") if count >= 1e9 else (count / 1e6, "MB") if count >= 1e6 else (count / 1e3, "kB")
    )
    return f"{value:.3g} {unit} ({count} bytes)"


def span(seconds: float) -> str:
    """A time as a person reads it: 8 s, 1 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

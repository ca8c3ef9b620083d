"""How many examples the properties look at that take longer than most."""

from __future__ import annotations

from hypothesis import settings

LONG = settings().max_examples > 100
"""Whether `make properties` asks."""


def few(count: int) -> settings:
    """So many examples in `make test`, fifty times as many in `make properties`."""
    return settings(max_examples=50 * count if LONG else count)

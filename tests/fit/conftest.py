"""What tests of fits share."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest

from nmap.fit import progress


@pytest.fixture
def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fit's clock stands at 0, and each look at it takes a twentieth of a second: how long a fit takes is known."""
    ticks = count()
    clocks = dict.fromkeys(("monotonic", "process_time"), lambda: next(ticks) / 20)
    monkeypatch.setattr(progress, "time", SimpleNamespace(**clocks))

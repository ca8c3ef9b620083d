"""The setting of a codec's knob that needs the fewest bytes and still keeps every shell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.rivals.codec import Codec
from bench.source import Referee, Source

TRIES = 12


@dataclass(frozen=True)
class Trial:
    """One setting tried.

    Attributes:
        knob: the setting, decibel.
        size: bytes.
        worst: lowest FSC of a shell that counts.
    """

    knob: float
    size: int
    worst: float


def smallest(
    source: Source, codec: Codec, targets: Iterable[float], tries: int = TRIES
) -> list[Trial | None]:
    """For each target the smallest trial whose worst shell reaches it; None where none does.

    Bisection on the knob. Every trial, whichever target it was made for, counts for all of them.

    Args:
        source: what to code.
        codec: with what.
        targets: worst-shell FSC to reach.
        tries: settings tried for each target.
    """
    referee = Referee(source)
    done: dict[float, Trial] = {}

    def attempt(knob: float) -> Trial:
        if knob not in done:
            data = codec.encode(source, knob)
            done[knob] = Trial(knob, len(data), referee.worst(codec.decode(data, source.grid)))
        return done[knob]

    targets = list(targets)
    for target in targets:
        if codec.knob is None:
            attempt(0.0)
            continue
        low, high = codec.knob
        for _ in range(tries):
            middle = (low + high) / 2
            low, high = (low, middle) if attempt(middle).worst >= target else (middle, high)
    trials = sorted(done.values(), key=lambda trial: trial.size)
    return [next((trial for trial in trials if trial.worst >= target), None) for target in targets]

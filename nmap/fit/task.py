"""What a trainer is given, whatever the kind of network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from nmap.fit.options import EncodeOptions
from nmap.fit.progress import Watch
from nmap.fit.result import History, Result
from nmap.fit.target.prepare import Target
from nmap.model.network import Network

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Task:
    """One fit.

    Attributes:
        target: what to fit.
        options: goal and settings.
        watch: clock, listener and notices.
        device: where to compute.
    """

    target: Target
    options: EncodeOptions
    watch: Watch
    device: torch.device


class TooLittleTime(Exception):
    """A trainer's word, before it begins, that the time budget is too short and that another kind may be fitted.

    Args:
        seconds: that it would take.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds:.0f} s")
        self.seconds = seconds


Trainer = Callable[[Task], tuple[Result, History]]


def trainer_of(kind: type[Network]) -> Trainer:
    """The function that fits a kind of network; its module is imported now."""
    module, _, name = kind.trainer.partition(":")
    trainer: Trainer = getattr(import_module(module), name)
    return trainer

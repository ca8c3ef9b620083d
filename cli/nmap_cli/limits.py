"""Options that hold findings against limits: one for each measure of `nmap.compare.measures` that takes one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import click

from nmap.compare.measures import MEASURES, Limits
from nmap_cli.common import Decorated, require

LIMITED = [measure for measure in MEASURES if measure.option]

HEADINGS = {"Limits (exit code 1 beyond them)": tuple(measure.limit_name for measure in LIMITED)}
"""Of these options, in the help."""


def limit_options(command: Decorated) -> Decorated:
    """Add an option for each limit; the command gets them by the limits' names."""
    for measure in reversed(LIMITED):
        side = "below" if measure.relation == ">=" else "above"
        option = click.option(
            measure.option,
            measure.limit_name,
            type=int if measure.whole else float,
            metavar=measure.metavar,
            help=f"Fall short if {measure.asks} is {side} this.",
        )
        command = option(command)
    return command


def checked_limits(given: Mapping[str, float | None]) -> Limits:
    """The limits that were given.

    Raises:
        OptionError: one that makes no sense.
    """
    for measure in LIMITED:
        above = -math.inf if measure.above is None else measure.above
        most = math.inf if measure.most is None else measure.most
        require(measure.option, given[measure.limit_name], above=above, most=most)
    return Limits(**given)

"""The measures of quality: one entry each, from which limits, options, exit code, JSON, text and report follow.

To add a measure, add its entry here. What it reads from the findings is made in a file of its own and named in
`nmap.compare.findings.Findings`. Nothing else changes but the generated pages (`make docs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from nmap.errors import OptionError
from nmap.spectrum import floored

if TYPE_CHECKING:
    from nmap.compare.findings import Findings

Relation = Literal[">=", "<="]

BEYOND_LIMIT = 1e-4
"""Share of a decode's power that may lie beyond its band limit: what rounding of single precision leaves."""

BETWEEN_VOXELS = 0.99
"""Share of its FSC on the voxels that a decode must reach at twice the sampling."""

DRIFT = 1e-3
"""Voxels by which two samplings of one file may lie apart: what a displacement can be measured to."""


@dataclass(frozen=True)
class Measure:
    """One number that tells how true a decoded map is to its source.

    Attributes:
        name: in JSON; its limit is called `min_NAME` or `max_NAME`.
        words: what it is. May name {reach} (to which resolution), {where} (box, mask) and {limit} (the band limit).
        value: reads it from the findings; None where it was not measured.
        relation: how it stands to its limit.
        unit: "" for a bare number.
        digits: how it is written, a format of `format()`.
        number: writes it, without its unit, where a format will not do.
        say: writes it whole, words included, where these will not do.
        metavar: of its command-line option; "" for a measure that takes no limit from users.
        asks: what the limit is held against, as the help of the option says it.
        whole: whether its limit is a whole number.
        above: what a limit must exceed; None: anything.
        most: what a limit may reach; None: anything.
        needs: name of the input (a field of `Extras`) without which it cannot be measured; "" for none.
        promise: limit that is always held against it where it is measured; None for none.
        good: what to say, instead of the number, where the promise holds.
        heading: row of the text under which it is printed; "" to print it only with --verbose and in checks.
        tile: caption on the report's first tiles; "" to leave it out there.
    """

    name: str
    words: str
    value: Callable[[Findings], float | None]
    relation: Relation
    unit: str = ""
    digits: str = ".4g"
    number: Callable[[float], str] | None = None
    say: Callable[[float], str] | None = None
    metavar: str = ""
    asks: str = ""
    whole: bool = False
    above: float | None = None
    most: float | None = None
    needs: str = ""
    promise: float | None = None
    good: str = ""
    heading: str = ""
    tile: str = ""

    @property
    def limit_name(self) -> str:
        """What its limit is called: "min_fsc", "max_rmse"."""
        return ("min_" if self.relation == ">=" else "max_") + self.name

    @property
    def option(self) -> str:
        """Its command-line option; "" if it has none."""
        return "--" + self.limit_name.replace("_", "-") if self.metavar else ""

    def written(self, value: float) -> str:
        """A value of it as people read it, with its unit."""
        if self.say is not None:
            return self.say(value)
        number = f"{value:{self.digits}}" if self.number is None else self.number(value)
        return f"{number} {self.unit}".rstrip()

    def keeps(self, value: float, limit: float) -> bool:
        """Whether a value keeps a limit; NaN never does."""
        return value >= limit if self.relation == ">=" else value <= limit


def _weaker(slope: float) -> str:
    if slope <= 0:
        return f"densities do not follow the source's (least-squares factor {slope:.2g})"
    percent = round(100 * (1 - slope))
    if percent == 0:
        return "densities are as strong as the source's on average"
    return f"densities are {abs(percent)} % {'weaker' if percent > 0 else 'stronger'} on average"


def _q_change(found: Findings, name: str) -> float | None:
    """A number of the change of Q from the cut source to the decode."""
    change = None if found.atoms is None else found.atoms.against_cut
    return None if change is None else float(getattr(change, name))


def _lost(found: Findings, name: str) -> float | None:
    change = _q_change(found, name)
    return None if change is None else -change


def _invented_between(found: Findings) -> float | None:
    return None if found.off_grid is None or found.band_limit is None else found.off_grid.power_beyond


def _between(found: Findings) -> float | None:
    return None if found.off_grid is None or found.band_limit is None else found.off_grid.lowest_ratio


def _drift(found: Findings) -> float | None:
    if found.off_grid is None or found.band_limit is None:
        return None
    return max(abs(shift) for shift in found.off_grid.shift)


MEASURES: tuple[Measure, ...] = (
    Measure(
        name="fsc",
        words="lowest FSC of the shells {reach}, {where}",
        value=lambda found: found.judged.worst,
        relation=">=",
        number=floored,
        metavar="C",
        asks="the FSC of any counted shell",
        above=-1,
        most=1,
        heading="Fidelity",
        tile="lowest FSC with the source {reach}, {where}",
    ),
    Measure(
        name="correlation",
        words="correlation over the whole box",
        value=lambda found: found.real_space.correlation,
        relation=">=",
        number=floored,
        metavar="C",
        asks="the correlation over the whole box",
        above=-1,
        most=1,
        heading="Densities",
        tile="correlation with the source, over the whole box",
    ),
    Measure(
        name="local_correlation",
        words="local correlation in a 5 A window, first percentile of what stands above noise",
        value=lambda found: None if found.local is None else found.local.first_percentile,
        relation=">=",
        number=floored,
        metavar="C",
        asks="the first percentile of the local correlation",
        above=-1,
        most=1,
        heading="Locally",
    ),
    Measure(
        name="dq",
        words="mean absolute change of a residue's Q",
        value=lambda found: _q_change(found, "mean_abs"),
        relation="<=",
        digits=".3f",
        metavar="Q",
        asks="the mean absolute change of the Q of a resolved residue",
        above=0,
        needs="model",
        heading="Atoms",
    ),
    Measure(
        name="q_loss",
        words="loss of Q that 95 % of the residues stay within",
        value=lambda found: _lost(found, "fifth_percentile"),
        relation="<=",
        digits=".3f",
        metavar="Q",
        asks="the loss of Q that 95 % of the resolved residues stay within",
        needs="model",
        heading="Atoms",
    ),
    Measure(
        name="worst_q_loss",
        words="largest loss of Q of a residue",
        value=lambda found: _lost(found, "worst"),
        relation="<=",
        digits=".3f",
        metavar="Q",
        asks="the largest loss of Q of a resolved residue",
        needs="model",
        heading="Atoms",
    ),
    Measure(
        name="contrast",
        words="least-squares factor from the source's densities to the decode's",
        value=lambda found: found.real_space.slope,
        relation=">=",
        say=_weaker,
        heading="Densities",
    ),
    Measure(
        name="psnr",
        words="PSNR",
        value=lambda found: found.real_space.psnr,
        relation=">=",
        unit="dB",
        digits=".2f",
        metavar="DB",
        asks="the PSNR in decibel",
        heading="Densities",
    ),
    Measure(
        name="rmse",
        words="RMSE",
        value=lambda found: found.real_space.rmse,
        relation="<=",
        unit="in the map's units",
        metavar="R",
        asks="the RMSE in the map's units",
        above=0,
        heading="Densities",
    ),
    Measure(
        name="displacement",
        words="displacement of the decode from the source, along the worst axis",
        value=lambda found: max(abs(shift) for shift in found.shift),
        relation="<=",
        unit="voxels",
        digits=".2g",
        metavar="VOXELS",
        asks="the displacement from the source, along any axis",
        above=0,
    ),
    Measure(
        name="bytes",
        words="size of the file",
        value=lambda found: None if found.sizes is None else found.sizes.nmap,
        relation="<=",
        unit="bytes",
        digits=".0f",
        metavar="N",
        asks="the size of the file in bytes",
        whole=True,
        above=0,
        needs="sizes",
    ),
    Measure(
        name="invented",
        words="share of the decode's power beyond the band limit of {limit}",
        value=lambda found: None if found.band_limit is None else found.band_limit.beyond_decoded,
        relation="<=",
        digits=".2g",
        promise=BEYOND_LIMIT,
        good="nothing invented beyond {limit}",
    ),
    Measure(
        name="invented_between",
        words="share of its power beyond {limit} at twice the sampling",
        value=_invented_between,
        relation="<=",
        digits=".2g",
        promise=BEYOND_LIMIT,
        good="nothing invented beyond {limit} at finer sampling",
    ),
    Measure(
        name="between",
        words="lowest FSC at twice the sampling as a share of that on the map's grid",
        value=_between,
        relation=">=",
        number=floored,
        promise=BETWEEN_VOXELS,
        good="finer sampling is as accurate as the map's own",
    ),
    Measure(
        name="drift",
        words="displacement of the decode at twice the sampling from that on the map's grid",
        value=_drift,
        relation="<=",
        unit="voxels",
        digits=".2g",
        promise=DRIFT,
        good="finer sampling stays in place",
    ),
)


def measure_of(name: str) -> Measure:
    """The entry of this name."""
    return next(measure for measure in MEASURES if measure.name == name)


class Limits(Mapping[str, float]):
    """What the findings are held against: `Limits(min_fsc=0.9, max_bytes=20_000)`.

    The names are those of `MEASURES`; None stands for no limit.

    Raises:
        OptionError: a name that no measure has.
    """

    def __init__(self, **limits: float | None):
        known = {measure.limit_name: measure for measure in MEASURES}
        for name in limits:
            if name not in known:
                raise OptionError(f"limit {name}: no such measure: wanted one of {', '.join(known)}")
        self._limits = {name: float(limit) for name, limit in limits.items() if limit is not None}

    def __getitem__(self, name: str) -> float:
        return self._limits[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._limits)

    def __len__(self) -> int:
        return len(self._limits)


@dataclass(frozen=True)
class Check:
    """A number held against a limit.

    Attributes:
        measure: what was measured.
        value: what was found.
        wanted: the limit.
        promised: whether every file must keep it, whatever was asked.
    """

    measure: Measure
    value: float
    wanted: float
    promised: bool = False

    RENAMED: ClassVar = {"measure": None}
    ALSO: ClassVar = ("name", "relation", "holds")

    @property
    def name(self) -> str:
        """Of the measure."""
        return self.measure.name

    @property
    def relation(self) -> Relation:
        """How the value must stand to the limit."""
        return self.measure.relation

    @property
    def holds(self) -> bool:
        """Whether the value keeps the limit; NaN never does."""
        return self.measure.keeps(self.value, self.wanted)


def checks_of(found: Findings, limits: Limits) -> tuple[Check, ...]:
    """The limits that were asked for, then what every file promises, in the order of the table."""
    asked, promised = [], []
    for measure in MEASURES:
        value = measure.value(found)
        if measure.limit_name in limits:
            held = float("nan") if value is None else float(value)
            asked.append(Check(measure, held, limits[measure.limit_name]))
        if measure.promise is not None and value is not None:
            promised.append(Check(measure, float(value), measure.promise, promised=True))
    return (*asked, *promised)

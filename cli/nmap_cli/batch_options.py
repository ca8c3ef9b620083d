"""Options of `nmap batch`: those of `nmap encode`, taken from that command, and those of the engine."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nmap.batch.job import FILES, FITTING, READING, WRITING
from nmap.batch.sources import Convert
from nmap.errors import OptionError
from nmap_cli.common import Decorated
from nmap_cli.encode import command as encode_command
from nmap_cli.parameters import BYTES

if TYPE_CHECKING:
    from nmap.batch.engine import Engine

# Half maps are a map's own: a list or the archive's layout gives them.
_ONLY_BY_ROW = ("half1", "half2")
_SHARED = (*FITTING, *READING, *WRITING)
_TRUE = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}

ENCODE_OPTIONS: dict[str, click.Option] = {
    str(option.name): option
    for option in encode_command.params
    if isinstance(option, click.Option) and option.name in _SHARED
}
"""Options of `nmap encode` that a batch takes too, by name."""


def add_encode_options(command: click.Command) -> click.Command:
    """Give a command the options of `nmap encode`, but for those that only one map can have."""
    shared = [option for name, option in ENCODE_OPTIONS.items() if name not in _ONLY_BY_ROW]
    at = next(i for i, one in enumerate(command.params) if isinstance(one, click.Option)) + 1
    command.params[at:at] = shared
    return command


def given_options(context: click.Context, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that the user gave, as JSON values; what is left to its default is not there."""
    default = click.core.ParameterSource.DEFAULT
    return {
        name: as_value(name, value)
        for name, value in options.items()
        if value is not None and context.get_parameter_source(name) is not default
    }


def as_value(name: str, value: Any) -> Any:
    """An option's value as JSON has it."""
    if isinstance(value, Path):
        return os.path.abspath(value)
    return list(value) if isinstance(value, tuple) else value


def converter(known: Mapping[str, click.Option]) -> Convert:
    """What turns a cell of a list into an option's value, as the command line does."""

    def convert(name: str, value: Any) -> Any:
        option = known.get(name)
        if option is None:
            raise OptionError(f"{name!r:.60}: is no option: wanted one of {', '.join(known)}")
        if option.is_flag:
            flag = _TRUE.get(str(value).strip().lower())
            if flag is None:
                raise OptionError(f"{name} {value!r:.60}: wanted true or false")
            return flag
        if name in FILES and isinstance(value, str):
            return value  # whether it is there is the row's own affair, when its turn comes
        given = tuple(value) if isinstance(value, list) else value
        if isinstance(value, int | float) and not isinstance(option.type, click.types.IntParamType):
            given = str(value)
        try:
            return as_value(name, option.type.convert(given, option, None))
        except click.ClickException as error:
            raise OptionError(f"{name}: {error.message}") from None
        except (TypeError, AttributeError):
            raise OptionError(
                f"{name} {value!r:.60}: wanted text or a number, as on the command line"
            ) from None

    return convert


class _Shard(click.ParamType[tuple[int, int]]):
    """`i/n`: which of how many parts, counted from 0."""

    name = "shard"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Part and number of parts."""
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", value)
        if match is None or not int(match[1]) < int(match[2]):
            self.fail(f"{value!r}: wanted i/n with i from 0 to n - 1, such as 3/8", param, ctx)
        return int(match[1]), int(match[2])


@dataclass(frozen=True)
class EngineOptions:
    """How to run, and what to run again."""

    workers: int | None
    memory: int | None
    scheduler: str | None
    slurm: bool
    shard: tuple[int, int] | None
    retry_failed: bool
    force: bool

    @property
    def shard_name(self) -> str:
        """Of the shard's manifest; "" for a whole run."""
        return "" if self.shard is None or self.shard == (0, 1) else "{}-of-{}".format(*self.shard)

    def part(self, items: Iterable[Any]) -> list[Any]:
        """Those of the shard, every n-th."""
        number, count = self.shard or (0, 1)
        return list(items)[number::count]

    def engine(self, device: str = "auto") -> Engine:
        """The engine, not yet entered."""
        from nmap.batch.engine import Dask, Serial

        ways = [name for name in ("scheduler", "slurm", "shard") if getattr(self, name)]
        if len(ways) > 1:
            raise OptionError(f"{' and '.join('--' + way for way in ways)}: wanted one of them")
        if self.shard is not None:
            if self.workers is not None or self.memory is not None:
                raise OptionError(
                    "--shard with --workers or --memory: a shard is one process: leave them out"
                )
            return Serial()
        return Dask(
            scheduler=self.scheduler,
            slurm=self.slurm,
            workers=self.workers,
            memory=self.memory,
            device=device,
        )


HEADINGS = {
    "Where it runs": ("workers", "memory", "scheduler", "slurm", "shard"),
    "What is done again": ("retry_failed", "force"),
}
"""Of the engine's options, in the help."""

_ENGINE = (
    click.option(
        "--workers",
        type=click.IntRange(1, 10_000),
        metavar="N",
        show_default="one a GPU, or one a core",
        help="Worker processes, of one thread each.",
    ),
    click.option(
        "--memory",
        type=BYTES,
        metavar="SIZE",
        show_default="a share of what is free",
        help="Most memory of a worker, such as 8G. One that takes more is ended, and its map is done again alone.",
    ),
    click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Use a Dask scheduler that runs already, such as tcp://host:8786. It and all workers must see the files.",
    ),
    click.option(
        "--slurm",
        is_flag=True,
        help="Run the workers as Slurm jobs, by dask-jobqueue; its own configuration says queue and account.",
    ),
    click.option(
        "--shard",
        type=_Shard(),
        metavar="I/N",
        help="No engine: every N-th map, from the I-th (0 to N-1), in this process, one after the other. For array "
        "jobs; 0/1 does all of them.",
    ),
    click.option("--retry-failed", is_flag=True, help="Try again what failed before."),
    click.option("--force", is_flag=True, help="Do everything again, and replace files that are there."),
)


def engine_options(command: Decorated) -> Decorated:
    """Add the options of the engine; they arrive as one `how`."""
    names = EngineOptions.__dataclass_fields__

    @wraps(command)
    def with_engine(*given: Any, **options: Any) -> Any:
        how = EngineOptions(**{name: options.pop(name) for name in names})
        return command(*given, how=how, **options)

    for option in reversed(_ENGINE):
        with_engine = option(with_engine)
    return with_engine  # type: ignore[return-value]

"""What several commands share: common options, and how results are said."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from nmap.errors import NmapError, OptionError
from nmap.plain_text import as_utf8, printable, printable_lines
from nmap_cli.amounts import size as size  # noqa: PLC0414
from nmap_cli.amounts import span as span  # noqa: PLC0414
from nmap_cli.parameters import BYTES, VOXEL_SIZE, OutputFile

if TYPE_CHECKING:
    from nmap.grid import Triple

WARNINGS: list[str] = []
"""What this run has warned of so far."""

# An option in a message of the library, no part of a path; and what is typed for those that have another name here.
_OPTION = re.compile(r"(?<![\w./-])`([a-z][a-z0-9_]*)`(?![\w/-]|\.\w)")
_TYPED = {"grid": "grid by --grid-like MAP, or --shape and --voxel-size"}

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

quiet_option = click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
verbose_option = click.option(
    "--verbose", "-v", is_flag=True, help="Say more, and show where a fault in nmap happened."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout instead of text.")
overwrite_option = click.option(
    "--overwrite",
    is_flag=True,
    help="Replace the output file if it exists; where it is a symbolic link, the file that the link leads to.",
)
permissive_option = click.option(
    "--permissive",
    is_flag=True,
    help="Read maps whose headers contradict themselves or their files, with a warning.",
)
_reading_options = (
    click.option(
        "--voxel-size",
        type=VOXEL_SIZE,
        metavar="A|X,Y,Z",
        help="Voxel size of the maps in Angstrom, instead of their headers'.",
    ),
    click.option(
        "--replace-nonfinite",
        type=click.Choice(["mean"]),
        help="Put the mean where a map is NaN or infinite.",
    ),
    permissive_option,
    click.option(
        "--max-memory",
        type=BYTES,
        metavar="SIZE",
        show_default="half of what is free",
        help="Refuse maps larger than this, such as 4G.",
    ),
)


def reading_options(command: Decorated) -> Decorated:
    """Add the options of every command that reads maps; they arrive as one `reading`."""

    @wraps(command)
    def with_reading(
        *given: Any,
        voxel_size: Triple | None,
        replace_nonfinite: str | None,
        permissive: bool,
        max_memory: int | None,
        **options: Any,
    ) -> Any:
        from nmap.maps import ReadOptions

        reading = ReadOptions(voxel_size, replace_nonfinite, max_memory, permissive)
        with advice():
            return command(*given, reading=reading, **options)

    for option in reversed(_reading_options):
        with_reading = option(with_reading)
    return with_reading  # type: ignore[return-value]


@contextmanager
def advice(**others: str) -> Iterator[None]:
    """Name the option that helps where a map is refused for what an option can give.

    Args:
        others: what to name instead of the option of the same name.
    """
    try:
        yield
    except NmapError as error:
        if error.option is None:
            raise
        option = (
            "--" + error.option.replace("_", "-") + (" mean" if error.option == "replace_nonfinite" else "")
        )
        raise type(error)(f"{error} ({others.get(error.option, option)})") from error


def both_words(*options: tuple[str, object]) -> str:
    """The names of the options that were given, for a message: "--a and --b"; "" where none was."""
    return " and ".join(name for name, value in options if value)


def voice_options(command: Decorated) -> Decorated:
    """Add `--quiet` and `--verbose`; and check all paths of the command before it is run."""

    @wraps(command)
    def with_paths_checked(*given: Any, **options: Any) -> Any:
        from nmap_cli.paths import check_paths

        check_paths(click.get_current_context())
        return command(*given, **options)

    return quiet_option(verbose_option(with_paths_checked))  # type: ignore[return-value]


def output_argument(kind: OutputFile, text: str) -> Callable[[Decorated], Decorated]:
    """Add an output that is given as the last argument, `out`, or by `-o`, `output`; see `one_output`."""

    def add(command: Decorated) -> Decorated:
        by_name = click.option("-o", "--output", type=kind, help=text)(command)
        return click.argument("out", type=kind, required=False)(by_name)

    return add


def one_output(out: Path | None, output: Path | None) -> Path:
    """The output, which was given in one way or the other.

    Raises:
        click.UsageError: in neither, or in both.
    """
    if (out is None) == (output is None):
        said = (
            "missing output: give its path, or --output"
            if out is None
            else f"two outputs, {out} and -o {output}"
        )
        raise click.UsageError(said, click.get_current_context())
    return out or output  # type: ignore[return-value]


def require(name: str, value: float | None, above: float = -math.inf, most: float = math.inf) -> None:
    """Refuse an option's number that means nothing; one that is not given passes.

    Args:
        name: of the option.
        value: what was given.
        above: what it must exceed.
        most: what it may reach; infinity itself it may not.

    Raises:
        OptionError: it is beyond these, or no number.
    """
    if value is None or (above < value <= most and math.isfinite(value)):
        return
    low = f" above {above:g}" if math.isfinite(above) else ""
    high = f", at most {most:g}" if math.isfinite(most) else ""
    raise OptionError(f"{name} {value:g}: wanted a finite number{low}{high}")


def write_text(path: Path, text: str, overwrite: bool) -> None:
    """Write a text file, whole or not at all; nothing in it turns or hides what follows."""
    from nmap.machine.atomic import atomic_output

    with atomic_output(path, overwrite) as out:
        out.write(printable_lines(text).encode())


def say(line: str, quiet: bool = False) -> None:
    """Print one line of a result on stdout, safe for a terminal, unless it is to be quiet."""
    if not quiet:
        put(line)


def say_lines(lines: Iterable[str], quiet: bool = False) -> None:
    """Print a result of several lines on stdout, safe for a terminal, unless it is to be quiet."""
    if not quiet:
        put("\n".join(line.replace("\n", " ") for line in lines), lines=True)


def say_json(value: Any, indent: int | None = 2) -> None:
    """Print JSON on stdout that every reader of JSON takes: UTF-8, non-finite numbers refused; no indent, one line."""
    put(json.dumps(_in_utf8(value), indent=indent, allow_nan=False), lines=True)


def _in_utf8(value: Any) -> Any:
    """JSON values with the texts that UTF-8 can hold."""
    if isinstance(value, str):
        return as_utf8(value)
    if isinstance(value, Mapping):
        return {_in_utf8(name): _in_utf8(part) for name, part in value.items()}
    return [_in_utf8(part) for part in value] if isinstance(value, list | tuple) else value


def tell(line: str) -> None:
    """Print one line on stderr, safe for a terminal; if nobody can read it any more, the work goes on."""
    with suppress(OSError, ValueError):
        put(as_typed(line), err=True)


def as_typed(message: str) -> str:
    """A message of the library with its options, `max_bytes`, as they are typed here: --max-bytes."""
    return _OPTION.sub(lambda found: _TYPED.get(found[1], "--" + found[1].replace("_", "-")), message)


def warn(text: str) -> None:
    """Print a warning on stderr, and keep it for those who print JSON."""
    WARNINGS.append(printable(as_typed(text)))
    tell(f"nmap: warning: {text}")


def put(text: str, err: bool = False, lines: bool = False) -> None:
    """Print text on stdout or stderr: every print of every command.

    What would move a terminal's cursor or turn its writing becomes "?"; what its encoding does not have is escaped.

    Args:
        text: what to print.
        err: on stderr instead of stdout.
        lines: whether its line breaks are meant; else it is one line.
    """
    safe = printable_lines(text) if lines else printable(text)
    stream = sys.stderr if err else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    click.echo(safe.encode(encoding, "backslashreplace").decode(encoding), err=err)


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns, the first padded to its widest; a row with no first part continues the one above."""
    rows = [(name, printable(value)) for name, value in rows]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)

"""What several commands share: common options, the check of an output path, how results are said."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from nmap.errors import NmapError, OptionError, OutputExistsError
from nmap.grid import Triple
from nmap_cli.parameters import BYTES, VOXEL_SIZE

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
        with _advice():
            return command(*given, reading=reading, **options)

    for option in reversed(_reading_options):
        with_reading = option(with_reading)
    return with_reading  # type: ignore[return-value]


@contextmanager
def _advice() -> Iterator[None]:
    """Name the option that helps where a map is refused for what an option can give."""
    try:
        yield
    except NmapError as error:
        if error.option is None:
            raise
        option = error.option.replace("_", "-") + (" mean" if error.option == "replace_nonfinite" else "")
        raise type(error)(f"{error} (--{option})") from error


def voice_options(command: Decorated) -> Decorated:
    """Add `--quiet` and `--verbose`."""
    return quiet_option(verbose_option(command))


def refuse_existing(path: Path, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any long work, an output path that is taken.

    Args:
        path: where the result is to go.
        overwrite: whether the user allowed an existing file to be replaced.
        inputs: files that the command reads; the output must not be one of them, `overwrite` or not.

    Raises:
        OutputExistsError: the path exists and may not be replaced, is no regular file, or is one of the inputs.
    """
    if not path.is_symlink() and not path.exists():
        return
    if path.exists() and not path.is_file():
        raise OutputExistsError(f"{path}: is not a regular file: give another output path")
    if path.exists() and any(path.samefile(source) for source in inputs):
        raise OutputExistsError(f"{path}: is the input as well: give another output path")
    if not overwrite:
        raise OutputExistsError(f"{path}: exists already: give another path, or --overwrite to replace it")


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
    """Write a text file, whole or not at all."""
    from nmap.machine.atomic import atomic_output

    with atomic_output(path, overwrite) as out:
        out.write(text.encode())


def say(line: str, quiet: bool = False) -> None:
    """Print one line of a result on stdout, safe for a terminal, unless it is to be quiet."""
    say_lines([line.replace("\n", " ")], quiet)


def say_lines(lines: Iterable[str], quiet: bool = False) -> None:
    """Print a result of several lines on stdout, safe for a terminal, unless it is to be quiet."""
    if not quiet:
        click.echo("\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines))


def say_json(value: Any) -> None:
    """Print JSON on stdout: indented, non-finite numbers refused."""
    click.echo(json.dumps(value, indent=2, allow_nan=False))


def printable(text: str) -> str:
    """One line of text that a file or a user gave, safe for a terminal: control characters become "?"."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Two columns, the first padded to its widest; a row with no first part continues the one above."""
    rows = [(name, printable(value)) for name, value in rows]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in rows)


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

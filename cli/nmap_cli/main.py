"""`nmap`: the group of commands, how errors are printed, and what the shell gets back."""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from nmap import __version__
from nmap.errors import NmapError, NmapWarning
from nmap.machine.memory import is_out_of_memory, require_start
from nmap_cli.common import WARNINGS, put, tell, warn
from nmap_cli.help import Group
from nmap_cli.interrupt import Terminated, ending_signals_raise, wish_to_end

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it (128 + SIGINT)."""

_COMMANDS = (
    "encode",
    "decode",
    "inspect",
    "validate",
    "batch",
    "fsc",
    "report",
    "view",
    "study",
    "import-weights",
    "export-weights",
    "strip",
    "repair",
)


# At its end Python looks for cycles among all objects, which after torch's loading takes a quarter of a second.
atexit.register(gc.freeze)


class _Commands(Group):
    """The commands, each imported when it is run; every failure becomes one line and a stable exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"nmap_cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        extra.setdefault("obj", time.monotonic())  # when the command began: what it loads from here on counts
        arguments = list(sys.argv[1:] if args is None else args)
        verbose = "--verbose" in arguments or "-v" in arguments
        _open_closed_streams()
        WARNINGS.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("always", NmapWarning)
            warnings.showwarning = _say_warning if verbose else _say_own_warning
            try:
                with ending_signals_raise():
                    require_start()
                    code = super().main(arguments, prog_name, complete_var, standalone_mode=False, **extra)
            except BaseException as failure:
                code = _explain(wish_to_end(failure), verbose)
            code = _flushed(code if isinstance(code, int) else 0)
        sys.exit(code)


@click.group(
    "nmap",
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 falls short of what was asked; 2 usage; 3 bad input file; "
    "4 limit, missing package or I/O; 130, 143 or 129 interrupted.",
    examples=(
        (
            "a map to a network, and what that holds",
            "nmap encode emd_3488.map.gz emd_3488.nmap --resolution 3.2",
        ),
        ("back to a map, for any other program", "nmap decode emd_3488.nmap -o decoded.mrc"),
        ("how true it is", "nmap validate emd_3488.nmap emd_3488.map.gz"),
    ),
)
@click.version_option(__version__, "-V", "--version", prog_name="nmap", message="%(prog)s %(version)s")
def cli() -> None:
    """Cryo-EM density maps as small neural networks: one .nmap file, decoded to MRC at any sampling.

    Every file to be read may be a URL (https://, s3://), or emd:NNNN, which means the map of that EMDB entry: it is
    fetched whole. That needs the extra remote: pip install '.[remote]' in a checkout of nmap. The environment
    variable NMAP_EMDB_URL names a mirror of the archive.
    """


def _open_closed_streams() -> None:
    """Give the numbers 0, 1 and 2 to nothing at all where the caller closed them: else an output file gets them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _flushed(code: int) -> int:
    """The exit code, once all that was printed is written; a reader that has gone or a full disk is not `code` 0."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as failure:
        with suppress(OSError, ValueError):  # what is left cannot be written when Python ends either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or _explain(failure, verbose=False)
    return code


def _explain(failure: BaseException, verbose: bool) -> int:
    """Print one line on stderr that says what went wrong; return the exit code."""
    if isinstance(failure, SystemExit):
        code = failure.code if isinstance(failure.code, int) else 0
        return 4 if code == 1 else code  # click's own, where the reader of a pipe has gone
    if isinstance(failure, (click.Abort, KeyboardInterrupt)):
        return _fail("interrupted; no file was left half written", INTERRUPTED)
    if isinstance(failure, Terminated):
        with suppress(OSError):  # the terminal may be gone
            _fail(f"ended by {failure.name}; no file was left half written", failure.exit_code)
        return failure.exit_code
    if isinstance(failure, click.exceptions.NoArgsIsHelpError):
        put(failure.format_message(), err=True, lines=True)
        return failure.exit_code
    if isinstance(failure, click.ClickException):
        return _fail(_usage(failure), failure.exit_code if failure.exit_code > 1 else 2)
    if isinstance(failure, NmapError):
        return _fail(str(failure), failure.exit_code)
    if verbose:
        put("".join(traceback.format_exception(failure)).rstrip(), err=True, lines=True)
    if is_out_of_memory(failure):
        said = str(failure).strip().split("\n", 1)[0]
        return _fail(f"out of memory: {said}" if said else "out of memory", 4)
    if isinstance(failure, OSError):
        name = f"{failure.filename}: " if failure.filename else ""
        return _fail(f"{name}{failure.strerror or failure}", 4)
    advice = "" if verbose else " (a fault in nmap; --verbose shows where: please report it)"
    return _fail(f"{type(failure).__name__}: {failure}{advice}", 4)


def _usage(failure: click.ClickException) -> str:
    """Click's message with where to look, on one line."""
    context = getattr(failure, "ctx", None)
    advice = f"; see '{context.command_path} --help'" if context is not None else ""
    return failure.format_message().rstrip(".") + advice


def _fail(message: str, code: int) -> int:
    with suppress(OSError, ValueError):  # stderr may be gone or full
        tell(f"nmap: error: {message}")
    return code


def _say_own_warning(message: Warning | str, *place: Any, **more: Any) -> None:
    """All but numpy's on its arithmetic: what comes of a file's odd numbers is refused, or said in our own words."""
    if not (isinstance(message, RuntimeWarning) and "encountered in" in str(message)):
        _say_warning(message, *place, **more)


def _say_warning(message: Warning | str, *_place: Any, **_more: Any) -> None:
    warn(str(message))

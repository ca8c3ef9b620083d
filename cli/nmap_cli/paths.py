"""All paths of a command at once: what it reads, what it writes, and that no output destroys an input."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click

from nmap.errors import NmapError, OptionError, OutputExistsError
from nmap.file_kind import MRC, NMAP, FileKind
from nmap.machine.archive import member_of
from nmap.remote import RemoteFile
from nmap_cli.parameters import NmapFile, OutputFile


def check_paths(context: click.Context) -> None:
    """Refuse, before any work, outputs that are taken, that are an input, or that are one file.

    The command's own parameters say which of them are inputs and outputs, so that none can be forgotten.

    Raises:
        OutputExistsError: an output exists and may not be replaced, is no regular file, or is an input.
        OptionError: two outputs are one file, or one is a URL.
    """
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if isinstance(parameter.type, OutputFile) and isinstance(value, RemoteFile):
            raise OptionError(f"{value}: nothing is written to a URL: give the path of a file")
    outputs = list(_paths_of(context, outputs=True))
    inputs = [path for _, path in _paths_of(context, outputs=False)]
    overwrite = bool(context.params.get("overwrite"))
    seen: dict[str, str] = {}
    for parameter, path in outputs:
        name, place = _called(parameter), os.path.realpath(path)
        if place in seen:
            raise OptionError(f"{path}: is the output of both {seen[place]} and {name}: give two paths")
        seen[place] = name
        _check_output(path, parameter.type, inputs, overwrite)


def _paths_of(context: click.Context, outputs: bool) -> Iterator[tuple[click.Parameter, Path]]:
    """Parameters of the command, and the paths that they were given, of the one sort or the other."""
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        plain = isinstance(parameter, click.Argument) and not isinstance(parameter.type, NmapFile)
        for given in value if isinstance(value, tuple) else (value,):
            # The words of a batch: a file, a folder, or a list that is read later.
            path = Path(given) if plain and isinstance(given, str) else given
            if isinstance(parameter.type, NmapFile) and isinstance(path, str) and not outputs:
                yield parameter, Path((member_of(path) or (path, ""))[0])
            elif isinstance(path, Path) and isinstance(parameter.type, OutputFile) == outputs:
                yield parameter, path


def _called(parameter: click.Parameter) -> str:
    """What a user calls a parameter: its long option, or the argument's word."""
    return (
        max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name
    )


def _check_output(path: Path, kind: click.ParamType[Path], inputs: list[Path], overwrite: bool) -> None:
    if not path.is_symlink() and not path.exists():
        return
    if path.exists() and not path.is_file():
        raise OutputExistsError(f"{path}: is not a regular file: give another output path")
    if path.exists() and any(source.exists() and path.samefile(source) for source in inputs):
        raise OutputExistsError(f"{path}: is the input as well: give another output path")
    assert isinstance(kind, OutputFile)
    inside = any(source.is_dir() and path.resolve().is_relative_to(source.resolve()) for source in inputs)
    if inside and not kind.makes and _kind(path) is not None:
        raise OutputExistsError(
            f"{path}: is a map in a folder that is an input as well: give another output path"
        )
    there = _kind(path)
    if overwrite and kind.makes == NMAP.code and there == MRC:
        raise OptionError(
            f"{path}: is a density map, which --overwrite does not replace by a .nmap: was the output forgotten? give "
            "the path of a .nmap"
        )
    if overwrite or kind.goes_on:
        return
    if there is not None and there.code != kind.makes:
        raise OutputExistsError(
            f"{path}: exists already and is {there.name}: are the arguments swapped? wanted another path for the output"
        )
    raise OutputExistsError(f"{path}: exists already: give another path, or --overwrite to replace it")


def _kind(path: Path) -> FileKind | None:
    """Whether a file is a map, packed or not, or a `.nmap`; None for all else."""
    from nmap.file_kind import kind_of
    from nmap.maps.packing import open_packed

    try:
        with open_packed(path) as file:
            found = kind_of(file.start())
    except (NmapError, OSError):
        return None
    return found if found in (MRC, NMAP) else None

"""Write docs/cli.md from the commands' own --help: `python docs/make_cli_reference.py`."""

from __future__ import annotations

from pathlib import Path

import click

HEAD = """# The commands

*Made from `--help` by `docs/make_cli_reference.py`; do not edit by hand (`make docs`).*

`nmap`, `nmap-em` and `python -m nmap` are the same program. Results go to stdout; progress, warnings and
errors to stderr, an error as one line `nmap: error: ...`. An output that exists is refused, before any
work, unless `--overwrite` is given. Results appear under their name only when whole.

| exit code | meaning |
|---|---|
| 0 | done; what was asked for holds |
| 1 | done, but the result falls short of what was asked, such as `--min-fsc` |
| 2 | usage: a bad option, an output that exists, two grids that do not fit together |
| 3 | a bad input file: missing, no density map, a damaged or newer `.nmap` (but for its record and its HDF5 side) |
| 4 | could not: a limit such as `--max-memory`, a missing optional package, a full disk |
| 130 | interrupted (Ctrl-C); no file is left half written; `encode --keep-on-interrupt` writes the best so far |
| 143, 129 | ended by SIGTERM (`kill`, `timeout`, a batch system) or SIGHUP; what was being written is removed |

"""


def reference() -> str:
    """The whole page: the group's help, then each command's."""
    from nmap_cli.main import cli

    context = click.Context(cli, info_name="nmap", terminal_width=100, **cli.context_settings)
    pages = [HEAD, _page("nmap", cli.get_help(context))]
    pages += _pages(cli, context)
    return "\n".join(pages)


def _pages(group: click.Group, context: click.Context) -> list[str]:
    """The help of each command of a group, and of theirs."""
    pages = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, terminal_width=100)
        pages.append(_page(inner.command_path, command.get_help(inner)))
        if isinstance(command, click.Group):
            pages += _pages(command, inner)
    return pages


def _page(title: str, text: str) -> str:
    body = "\n".join(line.rstrip() for line in text.splitlines())
    return f"## {title}\n\n```text\n{body}\n```\n"


if __name__ == "__main__":
    target = Path(__file__).with_name("cli.md")
    target.write_text(reference(), encoding="utf-8")
    print(f"{target.name}: written")

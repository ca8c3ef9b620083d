"""Commands that take several files and then an output."""

from __future__ import annotations

import click

from nmap.remote import RemoteFile
from nmap_cli.help import Command
from nmap_cli.parameters import INPUT


class ManySources(Command):
    """A command with the arguments `sources`, any number, and `out`, which `--output` may give as well.

    The last path is the output, unless `--output` names one: then it is a source like the others.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give the last path the part that it has."""
        rest = super().parse_args(ctx, args)
        sources, out, output = (ctx.params.get(name) for name in ("sources", "out", "output"))
        if out is not None and (output is not None or not sources):
            last = next(p for p in self.params if p.name == "sources")
            ctx.params["sources"] = (
                *(sources or ()),
                INPUT.convert(out if isinstance(out, RemoteFile) else str(out), last, ctx),
            )
            ctx.params["out"] = None
        if not ctx.params["sources"] and not ctx.resilient_parsing:
            raise click.UsageError("Missing argument 'SOURCE...'.", ctx)
        return rest

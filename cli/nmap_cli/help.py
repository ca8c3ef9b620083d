"""How the help of a command looks: its options under headings where they are many, and examples at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

Headings = Mapping[str, Sequence[str]]
"""Names of options, in the order in which they are shown, by heading."""

Examples = Sequence[tuple[str, str]]
"""What a command line does, and the line."""

MANY = 12
"""Options up to which one list is read at a glance."""

SHARED: Headings = {
    "Reading maps": ("voxel_size", "replace_nonfinite", "permissive", "max_memory"),
    "Output": (
        "output",
        "out",
        "results",
        "fsc_xml",
        "star",
        "report",
        "plot",
        "json_file",
        "thumbnail",
        "no_hdf5",
        "overwrite",
    ),
    "What is printed": ("as_json", "quiet", "verbose", "help"),
}
"""What many commands have; it follows a command's own headings."""


class Command(click.Command):
    """A command whose help is in order.

    Args:
        headings: of the command's own options; those of `SHARED` follow.
        examples: two or three lines that a newcomer can type, and what they do.
    """

    def __init__(
        self, *args: Any, headings: Headings | None = None, examples: Examples = (), **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.headings, self.examples = headings or {}, examples

    def grouped(self, ctx: click.Context) -> dict[str, list[click.Parameter]]:
        """The options by heading; those that no heading names are under "Options"."""
        options = [one for one in self.get_params(ctx) if isinstance(one, click.Option)]
        left = {"help" if "--help" in one.opts else str(one.name): one for one in options}
        if len(left) - 1 <= MANY:  # --help is no option of a command's own
            return {"Options": list(left.values())}
        found: dict[str, list[click.Parameter]] = {}
        for heading, names in [*self.headings.items(), *SHARED.items()]:
            here = [left.pop(name) for name in names if name in left]
            if here:
                found.setdefault(heading, []).extend(here)
        return {**found, **({"Options": list(left.values())} if left else {})}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each heading."""
        for heading, options in self.grouped(ctx).items():
            records = [record for option in options if (record := option.get_help_record(ctx)) is not None]
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, each as it is typed."""
        super().format_epilog(ctx, formatter)
        _write_examples(self.examples, formatter)


class Group(click.Group):
    """A command with commands of its own, whose help looks alike.

    Args:
        examples: as of `Command`.
    """

    command_class = Command

    def __init__(self, *args: Any, examples: Examples = (), **more: Any) -> None:
        super().__init__(*args, **more)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples after the commands."""
        super().format_epilog(ctx, formatter)
        _write_examples(self.examples, formatter)


def _write_examples(examples: Examples, formatter: click.HelpFormatter) -> None:
    if not examples:
        return
    with formatter.section("Examples"):
        for what, line in examples:
            formatter.write(f"{'':{formatter.current_indent}}# {what}\n")
            formatter.write(f"{'':{formatter.current_indent}}{line}\n")

"""The report's page: one HTML file, no script, no network. Jinja2 escapes every text; `page.html` is the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from nmap.machine.packages import require_package

Rows = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        body: an `<svg>` element made here, or a data URI of a picture.
        name: what it shows, for those who cannot see it.
        caption: what to look at.
    """

    body: str
    name: str
    caption: str

    @property
    def image(self) -> str:
        """The data URI; "" for a drawing."""
        return self.body if self.body.startswith("data:image/png;base64,") else ""

    @property
    def drawing(self) -> str:
        """The drawing as markup, its own texts escaped by what wrote it; "" for a picture."""
        from markupsafe import Markup

        return "" if self.image else Markup(self.body)


@dataclass(frozen=True)
class Card:
    """One tile at the head of the page.

    Attributes:
        value: the number, with its unit.
        label: what it is, and on what it was measured.
        tone: "good", "bad" or "".
    """

    value: str
    label: str
    tone: str = ""


@dataclass(frozen=True)
class Fold:
    """A table that closes on a click: names and values, or columns under a head.

    Attributes:
        title: what it holds.
        rows: names and values.
        head: names of columns.
        lines: the columns' values, line by line.
    """

    title: str
    rows: Rows = ()
    head: Sequence[str] = ()
    lines: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Section:
    """A headed part of the page: lines of text, a table, pictures, folds, in this order.

    Attributes:
        title: its heading.
        texts: lines of text.
        rows: a table of names and values.
        pictures: figures.
        side_by_side: whether they stand next to each other where the window is wide enough.
        folds: tables that close on a click.
    """

    title: str
    texts: Sequence[str] = ()
    rows: Rows = ()
    pictures: Sequence[Picture] = ()
    side_by_side: bool = False
    folds: Sequence[Fold] = ()


def page(title: str, lead: str, cards: Sequence[Card], sections: Sequence[Section], footer: str) -> str:
    """The whole page.

    Raises:
        MissingPackageError: Jinja2 is not installed.
    """
    require_package("jinja2", "report", "a report")
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("nmap.report", ""), autoescape=True, undefined=StrictUndefined
    )
    style = files("nmap.report").joinpath("style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html").render(
        title=title, lead=lead, style=Markup(style), cards=cards, sections=sections, footer=footer
    )

"""The report's page: one HTML file, no script, no network, every text escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Rows = Sequence[tuple[str, str]]

# Nothing on the page may run or be fetched, whatever a file's header says.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

_STYLE = """
:root { --ink: #1d2430; --soft: #5b6470; --line: #dfe3e8; --card: #f6f8fa; --good: #2f7d4f; --bad: #b3261e; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 70rem; color: var(--ink); background: #fff;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom:
.25rem; } p.lead { color: var(--soft); margin: .3rem 0 1.2rem; overflow-wrap: anywhere; } .cards { display:
grid; grid-template-columns: repeat(auto-fit, minmax(8.6rem, 1fr)); gap: .7rem; margin: 1rem 0; } .card {
background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .7rem .9rem; } .card
b { display: block; font-size: 1.35rem; font-weight: 600; line-height: 1.2; } .card span { color:
var(--soft); font-size: .82rem; } .good { color: var(--good); } .bad { color: var(--bad); } figure { margin:
1rem 0; } figure img, figure svg { display: block; max-width: 100%; height: auto; } figure svg {
font-family: "DejaVu Sans", system-ui, sans-serif; } figcaption { color: var(--soft); font-size: .85rem;
margin-top: .4rem; max-width: 52rem; } .pair { display: grid; grid-template-columns: repeat(auto-fit,
minmax(20rem, 1fr)); gap: 1rem; } .pair figure { margin: 0; } table { border-collapse: collapse; width:
100%; font-size: .86rem; } th, td { text-align: left; padding: .22rem .8rem .22rem 0; border-bottom: 1px
solid var(--line);
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; }
table.shells td, table.shells th { text-align: right; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; margin: .8rem 0; color: var(--soft); }
footer { margin-top: 3rem; color: var(--soft); font-size: .8rem; }
@media print { details { display: block; } body { padding: 0; } }
"""


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        body: an `<svg>` element, or a data URI of a picture.
        name: what it shows, for those who cannot see it; also its anchor.
        caption: what to look at.
    """

    body: str
    name: str
    caption: str

    def html(self) -> str:
        """The `<figure>` element."""
        if self.body.startswith("<svg"):
            content = self.body.replace("<svg", f'<svg role="img" aria-label="{escape(self.name)}"', 1)
        else:
            content = f'<img src="{escape(self.body)}" alt="{escape(self.name)}">'
        return f"<figure>{content}<figcaption>{escape(self.caption)}</figcaption></figure>"


@dataclass(frozen=True)
class Card:
    """One number at the head of the page.

    Attributes:
        value: the number, with its unit.
        label: what it is, and on what it was measured.
        tone: "good", "bad" or "".
    """

    value: str
    label: str
    tone: str = ""

    def html(self) -> str:
        """The card."""
        tone = f' class="{self.tone}"' if self.tone in ("good", "bad") else ""
        return f'<div class="card"><b{tone}>{escape(self.value)}</b><span>{escape(self.label)}</span></div>'


def table(rows: Rows) -> str:
    """A table of names and values."""
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(lines)}</table>"


def grid_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of numbers under column names."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(v)}</td>" for v in row) + "</tr>" for row in rows)
    return f'<table class="shells"><tr>{top}</tr>{body}</table>'


def section(title: str, *parts: str) -> str:
    """A headed part of the page; parts are HTML."""
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def side_by_side(*pictures: Picture) -> str:
    """Pictures next to each other where the window is wide enough."""
    return f'<div class="pair">{"".join(picture.html() for picture in pictures)}</div>'


def paragraph(text: str) -> str:
    """A line of text."""
    return f'<p class="lead">{escape(text)}</p>'


def folded(summary: str, body: str) -> str:
    """HTML that closes on a click."""
    return f"<details open><summary>{escape(summary)}</summary>{body}</details>"


def page(title: str, lead: str, cards: Sequence[Card], sections: Sequence[str], footer: str) -> str:
    """The whole page; `sections` are HTML, all else is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p></header>\n'
        f'<div class="cards">{"".join(card.html() for card in cards)}</div>\n'
        + "\n".join(sections)
        + f"\n<footer>{escape(footer)}</footer>\n</body>\n</html>\n"
    )

"""Text that a file or a user gave, made safe for a terminal, a page and a file: the one place where that is done."""

from __future__ import annotations

import os
import re

_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Controls, formats (those that turn the direction of writing among them), separators of lines, lone surrogates.

Unicode categories Cc, Cf, Cs, Zl and Zp.
"""

# Beginnings that a spreadsheet takes for a formula.
_FORMULA = ("=", "+", "-", "@")


def printable(text: str) -> str:
    """One line: runs of white space become a blank, and what is no letter, sign or blank becomes "?"."""
    return _UNSAFE.sub("?", " ".join(text.split()))


def printable_lines(text: str) -> str:
    """The same for text of several lines, whose lines and blanks stay."""
    return "\n".join(_UNSAFE.sub("?", line) for line in text.replace("\t", " ").split("\n"))


def escaped(text: str) -> str:
    """One line in which nothing is lost: what is no letter, sign or blank becomes a hexadecimal escape."""
    return _UNSAFE.sub(_escape, text)


def cell(text: str) -> str:
    """A text as a cell of a CSV table: escaped, and never a formula for the program that opens the table."""
    safe = escaped(text)
    return "'" + safe if safe.startswith(_FORMULA) else safe


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a name that is no UTF-8, as Python holds it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def stored_name(path: str | os.PathLike[str]) -> str:
    """A file's name, without folders, that UTF-8 can hold: other bytes are written as hexadecimal escapes."""
    return as_utf8(os.path.basename(os.fspath(path)))


def as_utf8(text: str) -> str:
    """Text that UTF-8 can hold: a byte of a name that is no UTF-8, or half a surrogate pair, becomes an escape."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()

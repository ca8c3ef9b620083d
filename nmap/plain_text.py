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


def printable(text: str) -> str:
    """One line: runs of white space become a blank, and what is no letter, sign or blank becomes "?"."""
    return _UNSAFE.sub("?", " ".join(text.split()))


def printable_lines(text: str) -> str:
    """The same for text of several lines, whose lines and blanks stay."""
    return "\n".join(_UNSAFE.sub("?", line) for line in text.replace("\t", " ").split("\n"))


def stored_name(path: str | os.PathLike[str]) -> str:
    """A file's name, without folders, that UTF-8 can hold: other bytes are written as hexadecimal escapes."""
    return as_utf8(os.path.basename(os.fspath(path)))


def as_utf8(text: str) -> str:
    """Text that UTF-8 can hold: a byte of a name that is no UTF-8, or half a surrogate pair, becomes an escape."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()

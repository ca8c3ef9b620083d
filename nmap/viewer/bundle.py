"""JavaScript modules to one script that runs without a module loader: in a worker, and from a page on disk.

Each module becomes a function of its own, so that names of one do not meet those of another. Only the forms that
the viewer's own modules use are known; anything else is refused, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_IMPORT = re.compile(r'^import \{ ([\w, ]+) \} from "(\.[^"]+)";$', re.M)
_PASSED_ON = re.compile(r'^export \{ ([\w, ]+) \} from "(\.[^"]+)";$', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*? |class |const )(\w+))", re.M)
_LEFT = re.compile(r"^(?:import|export)\b.*$", re.M)


def bundle(entry: Path, places: Mapping[str, Path]) -> str:
    """One script of a module and all that it imports; what the entry exports is dropped.

    Args:
        entry: the module to begin with.
        places: for imports that begin with a key, the folder that the key stands for.

    Raises:
        ValueError: a module imports or exports in a form that is not known here.
        OSError: a module cannot be read.
    """
    parts: dict[Path, str] = {}
    _add(entry.resolve(), places, parts)
    return '"use strict";\n(() => {\nconst modules = {};\n' + "\n".join(parts.values()) + "\n})();\n"


def _add(path: Path, places: Mapping[str, Path], parts: dict[Path, str]) -> None:
    """Put a module after those that it needs."""
    if path in parts:
        return
    text = path.read_text(encoding="utf-8")

    def found_at(relative: str) -> Path:
        for start, folder in places.items():
            if relative.startswith(start):
                return (folder / relative.removeprefix(start)).resolve()
        return (path.parent / relative).resolve()

    for pattern in (_IMPORT, _PASSED_ON):
        for _, relative in pattern.findall(text):
            _add(found_at(relative), places, parts)
    number = {module: i for i, module in enumerate(parts)}
    exported: list[str] = []

    def passed_on(found: re.Match[str]) -> str:
        module = number[found_at(found[2])]
        exported.extend(f"{name}: modules[{module}].{name}" for name in found[1].split(", "))
        return ""

    text = _PASSED_ON.sub(passed_on, text)

    def imported(found: re.Match[str]) -> str:
        names = found[1].replace(" as ", ": ")
        return f"const {{ {names} }} = modules[{number[found_at(found[2])]}];"

    text = _IMPORT.sub(imported, text)
    exported += _EXPORT.findall(text)
    text = _EXPORT.sub("", text)
    if odd := _LEFT.search(text):
        raise ValueError(f"{path.name}: {odd[0]!r:.80} is no form of import or export that is known here")
    parts[path] = f"modules[{len(parts)}] = (() => {{\n{text}\nreturn {{ {', '.join(exported)} }};\n}})();"

"""Packages that only some jobs need: asked for before the job begins."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from nmap.errors import MissingPackageError
from nmap.machine.memory import require_libraries

INSTALL = "pip install '.[{extra}]' in a checkout of nmap"
"""How an extra is installed. The distribution is in no package index, so its name alone installs nothing."""


def require_package(name: str, extra: str, job: str) -> None:
    """Refuse a job whose package is not installed, and name the command that installs it.

    Args:
        name: of the package, as it is imported.
        extra: of this distribution that brings the package.
        job: what needs it, the subject of a sentence.

    Raises:
        MissingPackageError: the package is not there.
        LimitError: a limit on the address space leaves no room for it.
    """
    spec = find_spec(name)
    if spec is None:
        raise MissingPackageError(
            f"{job} needs {name}, which is not installed: run {INSTALL.format(extra=extra)}"
        )
    if spec.origin is not None:
        require_libraries(Path(spec.origin).parent, name)

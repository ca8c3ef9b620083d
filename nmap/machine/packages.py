"""Packages that only some jobs need: asked for before the job begins."""

from __future__ import annotations

from importlib.util import find_spec

from nmap.errors import MissingPackageError


def require_package(name: str, extra: str, job: str) -> None:
    """Refuse a job whose package is not installed, and name the command that installs it.

    Args:
        name: of the package, as it is imported.
        extra: of this distribution that brings the package.
        job: what needs it, the subject of a sentence.

    Raises:
        MissingPackageError: the package is not there.
    """
    if find_spec(name) is None:
        raise MissingPackageError(
            f"{job} needs {name}, which is not installed: run pip install 'nmap-em[{extra}]'"
        )

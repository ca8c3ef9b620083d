"""One class per failure, each also a subclass of the builtin that a caller would catch.

Every message says what was wrong, the value seen, the value wanted, and what to do, in one line. An option stands in it
in backticks, by its name in Python; the command line writes that as it is typed there.
`exit_code` is what the command line returns for it.
"""

from __future__ import annotations


class NmapError(Exception):
    """Base of every error that nmap raises on purpose.

    Args:
        message: one line.
        option: name of the option of `read_map` that lets the file be read all the same.
    """

    exit_code = 3
    option: str | None = None

    def __init__(self, *message: object, option: str | None = None) -> None:
        super().__init__(*message)
        if option is not None:
            self.option = option


class MissingFileError(NmapError, FileNotFoundError):
    """A file to be read that is not there."""


class RemoteError(NmapError, OSError):
    """A file at a URL that could not be fetched."""


class MapError(NmapError, ValueError):
    """A file that is not a density map that nmap can read."""


class VoxelSizeError(MapError):
    """A map whose header gives no usable voxel size."""

    option = "voxel_size"


class NonFiniteError(MapError):
    """A map that holds NaN or infinite values."""


class FormatError(NmapError, ValueError):
    """A `.nmap` file that breaks the format."""


class AppendedDataError(FormatError):
    """A `.nmap` file with bytes after its end, as an HDF5 writer leaves them; `nmap repair` mends it."""


class UnsupportedError(FormatError):
    """A `.nmap` file that needs a feature or a version that this reader does not have."""


class GridError(NmapError, ValueError):
    """Two grids that should agree and do not, or a grid that cannot be made."""

    exit_code = 2


class OptionError(NmapError, ValueError):
    """An option whose value cannot be used."""

    exit_code = 2


class OutputExistsError(NmapError, FileExistsError):
    """An output path that is already taken."""

    exit_code = 2


class QualityError(NmapError, ArithmeticError):
    """A result that falls short of what was asked for."""

    exit_code = 1


class LimitError(NmapError, MemoryError):
    """An input that would need more memory than allowed."""

    exit_code = 4


class MissingPackageError(NmapError, ImportError):
    """An optional package that this job needs is not installed."""

    exit_code = 4


class NmapWarning(UserWarning):
    """Base of every warning that nmap gives: a result that stands, and what to know of it."""


class MapWarning(NmapWarning):
    """A map file that contradicts itself, and how it was read."""

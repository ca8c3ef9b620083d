"""The result of a long fit, kept whatever fails once it is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from nmap.errors import OutputExistsError
from nmap_cli.common import warn

if TYPE_CHECKING:
    from nmap.neural_map import NeuralMap


def save_fit(neural_map: NeuralMap, output: Path, *, hdf5: bool, thumbnail: bool, overwrite: bool) -> None:
    """Write the file. What fails beside the network is left out with a warning.

    Raises:
        OSError: the disk is full, say; the network is then kept in the folder for temporary files, and a warning
            says where.
        OutputExistsError: a file of that name came into being during the fit; the network is kept there too.
    """
    try:
        _save_what_can_be(neural_map, output, hdf5=hdf5, thumbnail=thumbnail, overwrite=overwrite)
    except (OSError, OutputExistsError):
        with suppress(Exception):
            kept = _free_name(output)
            try:
                _save_what_can_be(neural_map, kept, hdf5=hdf5, thumbnail=thumbnail, overwrite=True)
            except BaseException:
                kept.unlink()
                raise
            warn(f"{output} cannot be written; the result of the fit is kept as {kept}")
        raise


def _save_what_can_be(
    neural_map: NeuralMap, path: Path, *, hdf5: bool, thumbnail: bool, overwrite: bool
) -> None:
    from nmap.container import save
    from nmap.neural_map import NeuralMap

    bare = NeuralMap(neural_map.field, neural_map.tensors, {})
    ways = [(neural_map, hdf5, thumbnail, "thumbnail"), (neural_map, hdf5, False, "HDF5 side")]
    ways += [(neural_map, False, False, "record"), (bare, False, False, "")]
    ways = [way for way in ways if (thumbnail or way[3] != "thumbnail") and (hdf5 or way[3] != "HDF5 side")]
    for what, with_hdf5, with_thumbnail, next_out in ways:
        try:
            save(what, path, hdf5=with_hdf5, thumbnail=with_thumbnail, overwrite=overwrite)
            return
        except (OSError, OutputExistsError):
            raise
        except Exception as error:
            if not next_out:
                raise
            warn(f"{path}: {type(error).__name__}: {error}: written without its {next_out}")


def _free_name(output: Path) -> Path:
    """A name in the folder for temporary files that nothing has."""
    descriptor, name = tempfile.mkstemp(suffix=".nmap", prefix=f"{output.stem}-")
    os.close(descriptor)
    return Path(name)


@contextmanager
def saying_that_it_is_written(output: Path) -> Iterator[None]:
    """Say that the file is there where what comes after it fails."""
    try:
        yield
    except Exception:
        warn(f"{output} is written")
        raise

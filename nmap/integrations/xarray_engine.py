"""xarray's engine "nmap": `xarray.open_dataset("emd_3488.nmap")`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any, ClassVar

from xarray import Dataset
from xarray.backends import BackendEntrypoint

from nmap.container import open_map
from nmap.errors import OptionError
from nmap.labelled import NAME


class NmapEngine(BackendEntrypoint):
    """Opens a `.nmap` file as a dataset of one variable, "density"; see `NeuralMap.to_xarray`."""

    description: ClassVar[str] = "Cryo-EM density maps as small neural networks (.nmap)"
    open_dataset_parameters: ClassVar[tuple[str, ...] | None] = (
        "filename_or_obj",
        "drop_variables",
        "sampling",
    )

    def open_dataset(
        self,
        filename_or_obj: Any,
        *,
        drop_variables: str | Iterable[str] | None = None,
        sampling: float = 1.0,
    ) -> Dataset:
        """Open a file; no density is decoded before it is looked at.

        Args:
            filename_or_obj: path of the file.
            drop_variables: names of variables to leave out.
            sampling: samples along each axis, as a multiple of the source's.

        Raises:
            OSError: the file cannot be read.
            FormatError: it breaks the format.
            OptionError: no path, or a sampling that is not positive.
        """
        if not isinstance(filename_or_obj, str | os.PathLike):
            raise OptionError(f"{type(filename_or_obj).__name__} to open: wanted the path of a .nmap file")
        array = open_map(filename_or_obj).to_xarray(sampling)
        dropped = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        return array.to_dataset(name=NAME).drop_vars(dropped, errors="ignore")

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether it is a path that ends as `.nmap` files do."""
        return isinstance(filename_or_obj, str | os.PathLike) and os.fspath(filename_or_obj).endswith(".nmap")

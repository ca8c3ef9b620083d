"""The model of a page with what the file loses of it: worked out when the page asks, for it takes seconds."""

from __future__ import annotations

import os

from nmap.compare.kept_atoms import compare_atoms
from nmap.compare.marked_model import marked_model
from nmap.maps.density_map import DensityMap
from nmap.neural_map import NeuralMap
from nmap.validation import part_of_source


def marked(neural_map: NeuralMap, source: DensityMap, model: str | os.PathLike[str]) -> bytes:
    """The model as mmCIF whose B-factors are the loss of Q of each residue, in hundredths.

    Args:
        neural_map: the file's map.
        source: the map that it was made from.
        model: path of the model.

    Raises:
        GridError: the source does not cover the file's box.
        MapError: the model cannot be read, or none of its atoms lies in the box.
    """
    part = part_of_source(neural_map.grid, source)
    limit = neural_map.field.band_limit
    kept = compare_atoms(model, neural_map.on_grid(part.grid), part.values, part.grid, band_limit=limit)
    return marked_model(model, kept).encode()

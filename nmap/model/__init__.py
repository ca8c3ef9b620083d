"""What a network computes: the model kinds and how a file's parts compose into a density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError, UnsupportedError
from nmap.model.block_siren import BlockSiren
from nmap.model.field import Field
from nmap.model.fourier_features import FourierFeatures
from nmap.model.layers import Network
from nmap.model.radial_basis import RadialBasis
from nmap.model.siren import Siren

__all__ = ["KINDS", "BlockSiren", "Field", "FourierFeatures", "Network", "RadialBasis", "Siren", "build_network"]

KINDS: dict[str, type[Siren] | type[BlockSiren] | type[FourierFeatures] | type[RadialBasis]] = {
    "siren": Siren,
    "block-siren": BlockSiren,
    "fourier-features": FourierFeatures,
    "radial-basis": RadialBasis,
}


def build_network(kind: str, settings: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> Network:
    """A network from what a file stores.

    Args:
        kind: a key of `KINDS`.
        settings: what `Network.settings` gave.
        tensors: parameters by name; others (gains, envelope) are ignored.

    Raises:
        UnsupportedError: this version does not know the kind.
        FormatError: a tensor or a setting is missing or does not fit.
    """
    if kind not in KINDS:
        raise UnsupportedError(f"model kind {kind!r}: this version knows {', '.join(KINDS)}; update nmap")
    parameters = {name: _numbers(values) for name, values in tensors.items() if name in _NAMES}
    try:
        return KINDS[kind].build(settings, parameters)
    except FormatError:
        raise
    except KeyError as missing:
        raise FormatError(f"{kind} model lacks {missing}: the file is incomplete") from missing
    except (TypeError, ValueError) as error:
        raise FormatError(f"{kind} model with settings {dict(settings)}: {error}") from error


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """As float32; whole numbers of a byte stay that, since there may be many."""
    return values if values.dtype == np.int8 else np.asarray(values, np.float32)


_NAMES = {
    "first.weight",
    "first.bias",
    "hidden.weight",
    "hidden.bias",
    "last.weight",
    "last.bias",
    "frequencies",
    "amplitudes",
    "weights",
    "network",
}

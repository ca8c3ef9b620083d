"""The table of model kinds. A new kind is a file here, a trainer in `nmap.fit`, a page in `spec/` and a line below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nmap.errors import FormatError, UnsupportedError
from nmap.model.block_siren import BlockSiren
from nmap.model.fourier_features import FourierFeatures
from nmap.model.network import Network
from nmap.model.radial_basis import RadialBasis
from nmap.model.series_siren import SeriesSiren
from nmap.model.siren import Siren

# In the order in which a fit prefers them, where its options leave the kind open.
KINDS: dict[str, type[Network]] = {
    BlockSiren.kind: BlockSiren,
    SeriesSiren.kind: SeriesSiren,
    Siren.kind: Siren,
    RadialBasis.kind: RadialBasis,
    FourierFeatures.kind: FourierFeatures,
}

# Kinds of one map, which a user chooses from; a series has the kind that its `series_kind` names.
CHOICES = tuple(name for name, kind in KINDS.items() if not kind.features)


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
    names = KINDS[kind].tensor_names
    parameters = {name: _numbers(values) for name, values in tensors.items() if name in names}
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

"""The settings of one fit: those asked for, and for the rest what suits the map."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nmap.fit.options import EncodeOptions, GainRule
from nmap.fit.target.prepare import Target

# Parameters per degree of freedom of the map for a worst-shell FSC of 0.9; for other goals in proportion to the
# rate of a Gaussian source, log2(1 / (1 - FSC^2)) / 2, within these factors.
_DENSITY = 0.72
_AT = 0.9
_DENSITY_RANGE = (0.25, 2.0)
LAYERS = 3
_LEAST_FEATURES = 16
_MULTIPLE = 8
# The first layer's omega, in units of the highest phase in the domain, 2 pi reach / resolution.
_OMEGA0 = 0.5
_OMEGA_HIDDEN = 30.0
_BITS = 6
_BATCH = 8192
# Training steps: so many for a map of so many lattice points, and as the square root of the points.
_STEPS = 1600
_POINTS = 80_000
_MOST_STEPS = 8000
# Parameters after a round of growth, times those before it.
_GROWTH = 1.5
_MOST_FEATURES = 768
# Steps with fewer bits, as a share of the recipe's.
_SETTLING = 0.35


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    Attributes:
        kind: model kind.
        features: neurons in a layer.
        layers: hidden layers after the first.
        omega0: sine factor of the first layer; for Fourier features the spread of the frequencies, in cycles
            per unit of the network coordinates.
        omega_hidden: sine factor of the hidden layers.
        bits: of a stored hidden weight.
        steps: training steps.
        batch: points of a step.
        seed: of all that is random.
        sized: whether the map, not the caller, decided the number of neurons.
        gains: how strong each shell of the decode is.
        settles: whether trained weights go on as they will be stored, at lower learning rates, from the first step.
        spread: factor of the first layer's weights of a SIREN at the start.
    """

    kind: str
    features: int
    layers: int
    omega0: float
    omega_hidden: float
    bits: int
    steps: int
    batch: int
    seed: int
    sized: bool
    gains: GainRule = "power"
    settles: bool = False
    spread: float = 1.0

    @property
    def coarser(self) -> Recipe:
        """The same with a bit less for each hidden weight, for a network that goes on from this one's weights."""
        steps = max(1, round(_SETTLING * self.steps))
        return replace(self, bits=self.bits - 1, steps=self.steps if self.settles else steps, settles=True)

    @property
    def grown(self) -> Recipe:
        """The same with more neurons and fewer steps, for a network that goes on from this one's weights."""
        features = min(_rounded(self.features * math.sqrt(_GROWTH)), _MOST_FEATURES)
        return replace(self, features=features, steps=max(1, round(0.7 * self.steps)))

    @property
    def can_grow(self) -> bool:
        """Whether more neurons may be taken."""
        return self.sized and self.features < _MOST_FEATURES


def choose_recipe(target: Target, options: EncodeOptions) -> Recipe:
    """The recipe for a map: what the options say, and defaults from its size and band limit."""
    layers = options.hidden_layers or LAYERS
    features = options.hidden_features or default_features(
        target.freedom, layers, options.goal_for(target.masked)
    )
    points = target.inside.size
    if options.omega0 is not None:
        omega0 = options.omega0
    elif options.arch == "siren":
        omega0 = min(max(_OMEGA0 * 2 * math.pi * target.reach / target.band_limit, 4.0), 400.0)
    else:
        # The rms of each component of frequencies spread evenly over the band limit's sphere.
        omega0 = target.reach / target.band_limit / math.sqrt(5)
    return Recipe(
        kind=str(options.arch),
        features=features,
        layers=layers,
        omega0=float(f"{omega0:.4g}"),
        omega_hidden=options.omega_hidden or _OMEGA_HIDDEN,
        bits=options.weight_bits or _BITS,
        steps=options.steps or min(_MOST_STEPS, round(_STEPS * max(0.5, math.sqrt(points / _POINTS)))),
        batch=min(_BATCH, points),
        seed=options.seed,
        sized=options.hidden_features is None,
        gains=options.gains,
    )


def default_features(freedom: float, layers: int, goal: float = _AT) -> int:
    """Neurons in a layer for a map with so many degrees of freedom and a worst-shell FSC to aim at.

    The number of parameters, about layers * n**2 + (layers + 5) * n, is a share of the degrees of freedom.
    """
    low, high = _DENSITY_RANGE
    factor = min(max(math.log(1 - goal**2) / math.log(1 - _AT**2), low), high)
    wanted, linear = _DENSITY * factor * freedom, layers + 5
    n = (math.sqrt(linear**2 + 4 * layers * wanted) - linear) / (2 * layers)
    return min(max(_rounded(n), _LEAST_FEATURES), _MOST_FEATURES)


def _rounded(features: float) -> int:
    return math.ceil(features / _MULTIPLE) * _MULTIPLE

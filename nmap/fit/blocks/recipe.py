"""How large a block SIREN is and how it is trained, by the degrees of freedom of the map and the goal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from nmap.fit.options import EncodeOptions
from nmap.model.block_siren import MAX_WAVES, BlockSizes

# Degrees of freedom of the map in a block.
_FREEDOM = 46.0
# Numbers in a code, and neurons in a layer, at a goal of 0.9; for others they grow with the bits that a mode of a
# Gaussian source takes, log2(1 / (1 - FSC^2)) / 2, by these powers. Both grow with the map, slowly: a
# larger one has less of its network in common.
_CODE = 16.0
_CODE_POWER = 1.1
_CODE_GROWTH = 0.3
_WIDTH = 36.0
_WIDTH_POWER = 0.66
_WIDTH_GROWTH = 0.25
_AT_FREEDOM = 24_000.0
_AT = 0.9
_LEAST_CODE = 6
_MOST_CODE = 128
_LEAST_WIDTH = 16
_MOST_WIDTH = 256
_MULTIPLE = 4
_HIDDEN = 2
# The first omega, in units of the highest phase in a block, 2 pi radius / resolution; the hidden ones as in SIREN.
_OMEGA0 = 1.25
_OMEGA_HIDDEN = 30.0
# Passes over the points at a goal of 0.9, and the powers by which they grow with the bits of a
# mode and with the map; steps of a pass.
_PASSES = 80
_PASSES_POWER = 0.5
_PASSES_GROWTH = -0.1
# All learning rates fall with the bits of a mode by this power: the more is asked, the less may a step undo.
_RATE_POWER = -1.6
_STEPS_OF_PASS = 8
# Largest squared length of the waves' vectors: their number grows with the degrees of freedom, to the format's limit.
_WAVES = 9
# Passes of an effort, in units of the default's.
_EFFORTS = {"low": 0.5, "default": 1.0, "high": 2.0}
# Bits that a degree of freedom takes at a goal of 0.9, and the power by which they grow with the bits of a mode: for
# the size that suits a limit of bytes (measured on EMD-3488: 2.4 at 0.9, 7.6 at 0.98, 15 at 0.995 as C2).
_BITS_AT = 2.4
_BITS_POWER = 1.8
# Bits of a mode, in units of those at 0.9, that are within reach.
_BITS_RANGE = (0.2, 4.5)
# After a round that fell short: so many times the code and the width.
_GROWTH = (1.5, 1.2)


@dataclass(frozen=True)
class BlockRecipe:
    """How to train a block SIREN.

    Attributes:
        sizes: of the network.
        omega: first omega, in units of the highest phase in a block.
        omega_hidden: of the hidden layers.
        passes: over the points.
        rate: of learning, in units of that at a goal of 0.9.
        steps_of_pass: training steps of a pass.
        goal: FSC aimed at, the level of what the shells owe.
        bits: of a mode at that goal, in units of those at 0.9.
        max_bits: most that the network may take, if that is the goal; then `goal` is what it may reach.
        seed: of all that is random.
        sized: whether the map, not the caller, decided the width and the steps.
        pace: share of the passes that there is time for; 1 for all.
    """

    sizes: BlockSizes
    omega: float
    omega_hidden: float
    passes: int
    rate: float
    steps_of_pass: int
    goal: float
    bits: float
    max_bits: float | None
    seed: int
    sized: bool
    pace: float = 1.0

    @property
    def grown(self) -> BlockRecipe:
        """The same with longer codes and wider layers."""
        code = min(round(self.sizes.code * _GROWTH[0]), _MOST_CODE)
        width = min(_rounded(self.sizes.width * _GROWTH[1]), _MOST_WIDTH)
        return replace(self, sizes=replace(self.sizes, code=code, width=width))

    @property
    def can_grow(self) -> bool:
        """Whether longer codes may be taken."""
        return self.sized and self.sizes.code < _MOST_CODE


def choose_recipe(
    freedom: float, points: int, options: EncodeOptions, goal: float, max_bits: float | None = None
) -> BlockRecipe:
    """The recipe for a map.

    Args:
        freedom: degrees of freedom of the map, of an asymmetric unit.
        points: lattice points in it.
        options: of the fit.
        goal: FSC aimed at, the level of what the shells owe.
        max_bits: most that the network may take, instead of a goal.
    """
    if max_bits is not None:
        bits = (max_bits / max(freedom, 1.0) / _BITS_AT) ** (1 / _BITS_POWER)
        bits = min(max(bits, _BITS_RANGE[0]), _BITS_RANGE[1])
        goal = math.sqrt(1 - (1 - _AT**2) ** bits)
    bits = max(math.log(1 - goal**2) / math.log(1 - _AT**2), _BITS_RANGE[0])
    size = max(freedom / _AT_FREEDOM, 1.0)
    code = min(max(round(_CODE * bits**_CODE_POWER * size**_CODE_GROWTH), _LEAST_CODE), _MOST_CODE)
    wide = _WIDTH * bits**_WIDTH_POWER * (freedom / _AT_FREEDOM) ** _WIDTH_GROWTH
    width = options.hidden_features or min(max(_rounded(wide), _LEAST_WIDTH), _MOST_WIDTH)
    blocks = options.blocks or round(freedom / _FREEDOM)
    # Each batch of a pass has a point of every block.
    blocks = max(1, min(blocks, points // _STEPS_OF_PASS))
    longest = min(round(_WAVES * size ** (2 / 3)), MAX_WAVES)
    sizes = BlockSizes(blocks, width, options.hidden_layers or _HIDDEN, code, longest)
    passes = round(
        _EFFORTS[options.effort] * _PASSES * max(bits, 1.0) ** _PASSES_POWER * size**_PASSES_GROWTH
    )
    if options.steps is not None:
        passes = max(1, -(-options.steps // _STEPS_OF_PASS))
    return BlockRecipe(
        sizes=sizes,
        omega=_OMEGA0,
        omega_hidden=options.omega_hidden or _OMEGA_HIDDEN,
        passes=passes,
        rate=min(bits**_RATE_POWER, 1.0),
        steps_of_pass=_STEPS_OF_PASS,
        goal=goal,
        bits=bits,
        max_bits=max_bits,
        seed=options.seed,
        sized=options.hidden_features is None and options.steps is None and max_bits is None,
    )


def _rounded(width: float) -> int:
    return math.ceil(width / _MULTIPLE) * _MULTIPLE

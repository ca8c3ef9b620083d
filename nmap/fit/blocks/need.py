"""How long training a block SIREN takes on this machine, from a sample of its work."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from nmap.fit.blocks.network import BlockNetwork
from nmap.fit.blocks.parameters import Parameters
from nmap.fit.blocks.recipe import BlockRecipe
from nmap.fit.device import Workers

# Points of the sample: some 30 ms of work.
_SAMPLE = 1 << 14
# A pass takes this many times as long as evaluating the network at every point (measured on EMD-3488 at 0.9 and 0.995).
_PASS = 7.0


def seconds_needed(recipe: BlockRecipe, points: int, workers: Workers, device: torch.device) -> float:
    """Seconds of all passes of a recipe.

    Args:
        recipe: network and passes.
        points: lattice points in an asymmetric unit.
        workers: share the work out.
        device: where.
    """
    slots = max(1, points // recipe.sizes.blocks)
    blocks = min(recipe.sizes.blocks, -(-_SAMPLE // slots))
    omegas = (recipe.omega_hidden,) * (recipe.sizes.hidden + 1)
    random = torch.Generator().manual_seed(recipe.seed)
    parameters = Parameters(replace(recipe.sizes, blocks=blocks), omegas, random, device)
    network = BlockNetwork(parameters, workers, device)
    network.take(parameters.flat)
    x = torch.rand(blocks, slots, 3, generator=random).to(device)
    network.values(x)  # the first call makes buffers
    began = time.monotonic()
    float(network.values(x)[0, 0])  # waits for the device
    sample = time.monotonic() - began
    return _PASS * recipe.passes * sample * recipe.sizes.blocks / blocks

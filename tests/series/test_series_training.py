"""Training of a series: gradients against autograd, and noise that frames do not share."""

from __future__ import annotations

import pytest
import torch
from numpy.testing import assert_allclose

from nmap.fit.blocks.network import Batch
from nmap.fit.device import Workers
from nmap.fit.series.network import SeriesNetwork
from nmap.fit.series.parameters import SeriesParameters
from nmap.model.block_siren import BlockSizes

CPU = torch.device("cpu")


@pytest.mark.parametrize("hidden", [0, 2])
def test_the_written_out_gradient_is_that_of_autograd(hidden: int) -> None:
    sizes = BlockSizes(blocks=6, width=5, hidden=hidden, code=3, waves=-1)
    random = torch.Generator().manual_seed(1)
    parameters = SeriesParameters(sizes, 3, (2.0, *[1.5] * hidden), random, CPU)
    functions = torch.randn(4, 3, generator=random)
    x, mask, weight = (torch.rand(6, 4, *more, generator=random) for more in ((3,), (), ()))
    frames = torch.rand(6, 4, 4, generator=random)
    batch = Batch(x, mask, weight, torch.zeros(6, 4, dtype=torch.long))
    # The components whose frames are nearest; what is left of the frames moves with no number of the network.
    wanted = frames @ torch.linalg.pinv(functions).T
    with Workers(CPU) as workers:
        network = SeriesNetwork(parameters, functions.T @ functions, workers, CPU)
        network.take(parameters.flat)
        network.descend(batch, wanted)

    flat = parameters.flat.clone().requires_grad_()
    matrices = parameters.views(flat)
    layers = hidden + 1
    trunk, base, maps = (
        matrices[:layers],
        matrices[layers : 2 * layers + 1],
        matrices[2 * layers + 1 : 3 * layers + 2],
    )
    codes = matrices[3 * layers + 2 :]
    h = x
    for w, b, m in zip(trunk, base, maps, strict=False):
        h = torch.sin(h @ w.T + (b[:, 0] + codes[0] @ m)[:, None])
    values = []
    for k, code in enumerate(codes):
        output = code @ maps[-1] + (base[-1][:, 0] if k == 0 else 0)
        values.append((h * output[:, None, :-1]).sum(-1) + output[:, None, -1])
    decoded = torch.stack(values, -1) @ functions.T * mask[..., None]
    ((decoded - frames) ** 2 * weight[..., None]).sum().backward()
    assert flat.grad is not None
    assert_allclose(network.gradient.numpy(), flat.grad.numpy(), rtol=2e-4, atol=2e-4)

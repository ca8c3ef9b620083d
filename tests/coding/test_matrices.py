"""Matrices of whole numbers: what comes back, in how many bytes, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from nmap.coding.codings import CodedTensor, check_tensor, decode_tensor, encode_matrices
from nmap.errors import FormatError, OptionError

whole = arrays(
    np.int64, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(-32767, 32767)
)


@given(st.lists(whole, min_size=1, max_size=4))
@settings(max_examples=60)
def test_whole_numbers_come_back_times_their_steps(matrices: list[np.ndarray]) -> None:
    steps = [0.5, 0.25, 3.0, 1.0][: len(matrices)]
    decoded = decode_tensor(encode_matrices(matrices, steps))
    wanted = np.concatenate([m.ravel() * np.float32(s) for m, s in zip(matrices, steps, strict=True)])
    assert decoded.dtype == np.float32
    assert (decoded == wanted).all()


@pytest.mark.parametrize("width", [0.4, 1.5, 6.0, 60.0])
def test_geometric_sizes_take_little_more_than_their_entropy(width: float) -> None:
    rng = np.random.default_rng(3)
    more = width / (1 + width)  # chance that a size grows by one more; the mean is the width
    numbers = (rng.geometric(1 - more, (400, 20)) - 1) * rng.choice([-1, 1], (400, 20))
    entropy = -math.log2(1 - more) - width * math.log2(more) + more  # and a sign for what is not 0
    stored = encode_matrices([numbers], [1.0]).arrays[""].size
    assert 8 * stored < 1.03 * entropy * numbers.size


def test_columns_of_different_spread_take_little_more_than_coded_one_by_one() -> None:
    rng = np.random.default_rng(4)
    spread = 2.0 ** np.arange(-2, 6)
    numbers = np.rint(rng.laplace(0, spread, (500, 8))).astype(int)
    together = encode_matrices([numbers], [1.0]).arrays[""].size
    apart = sum(encode_matrices([numbers[:, j : j + 1]], [1.0]).arrays[""].size for j in range(8))
    assert together < 1.02 * apart
    assert together < 0.9 * encode_matrices([numbers.reshape(-1, 1)], [1.0]).arrays[""].size


@pytest.mark.parametrize(
    ("matrices", "steps", "wrong"),
    [
        ([np.full((1, 1), 32768)], [1.0], "32768"),
        ([np.zeros((2, 0), int)], [1.0], "empty"),
        ([np.zeros(3, int)], [1.0], "two axes"),
        ([np.zeros((1, 1), int)], [0.0], "above 0"),
        ([np.zeros((1, 1), int)], [1e9], "finite"),
        ([np.zeros((1, 1), int)], [1.0, 1.0], "wanted 1"),
    ],
)
def test_what_the_coding_cannot_hold_is_refused(matrices: list, steps: list[float], wrong: str) -> None:
    with pytest.raises(OptionError, match=wrong):
        encode_matrices(matrices, steps)


def test_a_few_bytes_that_claim_many_numbers_are_refused_before_any_is_decoded() -> None:
    step = np.ones(1, "<f2")
    claim = CodedTensor(
        "matrices", (1 << 24,), {"shapes": "4096x4096"}, {"": np.zeros(8, np.uint8), "step": step}
    )
    with pytest.raises(FormatError, match="in a byte"):
        check_tensor(claim)


def test_many_zeros_take_the_bytes_that_a_reader_asks_for() -> None:
    coded = encode_matrices([np.zeros((512, 512), int)], [1.0])
    assert not decode_tensor(coded).any()
    assert coded.arrays[""].size == (512 * 512 - 4096) // 16

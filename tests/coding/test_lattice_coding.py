"""Whole numbers on a body-centred cubic lattice, to bytes and back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmap.coding import lattice as lattice_coding
from nmap.coding.codings import decode_tensor, encode_lattice
from nmap.errors import FormatError, OptionError


def sparse(shape: tuple[int, int, int], share: float, seed: int = 0, size: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    z, y, x = (np.arange(n) & 1 for n in shape)
    sites = (z[:, None, None] == y[:, None]) & (y[:, None] == x)
    values = np.rint(rng.laplace(0, size, shape)) * (rng.random(shape) < share) * sites
    return np.clip(values, -127, 127).astype(np.int8)


@settings(max_examples=25, derandomize=True)
@given(
    st.tuples(*[st.sampled_from([4, 8, 12, 20])] * 3), st.floats(0, 1), st.integers(0, 99), st.floats(0.1, 60)
)
def test_what_is_packed_comes_back(shape, share, seed, size):
    weights = sparse(shape, share, seed, size)
    coded = encode_lattice(weights)
    np.testing.assert_array_equal(decode_tensor(coded), weights)


def test_an_empty_lattice_takes_next_to_nothing():
    assert encode_lattice(np.zeros((48, 48, 48), np.int8)).nbytes <= 8


def test_rare_weights_cost_little_more_than_their_entropy():
    weights = sparse((64, 64, 64), 0.05, size=0.8)
    sites = weights.size / 4
    share = np.count_nonzero(weights) / sites
    entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
    _, counts = np.unique(np.abs(weights[weights != 0]), return_counts=True)
    sizes = -(counts * np.log2(counts / counts.sum())).sum()
    assert encode_lattice(weights).nbytes < 1.05 * (sites * entropy + counts.sum() + sizes) / 8


def test_neighbours_that_go_together_cost_less_than_scattered_ones():
    clustered = sparse((64, 64, 64), 0.8)
    clustered[16:] = 0
    scattered = np.zeros_like(clustered)
    rng = np.random.default_rng(1)
    sites = np.argwhere(sparse((64, 64, 64), 1.0, size=9) != 0)
    chosen = sites[rng.choice(len(sites), np.count_nonzero(clustered), replace=False)]
    scattered[tuple(chosen.T)] = clustered[clustered != 0]
    assert encode_lattice(clustered).nbytes < 0.7 * encode_lattice(scattered).nbytes


def test_bytes_after_the_end_read_as_zero():
    weights = sparse((16, 16, 16), 0.3)
    stream, blocks = lattice_coding.pack(weights)
    padded = lattice_coding.unpack(stream + bytes(50), blocks + bytes(50), (16, 16, 16))
    np.testing.assert_array_equal(padded, weights)


def test_any_stream_decodes_to_something_within_bounds():
    rng = np.random.default_rng(3)
    for _ in range(20):
        out = lattice_coding.unpack(rng.bytes(400), rng.bytes(4), (16, 12, 20))
        assert np.abs(out.astype(int)).max() <= 127


def test_an_empty_stream_cannot_claim_many_weights():
    # Zero bytes mean the likelier and likelier bits of 127 everywhere: without a limit each would be free.
    with pytest.raises(FormatError, match="too early"):
        lattice_coding.unpack(b"", b"", (96, 96, 96))


def test_the_largest_weights_everywhere_come_back_though_their_stream_ends_in_zeros():
    weights = sparse((20, 20, 20), 0)
    weights[::2, ::2, ::2] = weights[1::2, 1::2, 1::2] = 127
    stream, blocks = lattice_coding.pack(weights)
    assert not any(stream) and len(stream) > 10
    np.testing.assert_array_equal(lattice_coding.unpack(stream, blocks, (20, 20, 20)), weights)


@pytest.mark.parametrize(
    ("size", "edge", "sites", "most"),
    [(0, 104, 281216, 2**18), (400, 108, 314928, 2**18 + 25600), (2 * 10**6, 648, 68024448, 2**26)],
)
def test_full_blocks_of_more_sites_than_the_limit_are_refused_before_any_is_decoded(size, edge, sites, most):
    with pytest.raises(FormatError, match=f"{sites} sites in coded blocks: wanted at most {most} in"):
        lattice_coding.unpack(bytes(size), b"", (edge, edge, edge))
    assert lattice_coding.sites_in(np.ones((2, 1, 3), bool), (12, 4, 20)) == 12 * 4 * 20 // 4


def test_more_weights_than_the_limit_are_refused_and_a_writer_keeps_to_it():
    weights = sparse((44, 44, 44), 0)
    weights[::2, ::2, ::2] = weights[1::2, 1::2, 1::2] = 1  # 21296 of them
    stream, blocks = lattice_coding.pack(weights)
    assert len(stream) == (21296 - 4096) // 8 and len(stream.rstrip(b"\0")) < 40
    np.testing.assert_array_equal(lattice_coding.unpack(stream, blocks, weights.shape), weights)
    with pytest.raises(FormatError, match="a number of weights of at most 21288 in a stream of 2149 bytes"):
        lattice_coding.unpack(stream[:-1], blocks, weights.shape)


def test_weights_that_add_up_to_more_than_the_limit_are_refused(monkeypatch):
    weights = sparse((16, 16, 16), 0.5, size=4)
    total = int(np.abs(weights.astype(int)).sum())
    coded = encode_lattice(weights)
    of_all = lattice_coding.SITES, lattice_coding.Limit(total, 1 << 19, 128), lattice_coding.WEIGHTS
    monkeypatch.setattr(lattice_coding, "SUM", of_all[1])
    np.testing.assert_array_equal(decode_tensor(coded), weights)
    less = lattice_coding.Limit(total - 1, 1 << 19, 128)
    monkeypatch.setattr(lattice_coding, "SUM", less)
    monkeypatch.setattr(lattice_coding, "LIMITS", (of_all[0], less, of_all[2]))
    with pytest.raises(FormatError, match="absolute values"):
        decode_tensor(coded)
    with pytest.raises(OptionError, match="add up to"):
        encode_lattice(weights)


def test_a_stream_of_zeros_may_not_mean_far_more_than_its_length_and_a_writer_keeps_to_that():
    weights = sparse((36, 36, 36), 0)
    weights[::2, ::2, ::2] = weights[1::2, 1::2, 1::2] = 127  # adds up to 1481328
    stream, blocks = lattice_coding.pack(weights)
    assert not any(stream) and len(stream) == -(-(1481328 - 2**19) // 128)
    np.testing.assert_array_equal(lattice_coding.unpack(stream, blocks, (36, 36, 36)), weights)
    with pytest.raises(FormatError, match="1481216 in a stream of 7476 bytes"):
        lattice_coding.unpack(stream[:-1], blocks, (36, 36, 36))


@pytest.mark.parametrize(
    "weights",
    [
        np.zeros((6, 8, 8), np.int8),
        np.zeros((8, 8), np.int8),
        np.eye(4, dtype=np.int8)[None].repeat(4, 0) * np.array([0, 1, 0, 0], np.int8),
        np.full((4, 4, 4), 200) * (np.indices((4, 4, 4)).sum(0) == 0),
    ],
)
def test_what_the_coding_cannot_hold_is_refused(weights):
    with pytest.raises(OptionError, match="lattice"):
        encode_lattice(weights)


def test_a_shape_that_is_no_multiple_of_four_is_refused():
    coded = encode_lattice(sparse((8, 8, 8), 0.5))
    object.__setattr__(coded, "shape", (8, 8, 10))
    with pytest.raises(FormatError, match="multiples of 4"):
        decode_tensor(coded)

"""Weight codings: what comes back, in how many bytes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from nmap.coding.codings import (
    CodedTensor,
    decode_tensor,
    encode_float,
    encode_log,
    encode_occupancy,
    encode_uniform,
)
from nmap.coding.occupancy import pack, packed_size
from nmap.envelope.envelope import Envelope
from nmap.errors import FormatError, OptionError, UnsupportedError
from nmap.maps import read_map

finite = st.floats(-100, 100, width=32)


@given(arrays(np.float32, array_shapes(max_dims=3), elements=finite))
def test_f32_comes_back_bit_by_bit(values: np.ndarray) -> None:
    assert decode_tensor(encode_float(values)).tobytes() == values.tobytes()


@given(arrays(np.float32, 20, elements=finite))
def test_f16_is_what_numpy_rounds_to(values: np.ndarray) -> None:
    assert (decode_tensor(encode_float(values, "F16")) == values.astype(np.float16)).all()


@pytest.mark.parametrize(
    ("value", "rounded"),
    [
        (1.0, 1.0),
        (1 + 2**-8, 1.0),  # halfway: to the even one below
        (1 + 3 * 2**-8, 1 + 2**-6),  # halfway: to the even one above
        (1 + 2**-8 + 2**-20, 1 + 2**-7),
        (-3.140625, -3.140625),
        (2.0**-130, 2.0**-130),
    ],
)
def test_bf16_rounds_to_nearest_even(value: float, rounded: float) -> None:
    assert decode_tensor(encode_float([value], "BF16"))[0] == np.float32(rounded)


@pytest.mark.parametrize(("dtype", "value"), [("F16", 70000.0), ("BF16", 3.4e38)])
def test_a_value_beyond_the_type_is_refused(dtype: str, value: float) -> None:
    with pytest.raises(OptionError, match="does not fit"):
        encode_float([value], dtype)


def test_three_bit_levels_are_packed_as_the_spec_draws_them() -> None:
    coded = encode_uniform(np.arange(-4, 4, dtype=np.float32)[None] / 2, 3, [0.5])
    assert coded.arrays[""].tobytes() == 0xFAC688.to_bytes(3, "little")
    assert coded.arrays["step"].tobytes() == np.float16(0.5).tobytes()


@pytest.mark.parametrize("bits", range(2, 9))
def test_uniform_takes_its_bits_and_errs_by_half_a_step(bits: int) -> None:
    values = np.random.default_rng(bits).uniform(-1, 1, (3, 5, 7)).astype(np.float32)
    steps = np.full((3, 5), 1 / ((1 << (bits - 1)) - 1), np.float16)
    coded = encode_uniform(values, bits, steps)
    assert coded.nbytes == -(-values.size * bits // 8) + 2 * 15
    assert np.abs(decode_tensor(coded) - values).max() <= float(steps[0, 0]) * 0.501


@given(
    arrays(np.float32, array_shapes(min_dims=1, max_dims=3), elements=finite), st.integers(2, 8), st.data()
)
@settings(max_examples=60)
def test_uniform_keeps_what_it_once_rounded(values: np.ndarray, bits: int, data: st.DataObject) -> None:
    steps = data.draw(arrays(np.float16, values.shape[:-1], elements=st.floats(0, 4, width=16)))
    first = encode_uniform(values, bits, steps)
    again = encode_uniform(decode_tensor(first), bits, steps)
    assert all((first.arrays[key] == again.arrays[key]).all() for key in ("", "step"))


def test_chosen_steps_lose_less_than_steps_that_clip_nothing() -> None:
    values = np.random.default_rng(0).normal(size=(40, 64)).astype(np.float32)
    widest = np.maximum(values.max(1) / 3, -values.min(1) / 4)
    chosen, clipless = (decode_tensor(encode_uniform(values, 3, s)) for s in (None, widest))
    assert ((chosen - values) ** 2).mean() < 0.8 * ((clipless - values) ** 2).mean()


def test_a_row_of_zeros_stays_zero() -> None:
    assert not decode_tensor(encode_uniform(np.zeros((2, 5), np.float32), 4)).any()


@given(st.lists(st.floats(2.0**-20, 2.0**20), min_size=1, max_size=80))
def test_log_errs_by_half_its_step(values: list[float]) -> None:
    coded = encode_log(values)
    decoded = decode_tensor(coded)
    octaves = np.abs(np.log2(decoded.astype(float)) - np.log2(values))
    assert octaves.max() <= 0.5 * float(coded.parameters["step"]) + 1e-5
    assert coded.nbytes == len(values)


def test_log_keeps_zeros_and_refuses_negative_numbers() -> None:
    assert decode_tensor(encode_log([0.0, 3.0, 0.0])).tolist() == pytest.approx([0, 3, 0])
    with pytest.raises(OptionError, match=">= 0"):
        encode_log([1.0, -1.0])


@given(arrays(bool, array_shapes(min_dims=3, max_dims=3, max_side=7)))
def test_any_occupancy_comes_back(bits: np.ndarray) -> None:
    assert (decode_tensor(encode_occupancy(bits)) == bits).all()


def test_the_envelope_of_a_real_map_takes_few_bytes() -> None:
    density = read_map(Path(__file__).parents[2] / "examples/emd_3488.map.gz")
    inside = (density.values > density.values.std()).astype(np.float32)
    envelope = Envelope.covering(inside, density.grid, 5.0)
    assert envelope.shape == (21, 21, 21)
    coded = encode_occupancy(envelope.occupancy)
    assert coded.nbytes <= 300
    assert (decode_tensor(coded) == envelope.occupancy).all()


def test_a_stream_that_ends_early_decodes_as_if_zeros_followed() -> None:
    bits = np.zeros((4, 4, 4), bool)
    bits[1:3, 1:3, 1:3] = True
    coded = encode_occupancy(bits)
    longer = np.concatenate((coded.arrays[""], np.zeros(9, np.uint8)))
    assert (decode_tensor(CodedTensor("occupancy", bits.shape, {}, {"": longer})) == bits).all()


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(OptionError, match="not finite"):
        encode_float([1.0, np.nan])
    with pytest.raises(OptionError, match='"F64"'):
        encode_float([1.0], "F64")
    with pytest.raises(OptionError, match="2 to 8"):
        encode_uniform([[1.0]], 9)
    with pytest.raises(OptionError, match="no rows"):
        encode_uniform(np.zeros((0, 3)), 4)
    with pytest.raises(OptionError, match="step"):
        encode_uniform([[1.0]], 4, [-1.0])
    with pytest.raises(OptionError, match="three axes"):
        encode_occupancy(np.zeros((3, 3), bool))


def test_what_does_not_fit_its_coding_is_refused_before_it_is_decoded() -> None:
    good = encode_uniform(np.ones((2, 4), np.float32), 4)
    wrong = [
        CodedTensor("uniform", (1 << 40, 4), good.parameters, good.arrays),
        CodedTensor("uniform", (2, 4), {}, good.arrays),
        CodedTensor("uniform", (2, 4), good.parameters, {"": good.arrays[""]}),
        CodedTensor("float", (2, 4), {}, {"": np.zeros((2, 4))}),
        CodedTensor("occupancy", (1 << 30, 1, 1), {}, {"": np.zeros(1, np.uint8)}),
        CodedTensor("log", (1,), {"low": 0.0, "step": float("nan")}, {"": np.zeros(1, np.uint8)}),
    ]
    for coded in wrong:
        with pytest.raises(FormatError, match="hidden"):
            decode_tensor(coded, "hidden")
    with pytest.raises(UnsupportedError, match="arithmetic"):
        decode_tensor(CodedTensor("arithmetic", (1,), {}, {}))


def test_a_grid_of_one_node_is_an_occupancy_too() -> None:
    for bit in (False, True):
        assert decode_tensor(encode_occupancy(np.full((1, 1, 1), bit)))[0, 0, 0] == bit


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_the_bytes_of_an_occupancy_can_be_reckoned_without_coding_it(share: float) -> None:
    bits = np.random.default_rng(1).random((20, 30, 24)) < share
    assert packed_size(bits) == pytest.approx(len(pack(bits)), rel=0.02)
    assert packed_size(np.zeros((9, 8, 7), bool)) < 4

"""What each option value means, and what is refused."""

import click
import pytest

from nmap_cli.parameters import BYTES, DURATION, MASK, REGION, SHAPE, SLICE, VOXEL_SIZE


@pytest.mark.parametrize(
    ("kind", "text", "meaning"),
    [
        (SHAPE, "200", (200, 200, 200)),
        (SHAPE, "10,20,30", (30, 20, 10)),
        (VOXEL_SIZE, "1.05", (1.05, 1.05, 1.05)),
        (VOXEL_SIZE, "1,1.5,2", (1.0, 1.5, 2.0)),
        (REGION, "1:4,2:6,3:8", ((3, 2, 1), (5, 4, 3))),
        (REGION, "-2:4,0:6,0:8", ((0, 0, -2), (8, 6, 6))),
        (DURATION, "30s", 30.0),
        (DURATION, "5m", 300.0),
        (DURATION, "1.5h", 5400.0),
        (DURATION, "90", 90.0),
        (BYTES, "512M", 512 * 2**20),
        (BYTES, "4GiB", 4 * 2**30),
        (BYTES, "1000", 1000),
        (MASK, "auto", "auto"),
        (MASK, "none", "none"),
    ],
)
def test_an_option_value_means_what_the_help_says(kind: click.ParamType, text: str, meaning: object) -> None:
    assert kind.convert(text, None, None) == meaning


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (SHAPE, "0"),
        (SHAPE, "10,20"),
        (SHAPE, "-5"),
        (SHAPE, "ten"),
        (SHAPE, "1.5"),
        *((kind, "9" * 20) for kind in (SHAPE, BYTES, DURATION)),
        (SLICE, "z=" + "9" * 20),
        (REGION, "0:" + "9" * 20 + ",0:1,0:1"),
        (VOXEL_SIZE, "0"),
        (VOXEL_SIZE, "nan"),
        (VOXEL_SIZE, "1,2"),
        (VOXEL_SIZE, "1A"),
        (REGION, "1:4"),
        (REGION, "4:1,2:6,3:8"),
        (REGION, "a:b,c:d,e:f"),
        (DURATION, "0s"),
        (DURATION, "soon"),
        (BYTES, "-4G"),
        (BYTES, "4X"),
    ],
)
def test_an_option_value_out_of_its_domain_is_a_usage_error_that_quotes_it(
    kind: click.ParamType, text: str
) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    assert text in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("kind", "begin", "end"),
    [(SHAPE, "", ""), (BYTES, "", "G"), (DURATION, "", "s"), (SLICE, "z=", ""), (REGION, "0:", ",0:1,0:1")],
)
def test_a_number_of_thousands_of_digits_is_a_usage_error_in_a_short_line(
    kind: click.ParamType, begin: str, end: str
) -> None:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(f"{begin}{'9' * 5000}{end}", None, None)
    assert len(caught.value.message) < 250

"""How strong each shell of a decode is."""

from __future__ import annotations

import numpy as np
import pytest

from nmap.fit.target.gains import shell_gains


def inner_products(correlation: float, strength: float = 3.0) -> tuple[np.ndarray, ...]:
    """Cross term, own and wanted power of a network of a given strength that correlates with a source of power 1."""
    own = np.array([strength**2])
    return np.array([correlation * strength]), own, np.array([1.0])


@pytest.mark.parametrize("correlation", [0.8, 0.9, 0.995, 1.0])
def test_a_shell_that_can_be_trusted_keeps_its_power(correlation):
    cross, own, wanted = inner_products(correlation)
    gain = shell_gains(cross, own, wanted, "power")
    assert gain**2 * own == pytest.approx(wanted)


@pytest.mark.parametrize("correlation", [0.1, 0.3, 0.5])
def test_a_shell_that_cannot_be_trusted_is_raised_by_nothing(correlation):
    least = shell_gains(*inner_products(correlation), "least-squares")
    assert shell_gains(*inner_products(correlation), "power") == pytest.approx(least)
    # The least squared error leaves the shell as much weaker as the correlation says.
    assert least**2 * 9 == pytest.approx(correlation**2)


def test_between_them_strength_changes_smoothly():
    factors = [
        float(
            (shell_gains(*inner_products(c), "power") / shell_gains(*inner_products(c), "least-squares"))[0]
        )
        for c in np.linspace(0.5, 0.75, 26)
    ]
    assert factors[0] == pytest.approx(1) and factors[-1] == pytest.approx(1 / 0.75)
    assert np.abs(np.diff(factors)).max() < 0.03


def test_a_shell_of_the_other_sign_or_without_a_network_is_nothing():
    assert shell_gains(np.array([-1.0]), np.array([1.0]), np.array([1.0]), "power") == 0
    assert shell_gains(np.array([0.0]), np.array([0.0]), np.array([1.0]), "power") == 0

"""The axis by centres of mass."""

from __future__ import annotations

import numpy as np
import pytest

from tests.xrdct.blobs import rays
from zeoarray.errors import ArgumentError
from zeoarray.kernels.center_mass import find_center_mass

ANGLES = np.arange(40) * 9.0


def test_centre_of_a_known_axis():
    values = rays(ANGLES, columns=48, center=22.7) + 5.0
    found = find_center_mass(values, np.deg2rad(ANGLES), outer=2)
    assert float(found.center) == pytest.approx(22.7, abs=1e-3)
    x, y = 1 / 3, -2 / 3
    turn = np.deg2rad(ANGLES)
    np.testing.assert_allclose(found.mass, 22.7 + x * np.cos(turn) + y * np.sin(turn), atol=2e-3)


def test_its_sigma_is_honest():
    rng = np.random.default_rng(0)
    values = rays(ANGLES, columns=40, center=19.6) + 0.02 * rng.normal(size=(300, 40, 40))
    found = find_center_mass(values, np.deg2rad(ANGLES), outer=2)
    pull = (found.center - 19.6) / found.sigma
    assert abs(pull.mean()) < 0.2
    assert 0.85 < pull.std() < 1.2


def test_a_projection_that_is_wrong_counts_little():
    values = rays(ANGLES, columns=40, center=19.6)
    values[5] += 0.3 * np.arange(40)
    found = find_center_mass(values, np.deg2rad(ANGLES), outer=0)
    assert float(found.center) == pytest.approx(19.6, abs=0.05)


def test_where_there_is_no_mass():
    dark = find_center_mass(-rays(ANGLES), np.deg2rad(ANGLES))
    assert np.isnan(dark.center)
    assert np.isinf(dark.sigma)
    few = find_center_mass(rays(ANGLES[:3]), np.deg2rad(ANGLES[:3]))
    assert np.isinf(few.sigma)
    with pytest.raises(ArgumentError, match="leave no middle"):
        find_center_mass(rays(ANGLES), np.deg2rad(ANGLES), outer=16)
    with pytest.raises(ArgumentError, match="not finite"):
        find_center_mass(rays(ANGLES) * np.nan, np.deg2rad(ANGLES))

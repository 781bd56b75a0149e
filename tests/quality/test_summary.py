"""The numbers by which scans and volumes are judged, where they are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.strategies import um
from zeoarray import quality
from zeoarray.errors import SchemaError


def scan(pattern: float, *, frames: int = 10, noise: float = 3.0) -> xr.Dataset:
    """Flats of 1000 counts above the dark, of which the second half has another pattern."""
    rng = np.random.default_rng(0)
    shape, half = (40, 50), frames // 2
    flats = 1000 + noise * rng.normal(size=(frames, *shape))
    change = pattern * rng.normal(size=shape)
    flats[half:] += 1000 * (change - change.mean())
    flats[0] *= 1.1
    counts = np.full((4, *shape), 500, "uint16")
    counts[:, 7, :5] = 65535
    variables = {
        "counts": (("angle", "z", "u"), counts, {"units": "counts"}),
        "flat": (("flat_frame", "z", "u"), flats + 100, {"units": "counts"}),
        "dark": (("dark_frame", "z", "u"), np.full((2, *shape), 100.0), {"units": "counts"}),
    }
    coords: dict[str, Any] = {
        "angle": ("angle", np.arange(4.0), {"units": "deg"}),
        "z": um("z", 40),
        "u": um("u", 50),
    }
    return xr.Dataset(variables, coords)


@pytest.mark.parametrize("pattern", [0.0, 0.003, 0.02])
def test_drift_of_the_flats_is_told_from_their_noise(pattern: float) -> None:
    found = quality.summary(scan(pattern), rows=40)
    # The noise of the difference of two means of five is 0.003 * sqrt(2 / 5) = 0.0019.
    assert float(found.flat_drift) == pytest.approx(pattern, abs=0.0004)
    level = found.flat_level.values
    assert level[0] / level[1] == pytest.approx(1.1, abs=1e-3)
    assert level.mean() == pytest.approx(1)


def test_saturated_counts_are_found() -> None:
    found = quality.summary(scan(0), rows=40)
    assert found.saturated.values[7] == pytest.approx(0.1)
    assert not np.delete(found.saturated.values, 7).any()
    assert quality.summary(scan(0), rows=3).z.size == 3


def test_one_flat_does_not_drift() -> None:
    ds = scan(0).isel(flat_frame=[1])
    assert "flat_drift" not in quality.summary(ds)


def test_clipped_rows_are_averaged_over_angle() -> None:
    clipped = np.zeros((4, 3))
    clipped[1, 2] = 0.2
    ds = xr.Dataset({"clipped": (("angle", "z"), clipped)}, {"z": um("z", 3)})
    np.testing.assert_allclose(quality.summary(ds).clipped_share, [0, 0, 0.05])


def test_rings_about_the_axis_are_scored_wherever_the_axis_is() -> None:
    y, x = (n - 74.5 for n in np.ogrid[:150, :150])
    rng = np.random.default_rng(0)
    rings = rng.normal(size=150)[np.hypot(y, x).astype(int)]
    values = rng.normal(size=(2, 150, 150))
    values[1] += rings
    coords: dict[str, Any] = {d: um(d, n) for d, n in zip("zyx", values.shape, strict=True)}
    coords["resolution"] = ((), 2.5, {"units": "um"})
    units = {"units": "1/cm"}
    ds = xr.Dataset({"attenuation": (("z", "y", "x"), values.astype("f4"), units)}, coords)
    clean, ringed = quality.summary(ds).ring_score.values
    assert clean == pytest.approx(1, abs=0.1)
    assert ringed > 3
    # A crop does not move the axis.
    cut = quality.summary(ds.isel(y=slice(20, None), x=slice(None, 130))).ring_score.values
    assert cut[1] > 3


def test_a_dataset_that_tells_nothing_is_refused() -> None:
    ds = xr.Dataset({"weight": ("z", np.zeros(3))}, {"z": um("z", 3)})
    with pytest.raises(SchemaError, match="nothing in this dataset") as caught:
        quality.summary(ds)
    assert "attenuation" in str(caught.value.expected)

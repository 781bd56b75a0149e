"""Drift: known shifts are found again to a twentieth of a pixel, and undone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import xct
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.labelled import recorded

PIXEL = 2.6
rng = np.random.default_rng(11)
BLOBS = np.column_stack(
    [rng.uniform(-14, 14, (25, 2)), rng.uniform(-22, 22, 25), rng.uniform(1.5, 4, 25)]
)
"""x, y, z and width of balls [pixels]."""


def projections(angle: Any, rows: int, columns: int, down: Any, across: Any) -> Any:
    """Absorbance, each projection moved exactly."""
    turn = np.deg2rad(angle)[:, None, None]
    z = np.arange(rows)[None, :, None] - (rows - 1) / 2 - down[:, None, None]
    u = np.arange(columns)[None, None, :] - (columns - 1) / 2 - across[:, None, None]
    out = np.zeros((angle.size, rows, columns))
    for x, y, height, width in BLOBS:
        place = x * np.cos(turn) + y * np.sin(turn)
        out += 0.02 * width * np.exp(-((u - place) ** 2 + (z - height) ** 2) / (2 * width**2))
    return out


def dataset(angle: Any, values: Any, name: str = "absorbance") -> xr.Dataset:
    rows, columns = values.shape[1:]
    um = {"units": "um"}
    return xr.Dataset(
        {name: (("angle", "z", "u"), values.astype("float32"), {"units": "1"})},
        {
            "angle": ("angle", angle, {"units": "deg"}),
            "z": ("z", (np.arange(rows) - (rows - 1) / 2) * PIXEL, um),
            "u": ("u", (np.arange(columns) - (columns - 1) / 2) * PIXEL, um),
            "resolution": ((), PIXEL, um),
        },
    )


def scan(
    angles: int = 41, rows: int = 67, columns: int = 71, noise: float = 0.002
) -> tuple[xr.Dataset, Any, Any]:
    angle = np.linspace(0, 180, angles)
    wander = np.random.default_rng(4)
    down, across = (np.cumsum(wander.normal(0, 0.4, angles)) for _ in "zu")
    down -= down.mean()
    # What is a place of the sample is no drift.
    turn = np.deg2rad(angle)
    path = np.stack([np.ones(angles), np.cos(turn), np.sin(turn)], axis=1)
    across -= path @ np.linalg.lstsq(path, across, rcond=None)[0]
    values = projections(angle, rows, columns, down, across)
    return dataset(angle, values + wander.normal(0, noise, values.shape)), down, across


@pytest.mark.parametrize(("rows", "columns"), [(67, 71), (72, 80)])
def test_drift_is_found_without_a_reference(rows: int, columns: int) -> None:
    ds, down, across = scan(rows=rows, columns=columns, noise=0.0005)
    found = xct.find_drift(ds, most=8)
    assert np.abs(down).max() > 0.5
    np.testing.assert_allclose(found["drift_z"] / PIXEL, down, atol=0.05)
    np.testing.assert_allclose(found["drift_u"] / PIXEL, across, atol=0.05)
    assert found["drift_measured"].all()
    assert found["drift_z"].attrs["units"] == "um"
    for name in ("drift_z_sigma", "drift_u_sigma"):
        assert (found[name] > 0).all()
        assert float(found[name].median()) < 0.1 * PIXEL


def test_drift_is_found_against_a_second_pass() -> None:
    ds, down, across = scan(angles=31)
    angle = np.array([0.0, 60.0, 120.0, 180.0]) + 360
    still = projections(angle, 67, 71, np.zeros(4), np.zeros(4))
    found = xct.find_drift(ds, reference=dataset(angle, still))
    at = [0, 10, 20, 30]
    np.testing.assert_array_equal(np.flatnonzero(found["drift_measured"]), at)
    np.testing.assert_allclose(found["drift_z"][at] / PIXEL, down[at], atol=0.05)
    np.testing.assert_allclose(found["drift_u"][at] / PIXEL, across[at], atol=0.05)
    between = np.interp(np.arange(31), at, found["drift_z"][at])
    np.testing.assert_allclose(found["drift_z"], between)


def test_drift_is_undone() -> None:
    ds, down, across = scan(angles=31, noise=0.0)
    still = projections(ds["angle"].values, 67, 71, 0 * down, 0 * across)
    known = xr.Dataset(coords={"angle": ds["angle"]})
    known["drift_z"] = ("angle", down * PIXEL, {"units": "um"})
    known["drift_u"] = ("angle", across * PIXEL, {"units": "um"})
    out = xct.correct_drift(ds, drift=known)
    inner = (slice(None), slice(10, -10), slice(10, -10))
    np.testing.assert_allclose(
        out["absorbance"].values[inner], still[inner], atol=2e-3 * still.max()
    )
    np.testing.assert_array_equal(out["z"], ds["z"])
    assert out["absorbance"].dtype == np.float32
    again = xct.find_drift(xct.correct_drift(ds, drift=xct.find_drift(ds)))
    assert np.abs(again["drift_z"]).max() < 0.05 * PIXEL
    assert np.abs(again["drift_u"]).max() < 0.05 * PIXEL


def test_transmission_and_an_object_that_rests() -> None:
    angle = np.linspace(0, 180, 25)
    values = projections(angle, 67, 71, np.zeros(25), np.zeros(25))
    found = xct.find_drift(dataset(angle, np.exp(-values), "transmission"))
    assert np.abs(found["drift_z"]).max() < 0.02 * PIXEL
    assert np.abs(found["drift_u"]).max() < 0.02 * PIXEL


def test_rows_needed_on_either_side_follow_the_largest_drift() -> None:
    ds, _, _ = scan(angles=9)
    drift = xct.find_drift(ds)
    with recorded() as record:
        xct.correct_drift(ds, drift=drift)
    assert record.whole == {"u"}
    most = float(np.abs(drift["drift_z"]).max()) / PIXEL
    assert record.calls[0].halo == {"z": int(np.ceil(most)) + 3}


def test_blocks_are_the_whole() -> None:
    ds, _, _ = scan(angles=9)
    drift = xct.find_drift(ds)
    whole = xct.correct_drift(ds, drift=drift)["absorbance"].values
    some = xct.correct_drift(ds.isel(angle=slice(3, 7)), drift=drift)
    np.testing.assert_array_equal(some["absorbance"], whole[3:7])
    twice = ds.assign_coords(angle=ds["angle"].copy(data=np.repeat(ds["angle"][:3], 3)))
    again = drift.assign_coords(angle=twice["angle"])
    np.testing.assert_array_equal(xct.correct_drift(twice, drift=again)["absorbance"], whole)
    with pytest.raises(ArgumentError, match="the drift is not of this scan"):
        xct.correct_drift(twice.isel(angle=slice(1, 5)), drift=again)


def test_projections_that_show_nothing() -> None:
    ds, _, _ = scan(angles=21, noise=0.0)
    ds["absorbance"][7] = 0.0
    found = xct.find_drift(ds)
    assert np.flatnonzero(~found["drift_measured"].values).tolist() == [7]
    assert np.isfinite(found["drift_z"]).all()
    assert np.isfinite(found["drift_u"]).all()
    near = found["drift_z"].values
    assert near[7] == pytest.approx((near[6] + near[8]) / 2)
    with pytest.raises(SourceError, match="no projection could be compared"):
        xct.find_drift(ds.assign(absorbance=xr.ones_like(ds["absorbance"])))


def test_errors() -> None:
    ds, _, _ = scan(angles=5)
    drift = xct.find_drift(ds)
    with pytest.raises(ArgumentError, match="the drift is not of this scan") as info:
        xct.correct_drift(ds, drift=drift.isel(angle=slice(0, 3)))
    assert "2 of 5 angles without a drift, the first at 135 deg" in str(info.value)
    with pytest.raises(ArgumentError, match="not finite at all angles"):
        xct.correct_drift(ds, drift=drift.assign(drift_z=drift["drift_z"] * np.nan))
    with pytest.raises(SchemaError, match="has no 'drift_u'"):
        xct.correct_drift(ds, drift=drift.drop_vars("drift_u"))
    with pytest.raises(SchemaError, match="has no 'resolution'"):
        xct.find_drift(ds.drop_vars("resolution"))
    with pytest.raises(ArgumentError, match="within a range"):
        xct.find_drift(ds, most=0)
    with pytest.raises(SourceError, match="no angle of the reference is one of the scan"):
        xct.find_drift(ds, reference=ds.assign_coords(angle=ds["angle"] + 1.0))
    with pytest.raises(SchemaError, match="the reference is not like the scan"):
        xct.find_drift(ds, reference=ds.isel(z=slice(0, 20)))
    ds["absorbance"][2, 3, 4] = np.nan
    with pytest.raises(SourceError, match="values that are not finite"):
        xct.find_drift(ds)

"""Stripes out of a scan: the methods by name, their windows, and what a check says of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import schema, xct
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import rings, stripes_fourier, stripes_regularized
from zeoarray.step import STEPS

rng = np.random.default_rng(12)
A, Z, U = 61, 5, 97
STRIPE = np.zeros(U)
STRIPE[[20, 40, 41, 70]] = [0.2, -0.1, -0.1, 0.15]


@pytest.fixture
def clean() -> xr.Dataset:
    um = {"units": "um"}
    chord = np.sqrt(np.clip(1 - ((np.arange(U) - 48) / 40) ** 2, 0, None))
    values = chord + 0.01 * rng.normal(size=(A, Z, U))
    return xr.Dataset(
        {
            "absorbance": (("angle", "z", "u"), values.astype("float32"), {"units": "1"}),
            "usable": (("z", "u"), np.ones((Z, U), bool)),
        },
        {
            "angle": ("angle", np.linspace(0, 180, A), {"units": "deg"}),
            "z": ("z", np.arange(Z) * 2.5, um),
            "u": ("u", np.arange(U) * 2.5, um),
            "resolution": ((), 2.5, um),
        },
        {"notes": ["so far so good"]},
    )


@pytest.fixture
def striped(clean: xr.Dataset) -> xr.Dataset:
    values = clean["absorbance"] + xr.DataArray(STRIPE.astype("float32"), dims="u")
    return clean.assign(absorbance=values.assign_attrs(units="1"))


WINDOWS: dict[str, Any] = {"la_size": 31, "sm_size": 9}
OTHERS: dict[str, Any] = {"level": 3, "sigma": 1.5, "order": 4, "alpha": 0.01}


@pytest.mark.parametrize(
    ("method", "kernel", "arguments"),
    [
        ("all", rings.remove_all_stripe, {"snr": 2.5, "la_size": 31, "sm_size": 9,
                                          "drop_ratio": 0.2}),
        ("sorting", rings.remove_stripe_based_sorting, {"size": 9}),
        ("filtering", rings.remove_stripe_based_filtering, {"size": 9}),
        ("large", rings.remove_large_stripe, {"snr": 2.5, "size": 31, "drop_ratio": 0.2}),
        ("dead", rings.remove_dead_stripe, {"snr": 2.5, "size": 31}),
        ("wavelet-fourier", stripes_fourier.remove_stripe_based_wavelets,
         {"level": 3, "sigma": 1.5, "order": 4}),
        ("regularized", stripes_regularized.remove_stripe_based_regularization, {"alpha": 0.01}),
    ],
)  # fmt: skip
def test_each_method_is_its_kernel_row_by_row(
    striped: xr.Dataset, method: Any, kernel: Any, arguments: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"method": method, "snr": 2.5, "drop_ratio": 0.2, **WINDOWS, **OTHERS}
    out = xct.remove_rings(striped, **given)
    assert out["absorbance"].dims == ("angle", "z", "u")
    for j in range(Z):
        expected = kernel(striped["absorbance"].values[:, j], **arguments)
        np.testing.assert_array_equal(out["absorbance"].values[:, j], expected)
    assert out["absorbance"].attrs == striped["absorbance"].attrs
    assert set(out.variables) == set(striped.variables)
    one = xct.remove_rings(striped.isel(z=[3]), **given)
    np.testing.assert_array_equal(one["absorbance"][:, 0], out["absorbance"][:, 3])


def test_transmission_where_there_is_no_absorbance(striped: xr.Dataset) -> None:
    thin = striped.rename(absorbance="transmission")
    out = xct.remove_rings(thin, **WINDOWS)
    expected = xct.remove_rings(striped, **WINDOWS)["absorbance"]
    np.testing.assert_array_equal(out["transmission"], expected)
    with pytest.raises(SchemaError, match="normalised XCT scan has no 'transmission'"):
        xct.remove_rings(striped.drop_vars("absorbance"))


@pytest.mark.parametrize("verb", [xct.remove_rings, xct.ring_check, xct.compare_rings])
def test_windows_wider_than_the_detector(striped: xr.Dataset, verb: Any) -> None:
    narrow = striped.isel(u=slice(0, 50))
    with pytest.raises(
        ArgumentError, match="the window la_size is wider than the detector"
    ) as told:
        verb(narrow)
    assert "la_size=71, 50 columns" in str(told.value)
    assert "la_size=17" in str(told.value)
    # What a method does not use is not looked at.
    verb(narrow, method="sorting")
    with pytest.raises(ArgumentError, match="the window sm_size is wider"):
        verb(narrow, method="sorting", sm_size=51)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "some"}, "parameter 'method'"),
        ({"snr": 0.5}, "stands out by at least the noise"),
        ({"drop_ratio": 0.9}, "share of values left out"),
        ({"la_size": 0}, "parameter 'la_size'"),
        ({"method": "wavelet-fourier", "level": 6}, "do:       level=5"),
        ({"method": "wavelet-fourier", "sigma": -1.0}, "width of the damping is positive"),
        ({"method": "wavelet-fourier", "order": 40}, "no Daubechies wavelets of this order"),
        ({"method": "regularized", "alpha": 0.0}, "weight of the offsets"),
    ],
)
def test_parameters_that_cannot_be(
    striped: xr.Dataset, arguments: dict[str, Any], message: str
) -> None:
    # Before anything is computed.
    with pytest.raises(ArgumentError, match=message):
        xct.remove_rings(striped.chunk(z=1), **arguments)


@pytest.mark.parametrize("method", ["wavelet-fourier", "regularized"])
def test_full_stripes_are_removed(striped: xr.Dataset, method: Any) -> None:
    out = xct.remove_rings(striped, method=method)
    before, after = (ds["absorbance"].mean("angle").values for ds in (striped, out))
    for column in (20, 70):
        ends = [column - 2, column + 2]
        stands_out = [abs(a[:, column] - a[:, ends].mean(axis=1)) for a in (before, after)]
        assert (stands_out[1] < 0.3 * stands_out[0]).all()
    scores = [float(rings.ring_score(ds["absorbance"].values[:, 2])) for ds in (striped, out)]
    assert scores[1] < 0.35 * scores[0]


def test_values_that_are_no_numbers(striped: xr.Dataset) -> None:
    striped["absorbance"][3, 2] = np.nan
    with pytest.raises(ArgumentError, match="values that are not finite"):
        xct.remove_rings(striped, **WINDOWS)


def test_a_check_tells_what_is_removed(striped: xr.Dataset, clean: xr.Dataset) -> None:
    found = xct.ring_check(striped.chunk(z=2), rows=3, **WINDOWS)
    assert found["z"].values.tolist() == [0, 5, 10]
    schema.validate(found, schema.RINGS_XCT, by="test")
    assert (found["ring_score_before"] > 15).all()
    without = [float(rings.ring_score(clean["absorbance"].values[:, j])) for j in (0, 2, 4)]
    assert (found["ring_score_after"] < 2 * np.array(without)).all()
    np.testing.assert_allclose(found["stripe"], np.tile(STRIPE, (3, 1)), atol=0.04)
    out = xct.remove_rings(striped, **WINDOWS)["absorbance"].values
    removed = (striped["absorbance"].values - out).astype(float)[:, [0, 2, 4]]
    np.testing.assert_allclose(found["stripe_rms"], np.sqrt((removed**2).mean((0, 2))), rtol=1e-5)
    np.testing.assert_allclose(found["stripe"], removed.mean(0), atol=1e-6)
    assert "notes" not in found.attrs


def test_a_check_expects_what_it_gives(striped: xr.Dataset) -> None:
    expects: Any = STEPS["xct.ring_check"].expects
    likely, found = expects(striped, rows=2), xct.ring_check(striped, rows=2, **WINDOWS)
    assert likely.sizes == found.sizes
    assert set(likely.variables) == set(found.variables)
    for name in found.variables:
        assert likely[name].attrs == found[name].attrs
        assert likely[name].dtype == found[name].dtype


def test_before_and_after(striped: xr.Dataset) -> None:
    found = xct.compare_rings(striped.chunk(z=1), z=7.0, **WINDOWS)
    assert set(found.data_vars) == {"before", "after", "removed"}
    assert found["before"].dims == ("angle", "u")
    assert float(found["z"]) == 7.5
    assert found["after"].chunks is not None
    np.testing.assert_array_equal(found["before"], striped["absorbance"][:, 3])
    np.testing.assert_allclose(found["after"] + found["removed"], found["before"], atol=1e-6)
    np.testing.assert_allclose(found["removed"].mean("angle"), STRIPE, atol=0.04)
    assert float(xct.compare_rings(striped, **WINDOWS)["z"]) == 5.0


@pytest.mark.parametrize("shape", [(3, 1, 3), (3, 2, 13), (7, 1, 97), (2, 1, 5)])
def test_few_angles_odd_sizes_and_constants(shape: tuple[int, int, int]) -> None:
    angles, z, u = shape
    um = {"units": "um"}
    ds = xr.Dataset(
        {"absorbance": (("angle", "z", "u"), np.full(shape, 0.7, "float32"), {"units": "1"})},
        {
            "angle": ("angle", np.linspace(0, 120, angles), {"units": "deg"}),
            "z": ("z", np.arange(z) * 2.5, um),
            "u": ("u", np.arange(u) * 2.5, um),
        },
    )
    for method in ("all", "sorting", "filtering", "large", "dead"):
        out = xct.remove_rings(ds, method=method, la_size=3, sm_size=3)
        np.testing.assert_allclose(out["absorbance"], 0.7, rtol=1e-6)
    assert (xct.ring_check(ds, la_size=3, sm_size=3)["stripe_rms"] < 1e-6).all()

"""What `at_once.call` gives is what `xarray.apply_ufunc` gives; where unsure, it gives None."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import at_once

rng = np.random.default_rng(3)


def weighted(array: Any, weights: Any, offset: Any) -> tuple[Any, Any]:
    """One output with the core dim, one without."""
    return array * weights + offset[..., None], (array * weights).sum(-1)


@pytest.fixture
def arrays() -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    ds = xr.Dataset(
        {
            "a": (("u", "z", "q"), rng.normal(size=(5, 4, 3))),
            "b": (("u",), rng.normal(size=5)),
            "c": (("q",), rng.normal(size=3)),
        },
        {
            "u": ("u", np.arange(5.0), {"units": "um"}),
            "z": np.arange(4.0),
            "time": ("z", np.arange(4)),
            "width": ("u", np.ones(5)),
            "energy": 19.0,
        },
    )
    return ds["a"], ds["b"], ds["c"]


INPUTS = [("u",), ("u",), ()]
OUTPUTS: list[tuple[str, ...]] = [("u",), ()]


def test_gives_what_apply_ufunc_gives(
    arrays: tuple[xr.DataArray, xr.DataArray, xr.DataArray],
) -> None:
    made = at_once.call(weighted, arrays, INPUTS, OUTPUTS, set())
    assert made is not None
    expected = xr.apply_ufunc(weighted, *arrays, input_core_dims=INPUTS, output_core_dims=OUTPUTS)
    for one, other in zip(made, expected, strict=True):
        assert one.attrs == {}
        if set(one.dims) == set(arrays[0].dims):
            assert one.dims == arrays[0].dims, "in the order of the first array"
        plain = other.drop_attrs(deep=False).rename(None)
        xr.testing.assert_identical(one.transpose(*other.dims), plain)
        xr.testing.assert_identical(one.sel(z=2.0), one.isel(z=2))


def test_coords_of_a_dim_that_changes_its_size_are_dropped(
    arrays: tuple[xr.DataArray, xr.DataArray, xr.DataArray],
) -> None:
    def halved(array: Any) -> tuple[Any]:
        return (array[..., ::2],)

    (made,) = at_once.call(halved, arrays[:1], [("u",)], [("u",)], {"u"}) or ()
    assert set(made.coords) == {"z", "time", "energy"}
    assert made.sizes == {"u": 3, "z": 4, "q": 3}
    with pytest.raises(ValueError, match="3 rows along 'u', where 'u' has 5"):
        at_once.call(halved, arrays[:1], [("u",)], [("u",)], set())


def test_what_does_not_fit_plainly_is_left_to_xarray(
    arrays: tuple[xr.DataArray, xr.DataArray, xr.DataArray],
) -> None:
    a, b, c = arrays
    moved = b.assign_coords(u=b["u"] + 1)
    other_label = b.assign_coords(width=b["width"] * 2)
    short = c.isel(q=slice(2))
    extra = b.expand_dims(y=2)
    for given in ((a, moved, c), (a, other_label, c), (a, b, short)):
        assert at_once.call(weighted, given, INPUTS, OUTPUTS, set()) is None
    inputs = [("u",), ("y",), ()]
    assert at_once.call(weighted, (a, extra, c), inputs, OUTPUTS, set()) is None


def test_equal_coords_need_not_be_the_same_objects(
    arrays: tuple[xr.DataArray, xr.DataArray, xr.DataArray],
) -> None:
    a, b, c = arrays
    made = at_once.call(weighted, (a, b.copy(deep=True), c), INPUTS, OUTPUTS, set())
    assert made is not None
    assert set(made[0].coords) == {"u", "z", "time", "width", "energy"}

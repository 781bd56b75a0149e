"""Phases that nobody knows: a rim and a core come back, and bad input is answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import gaussian_filter

from zeoarray import xrdct
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.step import STEPS

Array = np.ndarray[Any, Any]
Q = 1.0 + 0.001 * np.arange(400)
A, B = (1.101, 1.18, 1.30), (1.096, 1.23, 1.36)
SIDE = 18


def lines(centres: tuple[float, ...]) -> Array:
    found = sum((np.exp(-0.5 * ((Q - c) / 0.006) ** 2) for c in centres), np.zeros_like(Q))
    return np.asarray(found / np.trapezoid(found, Q))


def discs() -> Array:
    """(phase, y, x) A core and its rim, blurred by a beam."""
    place = np.arange(SIDE) - (SIDE - 1) / 2
    radius = np.hypot(place[:, None], place)
    both = np.stack([(radius > 4) & (radius < 8), radius <= 4]).astype(float)
    return np.stack([gaussian_filter(b, 0.6) for b in both])


TRUE = np.stack([lines(A), lines(B)])
WEIGHT = discs()


def volume(counts: float = 400.0) -> xr.Dataset:
    """Voxels of two phases over a background, with counting noise."""
    mean = 0.02 * np.einsum("pyx,pq->yxq", WEIGHT, TRUE) + 2 - 0.5 * Q
    drawn = np.random.default_rng(1).poisson(mean * counts)[None]
    um = (np.arange(SIDE) - (SIDE - 1) / 2) * 25.0
    dims = ("z", "y", "x", "q")
    return xr.Dataset(
        {
            "intensity": (dims, (drawn / counts).astype("float32")),
            "variance": (dims, (np.maximum(drawn, 1) / counts**2).astype("float32")),
        },
        {
            "z": ("z", [0.0], {"units": "um"}),
            **{d: (d, um, {"units": "um"}) for d in ("y", "x")},
            "q": ("q", Q, {"units": "1/angstrom"}),
        },
    )


def likeness(found: xr.DataArray, truth: Array) -> list[float]:
    return [float(np.corrcoef(f.ravel(), t.ravel())[0, 1])
            for f, t in zip(found.values, truth, strict=True)]  # fmt: skip


@pytest.mark.parametrize("weighted", [True, False])
def test_patterns_and_maps_come_back(weighted: bool) -> None:
    ds = volume() if weighted else volume().drop_vars("variance")
    node = xrdct.decompose(ds, components=2, names=("rim", "core"), background=4)
    assert min(likeness(node["pattern"], TRUE)) > 0.99
    np.testing.assert_allclose(node["pattern"].integrate("q"), 1, rtol=1e-5)
    total = WEIGHT.sum(axis=(1, 2))
    np.testing.assert_allclose(node["share"], total / total.sum(), atol=0.03)
    # The node is what the fit takes for references, as it is.
    out = xrdct.fit_phases(ds, references=node, background=4)
    assert out["phase"].values.tolist() == ["rim", "core"]
    assert min(likeness(out["weight"].isel(z=0), WEIGHT)) > 0.98
    known = xrdct.fit_phases(ds, references=node.assign(pattern=(("phase", "q"), TRUE)))
    scale = (out["weight"].sum(("y", "x")) / known["weight"].sum(("y", "x"))).values
    np.testing.assert_allclose(scale, 1, atol=0.05)
    assert any("without references" in limit for limit in node.attrs["limits"])


def test_gaps_take_no_part() -> None:
    ds = volume()
    plain = xrdct.decompose(ds, components=2, background=4)
    ds["intensity"][0, 3, :4] = np.nan
    ds["variance"][..., 150:170] = 0
    ds["intensity"][..., 150:170] = 1e6
    ds["intensity"][..., :5] = np.nan
    node = xrdct.decompose(ds, components=2, background=4)
    assert np.isnan(node["pattern"][:, :5]).all()
    assert np.isfinite(node["pattern"][:, 5:]).all()
    # No line is in the gap, which is crossed by a line between its ends.
    np.testing.assert_allclose(np.diff(node["pattern"][:, 149:171], 2), 0, atol=1e-4)
    assert min(likeness(node["pattern"][:, 5:], plain["pattern"].values[:, 5:])) > 0.99
    out = xrdct.fit_phases(ds, references=node, background=4, q_range=(1.005, 1.4))
    assert np.isfinite(out["weight"][:, 0, 4:]).all()


def test_seed_sample_and_chunks() -> None:
    ds = volume(4000)
    given: dict[str, Any] = {"components": 2, "background": 4, "seed": 3}
    node = xrdct.decompose(ds, **given)
    lazy = xrdct.decompose(ds.chunk({"y": 5, "q": 77}), **given)
    xr.testing.assert_identical(node.drop_attrs(), lazy.drop_attrs())
    curve = node["residual"].values
    count = int(node["iterations"])
    assert np.isfinite(curve[:count]).all()
    assert np.isnan(curve[count:]).all()
    assert (np.diff(curve[:count]) <= 1e-12).all()
    assert int(node["seed"]) == 3
    some = xrdct.decompose(ds, patterns=101, **given)
    assert min(likeness(some["pattern"], TRUE)) > 0.99


def test_without_a_background_components_hold_it() -> None:
    """Every voxel has it, so that no component is lines alone."""
    given: dict[str, Any] = {"components": 3}
    found = xrdct.decompose(volume(4000), background=0, **given)["pattern"].values
    smooth = 2 - 0.5 * Q
    share, *_ = np.linalg.lstsq(found.T, np.stack([smooth, *TRUE]).T, rcond=None)
    np.testing.assert_allclose(share[:, 0] @ found, smooth, atol=0.03)
    np.testing.assert_allclose(share[:, 1:].T @ found, TRUE, atol=0.03 * TRUE.max())
    between = np.abs(Q - 1.15) < 0.01
    assert (found[:, between].mean(axis=1) > 0.5).sum() >= 2
    alone = xrdct.decompose(volume(4000), components=2, background=4)["pattern"].values
    assert alone[:, between].max() < 0.2


def test_rays_and_a_range_of_q() -> None:
    ds = volume().rename(y="angle", x="u")
    ds["angle"] = ("angle", np.arange(SIDE) * 20.0, {"units": "deg"})
    node = xrdct.decompose(ds, components=2, background=4, q_range=(1.05, 1.33))
    outside = (Q < 1.05) | (Q > 1.33)
    np.testing.assert_array_equal(np.isnan(node["pattern"][0]), outside)
    assert node["phase"].values.tolist() == ["component 1", "component 2"]


def test_what_is_planned_is_what_comes() -> None:
    given: dict[str, Any] = {"components": 2, "iterations": 7, "names": ("a", "b")}
    expects = STEPS["xrdct.decompose"].expects
    assert expects is not None
    planned, node = expects(volume(), **given), xrdct.decompose(volume(), **given)
    assert planned.sizes == node.sizes
    assert set(planned.variables) == set(node.variables)
    for name in node.variables:
        assert planned[name].dims == node[name].dims
        assert planned[name].dtype.kind == node[name].dtype.kind
    xrdct.fit_phases(volume(), references=planned)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"components": 0}, "greater than or equal to 1"),
        ({"components": SIDE**2 + 1}, "more components than patterns"),
        ({"components": 4, "patterns": 3}, "3 patterns and 400 bins"),
        ({"components": 3, "q_range": (1.1, 1.101)}, "patterns and 2 bins"),
        ({"names": ("a",)}, "every component has one name"),
        ({"names": ("a", "a")}, "every component has one name"),
        ({"q_range": (0.5, 0.6)}, "q_range has no bins"),
        ({"background": -1}, "no less than 0 terms"),
        ({"tolerance": 0.0}, "greater than 0"),
        ({"starts": 0}, "greater than or equal to 1"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_decomposed_is_told(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        xrdct.decompose(volume(), **({"components": 2, "background": 4} | change))


def test_data_without_parts_are_told() -> None:
    ds = volume()
    with pytest.raises(SchemaError, match="there are no patterns"):
        xrdct.decompose(ds.drop_vars("intensity"), components=2)
    with pytest.raises(ArgumentError, match="0 bins with data, in 324 patterns"):
        xrdct.decompose(ds.assign(intensity=ds["intensity"] * np.nan), components=2)
    with pytest.raises(ArgumentError, match="a variance is negative"):
        xrdct.decompose(ds.assign(variance=-ds["variance"]), components=2)
    with pytest.raises(ArgumentError, match="patterns are not above 0"):
        xrdct.decompose(ds.assign(intensity=-ds["intensity"]), components=2, background=0)

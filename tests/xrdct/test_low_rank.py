"""Patterns brought to a few curves: less noise, no bias where nothing is lost, errors as told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import xrdct
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import low_rank as kernels
from zeoarray.step import STEPS

Array = np.ndarray[Any, Any]
Q = 1.0 + 0.005 * np.arange(120)
ANGLES, PLACES = 36, 20


def lines(*centres: float) -> Array:
    return np.asarray(sum(np.exp(-0.5 * ((Q - c) / 0.02) ** 2) for c in centres))


PARTS = np.stack([lines(1.1, 1.3), lines(1.12, 1.45), 0.2 + 0 * Q])


def scan(counts: float = 5.0, seed: int | None = 0) -> xr.Dataset:
    """Rays through two discs in a wide one, with counting noise, or without."""
    angle = np.linspace(0, 360, ANGLES, endpoint=False)
    u, turn = np.arange(PLACES) - (PLACES - 1) / 2, np.deg2rad(angle)[:, None]
    discs = [(3.0, -2.0, 1.0), (2.5, 3.0, -2.0), (8.0, 0.0, 0.0)]
    chord = [2 * np.sqrt(np.maximum(r**2 - (u - x * np.cos(turn) - y * np.sin(turn)) ** 2, 0))
             for r, x, y in discs]  # fmt: skip
    mean = np.einsum("pau,pq->auq", chord, PARTS)[None] + 0.05
    drawn = mean if seed is None else np.random.default_rng(seed).poisson(mean * counts) / counts
    dims = ("z", "angle", "u", "q")
    return xr.Dataset(
        {
            "intensity": (dims, drawn.astype("float32")),
            "variance": (dims, (mean / counts).astype("float32")),
        },
        {
            "z": ("z", [0.0], {"units": "um"}),
            "angle": ("angle", angle, {"units": "deg"}),
            "u": ("u", u * 25.0, {"units": "um"}),
            "q": ("q", Q, {"units": "1/angstrom"}),
        },
    )


CENTER = (PLACES - 1) / 2


def test_slices_have_less_noise() -> None:
    """Three curves are found, and the slices of few counts are nearer to those of many."""
    noisy, clean = scan(), scan(seed=None)
    node = xrdct.find_basis(noisy)
    assert node.sizes["component"] == 3
    assert (node["singular"] > node["threshold"]).all()
    made, full, truth = (
        xrdct.reconstruct(ds, center=CENTER)["intensity"].values
        for ds in (xrdct.low_rank(noisy, basis=node), noisy, clean)
    )
    error, before = (np.sqrt(np.mean((a - truth) ** 2)) for a in (made, full))
    assert error < 0.3 * before
    # Filtered back-projection is linear, and may come first.
    after = xrdct.low_rank(xrdct.reconstruct(noisy, center=CENTER), basis=node)["intensity"]
    np.testing.assert_allclose(after, made, atol=1e-5 * np.abs(made).max())


def test_nothing_changes_without_noise_or_at_full_rank() -> None:
    ds = scan(seed=None)
    for rank in (4, Q.size):
        out = xrdct.low_rank(ds, basis=xrdct.find_basis(ds, rank=rank))
        limit = 3e-6 * float(ds["intensity"].max())
        np.testing.assert_allclose(out["intensity"], ds["intensity"], atol=limit)
    full = xrdct.low_rank(scan(), basis=xrdct.find_basis(scan(), rank=Q.size))
    np.testing.assert_allclose(full["intensity"], scan()["intensity"], atol=1e-4)
    np.testing.assert_allclose(full["variance"], scan()["variance"], rtol=1e-4)


def test_too_low_a_rank_costs_bias() -> None:
    ds = scan(seed=None)
    out = xrdct.low_rank(ds, basis=xrdct.find_basis(ds, rank=2))
    assert float(np.abs(out["intensity"] - ds["intensity"]).max()) > 0.1


def test_variance_is_that_of_draws() -> None:
    node = xrdct.find_basis(scan(50.0), rank=3)
    drawn = np.stack([xrdct.low_rank(scan(50.0, seed=s), basis=node)["intensity"].values
                      for s in range(100)])  # fmt: skip
    told = xrdct.low_rank(scan(50.0), basis=node)["variance"].values
    assert abs(np.median(drawn.var(axis=0, ddof=1) / told) - 1) < 0.03
    assert told.mean() < 0.1 * float(scan(50.0)["variance"].mean())


@pytest.mark.parametrize("shape", [(300, 120), (120, 300)])
def test_noise_alone_stays_below_the_threshold(shape: tuple[int, int]) -> None:
    """The closed form of Gavish and Donoho, of noise of one size."""
    beta = min(shape) / max(shape)
    form = np.sqrt(2 * (beta + 1) + 8 * beta / (beta + 1 + np.sqrt(beta**2 + 14 * beta + 1)))
    found = kernels.edge_of(np.ones(shape), seed=1)
    assert abs(found / (form * np.sqrt(max(shape))) - 1) < 0.03
    _, values = kernels.basis_of(np.random.default_rng(9).normal(size=shape))
    assert values[0] < found


def test_errors_in_common_are_no_curves() -> None:
    """Each bin shares its counts with three on: of such noise singular values are greater."""
    drawn = np.random.default_rng(3).normal(size=(1, ANGLES, PLACES, Q.size + 3)) * 0.1
    common = np.asarray(sum(drawn[..., i : i + Q.size] for i in range(4))) / 2
    ds = scan(seed=None)
    ds["intensity"] = ds["intensity"] + common.astype("float32")
    ds["variance"] = ds["intensity"] * 0 + np.float32(0.01)
    found = xrdct.find_basis(ds)
    band = np.tile([1.0, 0.75, 0.5, 0.25], (Q.size, 1))
    node = xr.Dataset({"correlation": (("q", "lag"), band)}, {"q": ds["q"]})
    right = xrdct.find_basis(ds, correlation=node)
    assert found.sizes["component"] > 10
    assert right.sizes["component"] == 3
    # A band that was cut off is no covariance, and still near enough.
    cut = xrdct.find_basis(ds, correlation=node.isel(lag=slice(0, 2)))
    assert 3 <= cut.sizes["component"] < found.sizes["component"]
    with pytest.raises(ArgumentError, match="that of other bins"):
        xrdct.find_basis(ds, correlation=node.isel(q=slice(3, None)))
    some = kernels.correlated(np.random.default_rng(4), 4000, band)
    np.testing.assert_allclose((some[:, 2:] * some[:, :-2]).mean(), 0.5, atol=0.02)
    np.testing.assert_allclose(some.var(), 1, atol=0.02)


def test_gaps_stay_gaps() -> None:
    ds = scan()
    valid = np.ones((1, ANGLES, PLACES), bool)
    valid[0, 5, :3] = False
    ds["valid"] = (("z", "angle", "u"), valid)
    plain = ds.copy(deep=True)
    ds["intensity"][0, 5, :3] = 1e6
    ds["intensity"][..., 7] = np.nan
    node = xrdct.find_basis(ds)
    assert node.sizes["component"] == 3
    assert float(node["scale"][7]) == 0
    out = xrdct.low_rank(ds, basis=node)
    assert np.isnan(out["intensity"][..., 7]).all()
    assert np.isfinite(out["intensity"].drop_isel(q=7)).all()
    np.testing.assert_array_equal(out["variance"][..., 7], ds["variance"][..., 7])
    plain["intensity"][0, 9, 4, 30] = np.nan
    made = xrdct.low_rank(plain, basis=xrdct.find_basis(plain))["intensity"]
    assert np.isnan(made[0, 9, 4]).all()
    assert int(np.isnan(made.values).any(axis=-1).sum()) == 1


def test_what_is_planned_is_what_comes() -> None:
    expects = STEPS["xrdct.find_basis"].expects
    assert expects is not None
    planned, node = expects(scan(), rank=3), xrdct.find_basis(scan(), rank=3)
    assert planned.sizes == node.sizes
    assert set(planned.variables) == set(node.variables)
    xrdct.low_rank(scan(), basis=planned)
    again = xrdct.find_basis(scan().chunk({"angle": 5, "q": 50}), rank=3)
    xr.testing.assert_identical(node.drop_attrs(), again.drop_attrs())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rank": 0}, "greater than or equal to 1"),
        ({"rank": 121}, "rank=121, of 120"),
        ({"rank": 5, "patterns": 3}, "rank=5, of 3"),
        ({"seed": -1}, "greater than or equal to 0"),
    ],
)
def test_bases_that_are_not_there_are_told(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        xrdct.find_basis(scan(), **change)


def test_data_without_a_basis_are_told() -> None:
    ds = scan()
    with pytest.raises(ArgumentError, match="without a variance the noise is not known"):
        xrdct.find_basis(ds.drop_vars("variance"))
    assert xrdct.find_basis(ds.drop_vars("variance"), rank=3).sizes["component"] == 3
    with pytest.raises(ArgumentError, match="no pattern of the sample is finite"):
        xrdct.find_basis(ds.assign(intensity=ds["intensity"] * np.nan))
    with pytest.raises(ArgumentError, match="a variance is negative"):
        xrdct.find_basis(ds.assign(variance=-ds["variance"]))
    with pytest.raises(ArgumentError, match="nothing stands out of noise"):
        xrdct.find_basis(ds.assign(variance=1e6 * ds["variance"]))
    with pytest.raises(SchemaError, match="there are no patterns"):
        xrdct.find_basis(ds.drop_vars("intensity"))
    node = xrdct.find_basis(ds, rank=2)
    with pytest.raises(ArgumentError, match="the basis is that of other bins"):
        xrdct.low_rank(ds.isel(q=slice(0, 50)), basis=node)
    with pytest.raises(SchemaError, match="basis"):
        xrdct.low_rank(ds, basis=ds)
    with pytest.raises(SchemaError, match="there are no patterns"):
        xrdct.low_rank(ds.drop_vars("intensity"), basis=node)


def test_bases_that_do_not_fit_are_told() -> None:
    for kernel in (kernels.project, kernels.variance):
        with pytest.raises(ArgumentError, match=r"basis \(2, 5\)"):
            kernel(np.ones((3, 4)), basis=np.ones((2, 5)), scale=np.ones(4))
        with pytest.raises(ArgumentError, match="scale is negative"):
            kernel(np.ones((3, 4)), basis=np.ones((2, 4)), scale=-np.ones(4))

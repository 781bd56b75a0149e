"""Scans tied by pairs: all in one frame, loops told, covariances that are what errors are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.registered import similarity
from zeoarray import schema
from zeoarray.errors import ArgumentError, RegistrationError
from zeoarray.kernels import transform
from zeoarray.volume import solve_network

Array = np.ndarray[Any, Any]

PLACES = {
    "coarse": np.eye(4),
    "middle": similarity((0.5, -0.3, 3.0), (40, -20, 15), 1.002),
    "fine": similarity((-0.2, 0.1, -4.0), (-60, 35, 80), 0.997),
    "roi": similarity((0.0, 0.4, 10.0), (5, 90, -30), 1.001),
}
CHAIN = (("middle", "coarse"), ("fine", "middle"), ("roi", "fine"))
LOOPS = (*CHAIN, ("fine", "coarse"), ("roi", "middle"))
SIGMA = {"shift": 0.05, "turn": 2e-4, "scale": 1e-4}


def registration(moving: str, fixed: str, rng: Any, model: Any = "similarity") -> xr.Dataset:
    """The true map with an error as its covariance says."""
    names, fields = transform.basis(model)
    sigma = np.array([SIGMA[n.partition("_")[0]] for n in names])
    mixed = np.eye(len(names)) + 0.2 * rng.normal(size=(len(names),) * 2)
    root = mixed * sigma[:, None]
    about = rng.uniform(-100, 100, 3)
    truth = np.linalg.inv(PLACES[fixed]) @ PLACES[moving]
    error = np.einsum("p,pij->ij", root @ rng.normal(size=len(names)), fields)
    ds = xr.Dataset(
        {
            "to_fixed": (("to", "from"), transform.change(error, about) @ truth),
            "covariance": (("parameter", "other"), root @ root.T),
            "about": ("axis", about),
            "trusted": ((), True),
        }
    )
    return schema.describe(ds, schema.REGISTRATION).assign_attrs(model=model)


def network(pairs: Any, seed: int) -> dict[tuple[str, str], xr.Dataset]:
    rng = np.random.default_rng(seed)
    return {pair: registration(*pair, rng) for pair in pairs}


def test_covariances_and_loops_are_as_told() -> None:
    pulls, loops, error_chain, error_loops = [], [], [], []
    for seed in range(12):
        found = solve_network(network(LOOPS, seed), reference="coarse")
        chain = solve_network({p: network(LOOPS, seed)[p] for p in CHAIN}, reference="coarse")
        loops.append(float(found.loop_chi2))
        for name in ("middle", "fine", "roi"):
            one = found.sel(scan=name)
            apart = PLACES[name] @ np.linalg.inv(one.to_sample.values)
            fields = transform.basis("similarity").fields.reshape(7, 12).T
            field = transform.logarithm(apart, one.about.values).ravel()
            factors = np.linalg.lstsq(fields, field, rcond=None)[0]
            pulls.append(factors @ np.linalg.solve(one.covariance.values, factors) / 7)
        at = np.array([[0.0, 0, 0, 1]]).T
        for ds, errors in ((chain, error_chain), (found, error_loops)):
            there = ds.sel(scan="roi").to_sample.values - PLACES["roi"]
            errors.append(float(((there @ at)[:3] ** 2).sum()))
    assert found.loop_degrees == 14
    assert np.isnan(chain.loop_chi2)
    assert 0.7 < np.mean(loops) < 1.3
    assert 0.65 < np.mean(pulls) < 1.35
    assert np.mean(error_loops) < np.mean(error_chain)


def test_a_chain_is_the_product_of_its_links() -> None:
    pairs = network(CHAIN, 1)
    found = solve_network(pairs, reference="coarse")
    product = np.linalg.multi_dot([pairs[p].to_fixed.values for p in CHAIN])
    np.testing.assert_allclose(found.sel(scan="roi").to_sample, product, atol=1e-6)
    np.testing.assert_array_equal(found.sel(scan="coarse").to_sample, np.eye(4))
    assert float(found.sel(scan="coarse").center_sigma) == 0
    schema.validate(found, schema.NETWORK, by="test")


def test_a_wrong_pair_is_named() -> None:
    pairs = network(LOOPS, 2)
    wrong = pairs["fine", "middle"]
    shifted = wrong.to_fixed.copy(deep=True)
    shifted[0, 3] += 4
    pairs["fine", "middle"] = wrong.assign(to_fixed=shifted)
    with pytest.raises(RegistrationError, match="loops do not close") as caught:
        solve_network(pairs, reference="coarse")
    assert "fine on middle" in str(caught.value)
    assert solve_network(pairs, reference="coarse", accept=True).loop_chi2 > 100


def test_what_cannot_be_solved_is_said() -> None:
    pairs = network(CHAIN, 3)
    with pytest.raises(ArgumentError, match="nothing to solve"):
        solve_network({}, reference="coarse")
    with pytest.raises(ArgumentError, match="no registration has the reference"):
        solve_network(pairs, reference="diad")
    far = pairs | {("a", "b"): pairs["fine", "middle"]}
    with pytest.raises(ArgumentError, match="ties these scans") as caught:
        solve_network(far, reference="coarse")
    assert "a, b" in str(caught.value)
    mixed = pairs | {("roi", "middle"): pairs["roi", "fine"].assign_attrs(model="rigid")}
    with pytest.raises(ArgumentError, match="of one model"):
        solve_network(mixed, reference="coarse")
    with pytest.raises(ArgumentError, match="on itself"):
        solve_network({("fine", "fine"): pairs["fine", "middle"]}, reference="fine")
    doubted = pairs["fine", "middle"].assign(trusted=False).assign_attrs(reasons=["too dark"])
    with pytest.raises(RegistrationError, match="not trusted") as doubt:
        solve_network(pairs | {("fine", "middle"): doubted}, reference="coarse")
    assert "too dark" in str(doubt.value)
    no_inverse = pairs["fine", "middle"].copy(deep=True)
    no_inverse["covariance"][:] = 0
    with pytest.raises(ArgumentError, match="has no inverse"):
        solve_network(pairs | {("fine", "middle"): no_inverse}, reference="coarse")
    singular = pairs["fine", "middle"].copy(deep=True)
    singular["to_fixed"][0] = 0
    with pytest.raises(ArgumentError, match="singular"):
        solve_network(pairs | {("fine", "middle"): singular}, reference="coarse")

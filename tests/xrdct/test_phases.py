"""Phases of voxels: known weights come back, limits are told, and bad input is answered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from zeoarray import xrdct
from zeoarray.errors import ArgumentError, SchemaError, UnknownNameError

Array = np.ndarray[Any, Any]
Q = 1.0 + 0.001 * np.arange(400)
WAVELENGTH = 1.5406
A, B = (1.101, 1.18, 1.30), (1.096, 1.23, 1.36)


def lines(centres: tuple[float, ...], q: Array = Q, width: float = 0.006) -> Array:
    return sum((np.exp(-0.5 * ((q - c) / width) ** 2) for c in centres), np.zeros_like(q))


def references(width: float = 0.006, **more: Array) -> xr.Dataset:
    patterns = {"zinc": lines(A, width=width), "sodium": lines(B, width=width), **more}
    return xr.Dataset(
        {"pattern": (("phase", "q"), np.stack(list(patterns.values())))},
        {"phase": list(patterns), "q": ("q", Q, {"units": "1/angstrom"})},
    )


def um(count: int) -> tuple[Array, dict[str, str]]:
    return (np.arange(count) - (count - 1) / 2) * 25.0, {"units": "um"}


def volume(weight: Array, *, counts: float = 400.0, seed: int = 0, width: float = 0.006) -> Any:
    """(phase, y, x) weights as patterns with counting noise."""
    two = np.stack([lines(A, width=width), lines(B, width=width)])
    mean = np.einsum("pyx,pq->yxq", weight, two) + 2 - 0.5 * Q
    drawn = np.random.default_rng(seed).poisson(mean * counts)[None]
    y, x = weight.shape[1:]
    return xr.Dataset(
        {
            "intensity": (("z", "y", "x", "q"), (drawn / counts).astype("float32")),
            "variance": (
                ("z", "y", "x", "q"),
                (np.maximum(drawn, 1) / counts**2).astype("float32"),
            ),
        },
        {
            "z": ("z", [0.0], {"units": "um"}),
            "y": ("y", *um(y)),
            "x": ("x", *um(x)),
            "q": ("q", Q, {"units": "1/angstrom"}),
            "beam_size": ((), 25.0, {"units": "um"}),
        },
    )


MIXED = np.random.default_rng(7).uniform(0.5, 3, (2, 16, 16))


def test_weights_come_back_with_their_errors() -> None:
    out = xrdct.fit_phases(volume(MIXED), references=references(), background=4)
    assert out["weight"].dims == ("phase", "z", "y", "x")
    pull = ((out["weight"].isel(z=0) - MIXED) / out["weight_sigma"].isel(z=0)).values
    assert np.abs(pull.mean((1, 2))).max() < 0.25
    assert 0.88 < pull.std((1, 2)).min() <= pull.std((1, 2)).max() < 1.12
    assert abs(float(out["chi2"].mean()) - 1) < 0.02
    # Overlapping phases take from each other.
    both = out["weight_covariance"].sel(phase="zinc", other="sodium")
    assert float(both.max()) < 0
    assert any("independent" in limit for limit in out.attrs["limits"])


def test_without_variance_errors_come_from_the_residual() -> None:
    ds = volume(np.full((2, 16, 16), 1.0)).drop_vars("variance")
    out = xrdct.fit_phases(ds, references=references(), background=4)
    assert "chi2" not in out
    ratio = out["weight"].std(("z", "y", "x")) / out["weight_sigma"].mean(("z", "y", "x"))
    assert 0.85 < float(ratio.min()) <= float(ratio.max()) < 1.25


def test_rays_may_be_fitted_too() -> None:
    ds = volume(MIXED).rename(y="angle", x="u")
    ds["angle"] = ("angle", np.arange(16) * 20.0, {"units": "deg"})
    out = xrdct.fit_phases(ds, references=references(), nonnegative=False, background=4)
    assert out["weight"].dims == ("phase", "z", "angle", "u")
    node = xr.Dataset({"shift_per_m": ((), -3.0, {"units": "1/m"})})
    with pytest.raises(ArgumentError, match="modelled for voxels"):
        xrdct.fit_phases(ds, references=references(), parallax=node)


def test_parallax_broadens_lines_off_the_axis() -> None:
    """Lines of a voxel at radius r move by r / D to both sides as the sample turns."""
    weight, per_um = np.ones((2, 1, 41)), 6e-6
    ds = volume(weight, counts=1e6)
    phi = np.linspace(0, 2 * np.pi, 100, endpoint=False)
    for i, x in enumerate(ds["x"].values):
        seen = [lines(A, Q * (1 + per_um * x * np.cos(p))) for p in phi]
        ds["intensity"][0, 0, i] = np.mean(seen, axis=0) + 2 - 0.5 * Q
    node = xr.Dataset({"shift_per_m": ((), -1e6 * per_um, {"units": "1/m"})})
    given: dict[str, Any] = {"references": references(), "phases": ("zinc",), "background": 4}
    plain = xrdct.fit_phases(ds, **given)
    right = xrdct.fit_phases(ds, parallax=node, **given)
    np.testing.assert_allclose(right["weight"], 1, rtol=2e-3)
    assert float(plain["weight"][0, 0, 0, 0]) < 0.97
    assert float(plain["chi2"][0, 0, 0]) > 5 * float(right["chi2"][0, 0, 0])


def test_fractions_are_derived() -> None:
    out = xrdct.fractions(xrdct.fit_phases(volume(MIXED), references=references(), background=4))
    truth = MIXED / MIXED.sum(0)
    pull = ((out["fraction"].isel(z=0) - truth) / out["fraction_sigma"].isel(z=0)).values
    assert 0.85 < pull.std() < 1.15
    np.testing.assert_allclose(out["fraction"].sum("phase"), 1, rtol=1e-5)
    with pytest.raises(SchemaError, match="no 'weight'"):
        xrdct.fractions(volume(MIXED))


def test_correlation_is_measured_on_a_sample() -> None:
    band = np.zeros((1, 3, 4, Q.size, 2), "float32")
    band[..., 0], band[..., 1] = 4, 2
    band[0, 0] = np.nan
    ds = xr.Dataset(
        {"covariance": (("z", "angle", "u", "q", "lag"), band)},
        {"q": ("q", Q, {"units": "1/angstrom"})},
    )
    node = xrdct.bin_correlation(ds)
    np.testing.assert_allclose(node["correlation"][:-1], [[1, 0.5]] * (Q.size - 1))
    out = xrdct.fit_phases(volume(MIXED), references=references(), correlation=node)
    alone = xrdct.fit_phases(volume(MIXED), references=references())
    assert float((out["weight_sigma"] / alone["weight_sigma"]).min()) > 1.2
    with pytest.raises(SchemaError, match="no covariance of bins"):
        xrdct.bin_correlation(volume(MIXED))
    with pytest.raises(ArgumentError, match="no pattern of the sample was measured"):
        xrdct.bin_correlation(ds.isel(angle=[0]))
    with pytest.raises(ArgumentError, match="that of other bins"):
        xrdct.fit_phases(
            volume(MIXED), references=references(), correlation=node.isel(q=slice(10, None))
        )


def test_correlations_that_were_cut_off_still_weigh() -> None:
    """Bins share a pixel with the next four; of that band one lag is no covariance."""
    pixel = np.convolve(np.ones(5), np.ones(5))[4:] / 5
    noise = np.random.default_rng(2).normal(size=(1, 24, 24, Q.size + 4)) * 0.05 / np.sqrt(5)
    drawn = sum(noise[..., i : i + Q.size] for i in range(5))
    ds = volume(np.ones((2, 24, 24)))
    two = lines(A) + lines(B) + 2 - 0.5 * Q
    ds["intensity"] = (ds["intensity"].dims, (two + drawn).astype("float32"))
    ds["variance"] = ds["intensity"] * 0 + np.float32(0.05**2)
    pulls, told = {}, {}
    for lags in (2, 5):
        node = xr.Dataset(
            {"correlation": (("q", "lag"), np.tile(pixel[:lags], (Q.size, 1)))},
            {"q": ("q", Q, {"units": "1/angstrom"})},
        )
        out = xrdct.fit_phases(ds, references=references(), correlation=node, nonnegative=False)
        pulls[lags] = ((out["weight"] - 1) / out["weight_sigma"]).std(("z", "y", "x")).values
        told[lags] = " ".join(out.attrs["limits"])
    assert "not positive definite" in told[2]
    assert "in place of 0.05" in told[2]
    assert "positive definite" not in told[5]
    assert np.abs(pulls[5] - 1).max() < 0.12
    # What lies beyond the band is missing in the errors, and no more than that.
    assert np.isfinite(pulls[2]).all()
    assert pulls[2].min() > 1.1


def test_voxels_without_patterns_have_no_weight() -> None:
    ds = volume(MIXED)
    ds["intensity"][0, 0, 0], ds["variance"][0, 0, 1] = np.nan, 0
    out = xrdct.fit_phases(ds, references=references())
    assert np.isnan(out["weight"][:, 0, 0, :2]).all()
    assert np.isnan(out["weight_sigma"][:, 0, 0, :2]).all()
    assert np.isfinite(out["weight"][:, 0, 0, 2:]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q_range": (0.5, 0.6)}, "q_range has no bins"),
        ({"q_range": (1.0, 1.006)}, "more phases and background terms than bins"),
        ({"references": references().isel(q=slice(0, 200))}, "another range of q"),
        ({"references": references() * np.nan}, "not known in every bin"),
        ({"references": references(mix=2 * lines(A) + lines(B))}, "'zinc' is a sum of sodium, mix"),
        ({"references": references(flat=np.ones_like(Q))}, "a sum of the background"),
        ({"references": references(dark=np.zeros_like(Q))}, "0 in every bin"),
        ({"phases": ("zinc", "zinc")}, "named once"),
        ({"background": -1}, "no less than 0 terms"),
        ({"floor": 2.0}, "floor is a share"),
    ],
)
def test_what_cannot_be_fitted_is_told(change: dict[str, Any], message: str) -> None:
    with xr.set_options(keep_attrs=True), pytest.raises(ArgumentError, match=message):
        xrdct.fit_phases(volume(MIXED), **({"references": references()} | change))


def test_names_of_phases_are_offered() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'zinc'"):
        xrdct.fit_phases(volume(MIXED), references=references(), phases=("zin",))
    with pytest.raises(SchemaError, match="no patterns"):
        xrdct.fit_phases(volume(MIXED).drop_vars("intensity"), references=references())


# --- references -----------------------------------------------------------------------------------
def powder(centres: tuple[float, ...], name: str, *, alpha2: float = 0.0) -> xr.Dataset:
    """Narrow lines in Cu K-alpha, with the polarization of a tube."""
    q = np.arange(0.8, 1.6, 0.0005)
    second = 1.54439
    values = 0.5 + 4 * lines(centres, q, 0.003)
    values = values + alpha2 * 4 * lines(centres, q * WAVELENGTH / second, 0.003)
    theta = np.arcsin(q * WAVELENGTH / (4 * np.pi))
    ds = xr.Dataset(
        {"intensity": ("q", values * (1 + np.cos(2 * theta) ** 2) / 2)},
        {
            "q": ("q", q, {"units": "1/angstrom"}),
            "wavelength": ((), WAVELENGTH, {"units": "angstrom", "k_alpha2": second}),
        },
    )
    return ds.assign_attrs(sample=name)


@pytest.mark.parametrize("alpha2", [0.0, 0.5])
def test_references_take_the_widths_of_the_scan(alpha2: float) -> None:
    ds = volume(MIXED, counts=4000)
    node = xrdct.reference_patterns(
        ds, first=powder(A, "zinc", alpha2=alpha2), second=powder(B, "sodium", alpha2=alpha2),
        background=4, alpha2=alpha2,
    )  # fmt: skip
    wide = np.hypot(float(node["width_added"]), 1.2 * float(node["width_relative"]))
    assert abs(wide - np.sqrt(0.006**2 - 0.003**2)) < 2e-4
    assert abs(float(node["shift_relative"])) < 5e-5
    assert node["phase"].values.tolist() == ["zinc", "sodium"]
    out = xrdct.fit_phases(ds, references=node, background=4)
    # A line keeps its area: twice as wide, half as high, 4 times as strong.
    ratio = out["weight"].isel(z=0) / (MIXED / 2)
    np.testing.assert_allclose(ratio.mean(("y", "x")), 1, atol=0.02)


def test_references_are_those_of_the_axis_where_parallax_is_modelled() -> None:
    """Voxels at radius r see lines move by r / D to both sides; the scan's own width is less."""
    weight, per_um = np.ones((2, 1, 7)), 36e-6
    ds = volume(weight, counts=1e6).drop_vars("variance")
    phi = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    for i, x in enumerate(ds["x"].values):
        seen = [lines((*A, *B), Q * (1 + per_um * x * np.cos(p))) for p in phi]
        ds["intensity"][0, 0, i] = np.mean(seen, axis=0) + 2 - 0.5 * Q
    node = xr.Dataset({"shift_per_m": ((), -1e6 * per_um, {"units": "1/m"})})
    made = {"first": powder(A, "zinc"), "second": powder(B, "sodium")}
    own = float(np.sqrt(0.006**2 - 0.003**2))
    plain = xrdct.reference_patterns(ds, background=4, **made)
    right = xrdct.reference_patterns(ds, background=4, parallax=node, **made)
    wide, narrow = (
        np.hypot(float(n["width_added"]), 1.2 * float(n["width_relative"])) for n in (plain, right)
    )
    assert abs(narrow - own) < 3e-5
    assert wide > own + 1e-4
    given: dict[str, Any] = {"parallax": node, "background": 4}
    ratio = [
        xrdct.fit_phases(ds, references=n, **given)["weight"].std("x").max() for n in (right, plain)
    ]
    assert float(ratio[0]) < 0.2 * float(ratio[1])
    rays = ds.rename(y="angle", x="u")
    with pytest.raises(ArgumentError, match=r"reference_patterns: parallax is modelled for voxels"):
        xrdct.reference_patterns(rays, parallax=node, **made)


def test_references_from_lists_of_peaks() -> None:
    ds = volume(MIXED, counts=4000)
    node = xrdct.reference_patterns(ds, peaks={"zinc": A, "sodium": B}, background=4)
    wide = np.hypot(float(node["width_added"]), 1.2 * float(node["width_relative"]))
    assert abs(wide - 0.006) < 3e-4
    out = xrdct.fit_phases(ds, references=node, background=4)
    for phase, truth in zip(("zinc", "sodium"), MIXED, strict=True):
        found = out["weight"].sel(phase=phase).isel(z=0).values
        assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "powder patterns or lists of peaks"),
        ({"first": powder(A, "a"), "peaks": {"a": A}}, "powder patterns or lists of peaks"),
        ({"first": powder(A, "a"), "second": powder(B, "a")}, "has one name"),
        ({"first": powder(A, "a"), "second": powder(A, "b")}, "collinear"),
        ({"first": powder(A, "a").isel(q=slice(0, 600))}, "'a' is on another range of q"),
        ({"peaks": {"a": (1.1, 2.4)}}, "2.4 .a."),
        ({"peaks": {"a": ()}}, "a list is empty"),
        ({"first": powder(A, "a"), "alpha2": 1.5}, "alpha2 is a share"),
        ({"peaks": {"a": (1.1,), "b": (1.10005,)}}, "two peaks coincide"),
    ],
)
def test_references_that_cannot_be_made_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        xrdct.reference_patterns(volume(MIXED), **arguments)


def test_alpha2_needs_its_wavelength() -> None:
    bare = powder(A, "a")
    del bare["wavelength"].attrs["k_alpha2"]
    with pytest.raises(ArgumentError, match="K-alpha2 is not known"):
        xrdct.reference_patterns(volume(MIXED), first=bare, alpha2=0.5)


# --- parallax, isolation --------------------------------------------------------------------------
def test_parallax_is_found_from_the_depth_of_the_matter() -> None:
    """A disc off the axis: its lines move with -s / D, s the depth along the beam."""
    angle, u = np.arange(0, 360, 20.0), np.arange(21) - 10.0
    turn, per_um, place = np.deg2rad(angle)[:, None], -3e-6, 5 * 25.0
    chord = 2 * np.sqrt(np.maximum(9.0 - (u - 5 * np.cos(turn)) ** 2, 0))
    depth = -place * np.sin(turn) * np.ones_like(chord)
    two = lines(A, Q / (1 + per_um * depth[..., None]))
    mean = 20 * chord[..., None] * two + 5
    drawn = np.random.default_rng(1).poisson(mean * 50)[None]
    dims = ("z", "angle", "u", "q")
    ds = xr.Dataset(
        {
            "intensity": (dims, (drawn / 50).astype("float32")),
            "variance": (dims, (np.maximum(drawn, 1) / 2500).astype("float32")),
        },
        {
            "z": ("z", [0.0], {"units": "um"}),
            "angle": ("angle", angle, {"units": "deg"}),
            "u": ("u", u * 25, {"units": "um"}),
            "q": ("q", Q, {"units": "1/angstrom"}),
        },
    )
    node = xrdct.parallax(ds, references=references(), center=10.0, phases=("zinc",), background=3)
    found, sigma = float(node["shift_per_m"]), float(node["shift_per_m_sigma"])
    assert abs(found + 3) < max(4 * sigma, 0.1)
    assert sigma < 0.1
    assert abs(float(node["shift_mean"])) < 3e-5
    with pytest.raises(ArgumentError, match="fewer than three rays"):
        xrdct.parallax(ds, references=references(), center=10.0, significance=1e9)


def fitted(weight: Array) -> xr.Dataset:
    return xrdct.fit_phases(volume(weight, counts=2000), references=references(), background=4)


def test_isolated_phases_are_told_from_mixed_ones() -> None:
    fine = np.zeros((2, 120, 120))
    y, x = np.mgrid[:120, :120] - 59.5
    inner, outer = np.hypot(y, x) < 25, np.hypot(y, x) < 50
    fine[0], fine[1] = outer & ~inner, inner
    blurred = xr.DataArray(fine, dims=("phase", "y", "x")).coarsen(y=5, x=5).mean().values
    apart = xrdct.isolation(fitted(blurred), beam_um=20.0)
    excess, sigma = (float(apart[n][0]) for n in ("mixed_excess", "mixed_excess_sigma"))
    assert abs(excess) < 0.06
    assert float(apart["mixed"][0]) > 0.04
    mixed = blurred.copy()
    mixed[0] += 0.5 * blurred[1]
    together = xrdct.isolation(fitted(mixed), beam_um=20.0)
    assert float(together["mixed_excess"][0]) > 0.15
    assert sigma < 0.05
    with pytest.raises(SchemaError, match="no 'weight' of voxels"):
        xrdct.isolation(volume(MIXED))
    with pytest.raises(ArgumentError, match="width of the beam is not known"):
        xrdct.isolation(fitted(MIXED).drop_vars("beam_size"))
    with pytest.raises(ArgumentError, match="two draws or more"):
        xrdct.isolation(fitted(MIXED), draws=1)
    one = fitted(MIXED).isel(phase=[0], other=[0])
    with pytest.raises(ArgumentError, match="one phase alone"):
        xrdct.isolation(one)

"""Layers of a diffraction scan in a tomogram: found where they are, with the error they have."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.registered import Balls, answer, dataset, layers, scan, similarity
from zeoarray import schema, xrdct
from zeoarray.errors import ArgumentError, RegistrationError, SchemaError, SourceError
from zeoarray.kernels import transform
from zeoarray.volume import connect, grid, join, register_layers, resample

Array = np.ndarray[Any, Any]

SPOT, COLUMNS = 20.0, 20
HEIGHTS = (-75.0, -25.0, 25.0, 75.0)
SHIFT = similarity((0.0, 0.0, 2.0), (24.0, -15.0, 11.0))
"""More than a spot along x."""
UM = {"units": "um"}


@cache
def tomogram() -> xr.Dataset:
    return scan(balls(), (64, 64, 64), 5.0, noise=0.01, seed=9)


@cache
def balls(seed: int = 4) -> Balls:
    return Balls.draw(seed, count=500, width=300.0, voxel=7.0)


def diffracted(matrix: Array, **given: Any) -> xr.Dataset:
    return layers(balls(), given.pop("z", HEIGHTS), SPOT, COLUMNS, matrix, noise=0.02, **given)


@cache
def found() -> xr.Dataset:
    return register_layers(diffracted(SHIFT, seed=1), fixed=tomogram())


def apart(out: xr.Dataset, truth: Array) -> float:
    """Rms distance from the truth where the layers are [spots]."""
    at = np.linspace(-110, 110, 5)
    points = np.stack(np.meshgrid(at, at, HEIGHTS), -1).reshape(-1, 3)
    off = transform.move(out["to_fixed"].values, points) - transform.move(truth, points)
    return float(np.sqrt((off**2).sum(axis=1).mean())) / SPOT


def sigma(out: xr.Dataset, name: str) -> float:
    at = out["parameter"].values.tolist().index(name)
    return float(np.sqrt(out["covariance"][at, at]))


def test_a_known_displacement_is_found() -> None:
    out = found()
    assert apart(out, SHIFT) < 0.1
    assert 0.3 < float(out["predicted_rms"]) / SPOT / apart(out, SHIFT) < 4
    assert bool(out["trusted"])
    assert out.attrs["reasons"] == []
    assert not bool(out["confirmed"]), "it is not the frame that was believed"
    # The true way of the layers; the turn adds to the shift.
    assert float(out["displacement"]) == pytest.approx(np.hypot(24, 15), abs=0.4 * SPOT)
    assert float(out["frame_chi2"]) > 100
    assert float(out["frame_correlation"]) < 0.95 * float(out["block_correlation"])
    schema.validate(out, schema.REGISTRATION, by="test")


def test_errors_are_as_told() -> None:
    """Over several draws of noise and place, shifts are off by about one sigma."""
    off = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        truth = similarity((0, 0, rng.uniform(-3, 3)), tuple(rng.uniform(-15, 15, 3)))
        sample = Balls.draw(20 + seed, count=500, width=300.0, voxel=7.0)
        ds = layers(sample, HEIGHTS, SPOT, COLUMNS, truth, noise=0.05, seed=seed)
        out = register_layers(ds, fixed=scan(sample, (64, 64, 64), 5.0), model="rigid")
        assert apart(out, truth) < 0.25
        of = transform.logarithm(truth @ np.linalg.inv(out["to_fixed"].values), out["about"].values)
        fields = transform.basis("rigid").fields.reshape(6, 12)
        factors = np.linalg.lstsq(fields.T, of.ravel(), rcond=None)[0]
        off.append(factors / np.sqrt(np.diag(out["covariance"])))
    assert 0.5 < np.sqrt(np.mean(np.square(off))) < 1.6


def test_the_shared_frame_is_confirmed_where_it_is_shared() -> None:
    out = register_layers(diffracted(np.eye(4), seed=2), fixed=tomogram())
    assert bool(out["confirmed"])
    assert float(out["displacement"]) < 0.1 * SPOT
    assert float(out["frame_chi2"]) < 3
    believed = found()
    again = register_layers(diffracted(SHIFT, seed=1), fixed=tomogram(), start=believed)
    assert bool(again["confirmed"])
    np.testing.assert_allclose(again["to_fixed"], believed["to_fixed"], atol=0.02 * SPOT)


def test_one_layer_hardly_fixes_a_tilt_and_says_so() -> None:
    """By four layers over 150 um a tilt is known; by one it is, only by what changes with z."""
    one = register_layers(diffracted(SHIFT, z=(0.0,)), fixed=tomogram(), accept=True)
    four = found()
    for name in ("turn_x", "turn_y"):
        assert sigma(one, name) > 2 * sigma(four, name)
        assert sigma(four, name) > 1.3 * sigma(four, "turn_z")
    held = register_layers(diffracted(SHIFT, z=(0.0,)), fixed=tomogram(), tilt_deg=0.05)
    assert sigma(held, "turn_x") == pytest.approx(np.deg2rad(0.05), rel=0.1)
    assert bool(held["trusted"])


def test_what_is_the_same_at_every_height_has_no_height() -> None:
    """A column of balls without end: z is not known, and no prior can say it."""
    flat = Balls(balls().centre, balls().radius, balls().height)
    values = flat.at(np.zeros(1), *(((np.arange(64) - 31.5) * 5.0),) * 2)
    column = dataset(np.repeat(values, 64, axis=0), 5.0)
    thin = layers(flat, (0.0,), SPOT, COLUMNS)
    ds = xr.concat([thin.assign_coords(z=("z", [h], UM), axis_u=("z", [0.0], UM)) for h in HEIGHTS],
                   "z")  # fmt: skip
    with pytest.raises(RegistrationError, match="the most of it by shift_z") as caught:
        register_layers(ds, fixed=column)
    assert "fiducials" in str(caught.value)
    out = register_layers(ds, fixed=column, accept=True)
    assert sigma(out, "shift_z") > 10 * sigma(out, "shift_x")
    marks = tuple(((x, y, z), (x, y, z + 3.0)) for x, y, z in
                  ((90.0, 0.0, 75.0), (-90.0, 50.0, -75.0), (0.0, -90.0, 25.0)))  # fmt: skip
    marked = register_layers(ds, fixed=column, fiducials=marks, fiducial_um=1.0, accept=True)
    assert sigma(marked, "shift_z") == pytest.approx(1 / np.sqrt(3), rel=0.3)
    at = transform.move(marked["to_fixed"].values, marked["about"].values[None])
    assert at[0, 2] == pytest.approx(3.0, abs=1.0)


def test_phases_that_scatter_differently_are_compared_as_maps() -> None:
    """Neither phase goes with attenuation; what is common to both does."""
    sino = diffracted(SHIFT, seed=3)
    whole = xrdct.reconstruct(sino)
    total = whole["intensity"].isel(q=0, drop=True)
    left = xr.where(total["x"] < 0, 1.0, 0.0)
    weight = xr.concat([2.0 * total * left, 0.5 * total * (1 - left)], "phase")
    phases = weight.transpose("phase", "z", "y", "x").to_dataset(name="weight")
    phases = phases.assign_coords(phase=["sodium", "zinc"], axis_u=whole["axis_u"])
    out = register_layers(sino, fixed=tomogram(), phases=phases, accept=True)
    assert apart(out, SHIFT) < 0.25
    wrong = phases.assign_coords(x=phases["x"] * 1.1)
    with pytest.raises(ArgumentError, match="not on the pixels of this sinogram"):
        register_layers(sino, fixed=tomogram(), phases=wrong)


def test_missing_rotations_and_senses_are_heeded() -> None:
    ds = diffracted(SHIFT, seed=1)
    valid = np.ones((4, 40, COLUMNS), bool)
    valid[1, 5] = False
    ds["valid"] = ("z", "angle", "u"), valid
    ds["intensity"] = ds["intensity"].where(ds["valid"])
    # The same rays, written with the other senses.
    turned = ds.assign_coords(
        angle=("angle", 180 - ds["angle"].values, {"units": "deg"}), rotation_sense=-1, u_sense=-1
    )
    for one in (ds, turned):
        assert apart(register_layers(one, fixed=tomogram()), SHIFT) < 0.1


def test_it_is_a_registration() -> None:
    """join, resample and connect take it."""
    out = found()
    frame = grid(tomogram(), voxel=10.0)
    made = layers(balls(), HEIGHTS, SPOT, COLUMNS, SHIFT)
    weight = xrdct.reconstruct(made)["intensity"].rename(q="phase").transpose("phase", *"zyx")
    phases = weight.to_dataset(name="weight").assign_coords(
        phase=["a", "b"], resolution=((), SPOT, UM), beam_size=((), SPOT, UM)
    )
    on = join(frame, volume=phases, name="20um", registration=out)
    inside = on["weight_valid"][0].values
    truth = resample(frame, volume=tomogram(), psf=SPOT / 2.355)["attenuation"].values
    there = inside & np.isfinite(truth)
    assert np.corrcoef(on["weight"][0, 0].values[there], truth[there])[0, 1] > 0.85
    alike = register_layers(diffracted(SHIFT, seed=1), fixed=tomogram(), model="similarity")
    assert float(alike["pixel_scale"]) == pytest.approx(1, abs=5 * sigma(alike, "scale"))
    other = answer(similarity((0, 0, 1), (3, 2, 1)), 0)
    all_ = connect(alike, scans=(("20um", "diad"), ("diad", "i13")), reference="i13", pair2=other)
    both = other["to_fixed"].values @ alike["to_fixed"].values
    np.testing.assert_allclose(all_["to_sample"].sel(scan="20um"), both, atol=1e-6)


def test_another_sample_is_refused() -> None:
    other = scan(balls(5), (64, 64, 64), 5.0)
    with pytest.raises(RegistrationError, match="not trusted") as caught:
        register_layers(diffracted(SHIFT, seed=1), fixed=other)
    assert "the layers fit about as well" in str(caught.value)
    assert not bool(
        register_layers(diffracted(SHIFT, seed=1), fixed=other, accept=True)["confirmed"]
    )


def test_a_mirrored_scan_is_told_from_one_that_is_not() -> None:
    ds = diffracted(np.eye(4), seed=1)
    mirrored = ds.assign_coords(angle=("angle", -ds["angle"].values, {"units": "deg"}))
    with pytest.raises(RegistrationError, match=r"mirrored.*fit better"):
        register_layers(mirrored, fixed=tomogram())


def _far(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign_coords(z=("z", ds["z"].values + 5000.0, UM))


def _millimetres(ds: xr.Dataset) -> xr.Dataset:
    return ds.assign_coords({d: (d, ds[d].values / 1000, UM) for d in "zyx"})


@pytest.mark.parametrize(
    ("change", "of", "raised", "said"),
    [
        (_far, "ds", RegistrationError, "nothing in common"),
        (_millimetres, "fixed", RegistrationError, "to be of one unit"),
        (lambda d: d.isel(x=[], y=[]), "fixed", SourceError, "empty, or too thin"),
        (lambda d: d * np.nan, "fixed", SourceError, "the tomogram is empty"),
        (lambda d: xr.ones_like(d), "fixed", SourceError, "the tomogram is constant"),
        (lambda d: xr.zeros_like(d), "ds", SourceError, "the layers are constant"),
        (lambda d: d.assign(valid=xr.zeros_like(d["intensity"][..., 0], bool)), "ds", SourceError,
         "the layers are empty"),
        (lambda d: d.isel(z=[]), "ds", SourceError, "no layer"),
        (lambda d: d.isel(u=[0, 1, 3, 4]), "ds", SchemaError, "do not ascend evenly"),
        (lambda d: d.drop_vars("axis_u"), "ds", ArgumentError, "where the rotation axis is"),
        (lambda d: d.assign_coords(u_sense=2), "ds", SchemaError, "'u_sense' is a sense"),
        (lambda d: d.assign(other=d["attenuation"]), "fixed", SchemaError, "none was named"),
        (lambda d: d.drop_vars("attenuation"), "fixed", SchemaError, "no such volume"),
        (lambda d: d.isel(z=slice(0, None, 5), y=slice(0, None, 5), x=slice(0, None, 5)), "fixed",
         ArgumentError, "wider than the beam"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told(change: Any, of: str, raised: type[Exception], said: str) -> None:
    given = {"ds": diffracted(np.eye(4)), "fixed": tomogram()}
    attrs = {"units": "1/cm"}
    given[of] = change(given[of])
    if "attenuation" in given["fixed"]:
        given["fixed"]["attenuation"].attrs.update(attrs)
    with pytest.raises(raised, match=said):
        register_layers(given["ds"], fixed=given["fixed"])

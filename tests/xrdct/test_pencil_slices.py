"""A real pencil beam: slices of its sinograms, whose angles are stored as they were measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import zeoarray
from zeoarray import xrdct
from zeoarray.kernels import projector

Array = np.ndarray[Any, Any]

FILES = {"mm.nxs": "entry1/stxm_entry", "stxm_single_sino.nxs": None}


def absorbed(real: Path, name: str) -> xr.Dataset:
    """(z, angle, u, q) of one height and one channel: minus the logarithm of transmission."""
    found = {"dataset": FILES[name]} if FILES[name] else {}
    ds = zeoarray.open_scan(real / "i18_pencil_beam" / name, {"beam_size": "2 um", **found}).load()
    ds = ds.isel(z=[3]) if "z" in ds.dims else ds.expand_dims("z")
    lines = -np.log(ds["intensity"] / ds["intensity"].max("u"))
    q = {"q": ("q", [1.0], {"units": "1/angstrom"})}
    made: xr.Dataset = ds.assign(
        intensity=lines.transpose("z", "angle", "u").expand_dims("q", -1).astype("float32")
    ).assign_coords(q)
    return made


def missed(ds: xr.Dataset, slices: xr.Dataset, center: float) -> float:
    """What projecting the slice back leaves of the sinogram, of its own size."""
    image = slices["intensity"].isel(z=0, q=0).transpose("y", "x").values * 2e-4
    # Where the stage moves, u runs against it; axes are right-handed with the scan's own z.
    angle = ds["angle"].values * float(ds["rotation_sense"] * ds["z_sense"])
    turned = np.deg2rad(angle + (180 if ds["u_sense"] < 0 else 0))
    again = projector.project(image, turned, size=ds.sizes["u"], center=center)
    lines = ds["intensity"].isel(z=0, q=0).transpose("angle", "u").values
    return float(np.sqrt(np.mean((again - lines) ** 2) / np.mean(lines**2)))


@pytest.mark.parametrize("name", FILES)
def test_slices_of_a_real_pencil_beam(real: Path, name: str) -> None:
    raw = absorbed(real, name)
    assert (np.diff(raw["angle"]) < 0).any(), "its angles are unsorted"
    ds = xrdct.sinogram(raw)
    assert (np.diff(ds["angle"]) > 0).all()
    # What find_center finds, to half a position: see the test of the axis.
    center = 44.3
    run: dict[str, Any] = {"operator": "nufft"}
    right = xrdct.reconstruct(ds, center=center, **run)
    # Rays sorted or not, the slice is one.
    np.testing.assert_allclose(
        xrdct.reconstruct(raw, center=center, **run)["intensity"], right["intensity"],
        atol=1e-4 * float(right["intensity"].max()),
    )  # fmt: skip
    told = missed(ds, right, center)
    assert told < 0.1, f"{told:.3f}"
    for away in (-3.0, 3.0):
        wrong = xrdct.reconstruct(ds, center=center + away, **run)
        assert missed(ds, wrong, center + away) > 1.5 * told
    # A grain in a capillary: air between them, and nothing but air outside.
    radius = np.hypot(right["x"], right["y"])
    values = right["intensity"].isel(z=0, q=0)
    grain, air = float(values.where(radius < 20).max()), float(values.where(radius > 90).mean())
    assert abs(air) < 0.05 * grain

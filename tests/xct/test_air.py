"""A scanned beam without flats: transmission by the air at both ends of its lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from zeoarray import pipeline, store, xct
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import flatfield

UM = {"units": "um"}


def scanned(angles: int = 30, u: int = 41) -> tuple[xr.Dataset, np.ndarray]:
    """Lines through a disc off the axis, of a beam that fades, rotations out of order."""
    angle = np.random.default_rng(1).permutation(angles) * 180.0 / angles
    place = (np.arange(u) - (u - 1) / 2) * 2.0
    turn = np.deg2rad(angle)[:, None]
    across = place - 6 * np.cos(turn)
    truth = np.exp(-0.02 * 2 * np.sqrt(np.clip(15**2 - across**2, 0, None)))
    fading = np.linspace(1.0, 0.8, u) * np.linspace(1, 0.5, angles)[:, None]
    monitor = np.random.default_rng(2).uniform(0.9, 1.1, (angles, u))
    ds = xr.Dataset(
        {
            "intensity": (("angle", "u"), (5e4 * truth * fading * monitor).astype("float32")),
            "monitor": (("angle", "u"), monitor),
        },
        {"angle": ("angle", angle, {"units": "deg"}), "u": ("u", place, UM),
         "z": ((), 3.0, UM), "resolution": ((), 2.0, UM)},
    )  # fmt: skip
    return ds, truth[np.argsort(angle)]


def test_transmission_is_that_of_the_sample() -> None:
    ds, truth = scanned()
    out = xct.normalize_by_air(ds, margin=4)
    assert out["transmission"].dims == ("angle", "z", "u")
    assert (np.diff(out["angle"]) > 0).all()
    assert out["z"].values.tolist() == [3.0]
    np.testing.assert_allclose(out["transmission"].values[:, 0], truth, rtol=1e-5)
    several = ds.expand_dims(z=[0.0, 1.0]).assign_coords(z=("z", [0.0, 1.0], UM))
    both = xct.normalize_by_air(several, margin=4)["transmission"]
    np.testing.assert_allclose(both.values[:, 1], truth, rtol=1e-5)


def test_a_line_without_beam_is_dark_and_finite() -> None:
    assert np.array_equal(flatfield.over_air(np.zeros(5), margin=1), np.zeros(5))
    ds, _ = scanned()
    ds["monitor"][3] = 0.0
    out = xct.normalize_by_air(ds)
    assert np.isfinite(out["transmission"]).all()


def test_what_cannot_be_is_said() -> None:
    ds, _ = scanned()
    with pytest.raises(ArgumentError, match="leaves no sample between them"):
        xct.normalize_by_air(ds, margin=21)
    with pytest.raises(SchemaError, match="there are no scanned lines"):
        xct.normalize_by_air(ds.drop_vars("intensity"))
    with pytest.raises(SchemaError, match="there are no scanned lines"):
        xct.normalize_by_air(ds.expand_dims(q=3))


SLICES = """
zeoarray: 1
store: {store}
stages:
  - ingest: {{source: {source}, into: xct/i18/scan, beam_size: 2 um}}
  - from: xct/i18/scan
    into: xct/i18/absorbance
    steps:
      - xct.normalize_by_air: {{margin: 8}}
      - xct.minus_log
  - from: xct/i18/absorbance
    into: xct/i18/volume/bin1
    steps:
      - xct.reconstruct: {{center: 44.3}}
"""


def test_a_real_pencil_beam_becomes_a_slice_by_a_pipeline(real: Path, tmp_path: Path) -> None:
    text = tmp_path / "i18.yaml"
    source = real / "i18_pencil_beam/stxm_single_sino.nxs"
    text.write_text(SLICES.format(store=tmp_path / "i18.zarr", source=source), encoding="utf-8")
    pipeline.run(pipeline.read(text))
    volume = store.open_node(tmp_path / "i18.zarr", "xct/i18/volume/bin1").load()
    values = volume["attenuation"].isel(z=0)
    radius = np.hypot(volume["y"], volume["x"])
    # A grain of a mineral in a capillary, with air between them.
    grain, air = float(values.where(radius < 20).max()), float(values.where(radius > 90).mean())
    assert grain > 20 * abs(air)
    assert 10 < grain < 1000  # 1/cm at 17 keV

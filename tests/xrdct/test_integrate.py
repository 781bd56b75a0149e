"""xrdct.integrate: against pyFAI frame by frame, beams at rest and beams that move; bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

import zeoarray
from zeoarray import labelled, schema, xrdct
from zeoarray.errors import ArgumentError, MissingMetadataError, SchemaError, ZeoError
from zeoarray.kernels import azimuthal, azimuthal_scan
from zeoarray.twin.geometry import Geometry
from zeoarray.xrdct import geometry

TILTED = Geometry("Pilatus 100k", 0.2, 0.01, -0.01, rot1=0.02, rot2=-0.03, rot3=0.1)
SHAPE = TILTED.shape
RANGE, NPT = (1.6, 4.0), 300


def scan(frames: int = 4, **coords: Any) -> xr.Dataset:
    """Frames with a ring, on a tilted detector; the beam moves."""
    q = TILTED.integrator().center_array(SHAPE, unit="q_A^-1")
    mean = 20 + 200 * np.exp(-(((q - 2.5) / 0.05) ** 2))
    rng = np.random.default_rng(frames)
    mask = rng.random(SHAPE) < 0.01
    given: dict[str, Any] = {
        "angle": ("frame", np.arange(frames) * 90.0),
        "u": ("frame", np.where(np.arange(frames) % 2, 400.0, -300.0)),
        "z": ("frame", np.full(frames, 150.0)),
        "monitor": ("frame", np.linspace(1, 2, frames)),
        "ring_current": ("frame", np.linspace(300, 200, frames)),
        "exposure": ("frame", np.full(frames, 4.0)),
        "u_sense": 1, "z_sense": 1, "rotation_sense": 1,
        "distance": TILTED.distance, "poni1": TILTED.poni1, "poni2": TILTED.poni2,
        "rot1": TILTED.rot1, "rot2": TILTED.rot2, "rot3": TILTED.rot3,
        "pixel1": TILTED.pixel[0], "pixel2": TILTED.pixel[1], "wavelength": TILTED.wavelength,
        "energy": TILTED.energy, "detector": "Pilatus100k", "detector_config": "{}",
        "orientation": 3, "sensor_parallax": 0,
    }  # fmt: skip
    given |= coords
    ds = xr.Dataset(
        {
            "counts": (
                ("frame", "det_y", "det_x"),
                rng.poisson(mean, (frames, *SHAPE)).astype("int32"),
            ),
            "mask": (("det_y", "det_x"), mask),
        },
        {name: value for name, value in given.items() if value is not None},
    )
    return schema.describe(ds, schema.SCAN_XRDCT)


def pyfai(ds: xr.Dataset, ai: AzimuthalIntegrator, frame: int, **more: Any) -> Any:
    return ai.integrate1d_ng(
        ds["counts"].values[frame].astype(float), NPT, unit="q_A^-1", radial_range=RANGE,
        mask=ds["mask"].values, method=("full", "csr", "cython"), **more,
    )  # fmt: skip


def test_patterns_are_those_of_pyfai() -> None:
    ds = scan()
    out = xrdct.integrate(
        ds, npt=NPT, radial_range=RANGE, normalize_by="monitor", per_second=True,
        polarization_factor=0.95,
    )  # fmt: skip
    for frame in range(2):
        one = pyfai(
            ds, TILTED.integrator(), frame, error_model="poisson", polarization_factor=0.95,
            normalization_factor=float(ds["monitor"][frame]) * 4.0,
        )  # fmt: skip
        seen = out["normalization"].values[frame] > 0
        assert seen.mean() > 0.9
        for name, theirs in (("intensity", one.intensity), ("variance", one.sigma**2)):
            ours = out[name].values[frame]
            np.testing.assert_allclose(ours[seen], theirs[seen], rtol=2e-5, err_msg=name)
            assert np.isnan(ours[~seen]).all()
        np.testing.assert_allclose(out["q"].values, one.radial, rtol=1e-6)
    np.testing.assert_allclose(
        out["signal"] / out["normalization"], out["intensity"], rtol=1e-6, equal_nan=True
    )
    np.testing.assert_allclose(out["d"] * out["q"], 2 * np.pi)
    theta = np.deg2rad(out["two_theta"].values / 2)
    np.testing.assert_allclose(4 * np.pi * np.sin(theta) / TILTED.wavelength, out["q"].values)
    assert {"angle", "u", "z", "monitor"} <= set(out.coords)
    assert any("correlated" in limit for limit in out.attrs["limits"])


def test_a_moving_beam_sees_the_detector_as_the_twin_says() -> None:
    ds = scan()
    out = xrdct.integrate(ds, npt=NPT, radial_range=RANGE, moving=("u", "z"))
    still = xrdct.integrate(ds, npt=NPT, radial_range=RANGE)
    for frame, u in ((0, -300.0), (1, 400.0)):
        one = pyfai(ds, TILTED.at(u, 150.0).integrator(), frame)
        seen = out["normalization"].values[frame] > 0
        np.testing.assert_allclose(
            out["intensity"].values[frame][seen], one.intensity[seen], rtol=5e-5
        )
        off = np.abs(still["intensity"].values[frame][seen] / one.intensity[seen] - 1)
        assert off.max() > 0.1, "a resting beam would have done as well"
    lower = scan(z_sense=-1)
    turned = xrdct.integrate(lower, npt=NPT, radial_range=RANGE, moving=("z",))
    one = pyfai(lower, TILTED.at(0.0, -150.0).integrator(), 0)
    seen = turned["normalization"].values[0] > 0
    np.testing.assert_allclose(turned["intensity"].values[0][seen], one.intensity[seen], rtol=5e-5)
    shifted = xrdct.integrate(
        ds, npt=NPT, radial_range=RANGE, moving=("u", "z"), calibrated_at=(-300.0, 150.0)
    )
    np.testing.assert_array_equal(shifted["signal"][0], still["signal"][0])


def test_one_matrix_for_each_position(monkeypatch: pytest.MonkeyPatch) -> None:
    jitter = np.array([0.3, -0.2, 0.1, 0.0, -0.4, 0.2])
    u = np.array([-300.0, 400.0] * 3) + jitter
    ds = scan(6, u=("frame", u), angle=("frame", np.array([0.0, 0, 60, 60, 120, 120])))
    built: list[Any] = []
    real = azimuthal.integration_matrix

    def counted(*args: Any, **given: Any) -> Any:
        built.append(args)
        return real(*args, **given)

    monkeypatch.setattr(azimuthal, "integration_matrix", counted)
    azimuthal_scan._MATRIX.forget()
    stops = xrdct.find_positions(ds)
    np.testing.assert_allclose(stops["beam_u"], [-299.87, 399.87], atol=0.3)
    np.testing.assert_array_equal(stops["stops"], [[3, 3]])
    whole = xrdct.integrate(ds, npt=50, moving=("u",), positions=stops)
    assert len(built) == 2
    part = xrdct.integrate(ds.isel(frame=slice(1, 4)), npt=50, moving=("u",), positions=stops)
    for name in ("intensity", "variance", "signal", "normalization"):
        np.testing.assert_array_equal(whole[name][1:4], part[name])


@pytest.mark.parametrize(("unit", "span"), [("two_theta", (5.0, 15.0)), ("d", (1.7, 3.5))])
def test_bins_are_equal_in_the_unit(unit: Any, span: tuple[float, float]) -> None:
    out = xrdct.integrate(scan(1), npt=100, unit=unit, radial_range=span)
    steps = np.diff(out[unit].values)
    np.testing.assert_allclose(np.abs(steps), (span[1] - span[0]) / 100, rtol=1e-6)
    assert (np.diff(out["q"]) > 0).all()
    peak = float(out["q"][int(np.nanargmax(out["intensity"].values[0]))])
    assert peak == pytest.approx(2.5, abs=0.05)


def test_radius_and_cake() -> None:
    ds = scan(2)
    across = xrdct.integrate(ds, npt=100, unit="r")
    assert across["intensity"].dims == ("frame", "r")
    assert across["r"].attrs["units"] == "mm"
    cake = xrdct.cake(ds, npt=60, sectors=24, radial_range=RANGE)
    assert cake["intensity"].dims == ("frame", "chi", "q")
    one = TILTED.integrator().integrate2d_ng(
        ds["counts"].values[0].astype(float), 60, 24, unit="q_A^-1", radial_range=RANGE,
        azimuth_range=(-180, 180), mask=ds["mask"].values, method=("full", "csr", "cython"),
    )  # fmt: skip
    seen = cake["normalization"].values[0] > 0.5
    np.testing.assert_allclose(cake["intensity"].values[0][seen], one.intensity[seen], rtol=1e-3)
    np.testing.assert_allclose(cake["chi"], one.azimuthal, atol=1e-4)
    flat = cake["signal"].sum("chi") / cake["normalization"].sum("chi")
    plain = xrdct.integrate(ds, npt=60, radial_range=RANGE)["intensity"]
    np.testing.assert_allclose(flat, plain, rtol=0.1)


def test_spots_are_left_out() -> None:
    ds = scan(1)
    clean = xrdct.integrate(ds, npt=80, radial_range=RANGE, split="no")
    spotty = ds.copy(deep=True)
    spotty["counts"][0, 60:64, 100:104] = 10**6
    given: dict[str, Any] = {"npt": 80, "radial_range": RANGE, "split": "no"}
    plain = xrdct.integrate(spotty, **given)
    for method in ("sigma_clip", "trimmed_mean"):
        out = xrdct.integrate(spotty, method=method, **given)
        off = np.abs(out["intensity"] / clean["intensity"] - 1)
        assert float(off.max()) < 0.1 < float(np.abs(plain["intensity"] / clean["intensity"]).max())


def test_dark_flat_and_what_is_no_count() -> None:
    ds = scan(2)
    base = xrdct.integrate(ds, npt=60, radial_range=RANGE)
    image = np.full(SHAPE, 7.0, np.float32)
    dark = xr.Dataset({"dark": (("det_y", "det_x"), image, {"units": "counts"})})
    out = xrdct.integrate(ds.assign(counts=ds["counts"] + 7), npt=60, radial_range=RANGE, dark=dark)
    np.testing.assert_allclose(out["intensity"], base["intensity"], rtol=1e-4)
    flat = xr.Dataset({"flat": (("det_y", "det_x"), image, {"units": "1"})})
    out = xrdct.integrate(ds, npt=60, radial_range=RANGE, flat=flat)
    np.testing.assert_allclose(out["intensity"] * 7, base["intensity"], rtol=1e-4)
    wrong = ds.copy(deep=True)
    wrong["counts"][0, 50, 60:90] = -1
    wrong["counts"][0, 51, 60:90] = 900_000
    masked = ds.assign(mask=ds["mask"].copy(deep=True))
    masked["mask"][50:52, 60:90] = True
    out = xrdct.integrate(wrong, npt=60, radial_range=RANGE, saturation=900_000)
    np.testing.assert_allclose(
        out["intensity"][0], xrdct.integrate(masked, npt=60, radial_range=RANGE)["intensity"][0],
        rtol=1e-5,
    )  # fmt: skip
    dim = ds.copy(deep=True)
    dim["counts"][0] = 0
    dim["counts"][1] = -1
    out = xrdct.integrate(dim, npt=60, radial_range=RANGE)
    assert (out["intensity"][0] == 0).all(), "nothing was counted"
    assert (out["variance"][0] > 0).all(), "which is not certain to be nothing"
    assert np.isnan(out["intensity"][1]).all(), "nothing was measured"
    assert (out["normalization"][1] == 0).all()


def test_dead_monitor_is_named_or_left_out() -> None:
    ds = scan(4, monitor=("frame", np.array([1.0, 0.0, np.nan, 2.0])))
    with pytest.raises(ArgumentError, match="the monitor of 2 frames is dead") as error:
        xrdct.integrate(ds, normalize_by="monitor")
    assert "frames 1, 2" in str(error.value)
    out = xrdct.integrate(ds, npt=50, radial_range=RANGE, normalize_by="monitor", dead="leave_out")
    alive = np.isfinite(out["intensity"]).any("q").values
    np.testing.assert_array_equal(alive, [True, False, False, True])
    assert (out["normalization"][1] == 0).all()


BAD: dict[str, tuple[dict[str, Any], dict[str, Any], type[ZeoError], str]] = {
    "energy": ({"energy": 20.0}, {}, ArgumentError, "energy and wavelength disagree"),
    "wavelength": ({"wavelength": None}, {}, MissingMetadataError, "'wavelength' .* is missing"),
    "poni": ({"poni1": None}, {}, MissingMetadataError, "'poni1' .* is missing"),
    "orientation": ({"orientation": 7}, {}, SchemaError, "an orientation that there is not"),
    "detector": ({"detector": "Pilatus300k"}, {}, SchemaError, "of another detector"),
    "range": ({}, {"radial_range": (20.0, 60.0)}, ArgumentError, "lies off the detector"),
    "no monitor": ({"monitor": None}, {"normalize_by": "monitor"}, ArgumentError, "no 'monitor'"),
    "stage": ({"u_sense": -1}, {"moving": ("u",)}, ArgumentError, "u moves the sample"),
    "lost": ({"u": ("frame", [0, np.nan, 1, 2.0])}, {"moving": ("u",)}, ArgumentError,
             "the beam's position is not known"),
    "d": ({}, {"unit": "d"}, ArgumentError, "d has no end"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_told(case: str) -> None:
    coords, given, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        xrdct.integrate(scan(**coords), **given)


def test_energy_that_disagrees_may_be_left_alone() -> None:
    out = xrdct.integrate(scan(1, energy=20.0), npt=20, photons="wavelength")
    assert float(out["wavelength"]) == pytest.approx(TILTED.wavelength)


def test_images_of_another_detector_are_refused() -> None:
    ds = scan(1)
    turned = ds.isel(det_x=slice(0, 195)).assign(counts=ds["counts"].isel(det_x=slice(0, 195)))
    with pytest.raises(SchemaError, match="of another detector"):
        xrdct.integrate(turned)
    dark = xr.Dataset({"dark": (("det_y", "det_x"), np.zeros((3, 4)), {"units": "counts"})})
    with pytest.raises(SchemaError, match="the dark does not fit the frames"):
        xrdct.integrate(ds, dark=dark)
    swapped = ds.drop_vars("mask").assign(mask=(("det_x", "det_y"), ds["mask"].values.T))
    with pytest.raises(SchemaError, match="'mask' has the dims"):
        xrdct.integrate(swapped)
    with pytest.raises(ArgumentError, match="the scan is empty"):
        xrdct.integrate(ds.isel(frame=slice(0, 0)))
    with pytest.raises(SchemaError, match="no 'variance'"):
        xrdct.integrate(ds, error_model="variance")


def test_counts_are_their_own_variance_where_asked_for() -> None:
    ds = scan(2)
    given = ds.assign(variance=ds["counts"].astype("float32").assign_attrs(ds["counts"].attrs))
    one = xrdct.integrate(ds, error_model="counts")["variance"]
    other = xrdct.integrate(given, error_model="variance")["variance"]
    np.testing.assert_allclose(one, other, rtol=1e-6)
    assert (xrdct.integrate(ds)["variance"] >= one * (1 - 1e-6)).all()  # max(counts, 1)


def test_nothing_is_built_or_read_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azimuthal, "integration_matrix", lambda *a, **k: pytest.fail("built"))
    ds = scan(4)
    with labelled.recorded() as record:
        out = xrdct.integrate(ds.chunk(frame=2), moving=("u",))
    assert out["intensity"].chunks is not None
    assert "frame" not in record.whole, "blocks are cut along frame"
    (call,) = record.calls
    assert call.together == {"frame": azimuthal_scan.LANES}


def test_size_of_the_matrix_is_known_before_it_is_built() -> None:
    ds = scan(1)
    for split in ("no", "full"):
        config = geometry.configured(
            ds, "test", npt=2000, unit="q", radial_range=None, azimuth_range=None,
            split=split, polarization_factor=None, solid_angle=True, photons="agree",
        )  # fmt: skip
        place = np.array([TILTED.distance, TILTED.poni1, TILTED.poni2])
        built = azimuthal_scan.matrix_at(config, place, np.ones(SHAPE, np.float32))
        told = azimuthal_scan.matrix_bytes(config)
        assert 0.9 < told / built.nbytes < 1.3


def test_covariance_band_is_that_of_resampled_counts() -> None:
    ds = scan(1)
    given: dict[str, Any] = {"npt": 900, "radial_range": RANGE}
    band = xrdct.bin_covariance(ds, **given)
    rng = np.random.default_rng(3)
    mean = ds["counts"].values[0]
    many = rng.poisson(mean, (150, *SHAPE)).astype("int32")
    drawn = ds.isel(frame=np.zeros(150, int)).assign(
        counts=(("frame", "det_y", "det_x"), many, {"units": "counts"})
    )
    values = xrdct.integrate(drawn, error_model="none", **given)["intensity"].values.astype(float)
    window = slice(300, 320)
    spread = values[:, window].sum(axis=1).var()
    covariance = band["covariance"].values.astype(float)
    rows = covariance[window]
    told = rows[:, 0].sum() + 2 * sum(
        rows[: 20 - lag, lag].sum() for lag in range(1, rows.shape[1])
    )
    assert told == pytest.approx(spread, rel=0.3)
    assert rows[:, 0].sum() < 0.75 * told, "bins taken as independent would do"
    assert (band["correlation"][:, 0] == 1).all()


def test_rings_of_ceria_are_where_they_belong(real: Path) -> None:
    folder = real / "ceo2_pilatus"
    image = sorted(p for p in folder.iterdir() if p.suffix in (".cbf", ".edf", ".tif"))
    (poni,) = folder.glob("*.poni")
    masks = [p for p in image if "mask" in p.name.lower()]
    frames = [p for p in image if p not in masks]
    ds = zeoarray.open_scan(frames[0], {"beam_size": 1.0, "poni": poni}, reader=None)
    out = xrdct.integrate(ds, npt=3000, photons="wavelength").compute()
    pattern, q = out["intensity"].values[0], out["q"].values
    for h2 in (3, 4, 8, 11):
        line = 2 * np.pi * np.sqrt(h2) / 5.4116
        near = np.abs(q / line - 1) < 0.02
        weight = np.clip(pattern[near] - np.nanmedian(pattern[near]), 0, None)
        assert (q[near] * weight).sum() / weight.sum() == pytest.approx(line, rel=1e-3)

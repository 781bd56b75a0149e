"""Patterns as columns of text: read back here, and by the rules of the programs they are for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

import zeoarray
from tests.strategies import um
from zeoarray import export
from zeoarray.cli.export import command
from zeoarray.errors import (
    ArgumentError,
    MissingMetadataError,
    SchemaError,
    StoreError,
    UnknownNameError,
)

Array = np.ndarray[Any, Any]

WAVELENGTH = 0.5391
Q = 1.0 + 0.001 * np.arange(300)
VOLUME = "xrdct/sequence=1/volume"


def volume() -> xr.Dataset:
    """(z, y, x, q) of two layers, a circle of which is known."""
    rng = np.random.default_rng(0)
    values = rng.uniform(1, 9, (2, 9, 7, Q.size)).astype("float32")
    variance = rng.uniform(0.1, 0.3, values.shape).astype("float32")
    coords = {d: um(d, n, 25.0) for d, n in zip("zyx", values.shape, strict=False)}
    far = np.hypot(coords["y"][1][:, None], coords["x"][1]) > 85
    values[:, far] = variance[:, far] = 0
    dims = ("z", "y", "x", "q")
    return xr.Dataset(
        {"intensity": (dims, values, {"units": "1/cm"}), "variance": (dims, variance)},
        {
            **coords,
            "q": ("q", Q, {"units": "1/angstrom"}),
            "wavelength": ((), WAVELENGTH, {"units": "angstrom"}),
            "resolution": ((), 25.0, {"units": "um"}),
        },
    )


def gsas(path: Path) -> Array:
    """(column, row). Two-theta, intensity and weight, as GSAS-II reads these files.

    Facts of its importer: comments begin with ``'``, ``#`` or ``!``; one with a q in it says that
    the first column is q, and its second word is the wavelength, or 1 where it is no number.
    Intensities that are not positive get no weight.
    """
    wave, rows = None, []
    for line in path.read_text("ascii").splitlines():
        if line[0] in "'#!":
            if "q" in line and wave is None:
                word = line.split()[1]
                wave = float(word) if word.replace(".", "").isdigit() else 1.0
            continue
        x, y, sigma = (float(word) for word in line.split())
        rows.append((x, y, 1 / sigma**2 if y > 0 else 0.0))
    table = np.array(rows).T
    if wave is not None:
        table[0] = 2 * np.rad2deg(np.arcsin(wave * table[0] / (4 * np.pi)))
    return table


def two_theta(q: Array = Q) -> Array:
    found: Array = 2 * np.rad2deg(np.arcsin(q * WAVELENGTH / (4 * np.pi)))
    return found


def test_a_voxel_is_read_back(tmp_path: Path) -> None:
    ds, path = volume(), tmp_path / "voxel.xye"
    told = export.to_xye(ds, path, at={"z": 12.5, "y": -20, "x": 55})
    assert told["region"] == {"z": [12.5, 12.5], "y": [-25.0, -25.0], "x": [50.0, 50.0]}
    assert (told["patterns"], told["left_out"], told["bins"]) == (1, 0, Q.size)
    back = zeoarray.open_scan(path, {"wavelength": f"{WAVELENGTH} angstrom"})
    at = ds.isel(z=1, y=3, x=5)
    np.testing.assert_allclose(back["q"], Q, atol=2e-7)
    np.testing.assert_allclose(back["intensity"], at["intensity"], rtol=1e-7)
    np.testing.assert_allclose(back["variance"], at["variance"], rtol=1e-6)


@pytest.mark.parametrize("ending", [".xye", ".qye"])
def test_gsas_reads_the_same_angles(tmp_path: Path, ending: str) -> None:
    ds = volume().assign_attrs(node="xrdct/q temp=300", store="quick\n.zarr")
    path = tmp_path / f"voxel{ending}"
    export.to_xye(ds, path, at={"z": 12.5, "y": 0, "x": 0})
    x, y, weight = gsas(path)
    at = ds.isel(z=1, y=4, x=3)
    np.testing.assert_allclose(x, two_theta(), atol=6e-7 if ending == ".xye" else 4e-6)
    np.testing.assert_allclose(y, at["intensity"], rtol=1e-7)
    np.testing.assert_allclose(weight, 1 / at["variance"], rtol=1e-6)
    heading = [n for n in path.read_text("ascii").splitlines() if n.startswith("'")]
    # A temperature would be read from it.
    assert not any("temp" in line.lower().split("=")[0] and "=" in line for line in heading)
    assert f"{WAVELENGTH:.8g}" in heading[0]


def test_a_region_is_the_mean_of_what_is_known(tmp_path: Path) -> None:
    ds, path = volume(), tmp_path / "region.xye"
    told = export.to_xye(ds, path, at={"z": (0, 20), "y": (-110, 0), "x": (-60, 60)})
    part = ds.isel(z=1, y=slice(0, 5), x=slice(1, 6))
    inside = part["variance"].isel(q=0).values > 0
    assert 0 < told["left_out"] == (~inside).sum()
    assert told["patterns"] == inside.sum()
    _, y, weight = gsas(path)
    np.testing.assert_allclose(y, part["intensity"].values[inside].mean(0), rtol=1e-6)
    sigma = np.sqrt(part["variance"].values[inside].sum(0)) / inside.sum()
    np.testing.assert_allclose(weight**-0.5, sigma, rtol=1e-6)


def test_bins_without_values_are_left_out(tmp_path: Path) -> None:
    ds = volume()
    ds["intensity"][1, 4, 3, 10:15], ds["variance"][1, 4, 3, 20] = np.nan, 0
    told = export.to_xye(ds, tmp_path / "a.xye", at={"z": 12.5, "y": 0, "x": 0})
    assert (told["bins"], told["bins_left_out"]) == (Q.size - 6, 6)
    kept = np.delete(two_theta(), [10, 11, 12, 13, 14, 20])
    np.testing.assert_allclose(gsas(tmp_path / "a.xye")[0], kept, atol=3e-6)


def test_patterns_need_no_place(tmp_path: Path) -> None:
    pattern = volume().isel(z=0, y=4, x=3, drop=True).sortby("q", ascending=False)
    told = export.to_xye(pattern.drop_vars("variance"), tmp_path / "a.xy")
    assert told["region"] == {}
    table = np.loadtxt(tmp_path / "a.xy", comments="'").T
    np.testing.assert_allclose(table[0], two_theta(), atol=3e-6)
    np.testing.assert_allclose(table[1], pattern["intensity"][::-1], rtol=1e-7)
    # Over two-theta, as of a powder file that states no wavelength.
    angles = pattern.drop_vars("wavelength").rename(q="two_theta")
    export.to_xye(angles, tmp_path / "b.xye")
    np.testing.assert_allclose(gsas(tmp_path / "b.xye")[0], np.sort(angles["two_theta"]))


@pytest.mark.parametrize(
    ("change", "given", "error", "message"),
    [
        ({}, {"out": "a.txt"}, ArgumentError, "the ending of a.txt says no columns"),
        ({}, {"at": {"w": 0}}, UnknownNameError, "dim of .intensity., .w."),
        ({}, {"at": {"y": 113}}, ArgumentError, "y has no such position"),
        ({}, {"at": {"y": (1.0, 2.0)}}, ArgumentError, "no position of y is in the range"),
        ({}, {"at": {"y": 100, "x": 75}}, ArgumentError, "there is no pattern in the region"),
        ({}, {"variable": "intensty"}, UnknownNameError, "did you mean 'intensity'"),
        ({"drop": "variance"}, {}, SchemaError, "there is no sigma of 'intensity'"),
        ({"drop": "wavelength"}, {}, MissingMetadataError, "the wavelength is not known"),
        ({"drop": "wavelength"}, {"out": "a.qye"}, MissingMetadataError, "in the heading"),
        ({"drop": "y"}, {"at": {"y": 0}}, ArgumentError, "'y' has no positions"),
    ],
)
def test_what_cannot_be_written_is_told(
    change: dict[str, str], given: dict[str, Any], error: type[Exception], message: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    ds = volume()
    if "drop" in change:
        ds = ds.drop_vars(change["drop"])
    out = tmp_path / given.pop("out", "a.xye")
    with pytest.raises(error, match=message):
        export.to_xye(ds, out, **given)
    assert not list(tmp_path.glob("*.?ye"))


def test_maps_are_no_patterns(tmp_path: Path) -> None:
    ds = volume().assign(height=("y", np.zeros(9)))
    with pytest.raises(SchemaError, match="'height' holds no patterns"):
        export.to_xye(ds, tmp_path / "a.xye", variable="height")


def test_nothing_is_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.xye"
    export.to_xye(volume(), path, at={"z": 12.5})
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"a\.xye exists"):
        export.to_xye(volume(), path, at={"z": -12.5})
    assert path.read_bytes() == before
    export.to_xye(volume(), path, at={"z": -12.5}, overwrite=True)
    assert path.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["a.xye"]


def test_the_command_writes_it(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    zeoarray.save(volume(), store, "xrdct/a/volume")
    out = tmp_path / "rim.xye"
    line = [str(store), "xrdct/a/volume", str(out), "--xye"]
    done = CliRunner().invoke(command, [*line, "--at", "z", "12.5", "--at", "x", "-60:60"])
    assert done.exit_code == 0, done.output
    assert (
        "rim.xye is whole: two-theta [deg], intensity, sigma; 300 bins, 0 left out" in done.output
    )
    assert "z 12.5, y -100 to 100, x -50 to 50" in done.output
    assert len(gsas(out)[0]) == Q.size
    for more, message in [
        (["--at", "x", "a"], "takes a number or LOW:HIGH"),
        (["--at", "x", "1", "--at", "x", "2"], "--at x is given twice"),
        (["--rows", "0:1"], "--rows is of images"),
    ]:
        failed = CliRunner().invoke(command, [*line, *more])
        assert failed.exit_code == 2
        assert message in failed.output
    tiff = CliRunner().invoke(command, [*line[:-1], "--tiff", "--at", "x", "1"])
    assert "--at is of --xye" in tiff.output

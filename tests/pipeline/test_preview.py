"""One row straight from a scan gives what the whole volume has there; sweeps; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from tests.pipeline.conftest import scan
from zeoarray import xct
from zeoarray.errors import ArgumentError, UnknownNameError
from zeoarray.pipeline import preview
from zeoarray.pipeline.document import Call

LENS = {"polynomial": (1.0, 1e-3), "center_from_top": 10.0, "center_from_left": 24.0}
STEPS: preview.Steps = (
    ("xct.normalize", {}),
    ("xct.correct_distortion", {**LENS, "crop_edges": 2}),
    ("xct.minus_log", {}),
    ("xct.reconstruct", {"center": 21.5}),
)


def whole(center: float = 21.5) -> xr.Dataset:
    ds = xct.minus_log(xct.correct_distortion(xct.normalize(scan()), **LENS, crop_edges=2))
    return xct.reconstruct(ds, center=center)


def test_a_row_is_that_of_the_volume() -> None:
    ((value, made),) = preview.preview(scan(), STEPS, row=9)
    assert value is None
    expected = whole().sel(z=scan()["z"][9])
    np.testing.assert_allclose(
        made["attenuation"].values[0], expected["attenuation"].values, atol=2e-3
    )


def test_sweep_takes_each_value() -> None:
    sweep = preview.Sweep.parse("xct.reconstruct.center=20:22:1")
    made = dict(preview.preview(scan(), STEPS, row=9, sweep=sweep))
    assert list(made) == [20.0, 21.0, 22.0]
    for center, result in made.items():
        expected = whole(center).sel(z=scan()["z"][9])
        np.testing.assert_allclose(
            result["attenuation"].values[0], expected["attenuation"].values, atol=2e-3
        )


def discs(center: float) -> xr.Dataset:
    """A scan of two discs about an axis at a column."""
    ds = scan()
    angle, u = np.deg2rad(ds["angle"].values)[:, None], np.arange(ds.sizes["u"]) - center
    absorbance = np.zeros((angle.size, u.size))
    for x, y, radius in ((9.0, 2.0, 6.0), (-8.0, -7.0, 4.0)):
        away = u - x * np.cos(angle) - y * np.sin(angle)
        absorbance += 0.1 * np.sqrt(np.clip(radius**2 - away**2, 0, None))
    beam = 60000 * np.exp(-absorbance)[:, None, :] * np.ones((1, ds.sizes["z"], 1))
    counts = ds["counts"].copy(data=beam.astype("u2"))
    flat, dark = ds["flat"].copy(), ds["dark"].copy()
    flat[:], dark[:] = 60000, 0
    return ds.assign(counts=counts, flat=flat, dark=dark)


def test_the_axis_is_found_where_none_is_given() -> None:
    steps = (*STEPS[:1], *STEPS[2:3], ("xct.reconstruct", {}))
    ds = discs(22.3)
    ((_, made),) = preview.preview(ds, steps, row=9)
    column = (made["axis_u"].item() - ds["u"].values[0]) / np.diff(ds["u"].values[:2]).item()
    assert column == pytest.approx(22.3, abs=0.1)
    sweep = preview.Sweep.parse("xct.minus_log.floor=1e-5,1e-4")
    swept = [m["axis_u"].item() for _, m in preview.preview(ds, steps, row=9, sweep=sweep)]
    assert swept == [made["axis_u"].item()] * 2


def test_measures_are_taken_on_the_rows_that_are_read() -> None:
    steps: preview.Steps = (("xct.normalize", {"frames": "xct/a/frames"}), *STEPS[2:])
    measures = {"xct/a/frames": Call("xct.check_frames", {"rows": 1}, ())}
    ((_, made),) = preview.preview(scan(), steps, row=4, measures=measures)
    assert made.attrs["steps"][0]["parameters"]["frames"]["flat_good"] == [True] * 6


def test_a_measure_that_takes_a_node_and_straightens_what_it_reads() -> None:
    """The axis of the row that is shown, as it is of the whole scan when straightened."""
    lens = {**LENS, "polynomial": [1.0, 2e-4]}
    ds, nodes = discs(22.3), {"frames": "xct/a/frames"}
    steps: preview.Steps = (
        ("xct.normalize", nodes),
        ("xct.correct_distortion", lens),
        STEPS[2],
        ("xct.reconstruct", {"axis": "xct/a/axis"}),
    )
    measures = {
        "xct/a/frames": Call("xct.check_frames", {"rows": 1}, ()),
        "xct/a/axis": Call("xct.find_center", {**nodes, "method": "opposite"} | lens, ()),
    }
    ((_, made),) = preview.preview(ds, steps, row=9, measures=measures)
    straight = xct.correct_distortion(xct.normalize(ds), **LENS | {"polynomial": (1.0, 2e-4)})
    expected = xct.find_center(straight.isel(z=[9]), method="opposite")["axis_u"]
    assert made["axis_u"].item() == pytest.approx(expected.item(), abs=1e-3)
    around = measures | {"xct/a/axis": Call("xct.find_center", {"frames": "xct/a/axis"}, ())}
    with pytest.raises(UnknownNameError, match="measure that makes a node"):
        list(preview.preview(ds, steps, row=9, measures=around))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("center=1:2:1", "STEP.PARAMETER"),
        ("xct.reconstruct.center", "STEP.PARAMETER"),
        ("xct.reconstruct.center=a,b", "STEP.PARAMETER"),
        ("xct.reconstruct.center=1:2:0", "STEP.PARAMETER"),
        ("xct.reconstruct.center=0:1e9:1", "1 to 400 values"),
    ],
)
def test_sweep_that_is_none(text: str, part: str) -> None:
    with pytest.raises(ArgumentError, match=part):
        preview.Sweep.parse(text)


def test_what_a_preview_cannot_do() -> None:
    with pytest.raises(ArgumentError, match="there is no such row"):
        list(preview.preview(scan(), STEPS, row=22))
    with pytest.raises(ArgumentError, match="the steps leave this row out"):
        list(preview.preview(scan(), STEPS, row=0))
    other = preview.Sweep.parse("xct.remove_rings.snr=3,5")
    with pytest.raises(UnknownNameError, match=r"step in this preview 'xct\.remove_rings'"):
        list(preview.preview(scan(), STEPS, row=9, sweep=other))
    phase: preview.Steps = (STEPS[0], ("xct.retrieve_phase", {"delta_beta": 100.0}), *STEPS[2:])
    with pytest.raises(ArgumentError, match="all rows of a projection") as error:
        list(preview.preview(scan(), phase, row=9))
    assert "xct.retrieve_phase" in str(error.value)
    with pytest.raises(UnknownNameError, match="measure that makes a node"):
        list(preview.preview(scan(), (("xct.normalize", {"frames": "a/b"}),), row=9))

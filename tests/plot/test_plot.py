"""Pictures are figures of no global state, with units, labels and the values they were given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.strategies import um
from zeoarray import plot, quality, schema
from zeoarray.errors import ArgumentError, DependencyError, SchemaError
from zeoarray.plot import canvas

pytest.importorskip("matplotlib")


def volume(shape: tuple[int, int, int] = (6, 40, 50)) -> xr.Dataset:
    values = np.random.default_rng(0).normal(1, 0.2, shape).astype("float32")
    attrs = {"units": "1/cm", "long_name": "linear attenuation"}
    return xr.Dataset(
        {"attenuation": (("z", "y", "x"), values, attrs)},
        {
            **{d: um(d, n) for d, n in zip("zyx", shape, strict=True)},
            "resolution": ((), 2.5, {"units": "um"}),
        },
    )


def texts(figure: Any) -> str:
    """Everything that is written in a figure, as it is drawn."""
    import matplotlib.text

    figure.canvas.draw()
    return "\n".join(t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_visible())


def images(figure: Any) -> list[Any]:
    return [image for axes in figure.axes for image in axes.images]


def test_slices_show_three_planes_in_one_scale(tmp_path: Path) -> None:
    ds = volume()
    figure = plot.slices(ds, at=(None, 0.0, None))
    figure.savefig(tmp_path / "slices.png")
    said = texts(figure)
    assert "linear attenuation [cm⁻¹]" in said
    assert "µm" in said
    assert "z = 1.25 µm" in said
    shown = images(figure)
    np.testing.assert_array_equal(shown[0].get_array(), ds.attenuation.values[3])
    np.testing.assert_array_equal(shown[2].get_array(), ds.attenuation.values[:, :, 25])
    assert len({image.get_clim() for image in shown}) == 1
    # Row 0 is the lowest y, as positions ascend upwards.
    assert shown[0].origin == "lower"


def test_slices_of_nothing_and_of_places_outside() -> None:
    with pytest.raises(SchemaError, match="nothing to draw"):
        plot.slices(xr.Dataset())
    with pytest.raises(ArgumentError, match="no plane at z = 1000 um") as caught:
        plot.slices(volume(), at=(1000, None, None))
    assert "-6.25 to 6.25 um" in str(caught.value)
    with pytest.raises(ArgumentError, match=r"plot.slices draws volumes"):
        plot.slices(volume().attenuation.isel(z=0))
    empty = volume()
    empty["attenuation"][:] = np.nan
    with pytest.raises(ArgumentError, match="without a finite pixel"):
        plot.slices(empty)


def test_a_montage_writes_each_value_on_its_tile() -> None:
    ds = volume()
    tiles = [ds.attenuation.isel(z=i) for i in range(5)]
    figure = plot.montage(tiles, [1260.0, 1260.5, 1261.0, 1261.5, 1262.0], title="center [px]")
    said = texts(figure).splitlines()
    assert {"1260", "1260.5", "1262", "center [px]"} <= set(said)
    assert len(figure.axes) == 5
    # One scale bar is enough, and all tiles have the same greys.
    assert sum("µm" in line for line in said) == 1
    assert len({image.get_clim() for image in images(figure)}) == 1


def test_a_montage_zooms_into_the_middle() -> None:
    image = np.zeros((40, 60))
    image[20, 30] = 1
    figure = plot.montage([image], ["a"], zoom=2)
    assert images(figure)[0].get_array().shape == (20, 30)
    assert images(figure)[0].get_array()[10, 15] == 1


def test_bad_montages_are_refused() -> None:
    image = np.zeros((4, 4))
    for arguments in (([], []), ([image], ["a", "b"])):
        with pytest.raises(ArgumentError, match="a label for each image"):
            plot.montage(*arguments)
    with pytest.raises(ArgumentError, match="zoom and columns are 1 or more"):
        plot.montage([image], ["a"], zoom=0.5)
    with pytest.raises(ArgumentError, match="draws images"):
        plot.montage([np.zeros(4)], ["a"])


def test_rings_show_what_was_removed() -> None:
    before = volume().attenuation.isel(z=0)
    after = before.copy(data=before.values - 0.1)
    figure = plot.rings(before, after, scores=(4.2718, 1.02))
    said = texts(figure)
    assert "before, ring score 4.27" in said
    assert "after, ring score 1.02" in said
    assert "removed [cm⁻¹]" in said
    shown = images(figure)
    np.testing.assert_allclose(shown[2].get_array(), 0.1, atol=1e-6)
    low, high = shown[2].get_clim()
    assert low == -high
    assert shown[0].get_clim() == shown[1].get_clim()
    with pytest.raises(ArgumentError, match="before and after"):
        plot.rings(before, after.isel(x=slice(3)))


def test_a_sinogram_has_no_scale_bar_but_its_ranges() -> None:
    coords = {"angle": ("angle", np.linspace(0, 179, 30), {"units": "deg"}), "u": um("u", 20)}
    sinogram = xr.DataArray(np.random.default_rng(0).normal(size=(30, 20)), coords, ("angle", "u"))
    said = texts(plot.rings(sinogram, sinogram))
    assert "angle, 0 to 179 °" in said
    assert "u, -23.75 to 23.75 µm" in said


def test_the_axis_is_drawn_with_its_sigma_and_curves() -> None:
    node = xr.Dataset(
        {
            "axis_u": ("z", np.linspace(1, 2, 4), {"units": "um"}),
            "axis_sigma": ("z", np.full(4, 0.1), {"units": "um"}),
            "metric": (("z", "tried"), np.ones((4, 9))),
        },
        {"z": um("z", 4), "tried": ("tried", np.arange(9.0), {"units": "px"})},
    )
    figure = plot.axis(node)
    said = texts(figure)
    assert "axis, u [µm]" in said
    assert "tried [px]" in said
    assert len(figure.axes[1].lines) == 4
    assert len(plot.axis(node.drop_vars("metric")).axes) == 1
    with pytest.raises(SchemaError, match="no axis to draw"):
        plot.axis(node.drop_vars("axis_u"))


def test_frames_that_are_left_out_are_seen() -> None:
    check = xr.Dataset()
    for kind, good in (("flat", [True, False, True]), ("dark", [True, True])):
        for name, values in (("mean", np.ones(len(good))), ("sigma", np.ones(len(good))),
                             ("good", np.array(good))):  # fmt: skip
            var = schema.FRAMES_XCT[f"{kind}_{name}"]
            check[var.name] = (var.dims, values, schema.attrs_of(var))
    said = texts(plot.frames(check))
    assert "left out: 1" in said
    assert "used: 2" in said
    assert "flat, mean [counts]" in said
    with pytest.raises(SchemaError, match=r"plot.frames"):
        plot.frames(xr.Dataset())


def test_a_comparison_says_to_which_detail() -> None:
    ds = volume()
    found = quality.compare(ds, theirs=ds)
    said = texts(plot.comparison(found))
    assert "agree to 2.5 µm" in said
    assert "half-bit criterion" in said
    with pytest.raises(SchemaError, match=r"plot.comparison"):
        plot.comparison(ds)


def test_large_images_are_averaged() -> None:
    image = np.random.default_rng(0).normal(size=(300, 450)).astype("f4")
    small = canvas.shrunk(image, 100)
    assert small.shape == (60, 90)
    np.testing.assert_allclose(small[0, 0], image[:5, :5].mean(), rtol=1e-5)
    # A strip thinner than the factor keeps what it has.
    assert canvas.shrunk(image[:3], 100).shape == (1, 90)


def test_a_constant_image_is_grey() -> None:
    assert canvas.greys(np.full((3, 3), 2.0)) == (1.0, 3.0)


def test_pictures_touch_no_global_state() -> None:
    code = (
        "import sys, numpy as np; from zeoarray import plot\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.montage([np.eye(4)], ['a']).savefig('/dev/null', format='png')\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DependencyError, match="need matplotlib") as caught:
        canvas.figure(1, 1)
    assert "pip install" in str(caught.value.do)

"""Panels have units on both sides, true proportions, and the values they were given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.plot.test_plot import images, texts, volume
from tests.report import stores
from zeoarray import plot
from zeoarray.errors import ArgumentError, SchemaError


def test_an_image_has_positions_a_scale_bar_and_its_unit() -> None:
    plane = volume().attenuation.isel(z=0)
    figure = plot.image(plane, title="z = 0")
    said = texts(figure)
    for text in ("x [µm]", "y [µm]", "linear attenuation [cm⁻¹]", "20 µm", "z = 0"):
        assert text in said
    (shown,) = images(figure)
    np.testing.assert_array_equal(shown.get_array(), plane.values)
    # Outer edges of the first and the last pixel, of 2.5 um.
    assert shown.get_extent() == pytest.approx([-62.5, 62.5, -50, 50])
    axes = figure.axes[0]
    assert axes.get_aspect() == 1
    box = axes.get_window_extent()
    assert box.width / box.height == pytest.approx(50 / 40, rel=0.01)


def test_a_flat_image_has_its_bar_below() -> None:
    flat = volume((4, 40, 400)).attenuation.isel(y=0)
    image, bar = plot.image(flat).axes
    assert bar.get_position().y1 < image.get_position().y0
    figure = plot.image(volume().attenuation.isel(z=0))
    image, bar = figure.axes
    assert bar.get_position().x0 > image.get_position().x1


def test_what_is_missing_has_a_colour_of_its_own() -> None:
    plane = volume().attenuation.isel(z=0).copy()
    plane[:5, :5] = np.nan
    for cmap in ("gray", "viridis", "cividis", "RdBu_r"):
        (shown,) = images(plot.image(plane, cmap=cmap))
        bad = shown.get_cmap().get_bad()[:3]
        others = shown.get_cmap()(np.arange(256))[:, :3]
        assert np.abs(others - bad).max(axis=1).min() > 0.1


def test_a_difference_is_white_at_zero() -> None:
    plane = volume().attenuation.isel(z=0) - 3
    (shown,) = images(plot.difference(plane))
    low, high = shown.get_clim()
    assert low == -high


def test_images_of_other_dims_are_refused() -> None:
    with pytest.raises(ArgumentError, match="draws two dims") as caught:
        plot.image(volume().attenuation)
    assert "isel(z=100)" in str(caught.value)


def test_names_of_a_store_are_no_formulas() -> None:
    plane = volume().attenuation.isel(z=0).assign_attrs(units=r"$\frac{", long_name="$" * 200)
    figure = plot.image(plane, title=r"$\undefined{")
    figure.canvas.draw()
    assert r"\$\undefined{" in texts(figure)


def test_a_histogram_counts_every_finite_value() -> None:
    values = xr.DataArray([0.0] * 90 + [1.0] * 10 + [np.nan], dims="x", name="a")
    axes = plot.histogram(values, limits=(0.2, 0.8)).axes[0]
    heights = axes.patches[0].get_data().values
    assert heights.sum() == 100
    assert (heights[0], heights[-1]) == (90, 10)


def test_separation_counts_voxels_by_two_weights() -> None:
    weight = stores.phases()["weight"]
    figure = plot.separation(weight.isel(phase=0), weight.isel(phase=1))
    said = texts(figure)
    assert "weight of sodium" in said
    assert "weight of zinc" in said
    with pytest.raises(ArgumentError, match="same voxels"):
        plot.separation(weight.isel(phase=0), weight.isel(phase=1, x=slice(3)))
    with pytest.raises(ArgumentError, match="no voxel has both"):
        plot.separation(weight.isel(phase=0) * np.nan, weight.isel(phase=1))


def test_the_axis_lies_where_it_was_found() -> None:
    node = stores.axis()
    axes = plot.axis_line(node).axes[0]
    assert axes.lines[0].get_xdata() == pytest.approx(np.full(40, stores.AXIS))
    said = texts(plot.axis_metric(node))
    assert "axis tried, u [µm]" in said
    lowest = [line.get_xdata()[line.get_ydata().argmin()] for line in
              plot.axis_metric(node).axes[0].lines if len(line.get_xdata()) == 31]  # fmt: skip
    np.testing.assert_allclose(lowest, stores.AXIS, atol=0.7)


@pytest.mark.parametrize(
    ("draw", "make", "label"),
    [
        (plot.drift, stores.drift, "drift [µm]"),
        (plot.ring_scores, stores.rings, "ring score"),
        (plot.isolation, stores.isolation, "mixed voxels [%]"),
        (plot.axis_line, stores.axis, "axis, u [µm]"),
    ],
)
def test_curves_of_nodes_have_units(draw: Any, make: Any, label: str) -> None:
    assert label in texts(draw(make()))
    with pytest.raises(SchemaError):
        draw(xr.Dataset())


def test_levels_are_percent_of_the_mean() -> None:
    level = xr.DataArray([99.0, 101.0], dims="flat_frame")
    axes = plot.levels(level, sets=[0, 1]).axes[0]
    drawn = [line.get_ydata()[0] for line in axes.lines[:2]]
    np.testing.assert_allclose(drawn, [-1, 1])


def test_a_pattern_with_its_fit_shows_what_is_left() -> None:
    ds = stores.powder()
    fitted = ds["intensity"] - 0.5
    figure = plot.pattern(ds["intensity"], fitted=fitted, marks=stores.LINES, title="p")
    left = figure.axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(left, 0.5)
    assert "q [Å⁻¹]" in texts(figure)
    assert "lines of zinc" in texts(figure)
    with pytest.raises(SchemaError, match="curves over one dim"):
        plot.profile({"a": volume().attenuation})

"""Views of lazy arrays, motor positions, and what every reader says of beam and crop."""

from __future__ import annotations

import itertools
import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from xarray.core import indexing

from zeoarray import units
from zeoarray.errors import ArgumentError, SourceError, UnknownNameError
from zeoarray.ingest.parts import hdf5, labels
from zeoarray.ingest.parts.motors import Motor, along, placed, rotation
from zeoarray.ingest.parts.views import Readable, View
from zeoarray.ingest.reader import Options

VALUES = np.arange(1 * 3 * 4 * 5, dtype="f4").reshape(1, 3, 4, 5)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Readable:
    path = tmp_path_factory.mktemp("views") / "a.h5"
    with h5py.File(path, "w") as file:
        file["data"] = VALUES
    with hdf5.opened(path) as file:
        return hdf5.array(file, "data")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_view_indexed_in_any_way(data: st.DataObject, source: Readable) -> None:
    order = data.draw(st.sampled_from(list(itertools.permutations((1, 2, 3)))))
    axes: list[int | None] = list(order)
    axes.insert(data.draw(st.integers(0, 3)), None)
    power = data.draw(st.sampled_from((1, 2)))
    view = View(source, tuple(axes), scale=2.0, offset=-1.0, power=power)
    wanted = np.expand_dims(VALUES[0].transpose([a - 1 for a in order]), axes.index(None))
    wanted = wanted**power * np.float32(2) - np.float32(1)
    lazy = xr.Variable(("a", "b", "c", "d"), indexing.LazilyIndexedArray(view))
    key = tuple(data.draw(one_index(n)) for n in wanted.shape)
    for axis, part in reversed(list(enumerate(key))):
        wanted = wanted[(slice(None),) * axis + (part,)]
    got = lazy[key].values
    np.testing.assert_array_equal(got, wanted)
    assert got.dtype == np.float32


def one_index(size: int) -> st.SearchStrategy[Any]:
    places = st.integers(0, size - 1)
    slices = st.slices(size).filter(lambda s: (s.step or 1) > 0 or range(*s.indices(size)))
    return st.one_of(places, slices, st.lists(places, max_size=4).map(lambda i: np.array(i, int)))


def test_a_view_pickles_and_leaves_integers_alone_where_nothing_changes(source: Readable) -> None:
    view = pickle.loads(pickle.dumps(View(source, (2, 1, 3))))
    assert view.shape == (4, 3, 5)
    assert view.dtype == np.float32


# --- motors ---------------------------------------------------------------------------------------

SCAN = (1, 4, 6)
THETA = np.array([0.0, 90.0, 180.0, 270.0])


def motor(name: str, values: np.ndarray, unit: str | None = None) -> Motor | None:
    return Motor.fitted(name, values, {} if unit is None else {"units": unit}, SCAN)


def test_a_rotation_is_known_by_unit_then_by_name() -> None:
    theta = motor("gts_cs_theta", THETA)
    x = motor("gts_x", np.arange(6.0), "mm")
    chi = motor("chi", np.full(4, 5.0), "deg")
    assert theta is not None
    assert x is not None
    assert chi is not None
    assert rotation([x, theta]) is theta
    assert rotation([x, chi]) is chi
    turning = motor("any", THETA, "deg")
    assert turning is not None
    assert rotation([chi, turning]) is turning
    assert theta.varies() == 1
    assert placed([x, theta], 2, []) is x
    assert placed([x, theta], 2, ["gts_x"]) is None


def test_values_that_fit_no_axis_are_no_motor() -> None:
    assert motor("counts", np.zeros(11)) is None
    assert motor("map", np.zeros((4, 5))) is None


def test_positions_over_the_whole_grid_are_averaged_and_jitter_noted() -> None:
    values = np.broadcast_to(THETA[None, :, None], SCAN) + np.linspace(-1, 1, 6)
    theta = motor("theta", values, "deg")
    assert theta is not None
    notes: list[str] = []
    got = along(theta, 1, "deg", path=Path("a.nxs"), notes=notes)
    np.testing.assert_allclose(got, THETA, atol=1e-12)
    assert notes == ["theta jitters by up to 1 deg; its means are taken"]


def test_positions_that_are_no_grid_are_refused() -> None:
    x = motor("x", np.arange(24.0).reshape(SCAN), "mm")
    assert x is not None
    with pytest.raises(SourceError, match="not a position along one axis"):
        along(x, 2, "um", path=Path("a.nxs"), notes=[])


def test_rows_never_measured_have_no_position() -> None:
    values = np.where(np.arange(4) == 3, np.nan, THETA)[None, :, None] * np.ones(SCAN)
    theta = motor("theta", values, "deg")
    assert theta is not None
    got = along(theta, 1, "deg", path=Path("a.nxs"), notes=[])
    np.testing.assert_array_equal(got, [0, 90, 180, np.nan])


# --- labels ---------------------------------------------------------------------------------------


def test_an_energy_that_the_wavelength_contradicts_is_noted_and_taken() -> None:
    notes: list[str] = []
    beam = labels.beam(Options(), energy=17.0, wavelength=0.76, notes=notes)
    assert float(beam["energy"]) == 17.0
    assert float(beam["wavelength"]) == units.wavelength_of(17.0)
    assert len(notes) == 1
    assert "contradicts its energy 17 keV by 4.0%" in notes[0]


def test_what_the_user_states_goes_first_and_is_kept_to_the_digit() -> None:
    notes: list[str] = []
    beam = labels.beam(Options(wavelength=1.54059), energy=17.0, notes=notes)
    assert float(beam["wavelength"]) == 1.54059
    assert "17 keV" in notes[0]
    assert labels.beam(Options(), notes=notes) == {}


def test_the_user_must_not_contradict_himself() -> None:
    with pytest.raises(ArgumentError, match="energy and the wavelength that were given contradict"):
        labels.beam(Options(energy=20.0, wavelength=1.0), notes=[])
    agreed = Options(energy=20.0, wavelength=units.wavelength_of(20.0))
    assert float(labels.beam(agreed, notes=[])["energy"]) == 20.0


def test_crops_are_checked() -> None:
    ds = xr.Dataset({"a": (("y", "x"), np.zeros((3, 4)))})
    assert labels.cropped(ds, {"x": (1, 3)}, ("x", "y")).sizes["x"] == 2
    with pytest.raises(SourceError, match="the crop of 'x' leaves nothing"):
        labels.cropped(ds, {"x": (2, 9)}, ("x",))
    with pytest.raises(UnknownNameError, match="no dim to crop here 'y'"):
        labels.cropped(ds, {"y": (0, 1)}, ("x",))


def test_radial_coords() -> None:
    two_theta = np.array([0.0, 20.0, 60.0])
    q = labels.q_of(two_theta, 1.0)
    coords = labels.radial(q, 1.0)
    np.testing.assert_allclose(coords["two_theta"][1], two_theta)
    # Bragg's law.
    np.testing.assert_allclose(1.0, 2 * coords["d"][1][1:] * np.sin(np.deg2rad(two_theta[1:] / 2)))
    assert np.isnan(labels.radial(np.array([1.0, 99.0]), 1.0)["two_theta"][1][1])

"""Several files as one scan: read where indexed, gaps marked, what is odd told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from xarray.core import indexing

from zeoarray.errors import ArgumentError, SourceError
from zeoarray.ingest import concat
from zeoarray.ingest.parts.gaps import GappedArray

INDEX = st.one_of(
    st.integers(0, 5),
    # xarray itself fails on empty slices that run backwards.
    st.slices(6).filter(lambda s: len(range(*s.indices(6))) > 0 or (s.step or 1) > 0),
    st.lists(st.integers(0, 5), min_size=1, max_size=6).map(np.array),
)


def lazily(array: object) -> xr.Variable:
    return xr.Variable(("a", "b", "c"), indexing.LazilyIndexedArray(array))


@given(axis=st.integers(0, 2), cut=st.integers(0, 6), keys=st.tuples(INDEX, INDEX, INDEX))
def test_joined_arrays_index_as_numpy(axis: int, cut: int, keys: tuple[object, ...]) -> None:
    whole = np.arange(216.0).reshape(6, 6, 6)
    parts = [xr.Variable(("a", "b", "c"), p) for p in np.split(whole, [cut], axis)]
    joined = lazily(concat.JoinedArray(parts, axis, whole.shape, whole.dtype))
    expected = xr.Variable(("a", "b", "c"), whole)
    np.testing.assert_array_equal(joined[keys].values, expected[keys].values)


@given(
    axis=st.integers(0, 2),
    gone=st.sets(st.integers(0, 5), max_size=5),
    keys=st.tuples(INDEX, INDEX, INDEX),
)
def test_gapped_arrays_index_as_numpy(axis: int, gone: set[int], keys: tuple[object, ...]) -> None:
    whole = np.arange(216.0).reshape(6, 6, 6)
    kept = [i for i in range(6) if i not in gone]
    where = np.full(6, -1)
    where[kept] = np.arange(len(kept))
    source = xr.Variable(("a", "b", "c"), whole.take(kept, axis))
    np.moveaxis(whole, axis, 0)[sorted(gone)] = np.nan
    gapped = lazily(GappedArray(source, axis, tuple(where.tolist())))
    expected = xr.Variable(("a", "b", "c"), whole)
    np.testing.assert_array_equal(gapped[keys].values, expected[keys].values)


def layer(z: float, angles: np.ndarray, seed: int = 0) -> xr.Dataset:
    values = np.random.default_rng(seed).random((1, angles.size, 4, 5)).astype("f4")
    return xr.Dataset(
        {"intensity": (("z", "angle", "u", "q"), values)},
        coords={"z": [z], "angle": angles, "u": np.arange(4.0), "q": np.arange(5.0)},
        attrs={"source": [f"{z}.nxs"]},
    )


def join(tmp_path: Path, *layers: xr.Dataset, dim: str = "z") -> xr.Dataset:
    files = []
    for i, ds in enumerate(layers):
        path = tmp_path / f"{i}.nxs"
        path.touch()
        files.append((path, lambda ds=ds: ds))
    return concat.join(files, dim)


def test_a_layer_without_one_rotation_is_marked_and_not_shifted(tmp_path: Path) -> None:
    angles = np.arange(0.0, 360, 45)
    short = layer(0, np.delete(angles, 3) + 0.3)
    full = layer(50, angles, seed=1)
    ds = join(tmp_path, short, full)
    np.testing.assert_array_equal(ds["angle"], angles)
    np.testing.assert_array_equal(ds["valid"].sel(z=0, angle=135.0), 0)
    assert int(ds["valid"].sum()) == (7 + 8) * 4
    assert bool(np.isnan(ds["intensity"].sel(z=0, angle=135.0)).all())
    np.testing.assert_array_equal(
        ds["intensity"].sel(z=0).isel(angle=[0, 1, 2, 4, 5, 6, 7]), short["intensity"][0]
    )
    np.testing.assert_array_equal(ds["intensity"].sel(z=50), full["intensity"][0])
    assert ds.attrs["joined"]["short"] == {str(tmp_path / "0.nxs"): "7 of 8 along angle"}
    assert ds.attrs["source"] == ["0.nxs", "50.nxs"]


def test_layers_that_are_whole_need_no_valid(tmp_path: Path) -> None:
    angles = np.arange(0.0, 360, 45)
    ds = join(tmp_path, layer(0, angles), layer(50, angles))
    assert "valid" not in ds
    assert ds.attrs["joined"]["short"] == {}


def test_layers_of_another_raster_are_refused(tmp_path: Path) -> None:
    angles = np.arange(0.0, 360, 45)
    with pytest.raises(SourceError, match="positions 'angle' that are up to 20 apart"):
        join(tmp_path, layer(0, angles), layer(50, angles + 20))


def test_layers_of_other_sizes_or_variables_are_refused(tmp_path: Path) -> None:
    angles = np.arange(0.0, 360, 45)
    with pytest.raises(SourceError, match="q: 4, not 5"):
        join(tmp_path, layer(0, angles), layer(50, angles).isel(q=slice(4)))
    with pytest.raises(SourceError, match="only one of them has monitor"):
        join(tmp_path, layer(0, angles), layer(50, angles).assign(monitor=1.0))
    with pytest.raises(SourceError, match="the files repeat 1 of 2 positions"):
        join(tmp_path, layer(0, angles), layer(0, angles))
    with pytest.raises(ArgumentError, match="has no dim 'y' to join along"):
        join(tmp_path, layer(0, angles), layer(50, angles), dim="y")

"""The bridge: lazily the same as at once, and nothing read before it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from threadpoolctl import threadpool_info

from tests.on_disk import scan_on_disk, unread
from zeoarray import graph, labelled
from zeoarray.errors import ArgumentError, ContractError, SchemaError, UnknownNameError
from zeoarray.kernels import windows
from zeoarray.kernels.contract import KERNELS, Memory, kernel

rng = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    before = dict(KERNELS)
    yield
    KERNELS.clear()
    KERNELS.update(before)


def computing(*args: Any, **kwargs: Any) -> None:
    pytest.fail("something was computed before it was asked for")


def scaled(array: Any, weights: Any, *, center: Any = 0.0, power: int = 1) -> tuple[Any, Any]:
    """One output like the input, one with the core dim gone."""
    shifted = array - np.asarray(center, array.dtype)[..., None]
    return shifted**power * weights, (shifted * weights).sum(-1) > 0


def smoothed(array: Any) -> Any:
    """The mean of five neighbours, the ends repeated."""
    wide = np.pad(array, [(0, 0)] * (array.ndim - 1) + [(2, 2)], mode="edge")
    return sum(wide[..., i : i + array.shape[-1]] for i in range(5)) / 5


@pytest.fixture
def array() -> xr.DataArray:
    values = rng.normal(size=(6, 4, 10)).astype("float32")
    z = ("z", np.arange(6.0), {"units": "um"})
    return xr.DataArray(values, dims=("z", "q", "u"), coords={"z": z}, name="a", attrs={"b": 1})


def both(function: Any, *arrays: xr.DataArray, **options: Any) -> tuple[xr.DataArray, ...]:
    """Lift over NumPy, check that lifting over dask gives the same, and return the latter."""
    at_once = labelled.lift(function, *arrays, **options)
    cut = [a.chunk(dict.fromkeys(a.dims, 3)) for a in arrays]
    with dask.config.set(scheduler=computing):
        lazy = labelled.lift(function, *cut, **options)
    for one, other in zip(at_once, lazy, strict=True):
        xr.testing.assert_identical(one, other.compute(scheduler="synchronous"))
    return lazy


def test_outputs_rows_and_batch_dims(array: xr.DataArray) -> None:
    kernel("(u),(u)->(u),()", rows={"center": ()}, dtype=("float", "flag"))(scaled)
    weights = xr.DataArray(np.linspace(0, 1, 10, dtype="float32"), dims="u")
    for center in (
        0.5,
        xr.DataArray(np.arange(6.0), dims="z"),
        xr.DataArray(np.arange(4.0), dims="q"),
        xr.DataArray(np.zeros((4, 6)), dims=("q", "z")),
    ):
        product, flag = both(scaled, array, weights, parameters={"center": center})
        assert product.dims == ("z", "q", "u")
        assert flag.dims == ("z", "q")
        assert (product.dtype, flag.dtype) == (np.float32, bool)
        assert product.chunks == ((3, 3), (3, 1), (10,)), "only the core dim is in one chunk"
        assert product.attrs == {}
        assert product.name is None
        assert product["z"].attrs == {"units": "um"}


def test_values_of_rows(array: xr.DataArray) -> None:
    kernel("(u),(u)->(u),()", rows={"center": ()}, dtype=("float", "flag"))(scaled)
    center = xr.DataArray(np.arange(6.0), dims="z")
    ones = xr.DataArray(np.ones(10, "float32"), dims="u")
    product, _ = labelled.lift(scaled, array, ones, parameters={"center": center})
    np.testing.assert_allclose(product.values, (array - center).values, rtol=1e-6)


def test_core_dims_by_other_names_keep_their_order(array: xr.DataArray) -> None:
    parameters = {"factor": 2}
    (out,) = both(windows.bin_mean, array.drop_vars("z"), parameters=parameters, dims={"n": "z"})
    assert out.dims == ("z", "q", "u")
    np.testing.assert_allclose(out.values, array.values.reshape(3, 2, 4, 10).mean(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("cut", "stays"),
    [((10,), (10,)), ((3, 3, 4), (3, 3, 4)), ((1,) * 10, (2,) * 5), ((9, 1), (10,)), ((2, 8),) * 2],
)
def test_halo(array: xr.DataArray, cut: tuple[int, ...], stays: tuple[int, ...]) -> None:
    kernel("(n)->(n)", halo={"n": 2})(smoothed)
    (whole,) = labelled.lift(smoothed, array, dims={"n": "u"})
    (lazy,) = labelled.lift(smoothed, array.chunk(u=cut, z=4), dims={"n": "u"})
    xr.testing.assert_identical(whole, lazy.compute())
    assert lazy.chunksizes["u"] == stays, "a dim with a halo stays cut, in parts that hold it"


def test_grain_stays_cut_at_its_multiples(array: xr.DataArray) -> None:
    (out,) = labelled.lift(
        windows.bin_sum,
        array.chunk(u=(3, 1, 2, 2, 2)),
        parameters={"factor": 2},
        dims={"n": "u"},
    )
    assert out.chunksizes["u"] == (2, 1, 1, 1)


def test_joining_core_dims_does_not_join_everything(
    array: xr.DataArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel("(n)->(n)")(smoothed)
    monkeypatch.setattr(graph, "BLOCK_BYTES", 4 * 60)
    (whole,) = labelled.lift(smoothed, array, dims={"n": "z"})
    (lazy,) = labelled.lift(smoothed, array.chunk(z=1), dims={"n": "z"})
    assert lazy.chunksizes["z"] == (6,)
    assert max(lazy.chunksizes["q"]) * max(lazy.chunksizes["u"]) <= 10
    xr.testing.assert_identical(whole, lazy.compute())


def test_a_task_has_one_thread(array: xr.DataArray) -> None:
    seen = []

    def watched(array: Any) -> Any:
        seen.extend(lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas")
        return array.astype("float32")

    kernel("()->()")(watched)
    labelled.lift(watched, array.chunk())[0].compute(scheduler="threads")
    assert set(seen) == {1}


def test_errors(array: xr.DataArray) -> None:
    kernel("(u),(u)->(u),()", dtype=("float", "flag"))(scaled)
    weights = xr.DataArray(np.ones(10), dims="u")
    with pytest.raises(SchemaError, match="an array has no dim 'u'") as info:
        labelled.lift(scaled, array.rename(u="v"), weights)
    assert "a {'z': 6, 'q': 4, 'v': 10}" in str(info.value)
    with pytest.raises(SchemaError, match="differ in size along 'u'") as info:
        labelled.lift(scaled, array, weights[:4])
    assert "10 and 4" in str(info.value)
    with pytest.raises(ArgumentError, match="takes 2 arrays"):
        labelled.lift(scaled, array)
    with pytest.raises(UnknownNameError, match="did you mean 'power'"):
        labelled.lift(scaled, array, weights, parameters={"powre": 2})
    with pytest.raises(ContractError, match="'len' is not a kernel"):
        labelled.lift(len, array)


def test_a_halo_dim_keeps_its_size(array: xr.DataArray) -> None:
    kernel("(n)->(n)", halo={"n": 2}, sizes=lambda sizes, parameters: {"n": 1})(smoothed)
    with pytest.raises(ContractError, match="a dim with a halo keeps its size"):
        labelled.lift(smoothed, array, dims={"n": "u"})


def test_what_is_recorded(array: xr.DataArray) -> None:
    def memory(sizes: Any, parameters: Any, threads: int) -> Memory:
        return Memory(10, sizes["n"] * sizes["m"] * sizes["batch"] * threads)

    def shifted(array: Any, *, by: int) -> Any:
        return array * by

    kernel("(m,n)->(m,n)", halo={"n": lambda p: p["by"]}, memory=memory)(shifted)
    with labelled.recorded() as record:
        labelled.lift(shifted, array, parameters={"by": 2}, dims={"m": "q", "n": "u"})
        labelled.lift(windows.bin_mean, array, parameters={"factor": 3}, dims={"n": "z"})
        labelled.known(array["z"], whole=False)
        assert record.whole == {"q"}
        labelled.known(array["z"])
    labelled.lift(shifted, array, parameters={"by": 2}, dims={"m": "q", "n": "u"})
    first, second = record.calls
    assert (first.halo, first.grain, second.grain) == ({"u": 2}, {}, {"z": 3})
    assert first.memory({"u": 5}, batch=6, threads=2) == Memory(10, 5 * 4 * 6 * 2)
    assert record.whole == {"q", "z"}


def test_lift_makes_file_arrays_lazy(tmp_path: Path) -> None:
    file = scan_on_disk(tmp_path)
    with dask.config.set(scheduler=computing):
        (out,) = labelled.lift(
            windows.bin_sum, file["counts"], parameters={"factor": 2}, dims={"n": "z"}
        )
        big = xr.DataArray(unread(10, 20, 30), dims=("angle", "z", "u"))
        labelled.lift(windows.bin_sum, big, parameters={"factor": 2}, dims={"n": "z"})
    assert out.chunks is not None
    whole = np.arange(8 * 6 * 4, dtype="float32").reshape(8, 3, 2, 4)
    np.testing.assert_array_equal(out.values, whole.sum(2))


def test_known_values(tmp_path: Path) -> None:
    file = scan_on_disk(tmp_path)
    with dask.config.set(scheduler=computing):
        assert labelled.known(file["time"]).tolist() == list(range(8))
        assert labelled.known(file["time"].chunk(angle=3)).tolist() == list(range(8))
    with pytest.raises(SchemaError, match="'counts' has to be known before anything is computed"):
        labelled.known(file["counts"])

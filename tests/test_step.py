"""A verb is declared once: its signature validates, its result says how it was made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import pytest
import xarray as xr

from zeoarray import step as steps
from zeoarray.errors import ArgumentError, ContractError, UnknownNameError
from zeoarray.step import Count, Share, measure, step


def smooth(
    ds: xr.Dataset,
    *,
    width: Count,
    filter: Literal["ramp", "hann"] = "ramp",
    share: Share = 0.5,
    rows: tuple[int, ...] = (),
    axis: xr.Dataset | None = None,
) -> xr.Dataset:
    """Smooth it.

    More is said here.
    """
    return ds * width


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    before = dict(steps.STEPS)
    yield
    steps.STEPS.clear()
    steps.STEPS.update(before)


@pytest.fixture
def ds() -> xr.Dataset:
    return xr.Dataset({"a": ("x", [1.0, 2.0])}, attrs={"title": "kept"})


def test_what_a_step_says_of_itself() -> None:
    step(version=3, cites=("10.1000/1",))(smooth)
    entry = steps.find("test_step.smooth")
    assert (entry.kind, entry.version, entry.summary) == ("step", 3, "Smooth it.")
    assert entry.nodes == ("axis",)
    assert list(entry.hints) == ["width", "filter", "share", "rows", "axis"]
    fields = entry.model.model_json_schema()["properties"]
    assert fields["width"]["minimum"] == 1
    assert fields["filter"]["enum"] == ["ramp", "hann"]
    assert "axis" not in fields


def test_the_record_of_a_result(ds: xr.Dataset) -> None:
    verb = step(version=3, cites=("10.1000/1",))(smooth)
    axis = xr.Dataset({"axis_u": ("z", [1.0, 2.0])}, attrs={"node": "xct/a/axis"})
    out = verb(verb(ds, width=np.int64(2)), width=3, rows=[1, 2], axis=axis)
    assert out.attrs["title"] == "kept"
    first, second = json.loads(json.dumps(out.attrs["steps"]))
    assert first == {
        "step": "test_step.smooth",
        "version": 3,
        "parameters": {"width": 2, "filter": "ramp", "share": 0.5, "rows": [], "axis": None},
        "cites": ["10.1000/1"],
    }
    assert second["parameters"]["rows"] == [1, 2]
    assert second["parameters"]["axis"] == {"node": "xct/a/axis", "axis_u": [1.0, 2.0]}
    assert "steps" not in ds.attrs


def test_the_record_of_larger_nodes(ds: xr.Dataset) -> None:
    verb = step()(smooth)
    long = xr.Dataset({"axis_u": ("z", np.arange(40.0))})
    records = [
        verb(ds, width=1, axis=axis).attrs["steps"][0]["parameters"]["axis"]["axis_u"]
        for axis in (long, long + 0, long + 1)
    ]
    assert records[0] == records[1] != records[2]
    assert records[0].startswith("xxh64:")
    lazy = verb(ds, width=1, axis=long.chunk(z=4)).attrs["steps"][0]["parameters"]["axis"]
    assert lazy["axis_u"] == "{'z': 40} float64, not read"


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({}, ArgumentError, "test_step.smooth needs the parameter 'width'"),
        ({"width": 0}, ArgumentError, "parameter 'width': Input should be greater than or equal"),
        ({"width": "two"}, ArgumentError, "parameter 'width': Input should be a valid integer"),
        ({"width": 1.5}, ArgumentError, "parameter 'width'"),
        ({"width": 1, "filter": "rmap"}, ArgumentError, "Input should be 'ramp' or 'hann'"),
        ({"width": 1, "share": 1.0}, ArgumentError, "parameter 'share': Input should be less"),
        ({"widht": 1}, UnknownNameError, "test_step.smooth has no parameter 'widht'"),
        ({"width": 1, "axis": 3}, ArgumentError, "'axis' is not a dataset"),
    ],
)
def test_wrong_arguments_are_told_in_python_too(
    ds: xr.Dataset, arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    verb: Callable[..., Any] = step()(smooth)
    with pytest.raises(kind, match=message):
        verb(ds, **arguments)


def test_the_nearest_parameter_is_offered(ds: xr.Dataset) -> None:
    verb: Callable[..., Any] = step()(smooth)
    with pytest.raises(UnknownNameError) as info:
        verb(ds, widht=1)
    assert "one of width, filter, share, rows, axis" in str(info.value)
    assert "did you mean 'width'?" in str(info.value)
    with pytest.raises(ArgumentError, match="'ds' is not a dataset") as other:
        verb(ds["a"], width=1)
    assert "to_dataset(name=...)" in str(other.value)


def test_a_required_node(ds: xr.Dataset) -> None:
    def align(ds: xr.Dataset, *, fixed: xr.Dataset) -> xr.Dataset:
        return ds

    verb: Callable[..., Any] = step()(align)
    with pytest.raises(ArgumentError, match="needs the dataset 'fixed'"):
        verb(ds)
    assert verb(ds, fixed=ds).attrs["steps"]


def test_a_measure_is_one() -> None:
    def level(ds: xr.Dataset) -> xr.Dataset:
        return ds.mean()

    measured = measure(version=2)(level)
    assert steps.find("test_step.level").kind == "measure"
    out = measured(xr.Dataset({"a": ("x", [1.0, 3.0])}))
    assert out.attrs["steps"][0]["version"] == 2
    with pytest.raises(UnknownNameError, match=r"test_step.level has no parameter 'rows'") as info:
        measured(xr.Dataset(), rows=1)
    assert "no parameters" in str(info.value)


def test_unknown_step() -> None:
    step()(smooth)
    with pytest.raises(UnknownNameError, match=r"there is no step 'test_step.smoth'") as info:
        steps.find("test_step.smoth")
    assert "did you mean 'test_step.smooth'?" in str(info.value)


def positional(ds: xr.Dataset, width: int) -> xr.Dataset:
    return ds


def bare(ds: xr.Dataset, *, width) -> xr.Dataset:  # type: ignore[no-untyped-def]
    return ds


def nothing() -> None:
    return None


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (positional, "what follows the dataset is keyword-only"),
        (nothing, "keyword-only"),
        (bare, "an argument without annotation cannot be validated"),
    ],
)
def test_what_is_no_verb(function: Any, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        step()(function)


def test_two_verbs_of_one_name() -> None:
    step()(smooth)

    def again(ds: xr.Dataset) -> xr.Dataset:
        return ds

    again.__name__, again.__module__ = "smooth", "elsewhere.test_step"
    with pytest.raises(ContractError, match=r"two verbs are called 'test_step.smooth'"):
        step()(again)

"""`summary`: the few numbers by which a scan or a volume is judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SchemaError
from zeoarray.kernels.ring_score import ring_score_slice
from zeoarray.step import Count, measure

__all__ = ["score", "summary"]

Array = np.ndarray[Any, Any]


@measure()
def summary(ds: xr.Dataset, *, rows: Count = 16) -> xr.Dataset:
    """Measure what tells a good scan or volume from a bad one, on a sample of rows.

    Of a scan with flats and darks: the level of each flat over that of all (the beam's), how much
    their pattern changes from the first half of them to the second (what makes rings; the noise
    of the flats is taken off), and the share of counts that the camera could not count. After
    `xct.minus_log`: the share of values that had to be clipped. Of a volume: the ring score.

    Parameters
    ----------
    ds
        A scan, an absorbance with `clipped`, or a volume.
    rows
        How many rows are read, evenly spread over `z`.

    Returns
    -------
    xarray.Dataset
        Those of `flat_level`, `flat_drift`, `saturated`, `clipped_share` and `ring_score` that
        the dataset has the data for.

    Raises
    ------
    SchemaError
        For a dataset that has data for none of them.
    """
    schema.validate(ds, schema.positioned(("z",)), by="quality.summary")
    at = np.linspace(0, ds.sizes["z"] - 1, min(rows, ds.sizes["z"])).round().astype(int)
    some = ds.isel(z=np.unique(at))
    out: dict[str, Any] = {}
    if {"flat", "dark"} <= set(some.data_vars):
        schema.validate(ds, schema.REFERENCED_XCT, by="quality.summary")
        out |= _flats(some)
    if "counts" in some.data_vars and some["counts"].dtype.kind in "ui":
        top = np.iinfo(some["counts"].dtype).max
        out["saturated"] = (some["counts"] == top).mean(("angle", "u")).compute().values
    if "clipped" in some.variables:
        out["clipped_share"] = some["clipped"].mean("angle").compute().values
    if "attenuation" in some.data_vars:
        schema.validate(ds, schema.VOLUME_XCT, by="quality.summary")
        # Slice by slice, so that as many rows as one likes need the memory of one.
        slices = (some["attenuation"].isel(z=[i]).compute().values for i in range(some.sizes["z"]))
        out["ring_score"] = [score(image, ds)[0] for image in slices]
    if not out:
        raise SchemaError(
            "quality.summary: nothing in this dataset tells of its quality",
            got=", ".join(map(str, ds.data_vars)) or "no variables",
            expected="counts with flat and dark; absorbance with clipped; or attenuation",
        )
    variables = {name: (schema.QUALITY[name].dims, value) for name, value in out.items()}
    done = xr.Dataset(variables, {"z": some["z"].variable})
    return schema.describe(done, schema.QUALITY)


def _flats(some: xr.Dataset) -> dict[str, Any]:
    """Level of each flat, and the change of their pattern where there are two or more."""
    read = some[["flat", "dark"]].compute()
    dark = read["dark"].values.astype(np.float64).mean(axis=0)
    flats = read["flat"].values.astype(np.float64) - dark
    level = flats.mean(axis=(1, 2))
    mean = float(level.mean())
    out: dict[str, Any] = {"flat_level": level / mean if mean > 0 else np.zeros_like(level)}
    half = len(flats) // 2
    if half and mean > 0 and level.min() > 0:
        # The beam's level is no pattern.
        shown = flats / level[:, None, None]
        halves = shown[:half], shown[half:]
        first, second = (part.mean(axis=0) for part in halves)
        power = float(np.mean((second - first) ** 2))
        out["flat_drift"] = float(np.sqrt(max(power - _noise(halves), 0.0)))
    return out


def _noise(halves: tuple[Array, Array]) -> float:
    """Mean square that the noise of the frames leaves in the difference of two means of them."""
    free = sum(len(part) - 1 for part in halves)
    if not free:
        return 0.0
    squares = sum(float(np.square(p - p.mean(axis=0)).sum()) for p in halves)
    variance = squares / free / halves[0][0].size
    return float(variance * sum(1 / len(part) for part in halves))


def score(slices: Array, ds: xr.Dataset, valid: Array | None = None) -> list[float]:
    """Ring score of each slice about the rotation axis, which is at 0 of y and x of `ds`.

    Parameters
    ----------
    slices
        (slice, y, x).
    ds
        Where the positions of y and x are.
    valid
        Which pixels count; all that are finite where None.
    """
    middle = _index_of_zero(ds["y"].values), _index_of_zero(ds["x"].values)
    seen = slices if valid is None else np.where(valid, slices, np.nan).astype(slices.dtype)
    return [float(ring_score_slice(image, center=middle)) for image in seen]


def _index_of_zero(positions: Array) -> float:
    size = positions.size
    step = float(positions[-1] - positions[0]) / (size - 1) if size > 1 else 0.0
    return -float(positions[0]) / step if step else (size - 1) / 2

"""Numbers that images hold: floats, or 16 bits between two values that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, SourceError
from zeoarray.export.source import blocks

Array = np.ndarray[Any, Any]
Dtype = Literal["uint16", "float32"]
Range = tuple[float, float]

TOP = 65535
_BINS = 1 << 16


@dataclass(frozen=True)
class Grey:
    """How values become numbers, and back: value = low + number * step."""

    dtype: np.dtype[Any]
    low: float
    step: float
    """0 where values are written as they are."""
    fill: float | None
    """What stands for a value that is not finite; None where there may be none."""
    why: str
    """Where low and step come from, for the record."""

    @property
    def high(self) -> float:
        """The greatest value that is not clipped."""
        return self.low + TOP * self.step

    def encode(self, image: Array, where: str) -> tuple[Array, int]:
        """One image as numbers, and how many of its pixels were clipped."""
        if self.step == 0:
            return np.ascontiguousarray(image, self.dtype), 0
        values = image.astype(np.float64)
        finite = np.isfinite(values)
        if not finite.all():
            if self.fill is None:
                raise SourceError(
                    f"16 bits hold no value that is not finite: {where}",
                    got=f"{int(finite.size - finite.sum())} of {finite.size} pixels",
                    do="--fill VALUE writes that value there; --dtype float32 keeps them",
                )
            values[~finite] = self.fill
        values -= self.low
        values /= self.step
        np.rint(values, out=values)
        # Half a step beyond the ends still rounds to them: nothing is lost there.
        clipped = int(((values < 0) | (values > TOP)).sum())
        np.clip(values, 0, TOP, out=values)
        return values.astype(self.dtype), clipped


def grey_of(
    array: xr.DataArray,
    *,
    dtype: Dtype,
    limits: Range | None,
    percentiles: Range | None,
    fill: float | None,
) -> Grey:
    """Decide how `array` is written; reads it where its least and greatest value are needed.

    Raises
    ------
    ArgumentError
        For limits that are reversed, not finite or not used.
    SourceError
        Where no value is finite.
    """
    asked = [n for n, v in (("range", limits), ("percentiles", percentiles)) if v is not None]
    if len(asked) == 2:
        raise ArgumentError("either a range or percentiles", got="both")
    if dtype == "float32":
        if asked or fill is not None:
            raise ArgumentError(
                "floats are written as they are",
                got=f"--dtype float32 with --{(asked or ['fill'])[0]}",
                do="leave that out, or --dtype uint16",
            )
        return Grey(np.dtype(np.float32), 0.0, 0.0, None, "as they are")
    if limits is not None:
        return _between(*_checked(limits, "range"), fill, "given")
    if percentiles is not None:
        share = _checked(percentiles, "percentiles", 0, 100)
        return _between(
            *_percentiles(array, share), fill, "percentiles {:g} and {:g}".format(*share)
        )
    if array.dtype.kind in "bu" and array.dtype.itemsize <= 2:
        return Grey(np.dtype(np.uint16), 0.0, 0.0, None, "integers as they are")
    return _between(*_extent(array), fill, "least and greatest value")


def _between(low: float, high: float, fill: float | None, why: str) -> Grey:
    if fill is not None and not np.isfinite(fill):
        raise ArgumentError("what is filled in is a finite number", got=f"--fill {fill}")
    # A constant is written as zeros, which mean that constant.
    step = (high - low) / TOP if high > low else 1 / TOP
    return Grey(np.dtype(np.uint16), float(low), float(step), fill, why)


def _checked(pair: Range, name: str, least: float = -np.inf, most: float = np.inf) -> Range:
    low, high = float(pair[0]), float(pair[1])
    if not (np.isfinite([low, high]).all() and least <= low < high <= most):
        bounds = "" if np.isinf(least) else f" within {least:g} to {most:g}"
        raise ArgumentError(
            f"the {name} to write cannot be right",
            got=f"{low:g}:{high:g}",
            expected=f"LOW:HIGH{bounds}, the lower number first",
            do=f"--{name} {high:g}:{low:g}?" if high < low else None,
        )
    return low, high


def _extent(array: xr.DataArray) -> Range:
    """Least and greatest finite value: reads the array once."""
    low, high = np.inf, -np.inf
    for _, block in blocks(array):
        for image in block:
            finite = image[np.isfinite(image)] if image.dtype.kind == "f" else image
            if finite.size:
                low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        raise SourceError(
            f"{array.name!r} has no finite value to scale by", got=f"{dict(array.sizes)}"
        )
    return low, high


def _percentiles(array: xr.DataArray, share: Range) -> Range:
    """Values that these shares [%] of the finite pixels lie below, to 1/65536 of their extent."""
    low, high = _extent(array)
    if low == high:
        return low, high
    counts = np.zeros(_BINS, np.int64)
    for _, block in blocks(array):
        for image in block:
            # What is not finite falls in no bin.
            counts += np.histogram(image[np.isfinite(image)], _BINS, (low, high))[0]
    edges = np.linspace(low, high, _BINS + 1)
    below = np.concatenate([[0], np.cumsum(counts)]) / counts.sum() * 100
    first = float(edges[np.searchsorted(below, share[0], side="right") - 1])
    last = float(edges[min(int(np.searchsorted(below, share[1])), _BINS)])
    return first, max(last, float(edges[np.searchsorted(edges, first) + 1]))

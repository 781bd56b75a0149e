"""`compare`: our reconstruction beside one that was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import SchemaError, SourceError
from zeoarray.kernels import metrics
from zeoarray.quality import register
from zeoarray.quality.summary import score
from zeoarray.step import Count, Share, measure

__all__ = ["compare"]

Array = np.ndarray[Any, Any]

_CM_PER_UM = 1e-4
_BLOCK = 8
"""Side [pixels] of the blocks over which greys are averaged before they are fitted."""
_CLOSE = 0.9
"""Above this share of the best correlation, another orientation is told."""


@measure(cites=("10.1364/OL.33.000156", "10.1016/j.jsb.2005.05.009"))
def compare(
    ds: xr.Dataset,
    *,
    theirs: xr.Dataset,
    rows: Count = 5,
    z_offset: float = 0.0,
    radius: Share = 0.9,
) -> xr.Dataset:
    """Set a reconstruction beside another of the same scan: where it lies, how far it agrees.

    On a few rows: theirs is exchanged, turned by quarters and shifted by parts of a pixel until it
    lies on ours, and its greys are fitted, ours = scale * theirs + offset. Then the difference,
    the Fourier ring correlation and the half-bit criterion say how alike they are. Both were made
    of the same frames and share their noise: the curve says to which detail two computations
    agree, not how fine the tomogram resolves.

    Parameters
    ----------
    ds
        Ours: ``attenuation(z, y, x)``.
    theirs
        The other, with the same pixel size; its y and x may have other sizes and directions.
    rows
        How many rows are read, evenly spread over the heights that both have.
    z_offset
        Height in theirs less that in ours of the same layer [um].
    radius
        Of the circle that is compared, in half sides of a slice.

    Returns
    -------
    xarray.Dataset
        The variables of `schema.COMPARISON`; `difference` is that of the middle row.

    Raises
    ------
    SchemaError
        For datasets that are no volumes, of other pixels, or without a height in common.
    SourceError
        Where slices are constant, or have no finite pixel in common.

    References
    ----------
    van Heel, M. & Schatz, M. (2005). J. Struct. Biol. 151, 250-262, doi:10.1016/j.jsb.2005.05.009.
    """
    pixel = _pixel(ds, theirs)
    ours_at, theirs_at = _rows(ds, theirs, rows, z_offset, pixel)
    ours = _read(ds, ours_at, "ours")
    other = _read(theirs, theirs_at, "theirs")
    placed = register.find(ours.values, other.values)
    pair = _laid_over(ours, other, placed, radius)
    scale, offset = _greys(pair)
    difference = pair.ours - (scale * pair.theirs + offset)
    shown = np.where(pair.valid, difference, 0).astype(np.float32)
    middle = len(ours_at) // 2
    curve, limit, frequency = _curves(pair, radius, pixel)
    crossing = metrics.crossing(frequency, curve, limit)
    out = {
        "scale": scale,
        "offset": offset,
        "exchanged": placed.exchanged,
        "quarters": placed.quarters,
        "shift_y": placed.shift[0] * pixel,
        "shift_x": placed.shift[1] * pixel,
        "shift_sigma": placed.sigma * pixel,
        "match": placed.match,
        "second": placed.second,
        "rms": [float(np.sqrt(np.mean(d[v] ** 2))) for d, v in _each(difference, pair.valid)],
        "correlation": [
            _correlation(a[v], b[v])
            for a, b, v in zip(pair.ours, pair.theirs, pair.valid, strict=True)
        ],
        "rings_ours": score(pair.ours, ds, pair.valid),
        "rings_theirs": score(pair.theirs, ds, pair.valid),
        "difference": shown[middle],
        "ring_correlation": curve.astype(np.float32),
        "half_bit": limit.astype(np.float32),
        # Half a period, as a pixel is half a period of the highest frequency.
        "agrees_to": pixel if np.isnan(crossing) else 500 / crossing,
    }
    coords: dict[str, Any] = {
        "z": ds["z"].isel(z=ours_at).variable,
        "y": ds["y"].variable,
        "x": ds["x"].variable,
        "frequency": ("frequency", frequency),
    }
    variables = {name: (schema.COMPARISON[name].dims, value) for name, value in out.items()}
    notes = _notes(placed, scale, pixel, ours, other)
    done = xr.Dataset(
        variables, coords, {"notes": notes, "middle_row": float(ds["z"][ours_at[middle]])}
    )
    return schema.describe(done, schema.COMPARISON)


@dataclass(frozen=True)
class _Slices:
    values: Array
    """(row, y, x), where a pixel is not finite the mean of the rest of its slice."""
    finite: Array


@dataclass(frozen=True)
class _Pair:
    """Slices of both on the grid of ours."""

    ours: Array
    theirs: Array
    valid: Array


def _pixel(ours: xr.Dataset, theirs: xr.Dataset) -> float:
    """The pixel size [um] that both have."""
    for ds, whose in ((ours, "ours"), (theirs, "theirs")):
        schema.validate(ds, schema.VOLUME_XCT, by=f"quality.compare ({whose})")
    first, second = (float(ds["resolution"]) for ds in (ours, theirs))
    # A pixel more or less over the field is what the registration can not take up.
    if abs(second / first - 1) > 0.5 / max(ours.sizes["y"], ours.sizes["x"]):
        raise SchemaError(
            "quality.compare: the volumes have different voxels",
            got=f"ours {first:g} um, theirs {second:g} um",
            expected="one size: both are reconstructions of one scan",
            do=f"volume.bin(ds, factor={max(round(second / first), round(first / second), 2)}) "
            "for the finer one, or open theirs with the right pixel_size",
        )
    return first


def _rows(
    ours: xr.Dataset, theirs: xr.Dataset, rows: int, z_offset: float, pixel: float
) -> tuple[list[int], list[int]]:
    z, other = ours["z"].values + z_offset, theirs["z"].values
    near = np.abs(z[:, None] - other[None, :])
    common = np.flatnonzero(near.min(axis=1) <= 0.5001 * pixel)
    if not common.size:
        raise SchemaError(
            "quality.compare: the volumes have no height in common",
            got=f"ours {z.min():g} to {z.max():g} um with z_offset={z_offset:g}, theirs "
            f"{other.min():g} to {other.max():g} um",
            do="give z_offset: the height in theirs less that in ours of the same layer",
        )
    at = np.linspace(0, common.size - 1, min(rows, common.size)).round().astype(int)
    chosen = common[np.unique(at)]
    return chosen.tolist(), near[chosen].argmin(axis=1).tolist()


def _read(ds: xr.Dataset, rows: list[int], whose: str) -> _Slices:
    values = ds["attenuation"].isel(z=rows).astype(np.float32).compute().values
    finite = np.isfinite(values)
    for z, image, good in zip(ds["z"].values[rows], values, finite, strict=True):
        if not good.any() or np.ptp(image[good]) == 0:
            raise SourceError(
                f"quality.compare: a slice of {whose} shows nothing",
                got=f"z = {z:g} um: "
                + ("no finite pixel" if not good.any() else f"{image[good][0]:g} everywhere"),
                do="compare rows that hold the sample: volume.crop(ds, z=(FIRST, LAST))",
            )
        image[~good] = image[good].mean()
    return _Slices(values, finite)


def _laid_over(ours: _Slices, other: _Slices, placed: register.Placement, radius: float) -> _Pair:
    shape = (ours.values.shape[1], ours.values.shape[2])
    theirs = register.moved(placed.oriented(other.values), shape, placed.shift)
    # Between pixels a value hangs on its neighbours: any lost part of one is lost.
    there = register.covered(placed.oriented(other.finite), shape, placed.shift)
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape)
    circle = np.hypot(y[:, None], x[None, :]) <= radius * min(shape) / 2
    valid = ours.finite & there & circle
    if not valid.any(axis=(1, 2)).all():
        raise SourceError(
            "quality.compare: the slices have no pixel in common once they lie on each other",
            got=f"a shift of {placed.shift[0]:.1f} and {placed.shift[1]:.1f} pixels, correlation "
            f"{placed.match:.2f}",
            do="check that both show the same layer (z_offset) of the same scan",
        )
    return _Pair(ours.values, theirs, valid)


def _greys(pair: _Pair) -> tuple[float, float]:
    """Scale and offset, fitted to means over blocks: noise in theirs would make the scale small."""
    rows, columns = pair.ours.shape[-2:]
    side = min(_BLOCK, max(min(rows, columns) // 16, 1))
    shape = (len(pair.ours), rows // side, side, columns // side, side)
    blocks: list[Array] = [
        a[:, : shape[1] * side, : shape[3] * side].reshape(shape)
        for a in (pair.ours, pair.theirs, pair.valid)
    ]
    ours, theirs = blocks[:2]
    whole: Array = np.asarray(blocks[2].all(axis=(2, 4)))
    if not whole.any():
        ours, theirs, whole = pair.ours, pair.theirs, pair.valid
    else:
        ours, theirs = ours.mean(axis=(2, 4)), theirs.mean(axis=(2, 4))
    scale, offset, _ = metrics.fit_grey(_joined(ours), _joined(theirs), _joined(whole))
    return float(scale), float(offset)


def _joined(stack: Array) -> Array:
    joined: Array = stack.reshape(-1, stack.shape[-1])
    return joined


def _each(values: Array, valid: Array) -> list[tuple[Array, Array]]:
    return list(zip(values.astype(np.float64), valid, strict=True))


def _correlation(a: Array, b: Array) -> float:
    a, b = (v.astype(np.float64) - v.mean(dtype=np.float64) for v in (a, b))
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / norm if norm > 0 else 0.0


def _curves(pair: _Pair, radius: float, pixel: float) -> tuple[Array, Array, Array]:
    """Ring correlation, the half-bit criterion, and their frequencies [1/mm]."""
    shape = (pair.ours.shape[1], pair.ours.shape[2])
    window = metrics.within(shape, radius)
    images = []
    for stack in (pair.ours, pair.theirs):
        level = stack.mean(axis=(1, 2), where=pair.valid, keepdims=True)
        images.append(np.where(pair.valid, stack - level, 0) * window)
    curve = metrics.pooled_correlation(*images)
    # Pixels outside of the window carry nothing: the coefficients are as many as those inside.
    share = float(np.square(window).mean()) * len(pair.ours)
    limit = metrics.threshold(metrics.shell_sizes(shape) * share)
    return curve, limit, metrics.frequencies(shape) / pixel * 1e3


def _notes(
    placed: register.Placement, scale: float, pixel: float, ours: _Slices, other: _Slices
) -> list[str]:
    notes = []
    if placed.second > _CLOSE * placed.match:
        notes.append(
            f"another orientation correlates nearly as well ({placed.second:.3f} against "
            f"{placed.match:.3f}): the sample is nearly symmetric, or the slices are not the same"
        )
    per_pixel = pixel * _CM_PER_UM
    for factor, what in ((1 / per_pixel, "theirs"), (per_pixel, "ours")):
        if abs(scale / factor - 1) < 0.1:
            notes.append(
                f"the scale {scale:g} is that between 1/cm and per pixel of {pixel:g} um: the "
                f"values of {what} seem to be per pixel"
            )
    if scale < 0:
        notes.append("the scale is negative: one of the two has its greys reversed")
    for slices, whose in ((ours, "ours"), (other, "theirs")):
        if lost := 1 - float(slices.finite.mean()):
            notes.append(f"{100 * lost:.2g} % of the pixels of {whose} are not finite; left out")
    return notes

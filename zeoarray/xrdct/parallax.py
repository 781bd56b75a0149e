"""How ring radii move with the depth along the beam: `parallax`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import phases as kernels
from zeoarray.kernels import projector
from zeoarray.labelled import known, lift
from zeoarray.positions import axis_of
from zeoarray.step import measure
from zeoarray.xrdct import model
from zeoarray.xrdct.positions import angles_of, spacing_of
from zeoarray.xrdct.reconstruct import reconstruct

__all__ = ["parallax"]

Array = np.ndarray[Any, Any]
BY = "xrdct.parallax"
UM = 1e-6


def _as_it_may_be(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    """A detector at 0.35 m, made without reading."""
    shift = np.zeros([ds.sizes[d] for d in ("z", "angle", "u")], np.float32)
    return _node(ds, shift, shift, (0.0, 0.0, -1 / 0.35, 0.0))


@measure(expects=_as_it_may_be)
def parallax(
    ds: xr.Dataset,
    *,
    references: xr.Dataset,
    axis: xr.Dataset | None = None,
    center: float | None = None,
    phases: tuple[str, ...] | None = None,
    q_range: tuple[float, float] | None = None,
    background: int = 8,
    correlation: xr.Dataset | None = None,
    significance: float = 10.0,
) -> xr.Dataset:
    r"""Measure how lines move with the depth along the beam at which they are scattered.

    A ring from matter that is `s` farther along the beam is met that much nearer to where it was
    made, and seems to have the q of a smaller angle: to first order q moves by :math:`-s / D` of
    itself, D being the distance of the detector. Of each ray the shift is fitted as a share of the
    references' own slope (q dP/dq), and compared with the mean depth of its matter, which a
    reconstruction of the weights tells.

    Parameters
    ----------
    ds
        ``intensity(z, angle, u, q)`` with ``variance``.
    references
        ``pattern(phase, q)``.
    axis, center
        The rotation axis, as for `reconstruct`.
    phases, q_range, background, correlation
        As for `fit_phases`.
    significance
        Rays whose weights are not so many times their error are left out of the comparison.

    Returns
    -------
    xarray.Dataset
        ``shift(z, angle, u)`` and its error, relative to q; ``shift_mean``, what all rays have in
        common (a fault of calibration); ``shift_per_m``, about -1 / distance, which `fit_phases`
        takes as its `parallax`.

    Raises
    ------
    SchemaError, ArgumentError
        As `fit_phases` and `reconstruct` do; and where fewer than three rays have lines.
    """
    schema.validate(ds, schema.SINOGRAM, by=BY)
    chosen = model.selection(ds, q_range, BY)
    intensity, variance = model.intensities(ds, BY)
    q = known(ds["q"]).astype(float)[chosen]
    names, curves = model.patterns_of(references, phases, q, BY)
    lines = [curve(q) for curve in curves]
    slopes = [-q * curve(q, 1) for curve in curves]
    design = np.stack([*lines, *slopes, *model.background(q, background)])
    model.check_collinear([*names, *(f"the slope of {n}" for n in names)], design, BY)
    band = None if correlation is None else model.correlations(ds, correlation, chosen, BY)
    like = xr.DataArray(np.ones(q.size, np.float32), dims="q")
    found = lift(
        kernels.fit,
        intensity.isel(q=chosen),
        like if variance is None else variance.isel(q=chosen),
        parameters={
            "design": design,
            "bounded": 0,
            "correlation": band,
            "floor": kernels.FLOOR if band is None else kernels.floor_of(band),
        },
    )
    order = ("z", "angle", "u")
    weight, covariance, chi2 = (
        np.asarray(a.transpose(*order, ...).compute(scheduler="synchronous").values, float)
        for a in found[:3]
    )
    if variance is None:
        covariance = covariance * chi2[..., None, None]
    shift, sigma, total, strong = _shifts(weight, covariance, len(names), significance)
    depth = _depths(ds, np.where(np.isfinite(total), total, 0.0), axis, center)
    used = strong & np.isfinite(depth) & np.isfinite(shift)
    if used.sum() < 3:
        raise ArgumentError(
            f"{BY}: fewer than three rays have lines",
            got=f"{int(used.sum())} rays whose weight is above {significance:g} of its error",
            do="a smaller significance=, other references, or a wider q_range=",
        )
    numbers = _line(depth[used] * UM, shift[used], sigma[used])
    return _node(ds, shift.astype(np.float32), sigma.astype(np.float32), numbers)


def _shifts(
    weight: Array, covariance: Array, count: int, significance: float
) -> tuple[Array, Array, Array, Array]:
    """Shift of each ray and its error, its total weight, and whether it stands out."""
    w, moved = weight[..., :count], weight[..., count : 2 * count]
    own, spread = (covariance[..., a : a + count, a : a + count] for a in (0, count))
    total = w.sum(axis=-1)
    strong = total > significance * np.sqrt(np.maximum(own.sum(axis=(-2, -1)), 0))
    fine: Array = np.isfinite(spread.sum(axis=(-2, -1)) + total)
    safe = np.where(fine[..., None, None], spread, np.eye(count))
    sides = np.linalg.solve(safe, np.where(fine[..., None], w, 0.0)[..., None])[..., 0]
    information = (sides * w).sum(axis=-1)
    known_ = fine & (information > 0)
    shift = np.full(total.shape, np.nan)
    np.divide((sides * moved).sum(axis=-1), information, out=shift, where=known_)
    sigma = np.full(total.shape, np.nan)
    np.divide(1.0, np.sqrt(np.where(known_, information, 1.0)), out=sigma, where=known_)
    return shift, sigma, total, strong & known_


def _depths(ds: xr.Dataset, total: Array, axis: xr.Dataset | None, center: float | None) -> Array:
    """Mean depth along the beam of what each ray crosses [um], NaN where it crosses nothing."""
    one = {"q": ("q", np.ones(1), {"units": "1/angstrom"})}
    rest = ds.drop_dims([d for d in ("q", "lag") if d in ds.dims])
    bare = rest.assign(
        intensity=(("z", "angle", "u", "q"), np.maximum(total, 0)[..., None].astype(np.float32))
    )
    # Streaks of few angles would draw every depth towards the middle: none are below 0 in mlem.
    made = reconstruct(bare.assign_coords(one), axis=axis, center=center, method="mlem")
    slices = made["intensity"].compute(scheduler="synchronous")
    image = slices.isel(q=0).transpose("z", "y", "x").values
    pixel_um = spacing_of(ds, by=BY)
    _, centers = axis_of(ds, axis, center, pixel_um, by=BY, rows="layers")
    index = np.broadcast_to(np.asarray(getattr(centers, "values", centers), float), len(image))
    angle = np.asarray(angles_of(ds, by=BY).values, float)
    y, x = (known(slices[d]).astype(float) for d in ("y", "x"))
    stack = np.stack([image, image * y[:, None], image * x], axis=1)
    sums = projector.project(
        stack, angle, size=ds.sizes["u"], center=np.repeat(index[:, None], 3, axis=1)
    )
    turn = angle[:, None]
    along = sums[:, 1] * np.cos(turn) - sums[:, 2] * np.sin(turn)
    out = np.full(along.shape, np.nan)
    np.divide(along, sums[:, 0], out=out, where=sums[:, 0] > 1e-3 * sums[:, 0].max())
    return out


def _line(depth: Array, shift: Array, sigma: Array) -> tuple[float, float, float, float]:
    """Mean shift and its slope over the depth [1/m], each with its error.

    The error is that of the scatter about the line where this is greater than the rays' own.
    """
    model_ = np.stack([np.ones_like(depth), depth], axis=1) / sigma[:, None]
    numbers, *_ = np.linalg.lstsq(model_, shift / sigma, rcond=None)
    rest = shift / sigma - model_ @ numbers
    factor = max(1.0, float(rest @ rest) / max(depth.size - 2, 1))
    covariance = np.linalg.pinv(model_.T @ model_) * factor
    error = np.sqrt(np.diag(covariance))
    return float(numbers[0]), float(error[0]), float(numbers[1]), float(error[1])


def _node(
    ds: xr.Dataset, shift: Array, sigma: Array, numbers: tuple[float, float, float, float]
) -> xr.Dataset:
    names = ("shift_mean", "shift_mean_sigma", "shift_per_m", "shift_per_m_sigma")
    dims = ("z", "angle", "u")
    out = xr.Dataset(
        {
            "shift": (dims, shift),
            "shift_sigma": (dims, sigma),
            **dict(zip(names, numbers, strict=True)),
        },
        {d: ds[d].variable.to_base_variable() for d in dims},
    )
    return schema.describe(out, schema.PARALLAX).assign_attrs(ds.attrs)

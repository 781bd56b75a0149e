"""Air, capillary and a beam that drifts, out of a sinogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import background
from zeoarray.labelled import known, lift
from zeoarray.step import Count, step
from zeoarray.xrdct.points import valid_of

__all__ = ["scale_projections", "subtract_background"]

Array = np.ndarray[Any, Any]
BY = "xrdct.subtract_background"


@step()
def subtract_background(
    ds: xr.Dataset,
    *,
    reference: xr.Dataset | None = None,
    outer: Count = 2,
    scale: float | None = None,
) -> xr.Dataset:
    """Subtract what comes from air and container, projection by projection.

    Without a reference the background of a projection is the mean pattern of its outer positions;
    its noise goes into the variance, and neighbours along u share it. With one, it is the
    reference's pattern times a factor, by least squares over q of the outer positions, or given.

    Parameters
    ----------
    ds
        A sinogram, on whose outer positions there is no sample.
    reference
        ``intensity(q)`` of the background, or a scan of it without the sample, whose points are
        averaged. It is interpolated to the q of the sinogram.
    outer
        Positions on either side, of those measured, that see no sample.
    scale
        Factor of the reference; fitted to each projection where None. 1 for an empty container
        that was measured and normalised as the sample was.

    Returns
    -------
    xarray.Dataset
        The sinogram less background, `variance` with it, and ``background_scale(z, angle)`` where
        a factor was fitted. A projection of which nothing was measured becomes NaN.

    Raises
    ------
    ArgumentError
        Where no inner position is left, for a scale without reference, and where the reference
        does not reach over all q.
    SchemaError
        For a dataset that is no sinogram, or a reference without a pattern.
    """
    schema.validate(ds, schema.SINOGRAM, by=BY)
    if scale is not None and reference is None:
        raise ArgumentError(f"{BY}: scale= is the factor of a reference", do="give reference=")
    if (reference is None or scale is None) and 2 * outer >= ds.sizes["u"]:
        raise ArgumentError(
            f"{BY}: no position is left for the sample",
            got=f"outer={outer} on either side of {ds.sizes['u']}",
            expected=f"outer at most {(ds.sizes['u'] - 1) // 2}",
        )
    if reference is None:
        return _less_outer(ds, outer)
    q = known(ds["q"], whole=False).astype(float)
    pattern, variance = _pattern(reference, q)
    given = pattern.astype(np.float32)
    out = {}
    if scale is None:
        (factor,) = lift(
            background.pattern_scale, ds["intensity"], valid_of(ds), given,
            parameters={"count": outer},
        )  # fmt: skip
        told = factor.assign_attrs(schema.attrs_of(schema.BACKGROUND_SCALE))
        out["background_scale"] = told
    else:
        factor = xr.DataArray(np.float32(scale))
    (less,) = lift(background.subtract_pattern, ds["intensity"], given, factor)
    out["intensity"] = less.assign_attrs(ds["intensity"].attrs)
    if "variance" in ds.variables:
        (more,) = lift(
            background.subtract_pattern, ds["variance"], variance.astype(np.float32), -(factor**2)
        )
        out["variance"] = more.assign_attrs(ds["variance"].attrs)
    return ds.assign(out)


def _less_outer(ds: xr.Dataset, outer: int) -> xr.Dataset:
    kernels = {"intensity": background.subtract_outer, "variance": background.outer_variance}
    out = {}
    for name, kernel in kernels.items():
        if name in ds.variables:
            (less,) = lift(kernel, ds[name], valid_of(ds), parameters={"count": outer})
            out[name] = less.assign_attrs(ds[name].attrs)
    return ds.assign(out)


def _pattern(reference: xr.Dataset, q: Array) -> tuple[xr.DataArray, xr.DataArray]:
    """The background's pattern at `q`, and its variance; 0 where that is not known."""
    schema.validate(reference, schema.Schema("reference", (schema.Q,)), by=BY)
    if "intensity" not in reference.variables or "q" not in reference["intensity"].dims:
        raise SchemaError(
            f"{BY}: the reference has no pattern",
            got=", ".join(map(str, reference.variables)),
            expected="intensity(q), or intensity of several points and q",
        )
    mean, variance = reference["intensity"], reference.get("variance")
    points = [d for d in mean.dims if d != "q"]
    if points:
        if "valid" in reference.variables:
            mean = mean.where(reference["valid"] != 0)
        count = mean.notnull().sum(points)
        variance = (
            variance.where(mean.notnull()).sum(points) / count**2 if variance is not None else None
        )
        mean = mean.mean(points)
    at = known(reference["q"], whole=False).astype(float)
    order = np.argsort(at)
    spacing = float(np.median(np.diff(at[order]))) if at.size > 1 else 0.0
    if q.size and (q.min() < at.min() - spacing or q.max() > at.max() + spacing):
        raise ArgumentError(
            f"{BY}: the reference does not reach over all q of the sinogram",
            got=f"q {at.min():g} to {at.max():g}, sinogram {q.min():g} to {q.max():g} 1/angstrom",
            do="ds.sel(q=slice(...)) of the sinogram",
        )
    found = [
        np.interp(q, at[order], known(v, whole=False)[order]) if v is not None else np.zeros(q.size)
        for v in (mean, variance)
    ]
    return xr.DataArray(found[0], dims="q"), xr.DataArray(found[1], dims="q")


@step()
def scale_projections(ds: xr.Dataset) -> xr.Dataset:
    """Scale each projection so that all of one layer have the same sum over u and q.

    A parallel beam that passes over the whole sample meets the same matter at every angle. What
    differs is the beam, where no monitor has seen it. To be used on sinograms without background,
    in which the sample is within the scanned width at all angles.

    Parameters
    ----------
    ds
        A sinogram.

    Returns
    -------
    xarray.Dataset
        Intensity and variance scaled, and ``projection_scale(z, angle)``, NaN for a projection
        that keeps its scale: one of which less than half was measured, or whose sum is not
        above 0.

    Raises
    ------
    SchemaError
        For a dataset that is no sinogram.
    """
    schema.validate(ds, schema.SINOGRAM, by="xrdct.scale_projections")
    (factor,) = lift(background.sum_scale, ds["intensity"], valid_of(ds))
    out = {"projection_scale": factor.assign_attrs(schema.attrs_of(schema.PROJECTION_SCALE))}
    for name, power in (("intensity", 1), ("variance", 2)):
        if name in ds.variables:
            (by,) = lift(background.scaled, ds[name], factor**power)
            out[name] = by.assign_attrs(ds[name].attrs)
    return ds.assign(out)

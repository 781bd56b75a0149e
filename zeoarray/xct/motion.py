"""Drift: projections that are not where they should be on the detector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.kernels import shift as kernels
from zeoarray.kernels.align import phase_correlation
from zeoarray.labelled import known, lift
from zeoarray.step import Count, measure, step
from zeoarray.xct.full_circle import image_of

__all__ = ["correct_drift", "find_drift"]

Array = np.ndarray[Any, Any]

BATCH = 16
"""Projections that are read at once."""
FLOOR = 1e-5
"""The least transmission whose logarithm is taken."""
PASSES = 2
"""Times that profiles are compared with the mean of all, each time moved back by what was found."""
BANDS = 8
"""Groups of rows whose centres of mass are followed one by one, for the standard deviation."""
SAME = 1e-3
"""Angles are the same within this [deg]."""


def _expected_drift(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    count = ds.sizes["angle"]
    return _node(ds, np.zeros((count, 2)), np.zeros((count, 2)), np.ones(count, bool))


@measure(expects=_expected_drift)
def find_drift(
    ds: xr.Dataset,
    *,
    reference: xr.Dataset | None = None,
    most: float = 20.0,
    upsample: Count = 10,
) -> xr.Dataset:
    """Find how far each projection is moved along `z` and `u`.

    Without a reference by what a sample that rests must keep. Its mass at every height is the same
    in all projections: the vertical drift is the shift of each profile of mass against the mean
    of all. Its centre of mass follows one turn of a sinusoid: the lateral drift is what departs
    from the sinusoid that fits best. A constant lateral offset, or one that itself is such a
    sinusoid, is a place of the sample and no drift. The sample must lie within the detector's
    width in every projection.

    With a reference by phase correlation with the projection of the reference at the same angle,
    as of a quick second pass or the repeated end of a scan. Where the reference has none, drift is
    interpolated in the order of the projections.

    Parameters
    ----------
    ds
        ``absorbance`` or ``transmission(angle, z, u)``, and `resolution`.
    reference
        Projections of the same variable, rows and columns that did not move.
    most
        The largest shift looked for [pixels].
    upsample
        Of the first search for a shift: its steps are 1 / `upsample` pixels.

    Returns
    -------
    xarray.Dataset
        ``drift_z`` and ``drift_u(angle)`` with their standard deviations [um], and
        ``drift_measured(angle)``. `correct_drift` takes it as `drift`.

    Raises
    ------
    SchemaError
        For a dataset without projections or resolution, or a reference of another size.
    SourceError
        Where values are not finite, no angle of the reference is one of the scan, or nothing
        correlates because projections are constant.
    ArgumentError
        Where `most` is not above 0.
    """
    by = "xct.find_drift"
    name = image_of(ds, by)
    schema.validate(ds, schema.Schema("scan of drifting images", (schema.RESOLUTION,)), by=by)
    if not most > 0:
        raise ArgumentError(f"{by}: a shift is looked for within a range", got=f"most={most}")
    pixel_um = float(known(ds["resolution"]))
    if reference is None:
        shift, sigma, found = _by_mass(ds, name, most, upsample)
    else:
        shift, sigma, found = _by_reference(ds, reference, name, most, upsample)
    if not found.any():
        raise SourceError(
            f"{by}: no projection could be compared",
            got="projections that are constant, or nowhere alike",
            expected="a sample with features along z",
            do="give a reference, or leave the drift out",
        )
    order = np.arange(found.size)
    for axis in (0, 1):
        shift[:, axis] = np.interp(order, order[found], shift[found, axis])
        sigma[:, axis] = np.interp(order, order[found], sigma[found, axis])
    return _node(ds, shift * pixel_um, sigma * pixel_um, found).assign_attrs(ds.attrs)


def _read(ds: xr.Dataset, name: str, which: Array) -> Iterator[tuple[Array, Array]]:
    """Numbers of some projections, and their absorbance, in batches."""
    for start in range(0, which.size, BATCH):
        part = which[start : start + BATCH]
        values = ds[name].isel(angle=part).compute().values
        if not np.isfinite(values).all():
            raise SourceError(
                "xct.find_drift: projections have values that are not finite",
                got=f"{np.count_nonzero(~np.isfinite(values))} of {values.size} in projections "
                f"{part[0]} to {part[-1]}",
                do="xct.normalize gives finite values",
            )
        yield part, values if name == "absorbance" else -np.log(np.fmax(values, FLOOR))


def _by_mass(ds: xr.Dataset, name: str, most: float, upsample: int) -> tuple[Array, Array, Array]:
    count, height, width = (ds.sizes[d] for d in ("angle", "z", "u"))
    mass, moment = np.empty((count, height)), np.empty((count, height))
    columns = np.arange(width) - (width - 1) / 2
    for part, values in _read(ds, name, np.arange(count)):
        mass[part] = values.sum(axis=2, dtype=np.float64)
        moment[part] = values @ columns
    shift, sigma = np.zeros((count, 2)), np.full((count, 2), np.inf)
    found = np.zeros(count, bool)
    if height >= 4:
        shift[:, 0], sigma[:, 0], found = _vertical(mass, most, upsample)
    if found.any():
        shift[:, 1], sigma[:, 1] = _lateral(known(ds["angle"]), mass, moment, shift[:, 0])
    return shift, sigma, found


def _vertical(mass: Array, most: float, upsample: int) -> tuple[Array, Array, Array]:
    """Shift of each profile against the mean of all, moved back; and which could be compared."""
    shift, sigma = np.zeros(len(mass)), np.full(len(mass), np.inf)
    found = np.zeros(len(mass), bool)
    for _ in range(PASSES):
        back = kernels.move(mass[:, :, None], down=-shift, reach=np.abs(shift).max())[..., 0]
        mean = back.mean(axis=0)
        for i, profile in enumerate(mass):
            one = phase_correlation(mean, profile, upsample=upsample, most=most)
            found[i] = not one.ambiguous
            shift[i], sigma[i] = (one.shift[0], one.sigma[0]) if found[i] else (0.0, np.inf)
        # What all have in common is where the sample stands.
        shift[found] -= shift[found].mean() if found.any() else 0.0
    return shift, sigma, found


def _lateral(angle_deg: Array, mass: Array, moment: Array, down: Array) -> tuple[Array, Array]:
    """What the centre of mass departs by from a sinusoid, in bands of rows, and how they differ."""
    reach = float(np.abs(down).max())
    rest = [kernels.move(v[:, :, None], down=-down, reach=reach)[..., 0] for v in (mass, moment)]
    bands = np.array_split(np.arange(mass.shape[1]), min(BANDS, mass.shape[1]))
    weight, place = (np.stack([v[:, band].sum(axis=1) for band in bands], axis=1) for v in rest)
    heavy = weight.min(axis=0) > 0.02 * weight.mean()
    if not heavy.any():
        return np.zeros(len(mass)), np.full(len(mass), np.inf)
    turn = np.deg2rad(angle_deg)
    path = np.stack([np.ones_like(turn), np.cos(turn), np.sin(turn)], axis=1)
    center = place[:, heavy] / weight[:, heavy]
    departs = center - path @ np.linalg.lstsq(path, center, rcond=None)[0]
    share = weight[:, heavy].mean(axis=0)
    share /= share.sum()
    drift = departs @ share
    scatter = ((departs - drift[:, None]) ** 2) @ share
    bands_used = int(heavy.sum())
    sigma = np.sqrt(scatter / (bands_used - 1)) if bands_used > 1 else np.full(len(mass), np.inf)
    return drift, sigma


def _by_reference(
    ds: xr.Dataset, reference: xr.Dataset, name: str, most: float, upsample: int
) -> tuple[Array, Array, Array]:
    by = "xct.find_drift"
    if image_of(reference, by) != name or any(
        reference.sizes[d] != ds.sizes[d] for d in ("z", "u")
    ):
        raise SchemaError(
            f"{by}: the reference is not like the scan",
            got=f"{image_of(reference, by)} {dict(reference.sizes)}",
            expected=f"{name} of {ds.sizes['z']} rows and {ds.sizes['u']} columns",
        )
    have, still = known(ds["angle"]), known(reference["angle"])
    apart = np.abs(np.mod(have[:, None] - still[None, :] + 180, 360) - 180)
    partner = apart.argmin(axis=1)
    chosen = np.flatnonzero(apart.min(axis=1) <= SAME)
    if not chosen.size:
        raise SourceError(
            f"{by}: no angle of the reference is one of the scan",
            got=f"scan {have.min():g} to {have.max():g} deg, reference {still.min():g} to "
            f"{still.max():g} deg, nearest {apart.min():g} deg apart",
            expected=f"some the same within {SAME:g} deg, up to full turns",
        )
    shift, sigma = np.zeros((have.size, 2)), np.full((have.size, 2), np.inf)
    found = np.zeros(have.size, bool)
    pairs = zip(_read(ds, name, chosen), _read(reference, name, partner[chosen]), strict=True)
    for (part, moved), (_, resting) in pairs:
        for i, image, fixed in zip(part, moved, resting, strict=True):
            one = phase_correlation(fixed, image, upsample=upsample, most=most)
            if not one.ambiguous:
                shift[i], sigma[i], found[i] = one.shift, one.sigma, True
    return shift, sigma, found


def _node(ds: xr.Dataset, shift: Array, sigma: Array, found: Array) -> xr.Dataset:
    out = xr.Dataset(
        {
            "drift_z": ("angle", shift[:, 0]),
            "drift_u": ("angle", shift[:, 1]),
            "drift_z_sigma": ("angle", sigma[:, 0]),
            "drift_u_sigma": ("angle", sigma[:, 1]),
            "drift_measured": ("angle", found),
        },
        {"angle": ds["angle"].variable.to_base_variable()},
    )
    return schema.describe(out, schema.DRIFT_XCT)


@step()
def correct_drift(ds: xr.Dataset, *, drift: xr.Dataset) -> xr.Dataset:
    """Move each projection back by its drift.

    Values are interpolated by Lagrange's polynomial through the six nearest along `z` and `u`.
    What would come from outside the detector is its nearest row or column. Cut along `z`, a block
    needs as many rows on either side as the largest drift, and three.

    Parameters
    ----------
    ds
        ``absorbance`` or ``transmission(angle, z, u)``, and `resolution`.
    drift
        What `find_drift` gave, or any dataset with ``drift_z(angle)`` and ``drift_u(angle)`` [um]
        at every angle of the scan.

    Returns
    -------
    xarray.Dataset
        `ds` with the moved projections. ``usable(z, u)`` still tells pixels of the detector.

    Raises
    ------
    SchemaError
        For a dataset without projections or resolution, or a drift that is not as `find_drift`
        gives it.
    ArgumentError
        Where an angle of the scan has no drift, or one that is not finite.
    """
    by = "xct.correct_drift"
    name = image_of(ds, by)
    schema.validate(ds, schema.Schema("scan of drifting images", (schema.RESOLUTION,)), by=by)
    needed = schema.Schema("drift of a scan", (schema.DRIFT_Z, schema.DRIFT_U, schema.ANGLE))
    schema.validate(drift, needed, by=by)
    index = _index(ds, drift)
    pixel_um = float(known(ds["resolution"]))
    moves = {d: known(drift[f"drift_{d}"], whole=False) / pixel_um for d in ("z", "u")}
    if not all(np.isfinite(v).all() for v in moves.values()):
        raise ArgumentError(f"{by}: the drift is not finite at all angles", got="NaN or Inf")
    parameters = {
        "down": xr.DataArray(-moves["z"][index], dims="angle"),
        "across": xr.DataArray(-moves["u"][index], dims="angle"),
        "reach": float(np.abs(moves["z"]).max(initial=0.0)),
    }
    (image,) = lift(kernels.move, ds[name], parameters=parameters)
    return ds.assign({name: image.assign_attrs(ds[name].attrs)})


def _index(ds: xr.Dataset, drift: xr.Dataset) -> Array:
    """Number of the drift of each projection, looked up by its angle."""
    have = known(drift["angle"], whole=False)
    if np.unique(have).size < have.size:
        # An angle that was measured twice does not tell which of both it is: only all do.
        if np.array_equal(have, known(ds["angle"])):
            return np.arange(have.size)
        wanted, missing = known(ds["angle"]), np.ones(ds.sizes["angle"], bool)
    else:
        wanted = known(ds["angle"], whole=False)
        order = np.argsort(have)
        place = np.clip(np.searchsorted(have[order], wanted), 0, max(have.size - 1, 0))
        missing = have[order][place] != wanted if have.size else np.ones(wanted.size, bool)
        if not missing.any():
            index: Array = order[place]
            return index
    raise ArgumentError(
        "xct.correct_drift: the drift is not of this scan",
        got=f"{np.count_nonzero(missing)} of {missing.size} angles without a drift, the first at "
        f"{wanted[missing][0]:g} deg",
        do="run xct.find_drift on this scan",
    )

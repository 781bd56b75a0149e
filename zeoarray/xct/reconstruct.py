"""From absorbance to attenuation: the slices of a parallel-beam scan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import lazy, schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import expectation, iterative, radon, total_variation
from zeoarray.kernels import noise as noises
from zeoarray.kernels.filters import Filter
from zeoarray.kernels.truncation import Truncation
from zeoarray.labelled import known, lift
from zeoarray.positions import axis_of
from zeoarray.step import Count, step
from zeoarray.xct import completion
from zeoarray.xct.positions import UM_PER_CM, spacing_of

__all__ = ["reconstruct"]

BY = "xct.reconstruct"
Method = Literal["fbp", "sirt", "cgls", "mlem", "osem", "tv"]
Noise = Literal["none", "halves"]

ITERATIVE: dict[str, Callable[..., Any]] = {
    "sirt": iterative.sirt,
    "cgls": iterative.cgls,
    "mlem": expectation.mlem,
    "osem": expectation.osem,
    "tv": total_variation.total_variation,
}
TAKEN: dict[str, tuple[str, ...]] = {
    "fbp": ("filter", "truncation", "complete_from", "noise"),
    "sirt": ("iterations", "tolerance", "residual", "lower"),
    "cgls": ("iterations", "tolerance", "residual"),
    "mlem": ("iterations", "tolerance", "residual"),
    "osem": ("iterations", "tolerance", "residual", "subsets"),
    "tv": ("iterations", "tolerance", "lower", "weight"),
}
"""Parameters that belong to some methods only."""


@dataclass(frozen=True)
class _Lines:
    """Line integrals that a kernel takes, and the geometry they are in."""

    values: xr.DataArray
    angle: xr.DataArray
    """In radians, anticlockwise seen against `z` of the dataset."""
    center: Any
    pixel_um: float


@step(version=2, cites=("10.1137/1.9780898719277", "10.1137/18M120885X"))
def reconstruct(
    ds: xr.Dataset,
    *,
    axis: xr.Dataset | None = None,
    center: float | None = None,
    method: Method = "fbp",
    filter: Filter | None = None,
    size: Count | None = None,
    circle: float | None = 0.95,
    fill: float = 0.0,
    truncation: Truncation | None = None,
    complete_from: xr.Dataset | None = None,
    noise: Noise = "none",
    iterations: Count | None = None,
    tolerance: float | None = None,
    residual: float | None = None,
    lower: float | None = None,
    subsets: Count | None = None,
    weight: float | None = None,
) -> xr.Dataset:
    """Reconstruct each slice from its projections: absorbance to attenuation.

    The slice is that for which -log(transmission) is the line integral of attenuation along
    u - axis_u = x cos(angle) + y sin(angle). Angles may be irregular, have gaps, go round once or
    more: each counts as the part of the half circle that is nearest to it. Axes of the volume are
    right-handed, with `z` as in the scan: where the scan's `z` descends in the laboratory
    (``z_sense`` -1), the volume is turned by half a turn about `x`, and never mirrored.

    Parameters
    ----------
    ds
        ``absorbance(angle, z, u)``. Its coordinates `rotation_sense`, `u_sense` and `z_sense` are
        heeded, and +1 where they are not there.
    axis
        What `find_center` gave: ``axis_u(z)`` [um], interpolated at the rows of `ds`, so that the
        axis may be tilted. Where neither this nor `center` is given, the coordinate `axis_u` of
        `ds` is taken.
    center
        The axis as a fractional index of `u` (0 is the middle of the first column), for all rows.
    method
        ``fbp``, filtered back-projection by non-uniform FFTs; ``sirt`` and ``cgls`` (least
        squares), ``mlem`` and ``osem`` (not negative; absorbance below 0 counts as 0), and ``tv``
        (least squares with few edges: for regions of one value each) for few angles. What they
        reconstruct must lie within the circle.
    filter
        Of ``fbp``: ``ramp`` where None; ``shepp-logan``, ``cosine``, ``hamming`` and ``hann`` have
        less noise and less resolution, in this order.
    size
        Pixels of y and x; as many as u has where None.
    circle
        Radius of the circle that is reconstructed, as a share of half the slice. None keeps all.
    fill
        Attenuation that is written outside of it [1/cm].
    truncation
        Of ``fbp``, what lies beyond the columns. ``zero`` (taken where None): nothing, the
        projections see all of the sample. ``edge``: what falls off smoothly from what the last
        columns see; for scans of a region of interest. Contrasts with what is near are then right
        to some percent, and the offset of each slice is undetermined: `offset_known` says so.
    complete_from
        Of ``fbp``: a volume that holds all of the sample, ``attenuation(z, y, x)`` with positions
        in the frame of this scan. Its projections fill the columns that are cut off, which
        determines the offset. It counts as empty beyond the circle that fits into it; the tighter
        it is cropped to the sample, the faster.
    noise
        ``halves`` adds ``noise(z)`` [1/cm], the standard deviation that noise makes in a slice:
        the root of the mean over the circle of ((f1 - f2) / 2)^2, f1 and f2 from every other
        angle; high where angles are few, as streaks count too. Costs as
        much as the slices.
    iterations, tolerance
        Of iterative methods: at most so many; stop where the residual (the objective of ``tv``)
        falls by less than this share of itself. The kernel's own where None.
    residual
        Of iterative methods but ``tv``: stop where the residual is not more than this. Of ``sirt``
        and ``cgls``: norm(b - A x) / norm(b). Of ``mlem`` and ``osem``: the deviance.
    lower
        Of ``sirt`` and ``tv``: the least attenuation [1/cm].
    subsets
        Of ``osem``: how many.
    weight
        Of ``tv``, which needs it: how much edges count, see `kernels.total_variation`. One to three
        times the noise of the absorbance times the root of the number of angles.

    Returns
    -------
    xarray.Dataset
        ``attenuation(z, y, x)`` [1/cm]; `y` and `x` in um with the axis, 0, at index
        (size - 1) / 2; ``axis_u(z)``, as used; ``offset_known``; of iterative methods
        ``residual(z, iteration)``, of ``tv`` ``objective(z, iteration)``, NaN after the last;
        ``noise(z)`` where asked for.

    Raises
    ------
    SchemaError
        For a dataset without absorbance or positions.
    ArgumentError
        Where the axis is not given, given twice, not known at all rows or off the detector; for
        options that the method does not have; a volume that does not reach all rows.

    References
    ----------
    A. C. Kak, M. Slaney, "Principles of Computerized Tomographic Imaging", SIAM (2001),
    doi:10.1137/1.9780898719277; A. H. Barnett, J. Magland, L. af Klinteberg, SIAM J. Sci. Comput.
    41, C479 (2019), doi:10.1137/18M120885X.
    """
    schema.validate(ds, schema.ABSORBANCE_XCT, by=BY)
    given = {
        "filter": filter, "truncation": truncation, "complete_from": complete_from,
        "noise": None if noise == "none" else noise, "iterations": iterations,
        "tolerance": tolerance, "residual": residual, "lower": lower, "subsets": subsets,
        "weight": weight,
    }  # fmt: skip
    _check_options(method, given)
    pixel_um = spacing_of(ds, BY)
    pixels = size or ds.sizes["u"]
    axis_u, centers = axis_of(ds, axis, center, pixel_um, by=BY)
    lines = _Lines(_values(ds["absorbance"]), _angle(ds), centers, pixel_um)
    offset_known = truncation != "edge"
    if complete_from is not None:
        lines = _completed(lines, complete_from, axis, axis_u)
        offset_known = True
    radius = _radius(circle, pixels)
    common = {"center": lines.center, "size": pixels, "radius": radius}
    chosen = {k: v for k, v in given.items() if v is not None and k != "complete_from"}
    out = _slices(method, lines, common, chosen)
    return _finished(ds, out, axis_u, pixels, None if circle is None else radius, fill, pixel_um,
                     offset_known=offset_known)  # fmt: skip


def _check_options(method: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None and name not in TAKEN[method]:
            having = [m for m, names in TAKEN.items() if name in names]
            raise ArgumentError(
                f"{BY}: method {method!r} has no {name!r}",
                got=f"{name}={value if not isinstance(value, xr.Dataset) else 'a dataset'}",
                expected=f"{name} of " + ", ".join(having),
                do=f"leave it out, or take method={having[0]!r}",
            )
    weight = given["weight"]
    if method == "tv" and not (weight is not None and 0 <= weight < np.inf):
        raise ArgumentError(
            f"{BY}: method 'tv' needs to know how much edges count",
            got=f"weight={weight}",
            expected="one to three times the noise of the absorbance times the root of the number "
            "of angles",
            do="for a noise of 0.01 and 400 angles: weight=0.4",
        )
    if given["complete_from"] is not None and given["truncation"] == "edge":
        raise ArgumentError(
            f"{BY}: projections are completed from a volume, or continued at their edges",
            got="complete_from and truncation='edge'",
            do="leave truncation out",
        )


def _radius(circle: float | None, pixels: int) -> float:
    """Radius of what is reconstructed, in pixels."""
    if circle is None:
        return float(np.inf)
    if not 0 < circle < np.inf:
        raise ArgumentError(
            f"{BY}: 'circle' is a share of half the slice",
            got=f"circle={circle}",
            expected="a number above 0, or None to keep the corners",
        )
    return circle * pixels / 2


def _values(array: xr.DataArray) -> xr.DataArray:
    """The array, as dask arrays where it still lies in a file: arithmetic would read it."""
    if lazy.is_lazy(array.variable):
        return array.copy(data=lazy.chunk(array.variable, {}).data)
    return array


def _angle(ds: xr.Dataset) -> xr.DataArray:
    """Angles [rad] for which u - axis_u = x cos + y sin, in axes that have the scan's `z`."""
    senses = dict.fromkeys(("rotation_sense", "u_sense", "z_sense"), 1)
    for name in senses:
        if name in ds.variables:
            senses[name] = int(known(ds[name]))
        if senses[name] not in (-1, 1):
            raise SchemaError(
                f"{BY}: the coordinate {name!r} is a sense", got=senses[name], expected="+1 or -1"
            )
    turn = senses["rotation_sense"] * senses["z_sense"]
    opposite = 0.0 if senses["u_sense"] > 0 else np.pi
    angle = known(ds["angle"]) * np.deg2rad(1.0) * turn + opposite
    return xr.DataArray(angle, dims="angle")


def _completed(
    lines: _Lines, volume: xr.Dataset, axis: xr.Dataset | None, axis_u: xr.DataArray
) -> _Lines:
    # Of all rows of the scan, also where this is a block of them: the width hangs on it.
    whole = axis_u if axis is None else axis["axis_u"]
    values, center = completion.completed(
        lines.values, lines.angle, lines.center, volume,
        pixel_um=lines.pixel_um, axis_u=known(whole, whole=False), by=BY,
    )  # fmt: skip
    return _Lines(values, lines.angle, center, lines.pixel_um)


def _slices(
    method: str, lines: _Lines, common: Mapping[str, Any], chosen: Mapping[str, Any]
) -> dict[str, xr.DataArray]:
    """Results per pixel, by name."""
    per_cm = UM_PER_CM / lines.pixel_um
    dims = {"u": str(lines.values.dims[-1])}
    arrays = lines.values, lines.angle
    options = {k: v for k, v in chosen.items() if k != "noise"}
    if method == "fbp":
        parameters = {**common, **options, "scale": per_cm}
        kernels: dict[str, Callable[..., Any]] = {"attenuation": radon.filtered_backprojection}
        if "noise" in chosen:
            kernels["noise"] = noises.from_halves
        return {
            name: lift(kernel, *arrays, parameters=parameters, dims=dims)[0]
            for name, kernel in kernels.items()
        }
    if "lower" in options:
        options["lower"] /= per_cm
    if method in ("mlem", "osem"):
        arrays = lines.values.clip(min=0), lines.angle
        if "residual" in options:
            options["deviance"] = options.pop("residual")
    image, curve = lift(ITERATIVE[method], *arrays, parameters={**common, **options}, dims=dims)
    named = "objective" if method == "tv" else "residual"
    return {"attenuation": image * np.float32(per_cm), named: curve}


def _finished(
    ds: xr.Dataset,
    values: Mapping[str, xr.DataArray],
    axis_u: xr.DataArray,
    pixels: int,
    radius: float | None,
    fill: float,
    pixel_um: float,
    *,
    offset_known: bool,
) -> xr.Dataset:
    """The volume with its coordinates and attributes."""
    place = (np.arange(pixels) - (pixels - 1) / 2) * pixel_um
    out = {name: array.reset_coords(drop=True) for name, array in values.items()}
    attenuation = out["attenuation"].astype(np.float32, copy=False).transpose("z", "y", "x")
    if radius is not None and fill != 0:
        beyond = np.hypot(place[:, None], place) > radius * pixel_um
        attenuation = attenuation.where(~xr.DataArray(beyond, dims=("y", "x")), np.float32(fill))
    out["attenuation"] = attenuation
    # Variables, since arrays would bring coordinates of their own along.
    kept = {str(k): v.variable for k, v in ds.coords.items() if not v.dims and k not in _USED}
    coords: dict[str, Any] = {"resolution": ((), pixel_um), **kept, "z": ds["z"].variable}
    coords |= {"axis_u": axis_u.variable, "y": ("y", place), "x": ("x", place)}
    out["offset_known"] = xr.DataArray(offset_known)
    result = xr.Dataset(out, coords, attrs=ds.attrs)
    if not offset_known:
        note = f"{BY}: projections are truncated; the offset of each slice is undetermined"
        result = result.assign_attrs(notes=[*ds.attrs.get("notes", []), note])
    return schema.describe(result, schema.VOLUME_XCT)


_USED = ("rotation_sense", "u_sense", "axis_u")

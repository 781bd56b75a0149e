"""From sinograms to slices, all channels at once: `reconstruct`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import lazy, schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import dense
from zeoarray.kernels.filters import Filter
from zeoarray.labelled import known
from zeoarray.positions import axis_of
from zeoarray.step import Count, step
from zeoarray.xrdct.methods import BY, Rays, beside_noise, by_channel, filtered, iterated
from zeoarray.xrdct.positions import angles_of, spacing_of

__all__ = ["reconstruct"]

UM_PER_CM = 1e4
DENSE_BYTES = 1 << 29
"""An operator of more than this is not written down where nothing is asked for."""
NM_PER_UM = 1000

Method = Literal["fbp", "sirt", "cgls", "mlem", "tv"]
Operator = Literal["auto", "dense", "nufft"]

TAKEN: dict[str, tuple[str, ...]] = {
    "fbp": ("filter",),
    "sirt": ("iterations", "resamples", "seed", "beam", "lower"),
    "cgls": ("iterations", "resamples", "seed", "beam"),
    "mlem": ("iterations", "resamples", "seed", "beam"),
    "tv": ("iterations", "resamples", "seed", "beam", "lower", "edges"),
}
"""Parameters that belong to some methods only."""


@step(cites=("10.1137/1.9780898719277",))
def reconstruct(
    ds: xr.Dataset,
    *,
    axis: xr.Dataset | None = None,
    center: float | None = None,
    method: Method = "fbp",
    filter: Filter | None = None,
    size: Count | None = None,
    circle: float | None = 1.0,
    operator: Operator = "auto",
    iterations: Count | None = None,
    lower: float | None = None,
    edges: float | None = None,
    beam: float | None = None,
    resamples: int | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Reconstruct each layer in every channel: sinograms to slices, with their variance.

    The slice is that of which the sinogram is the line integral along
    u - axis_u = x cos(angle) + y sin(angle). It is divided by the spacing of `u`, the side of a
    voxel, so that it is an intensity for each cm along the beam, and projecting it over lengths in
    cm gives the sinogram back. Angles may be irregular and go round once or more: a ray and its
    opposite are one direction, and each counts as the part of the half circle nearest to it. Axes
    of the volume are right-handed, with `z` as in the scan. Layers do not meet: none is made from
    others.

    Parameters
    ----------
    ds
        ``intensity(z, angle, u, q)``; ``valid(z, angle, u)``, which of them were measured, all
        where it is not there; ``variance(z, angle, u, q)``. What is not valid may be NaN. The
        coordinates `rotation_sense`, `u_sense` and `z_sense` are heeded, and +1 where they are not
        there.
    axis
        What `find_center` gave: ``axis_u(z)`` [um], interpolated at the layers of `ds`. Where
        neither this nor `center` is given, the coordinate `axis_u` of `ds` is taken.
    center
        The axis as a fractional index of `u` (0 is the middle of the first column), in all layers.
    method
        ``fbp``, filtered back-projection. A rotation without measurements is left out, and the next
        directions count for it; a missing ray of another one is taken from the nearest rays of the
        next directions, half a turn away included. ``sirt`` and ``cgls`` (least squares) and
        ``mlem`` (Poisson, not negative; intensities below 0 count as 0), for few angles: they look
        at measured rays only, and what they reconstruct must lie within the circle. With
        `variance`, ``mlem`` weighs a ray by sum_q intensity / sum_q variance, which is what counts
        were divided by.
    filter
        Of ``fbp``: ``ramp`` where None; ``shepp-logan``, ``cosine``, ``hamming`` and ``hann`` have
        less noise and less resolution, in this order.
    size
        Voxels of y and x; as many as u has where None.
    circle
        Radius of the circle that is reconstructed, as a share of half the slice; intensity and
        variance are 0 beyond. None keeps the corners.
    operator
        ``dense``: the operator is written down, and multiplied with all channels at once.
        ``nufft``: a channel after the other with the kernels of large slices (non-uniform FFTs,
        and for ``mlem`` Joseph's projections); it has no variance. ``auto`` takes ``dense`` where
        the operator, 4 bytes for each pair of ray and voxel, has not more than 512 MB, as 190
        angles of 92 positions have. `attrs["notes"]` tells which it was.
    iterations
        Of iterative methods: so many, in every channel. 100 of ``sirt``, 10 of ``cgls``, 50 of
        ``mlem`` and 100 of ``tv`` where None.
    lower
        Of ``sirt`` and ``tv``: no voxel has less.
    edges
        Of ``tv``, which needs it: how much edges count, in every channel beside its own noise,
        sigma of a ray times the root of the number of rotations. About 0.5: of the twin at a tenth
        of its counts, maps of zinc and sodium are then wrong by 4.0 and 3.5 % of their mean, by 4.7
        and 3.1 % with ``fbp``, by 5.3 and 3.5 % with ``cgls``; at a hundredth ``fbp`` is better.
        With 1 and more, what is small loses contrast. 0 is least squares.
    beam
        Of iterative methods with the operator ``dense``: full width at half maximum of the beam
        along u [um]. Rays are then as wide as a Gaussian beam, voxels are squares, and the slice
        is what the beam sees at the middle of each. None for rays without width, which are wrong
        where the beam is as wide as its steps: from exact line integrals of both phases of the
        twin, ``cgls`` comes to 3.6 and 5.5 % of their mean without it, to 1.5 and 2.5 % with it,
        after 20 iterations.
    resamples
        Of iterative methods: draws of the counts from which the variance is found; none where None
        or 0. Each costs as much as the reconstruction. Of ``tv`` they differ
        by some tenths more than other scans would.
    seed
        Of the draws; 0 where None. Each layer has its own, by its height.

    Returns
    -------
    xarray.Dataset
        ``intensity(z, y, x, q)`` [of the sinogram, 1/cm]; ``variance(z, y, x, q)`` where the
        sinogram has one: exact for ``fbp``, the squares of the operator times the variance of the
        rays, and by resampling for the others. ``residual(z, q)`` of iterative methods. `y` and `x`
        in um with the axis, 0, at index (size - 1) / 2; ``axis_u(z)``, as used.

    Raises
    ------
    SchemaError
        For a dataset without intensity or positions, and positions that are not even.
    ArgumentError
        Where the axis is not given, given twice, not known at all layers or off the range of `u`;
        rotations are in one direction; a layer has no valid measurement; a valid one is not finite
        or its variance negative; for options that the method does not have.

    References
    ----------
    A. C. Kak, M. Slaney, "Principles of Computerized Tomographic Imaging", SIAM (2001),
    doi:10.1137/1.9780898719277.
    """
    schema.validate(ds, schema.SINOGRAM, by=BY)
    given: dict[str, Any] = {
        "filter": filter, "iterations": iterations, "lower": lower, "edges": edges,
        "beam": beam, "resamples": resamples or None, "seed": seed,
    }  # fmt: skip
    _check_options(method, given)
    pixel_um, pixels = spacing_of(ds, by=BY), size or ds.sizes["u"]
    axis_u, centers = axis_of(ds, axis, center, pixel_um, by=BY, rows="layers")
    common = {"center": centers, "size": pixels, "radius": _radius(circle, pixels)}
    rays = Rays(
        _values(ds["intensity"]),
        _values(ds["variance"]) if "variance" in ds.variables else None,
        _values(ds["valid"]) if "valid" in ds.variables else None,
        angles_of(ds, by=BY),
        common,
    )
    per_cm, noise = UM_PER_CM / pixel_um, None
    if method == "tv":
        rays, noise = beside_noise(rays, edges, lower)
    chosen = {k: v for k, v in given.items() if v is not None}
    if "lower" in chosen:
        chosen["lower"] /= per_cm
    if "beam" in chosen:
        chosen["beam"] /= pixel_um
    kind = _operator(operator, ds, common)
    if kind == "dense":
        seeds = _seeds(ds, chosen.pop("seed", 0))
        out = filtered(rays, chosen) if method == "fbp" else iterated(rays, method, chosen, seeds)
    else:
        _dense_only(rays, method, operator, chosen)
        out = by_channel(rays, method, chosen)
    if noise is not None:
        out["intensity"] = out["intensity"] * noise
        if "variance" in out:
            out["variance"] = out["variance"] * noise**2
    return _finished(ds, out, axis_u, pixels, pixel_um, kind)


def _check_options(method: str, given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if value is not None and name not in TAKEN[method]:
            having = [m for m, names in TAKEN.items() if name in names]
            raise ArgumentError(
                f"{BY}: method {method!r} has no {name!r}",
                got=f"{name}={value}",
                expected=f"{name} of " + ", ".join(having),
                do=f"leave it out, or take method={having[0]!r}",
            )
    if given["resamples"] is not None and given["resamples"] < 2:
        raise ArgumentError(
            f"{BY}: a variance needs two draws or more",
            got=f"resamples={given['resamples']}",
            expected="0 for none, or 2 and more; 50 give sigma to a tenth",
        )
    if given["seed"] is not None and given["resamples"] is None:
        raise ArgumentError(f"{BY}: a seed is that of resamples", do="give resamples= as well")


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
    """The array without positions, as dask arrays where it still lies in a file."""
    data = lazy.chunk(array.variable, {}).data if lazy.is_lazy(array.variable) else array.data
    return xr.DataArray(data, dims=array.dims, name=array.name)


def _operator(operator: Operator, ds: xr.Dataset, common: Mapping[str, Any]) -> str:
    needed = dense.matrix_bytes({d: ds.sizes[d] for d in ("angle", "u")}, common)
    if operator == "auto":
        return "dense" if needed <= DENSE_BYTES else "nufft"
    return operator


def _dense_only(rays: Rays, method: str, operator: str, chosen: Mapping[str, Any]) -> None:
    if "beam" in chosen:
        raise ArgumentError(
            f"{BY}: the operator 'nufft' has rays without width",
            got=f"operator={operator!r}, beam",
            do="operator='dense', with a smaller size=; or leave beam= out",
        )
    if "resamples" in chosen or (method == "fbp" and rays.variance is not None):
        why = "asked for" if operator == "nufft" else f"taken for an operator above {DENSE_BYTES:,}"
        raise ArgumentError(
            f"{BY}: the operator 'nufft' has no variance",
            got=f"operator={operator!r} ('nufft' {why} bytes), "
            + ("resamples" if "resamples" in chosen else "a sinogram with its variance"),
            do="operator='dense', with a smaller size= or in less channels; or leave the variance "
            "out: ds.drop_vars('variance'), resamples=None",
        )


def _seeds(ds: xr.Dataset, seed: int) -> xr.DataArray:
    """One number for each layer, by its height: the same in whatever block the layer comes."""
    heights = np.rint(known(ds["z"], whole=False).astype(float) * NM_PER_UM).astype(np.int64)
    made = [
        np.random.SeedSequence([seed % 2**64, int(height) % 2**64]).generate_state(1)[0]
        for height in heights
    ]
    return xr.DataArray(np.array(made, np.int64), dims="z")


def _times(array: xr.DataArray, factor: np.float32) -> xr.DataArray:
    """The array times a number, in float32: where it lies, if that is in memory, which is ours."""
    if array.chunks is not None:
        return (array * factor).astype(np.float32)
    data = array.data.astype(np.float32, copy=False)
    data *= factor
    return array.copy(data=data)


_USED = ("rotation_sense", "u_sense", "axis_u")


def _finished(
    ds: xr.Dataset,
    values: Mapping[str, xr.DataArray],
    axis_u: xr.DataArray,
    pixels: int,
    pixel_um: float,
    kind: str,
) -> xr.Dataset:
    """The volume with its coordinates, units and attributes."""
    place, per_cm = (np.arange(pixels) - (pixels - 1) / 2) * pixel_um, UM_PER_CM / pixel_um
    unit = str(ds["intensity"].attrs.get("units", "1"))
    units = {"intensity": "1/cm", "variance": "1/cm^2"}
    if unit not in ("", "1"):
        units = {"intensity": f"{unit}/cm", "variance": f"({unit}/cm)^2"}
    scale = {"intensity": per_cm, "variance": per_cm**2, "residual": 1.0}
    out = {}
    for name, array in values.items():
        dims = ("z", "q") if name == "residual" else ("z", "y", "x", "q")
        scaled = _times(array, np.float32(scale[name])).transpose(*dims)
        attrs = {"units": units[name]} if name in units else {}
        out[name] = scaled.reset_coords(drop=True).assign_attrs(attrs)
    # Variables, since arrays would bring coordinates of their own along.
    kept = {
        str(k): v.variable for k, v in ds.coords.items() if set(v.dims) <= {"q"} and k not in _USED
    }
    coords: dict[str, Any] = {"resolution": ((), pixel_um), **kept, "z": ds["z"].variable}
    coords |= {"axis_u": axis_u.variable, "y": ("y", place), "x": ("x", place)}
    notes = [*ds.attrs.get("notes", []), f"{BY}: operator {kind}"]
    result = xr.Dataset(out, coords, attrs={**ds.attrs, "notes": notes})
    return schema.describe(result, schema.VOLUME_XRDCT)

"""What the sample absorbs of the beam and of its own diffraction: `correct_absorption`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import lazy, schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import absorption
from zeoarray.kernels.beam_rays import FWHM
from zeoarray.labelled import known, lift
from zeoarray.positions import axis_of
from zeoarray.step import Distance, Positive, step
from zeoarray.units import wavelength_of
from zeoarray.xrdct.positions import UNEVEN, angles_of, spacing_of

__all__ = ["correct_absorption"]

Array = np.ndarray[Any, Any]
BY = "xrdct.correct_absorption"
MAP = f"{BY}: attenuation"
MAPS = schema.Schema(
    "map of attenuation",
    (schema.ATTENUATION, schema.Z, schema.Y, schema.X),
    (schema.RESOLUTION, schema.ENERGY, schema.WAVELENGTH),
)
UM_PER_CM = 1e4
CLOSE = 0.01
"""Energies that differ by less than this share are one."""
REACH = 3.5
"""Rows of the map count up to so many standard deviations of the beam: 99.95 % of it."""


@step(cites=("10.1107/97809553602060000602",))
def correct_absorption(
    ds: xr.Dataset,
    *,
    attenuation: xr.Dataset,
    axis: xr.Dataset | None = None,
    center: float | None = None,
    beam: Distance | None = None,
    scale: Positive | None = None,
) -> xr.Dataset:
    r"""Give back to each ray what the sample absorbed of the beam and of what it scattered.

    Where scattering goes with absorption along a ray, its intensity is multiplied by
    :math:`e^M k M / (1 - e^{-k M})`: M is the line integral of the attenuation along the ray,
    averaged over what its beam scatters, and k = 1 / cos(2 theta) - 1 by how much longer the way
    out is than the way on. To first order this is the exponential of M (1 + k / 2), whatever lies
    where along the ray. For intensities that were divided by a monitor *before* the sample: what
    was divided by the light behind it has lost e^M already. Background is to be taken off after
    this: the sample dims what air scatters as well.

    Parameters
    ----------
    ds
        ``intensity(z, angle, u, q)``, ``variance`` where it is known; ``two_theta(q)`` [deg], or
        `wavelength` or `energy`, from which it follows. The senses of the axes are heeded.
    attenuation
        ``attenuation(z, y, x)`` [1/cm] in the frame of the slices that `reconstruct` makes of this
        scan (`volume.resample` brings it there), over all of the scanned width; 0 where there is
        air. Voxels of a fifth of the beam are fine enough, and much faster than finer ones.
    axis, center
        The rotation axis, as for `reconstruct`.
    beam
        Full width at half maximum of the beam along `u` and `z` [um]; 0 for rays without width.
        None takes `beam_size` of `ds`, or else the spacing of `u`.
    scale
        Attenuation at the energy of `ds` over that of the map. None: the energies are one, and it
        is an error if both datasets know theirs and they are not.

    Returns
    -------
    xarray.Dataset
        Intensity times the factor, variance times its square; ``absorbance(z, angle, u)``, the M
        that was taken. Errors of the map are not in the variance. `signal` and `normalization`
        stay as they were measured.

    Raises
    ------
    SchemaError
        For a dataset that is no sinogram, a map that is none, and positions that are not even.
    ArgumentError
        Where scattering angles are not known, or 90 deg and more; energies differ; the map does not
        reach all layers or all of the scanned width; the axis is not known; absorption is corrected
        already.

    References
    ----------
    E. N. Maslen, "X-ray absorption", International Tables for Crystallography C, ch. 6.3 (2006),
    doi:10.1107/97809553602060000602.
    """
    schema.validate(ds, schema.SINOGRAM, by=BY)
    schema.validate(attenuation, MAPS, by=MAP)
    if "absorbance" in ds.variables:
        raise ArgumentError(
            f"{BY}: absorption was corrected already",
            got="a sinogram with 'absorbance'",
            do="take the sinogram before it was",
        )
    longer = xr.DataArray(_longer(ds), dims="q")
    step_um = spacing_of(ds, by=BY)
    _, columns = axis_of(ds, axis, center, step_um, by=BY, rows="layers")
    # From the axis, in um: (z, u).
    place = xr.DataArray(step_um * np.arange(ds.sizes["u"]), dims="u") - step_um * columns
    width = _width(ds, step_um) if beam is None else beam
    voxel_um, offset = _grid(attenuation, float(np.abs(place).max()) if place.size else 0.0)
    rows, share = _rows(attenuation, known(ds["z"], whole=False).astype(float), width)
    slab = _slab(attenuation, rows, like=ds["intensity"].variable)
    per_voxel = _scale(ds, attenuation, scale) * voxel_um / UM_PER_CM
    (lines,) = lift(
        absorption.line_integrals,
        slab, xr.DataArray(share, dims=("z", "layer")), angles_of(ds, by=BY),
        (place / voxel_um).transpose("z", "u"),
        parameters={"offset": offset, "beam": width / voxel_um},
    )  # fmt: skip
    through = (lines * np.float32(per_voxel)).astype(np.float32).transpose("z", "angle", "u")
    out = {"absorbance": through.assign_attrs(schema.attrs_of(schema.SINO_ABSORBANCE))}
    for name, power in (("intensity", 1), ("variance", 2)):
        if name in ds.variables:
            bare = ds[name].drop_vars(list(ds[name].coords))
            (free,) = lift(absorption.correct, bare, through, longer, parameters={"power": power})
            out[name] = free.assign_attrs(ds[name].attrs)
    return ds.assign(out)


def _longer(ds: xr.Dataset) -> Array:
    """By how much the way out is longer than the way on, in each channel."""
    q = known(ds["q"], whole=False).astype(float)
    if "two_theta" in ds.variables:
        two_theta = np.deg2rad(known(ds["two_theta"], whole=False).astype(float))
    else:
        wavelength = _wavelength(ds)
        if wavelength is None:
            raise ArgumentError(
                f"{BY}: scattering angles are not known",
                got="a sinogram without 'two_theta', 'wavelength' and 'energy'",
                do='ds.assign_coords(energy=((), 65.0, {"units": "keV"})), with its own energy',
            )
        sine = np.clip(q * wavelength / (4 * np.pi), -1, 1)
        two_theta = 2 * np.arcsin(sine)
    if not (np.abs(two_theta) < np.pi / 2).all():
        raise ArgumentError(
            f"{BY}: what is scattered by 90 deg and more does not leave behind the sample",
            got=f"2 theta up to {np.rad2deg(np.abs(two_theta).max()):.4g} deg",
            do="ds.sel(q=slice(...)): the channels below",
        )
    longer: Array = 1 / np.cos(two_theta) - 1
    return longer


def _wavelength(ds: xr.Dataset) -> float | None:
    """Of a dataset [angstrom], where it says so."""
    if "wavelength" in ds.variables:
        return float(known(ds["wavelength"]))
    return wavelength_of(float(known(ds["energy"]))) if "energy" in ds.variables else None


def _scale(ds: xr.Dataset, volume: xr.Dataset, scale: float | None) -> float:
    if scale is not None:
        return scale
    ours, theirs = (_wavelength(d) for d in (ds, volume))
    if ours is not None and theirs is not None and abs(ours / theirs - 1) > CLOSE:
        energies = [wavelength_of(length) for length in (ours, theirs)]
        raise ArgumentError(
            f"{BY}: the map was measured at another energy",
            got=f"diffraction at {energies[0]:.4g} keV, the map at {energies[1]:.4g} keV",
            expected="one energy, within 1 %",
            do="scale=, the attenuation of the sample at the energy of the diffraction over that "
            "at the energy of the map",
        )
    return 1.0


def _width(ds: xr.Dataset, step_um: float) -> float:
    return float(known(ds["beam_size"])) if "beam_size" in ds.variables else step_um


def _spacing(volume: xr.Dataset, dim: str) -> float:
    """Distance of positions of the map [um]; `resolution` where there is one."""
    place = known(volume[dim], whole=False).astype(float)
    if place.size == 1:
        one = schema.Schema("map of one position", (schema.RESOLUTION,))
        schema.validate(volume, one, by=MAP)
        return float(known(volume["resolution"]))
    gap = float(place[-1] - place[0]) / max(place.size - 1, 1)
    off = np.abs(place - place[:1] - gap * np.arange(place.size)).max(initial=0)
    if not (gap > 0 and off <= UNEVEN * gap):
        raise SchemaError(
            f"{MAP}: positions along {dim!r} do not ascend evenly",
            got=f"{place.size} positions, off an even spacing by {off:g} um",
            expected=f"one spacing within {UNEVEN:.0%}",
            do=f"attenuation.sortby({dim!r}); volume.resample puts it on a grid",
        )
    return gap


def _grid(volume: xr.Dataset, reach: float) -> tuple[float, tuple[float, float]]:
    """Voxel of the map [um], and how far its middle is from the axis in y and x, in voxels."""
    gaps = [_spacing(volume, dim) for dim in ("y", "x")]
    if abs(gaps[0] - gaps[1]) > UNEVEN * gaps[0]:
        raise ArgumentError(
            f"{MAP}: its voxels are not square",
            got=f"{gaps[0]:g} um along y, {gaps[1]:g} um along x",
            do="volume.resample puts it on a grid with cubes",
        )
    voxel_um = sum(gaps) / 2
    middle = []
    for dim in ("y", "x"):
        place = known(volume[dim], whole=False).astype(float)
        first, last = place[0] - voxel_um / 2, place[-1] + voxel_um / 2
        # Positions may be rounded.
        if min(-first, last) < reach - CLOSE * voxel_um:
            raise ArgumentError(
                f"{BY}: the map of attenuation does not cover the scanned width",
                got=f"{dim} from {first:g} to {last:g} um, rays up to {reach:g} um from the axis",
                expected=f"a map in the frame of the slices, {dim} from {-reach:g} to {reach:g} um",
                do="volume.resample onto a grid of that width; where the rest is air: "
                f"attenuation.reindex({dim}=wider, fill_value=0)",
            )
        middle.append((place[0] + place[-1]) / 2 / voxel_um)
    return voxel_um, (float(middle[0]), float(middle[1]))


def _rows(volume: xr.Dataset, layers: Array, width: float) -> tuple[Array, Array]:
    """(layer, row): rows of the map that each layer meets, and how much of each."""
    have, gap = known(volume["z"], whole=False).astype(float), _spacing(volume, "z")
    first, last = have[0] - gap / 2, have[-1] + gap / 2
    if layers.size and not (layers.min() >= first and layers.max() <= last):
        raise ArgumentError(
            f"{BY}: the map of attenuation does not reach all layers",
            got=f"layers at z {layers.min():g} to {layers.max():g} um, "
            f"the map from {first:g} to {last:g} um",
            expected="a map in the frame of the scan, with its z",
            do="leave those layers out, or give a higher map",
        )
    sigma = width / FWHM / gap
    reach = int(np.ceil(REACH * sigma)) + 1
    place = (layers - have[0]) / gap
    near = np.floor(place)[:, None] + np.arange(1 - reach, reach + 1)
    away = np.abs(near - place[:, None])
    # Nearer than a row, the beam is where rows are interpolated.
    share = np.exp(-0.5 * (away / sigma) ** 2) if sigma > 0.5 else np.clip(1 - away, 0, None)
    share = share * ((near >= 0) & (near < have.size))
    rows = np.clip(near, 0, have.size - 1).astype(np.intp)
    return rows, share / share.sum(axis=1, keepdims=True)


def _slab(volume: xr.Dataset, rows: Array, *, like: xr.Variable) -> xr.DataArray:
    """(z, layer, y, x): rows of the map that each layer of the scan meets; lazy as `like` is."""
    data = volume["attenuation"].variable
    later = like.chunks is not None or lazy.is_lazy(like)
    if later:
        data = lazy.chunk(data, {}) if data.chunks is None else data
        part = data.isel(z=rows.ravel()).chunk({"z": rows.shape[1], "y": -1, "x": -1})
    else:
        part = data.isel(z=rows.ravel())
        part = part.compute(scheduler="synchronous") if part.chunks is not None else part.load()
    values = part.data.reshape((*rows.shape, *part.shape[1:]))
    return xr.DataArray(values, dims=("z", "layer", "y", "x"))

"""What lies between sample and camera: the lens, and the way that the beam propagates."""

from __future__ import annotations

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import distortion, propagation
from zeoarray.kernels.distortion import Interpolation
from zeoarray.labelled import known, lift
from zeoarray.step import step
from zeoarray.units import wavelength_of

__all__ = ["correct_distortion", "retrieve_phase"]

IMAGES = ("transmission", "absorbance", "counts", "flat", "dark")
OFF_PIXEL = 0.05
"""Positions must lie on the detector's pixels but for this part of one."""
DISAGREE = 1e-3
"""Stated quantities that differ by more than this share are said to disagree."""


@step(cites=("10.1364/OE.23.032859",))
def correct_distortion(
    ds: xr.Dataset,
    *,
    polynomial: tuple[float, ...],
    center_from_top: float,
    center_from_left: float,
    crop_edges: int = 0,
    detector: tuple[int, int] | None = None,
    interpolation: Interpolation = "linear",
) -> xr.Dataset:
    """Undo the radial distortion of the camera's lens.

    A pixel at radius r from the centre takes its value from radius r P(r) of the raw image,
    P(r) = k0 + k1 r + k2 r^2 + ..., all in pixels. Which pixel of the detector a value belongs to
    is told by `z`, `u` and `resolution`: positions count from the middle of the whole detector,
    and keep doing so in a scan that was cropped. What would come from outside the image is taken
    from its nearest row or column.

    Parameters
    ----------
    ds
        ``transmission``, ``absorbance`` or ``counts(angle, z, u)``; of counts the flats and darks
        are corrected as well, and ``usable(z, u)`` where there is one. Square pixels of the size
        `resolution`; of a binned scan the other parameters are meant in binned pixels.
    polynomial
        k0, k1, ..., as Savu's and discorpy's backward model has them.
    center_from_top, center_from_left
        Row and column of the centre of the distortion, as fractional indices of the whole detector.
    crop_edges
        Rows and columns to leave out at each edge of the whole detector.
    detector
        Rows and columns of the whole detector, where the coordinates `detector_rows` and
        `detector_columns` do not tell. With neither, the scan has them all, and cannot be cut
        along `z`. Otherwise it can, at the price of as many rows on either side as the lens moves
        any pixel by.
    interpolation
        ``linear``, or ``cubic`` convolution, which blurs less.

    Returns
    -------
    xarray.Dataset
        `ds` with corrected images.

    Raises
    ------
    SchemaError
        For a dataset without projections, positions or resolution.
    ArgumentError
        For a centre outside the detector, a polynomial that folds the image, positions that are
        not on the detector's pixels, and a crop that leaves nothing.

    References
    ----------
    N. T. Vo, R. C. Atwood, M. Drakopoulos, "Radial lens distortion correction with sub-pixel
    accuracy for X-ray micro-tomography", Opt. Express 23, 32859 (2015), doi:10.1364/OE.23.032859.
    """
    by = "xct.correct_distortion"
    images = [name for name in IMAGES if name in ds.data_vars]
    if not {*images} & {*IMAGES[:3]}:
        schema.validate(ds, schema.NORMALIZED_XCT, by=by)
    for name in images:
        var = getattr(schema, name.upper())
        needed = (var, schema.Z, schema.U, schema.RESOLUTION)
        schema.validate(ds, schema.Schema("scan to correct", needed), by=by)
    numbers, size = _pixels(ds, detector or _stored(ds), by)
    parameters = {
        "polynomial": tuple(polynomial),
        "center": (center_from_top, center_from_left),
        "detector": size,
        "interpolation": interpolation,
    }
    distortion.check_lens(tuple(polynomial), (center_from_top, center_from_left), size)
    out = ds
    for name in (*images, *(["usable"] if "usable" in ds.data_vars else [])):
        kernel = distortion.unwarp_flags if name == "usable" else distortion.unwarp
        (image,) = lift(kernel, ds[name], *numbers, parameters=parameters)
        out = out.assign({name: image.assign_attrs(ds[name].attrs)})
    return _cropped(out, crop_edges, numbers, size, by)


def _stored(ds: xr.Dataset) -> tuple[int, int] | None:
    """Size of the whole detector, where the scan tells it."""
    names = [var.name for var in schema.DETECTOR_SIZE]
    if not all(name in ds.coords for name in names):
        return None
    rows, columns = (int(known(ds[name])) for name in names)
    return rows, columns


def _pixels(
    ds: xr.Dataset, detector: tuple[int, int] | None, by: str
) -> tuple[list[xr.DataArray], tuple[int, int]]:
    """Row and column numbers on the whole detector, and its size."""
    pixel_um = float(known(ds["resolution"]))
    size = detector or (ds.sizes["z"], ds.sizes["u"])
    numbers = []
    for dim, count in zip(("z", "u"), size, strict=True):
        place = known(ds[dim], whole=detector is None) / pixel_um + (count - 1) / 2
        nearest = np.rint(place)
        on = (np.abs(place - nearest) < OFF_PIXEL) & (nearest >= 0) & (nearest < count)
        if not on.all():
            raise ArgumentError(
                f"{by}: positions along {dim!r} are not pixels of this detector",
                got=f"{ds[dim].values[0]:g} to {ds[dim].values[-1]:g} um in pixels of "
                f"{pixel_um:g} um, a detector of {size[0]} rows and {size[1]} columns"
                + (" (that of the scan)" if detector is None else ""),
                expected="positions that count from the middle of the whole detector, in steps "
                "of the resolution",
                do="detector=(rows, columns) of the whole detector, for a scan that was cropped",
            )
        numbers.append(xr.DataArray(nearest.astype(np.int64), dims=dim))
    return numbers, size


def _cropped(
    ds: xr.Dataset, edges: int, numbers: list[xr.DataArray], size: tuple[int, int], by: str
) -> xr.Dataset:
    """What is `edges` pixels from the edges of the detector, of which `numbers` are here."""
    if edges == 0:
        return ds
    if edges < 0 or 2 * edges >= min(size):
        raise ArgumentError(
            f"{by}: crop_edges leaves nothing of the images",
            got=f"crop_edges={edges}, {size[0]} rows and {size[1]} columns",
            expected=f"0 to {(min(size) - 1) // 2}",
        )
    kept = {}
    for dim, number, count in zip(("z", "u"), numbers, size, strict=True):
        inside = np.flatnonzero((number.values >= edges) & (number.values < count - edges))
        kept[dim] = slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0)
    return ds.isel(kept)


@step(cites=("10.1046/j.1365-2818.2002.01010.x",))
def retrieve_phase(
    ds: xr.Dataset,
    *,
    delta_beta: float,
    distance_m: float | None = None,
    energy_kev: float | None = None,
) -> xr.Dataset:
    """Undo the propagation of a beam through one material, by the filter of Paganin.

    T' = F^-1{ F{T} / (1 + R delta / mu k^2) },  mu = 4 pi beta / wavelength,

    with k the angular spatial frequency over ``(z, u)`` and R the distance. The result is a
    transmission again: `minus_log` makes of it mu times the thickness. Images are extended by
    their edges. With ``w = k / (2 pi)`` the divisor is 1 + pi wavelength R (delta / beta) w^2, as
    in Savu's PaganinFilter (which goes on to the phase, -delta_beta / 2 log T'). TomoPy's
    `retrieve_phase` and httomolibgpu's `paganin_filter_tomopy` state lengths in cm, `alpha` is
    beta / delta, and their grid goes up to twice the angular frequency of the pixel: they blur
    like four times the distance.

    Parameters
    ----------
    ds
        ``transmission(angle, z, u)``, and `resolution`, the pixel size.
    delta_beta
        delta / beta of the material, whose refractive index is 1 - delta + i beta.
    distance_m
        From sample to detector [m], in place of the dataset's `distance`.
    energy_kev
        Of the photons [keV], in place of the dataset's `energy` (or `wavelength`).

    Returns
    -------
    xarray.Dataset
        `ds` with the filtered ``transmission(angle, z, u)``.

    Raises
    ------
    SchemaError
        For a dataset without transmission or resolution, or where distance or energy are neither
        in it nor given.
    ArgumentError
        For a quantity that is not above 0, and for projections that are not finite.

    References
    ----------
    D. Paganin et al., "Simultaneous phase and amplitude extraction from a single defocused image
    of a homogeneous object", J. Microsc. 206, 33 (2002), doi:10.1046/j.1365-2818.2002.01010.x.
    """
    by = "xct.retrieve_phase"
    needed = (*schema.NORMALIZED_XCT.required, schema.RESOLUTION)
    schema.validate(
        ds, schema.Schema("normalised XCT scan", needed, schema.NORMALIZED_XCT.optional), by=by
    )
    have = _scalar(ds, "energy")
    if have is None and (wavelength := _scalar(ds, "wavelength")) is not None:
        have = wavelength_of(wavelength)
    notes = list(ds.attrs.get("notes", []))
    setting = {
        "delta_beta": delta_beta,
        "pixel_um": float(known(ds["resolution"])),
        "distance_m": _chosen("distance_m", distance_m, _scalar(ds, "distance"), "m", notes),
        "energy_kev": _chosen("energy_kev", energy_kev, have, "keV", notes),
    }
    propagation.blur_length(**setting)
    (image,) = lift(propagation.paganin, ds["transmission"], parameters=setting)
    image = image.assign_attrs(ds["transmission"].attrs)
    return ds.assign(transmission=image).assign_attrs({"notes": notes} if notes else {})


def _scalar(ds: xr.Dataset, name: str) -> float | None:
    if name not in ds.variables or ds[name].ndim:
        return None
    return float(known(ds[name]))


def _chosen(
    name: str, given: float | None, have: float | None, unit: str, notes: list[str]
) -> float:
    """The quantity that was given, or that of the dataset."""
    what = name.partition("_")[0]
    value = have if given is None else given
    if value is None:
        raise SchemaError(
            f"xct.retrieve_phase: the {what} is not known",
            got=f"no {what!r} in the dataset",
            expected=f"a scalar coordinate {what!r} [{unit}], or the parameter",
            do=f"{name}=...",
        )
    if given is not None and have is not None and abs(given - have) > DISAGREE * abs(have):
        notes.append(
            f"xct.retrieve_phase: {what} {given:g} {unit} was given, the scan says {have:g} {unit}"
        )
    return value

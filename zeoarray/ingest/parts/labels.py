"""What every reader says in the same words: the beam, the senses of the axes, the attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema, units
from zeoarray.errors import ArgumentError, SourceError, unknown
from zeoarray.ingest.parts.finder import Account
from zeoarray.ingest.reader import Options, scalar

Array = np.ndarray[Any, Any]

TOLERANCE = 1e-3
"""Energies and wavelengths that differ by more than this fraction are said to disagree."""


def beam(
    options: Options,
    *,
    energy: float | None = None,
    wavelength: float | None = None,
    notes: list[str],
) -> dict[str, xr.Variable]:
    """Return `energy` [keV] and `wavelength` [angstrom] as scalar coords; empty where unknown.

    What the user states goes before what the file states. Where the file states both and they
    contradict each other, the energy is taken: it comes from the monochromator, the wavelength is
    often typed. Every disagreement is added to `notes`.

    Raises
    ------
    ArgumentError
        Where the user's own energy and wavelength contradict each other.
    """
    contradicted = (
        options.energy is not None
        and options.wavelength is not None
        and _differ(options.energy, units.wavelength_of(options.wavelength))
    )
    if contradicted:
        raise ArgumentError(
            "the energy and the wavelength that were given contradict each other",
            got=f"{options.energy:g} keV and {options.wavelength:g} angstrom",
            expected=f"hc = {units.wavelength_of(1.0):g} keV angstrom for their product",
            do="give one of them",
        )
    stated = _Photons.of(energy, wavelength)
    if energy is not None and wavelength is not None:
        implied = units.wavelength_of(wavelength)
        if _differ(energy, implied):
            notes.append(
                f"the file's wavelength {wavelength:g} angstrom ({implied:g} keV) contradicts its "
                f"energy {energy:g} keV by {abs(implied / energy - 1):.1%}; the energy is taken"
            )
    given = _Photons.of(options.energy, options.wavelength)
    if given and stated and _differ(given.energy, stated.energy):
        notes.append(
            f"the file states {stated.energy:g} keV; {given.energy:g} keV was given and is taken"
        )
    photons = given or stated
    if photons is None:
        return {}
    return {
        "energy": scalar(photons.energy, "keV"),
        "wavelength": scalar(photons.wavelength, "angstrom"),
    }


@dataclass(frozen=True)
class _Photons:
    energy: float
    wavelength: float

    @classmethod
    def of(cls, energy: float | None, wavelength: float | None) -> _Photons | None:
        # hc/lambda is its own inverse, so one function serves both ways. What was stated is kept
        # as it was, to the last digit.
        if energy is not None:
            return cls(energy, units.wavelength_of(energy))
        if wavelength is not None:
            return cls(units.wavelength_of(wavelength), wavelength)
        return None


def _differ(one: float, other: float) -> bool:
    return abs(one / other - 1) > TOLERANCE


def senses(options: Options) -> dict[str, xr.Variable]:
    """Return the senses of rotation, u and z as scalar coords."""
    return {
        name: scalar(getattr(options, name), "1")
        for name in ("rotation_sense", "u_sense", "z_sense")
    }


def radial(q: Array, wavelength: float | None, two_theta: Array | None = None) -> dict[str, Any]:
    """Return the coords of a radial axis: `q` [1/angstrom], `d` [angstrom], `two_theta` [deg].

    q = 4 pi sin(two_theta / 2) / wavelength and d = 2 pi / q; `two_theta` is left out where the
    wavelength [angstrom] is not known.
    """
    with np.errstate(divide="ignore"):
        coords: dict[str, Any] = {"q": ("q", q), "d": ("q", 2 * np.pi / q)}
    if two_theta is None and wavelength is not None:
        sine = q * wavelength / (4 * np.pi)
        # Beyond backscattering there is no angle.
        sine = np.where(np.abs(sine) <= 1, sine, np.nan)
        two_theta = 2 * np.rad2deg(np.arcsin(sine))
    if two_theta is not None:
        coords["two_theta"] = ("q", two_theta)
    return coords


def q_of(two_theta: Array, wavelength: float) -> Array:
    """Return q [1/angstrom] of scattering angles [deg] at a wavelength [angstrom].

    Examples
    --------
    >>> round(float(q_of(np.array(60.0), 1.0)), 4)
    6.2832
    """
    return np.asarray(4 * np.pi * np.sin(np.deg2rad(two_theta) / 2) / wavelength)


def cropped(ds: xr.Dataset, crop: Mapping[str, tuple[int, int]], dims: Sequence[str]) -> xr.Dataset:
    """Return `ds` cut to the ranges of `crop`, lazily; only `dims` may be cut.

    Raises
    ------
    UnknownNameError
        For a dim that cannot be cut here.
    SourceError
        For a range that leaves nothing, or exceeds the data.
    """
    for dim, (first, stop) in crop.items():
        if dim not in dims:
            raise unknown("dim to crop here", dim, dims)
        # What cannot be reached has no size yet, so nothing of it is left out.
        if ds.sizes[dim] and not 0 <= first < stop <= ds.sizes[dim]:
            raise SourceError(
                f"the crop of {dim!r} leaves nothing, or exceeds the data",
                got=f"{first} to {stop}",
                expected=f"0 <= first < past-the-last <= {ds.sizes[dim]}",
            )
    return ds.isel({dim: slice(first, stop) for dim, (first, stop) in crop.items()})


def kept(account: Account, frames: int) -> Array:
    """Numbers of the frames that the options do not leave out, of `frames` in the file.

    Raises
    ------
    ArgumentError
        Where a frame to leave out does not exist.
    """
    ignore = np.array(sorted(set(account.options.ignore)), dtype=int)
    if ignore.size and (ignore[0] < 0 or ignore[-1] >= frames):
        raise ArgumentError(
            f"{account.path}: frames to ignore that do not exist",
            got=", ".join(str(i) for i in ignore if not 0 <= i < frames),
            expected=f"0 to {frames - 1}, counted over all frames of the file",
        )
    if ignore.size:
        account.note(f"{ignore.size} frames are left out, as asked for")
    return np.setdiff1d(np.arange(frames), ignore)


def finish(
    ds: xr.Dataset,
    like: schema.Schema,
    *,
    reader: str,
    source: Iterable[Path],
    notes: Sequence[str],
) -> xr.Dataset:
    """Return `ds` with units, descriptions, and the attributes that every reader gives.

    Parameters
    ----------
    ds
        Values in the units of the schema; positions may say that they are in px.
    like
        The schema whose units and descriptions are set.
    reader
        Name of the reader.
    source
        The files that were read.
    notes
        What was assumed, one sentence each.
    """
    attrs = {"reader": reader, "source": [str(path) for path in source], "notes": list(notes)}
    # Without a pixel size positions are in px.
    in_pixels = [name for name in ds.variables if ds[name].attrs.get("units") == "px"]
    out = schema.describe(ds, like).assign_attrs(attrs)
    for name in in_pixels:
        out[name].attrs["units"] = "px"
    return out

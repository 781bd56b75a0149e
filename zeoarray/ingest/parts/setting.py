"""What a scan was measured with: energy, wavelength, distance, exposure, size of the beam."""

from __future__ import annotations

from collections.abc import Sequence

import xarray as xr

from zeoarray.ingest.parts import clock, hdf5, labels
from zeoarray.ingest.parts.finder import Account, Finder
from zeoarray.ingest.reader import scalar

_KEV, _ANGSTROM, _METRES = (0.1, 1000.0), (0.01, 100.0), (1e-4, 1e3)
"""The least and the greatest that is believed of a file."""

_ENERGY = ("monochromator/energy", "beam/incident_energy")
_WAVELENGTH = ("monochromator/wavelength", "beam/incident_wavelength")
"""Where NeXus puts them: ``source/energy`` is that of the ring."""


def setting(
    account: Account,
    *,
    energy: float | None = None,
    wavelength: float | None = None,
    distance: float | None = None,
    exposure: float | None = None,
) -> dict[str, xr.Variable]:
    """Return `energy`, `wavelength`, `distance` and `exposure` as scalar coords, where known.

    Parameters
    ----------
    account
        The user's options, which go before the file.
    energy, wavelength, distance, exposure
        What the file states [keV, angstrom, m, s].
    """
    out = labels.beam(account.options, energy=energy, wavelength=wavelength, notes=account.notes)
    for name, in_file, unit in (("distance", distance, "m"), ("exposure", exposure, "s")):
        value = account.stated(name, in_file)
        if value is not None:
            out[name] = scalar(value, unit)
    return out


def found(
    finder: Finder,
    *,
    energy: Sequence[str],
    wavelength: Sequence[str],
    distance: Sequence[str],
    exposure: Sequence[str],
) -> dict[str, xr.Variable]:
    """Return `setting` with what the file states at the first believable of the places."""
    return setting(
        finder,
        **_photons(finder, energy, wavelength),
        distance=finder.number(distance, "m", what="distance", within=_METRES),
        exposure=clock.exposure(finder, exposure),
    )


def photons(finder: Finder) -> dict[str, float | None]:
    """Return the `energy` [keV] and the `wavelength` [angstrom] stated anywhere, or None."""
    names = list(hdf5.datasets(finder.file))
    energy, wavelength = (
        [name for name in names if f"/{name}".endswith(tuple(f"/{end}" for end in ends))]
        for ends in (_ENERGY, _WAVELENGTH)
    )
    return _photons(finder, energy, wavelength)


def _photons(
    finder: Finder, energy: Sequence[str], wavelength: Sequence[str]
) -> dict[str, float | None]:
    return {
        "energy": finder.number(energy, "keV", what="energy", within=_KEV),
        "wavelength": finder.number(wavelength, "angstrom", what="wavelength", within=_ANGSTROM),
    }


def spot(size: float | None) -> dict[str, xr.Variable]:
    """Return the size of the beam [um] as `resolution` and `beam_size`; nothing for None."""
    if size is None:
        return {}
    return {"resolution": scalar(size, "um"), "beam_size": scalar(size, "um")}

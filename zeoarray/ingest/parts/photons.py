"""What an HDF5 file states about its photons, in the places where NeXus puts it."""

from __future__ import annotations

import h5py
import numpy as np

from zeoarray import units
from zeoarray.ingest.parts import hdf5

_PLACES = {
    "monochromator/energy": ("energy", "keV"),
    "beam/incident_energy": ("energy", "keV"),
    "monochromator/wavelength": ("wavelength", "angstrom"),
    "beam/incident_wavelength": ("wavelength", "angstrom"),
}


def photons(file: h5py.File) -> dict[str, float | None]:
    """Return the `energy` [keV] and the `wavelength` [angstrom] that the file states, or None.

    Only a single positive number with a unit is believed: ``source/energy`` is that of the ring.
    """
    found: dict[str, float | None] = {"energy": None, "wavelength": None}
    for name in hdf5.datasets(file):
        quantity, unit = _PLACES.get("/".join(name.split("/")[-2:]), (None, ""))
        if quantity is None or found[quantity] is not None:
            continue
        read = hdf5.read(file, name)
        if read is None or read[0].size != 1 or "units" not in read[1]:
            continue
        value = float(np.ravel(read[0])[0])
        if np.isfinite(value) and value > 0:
            found[quantity] = units.convert(value, str(read[1]["units"]), unit)
    return found

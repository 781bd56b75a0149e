"""The reduced file of an XRD-CT layer, as DAWN writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pyFAI
from scipy.sparse import csr_array

from zeoarray.twin.geometry import Geometry

Array = np.ndarray[Any, Any]

BINS = 5000
FIRST, STEP = 0.7828, 0.001
"""Centre of the first bin and distance of bins [1/angstrom], those of the dataset's files."""


def q_axis() -> Array:
    """Centres of the bins [1/angstrom].

    Examples
    --------
    >>> [round(float(q_axis()[i]), 4) for i in (866, 871)]
    [1.6488, 1.6538]
    """
    return FIRST + STEP * np.arange(BINS)


class Reducer:
    """Azimuthal integration of frames of one beam position, by pyFAI.

    Parameters
    ----------
    geometry
        As seen from the beam.
    mask
        (det_y, det_x), 1 where a pixel is bad.
    """

    def __init__(self, geometry: Geometry, mask: Array) -> None:
        integrator = geometry.integrator()
        low = FIRST - STEP / 2
        engine = integrator.setup_sparse_integrator(
            geometry.shape,
            BINS,
            mask=mask.astype(np.int8),
            pos0_range=(low, low + STEP * BINS),
            unit="q_A^-1",
            split="bbox",
            algo="CSR",
            empty=0.0,
        )
        # pyFAI builds the matrix; a plain product with it spares the threads of pyFAI's own.
        self._matrix = csr_array(
            (engine.data, engine.indices, engine.indptr), (BINS, int(np.prod(geometry.shape)))
        )
        weight = integrator.solidAngleArray() * integrator.polarization(
            factor=geometry.polarization
        )
        seen = self._matrix @ weight.ravel().astype(float)
        self._seen = np.where(seen > 0, seen, np.inf)

    def reduce(self, frame: Array) -> Array:
        """(det_y, det_x) -> (q): mean counts per pixel, for solid angle and polarization.

        As ``integrate1d`` of pyFAI does it with pixels split by their bounding box in q; bins that
        no pixel reaches are 0. Neither the monitor nor the exposure is divided by.
        """
        sums = self._matrix @ frame.ravel().astype(float)
        intensity: Array = (sums / self._seen).astype(np.float32)
        return intensity


def write(
    path: Path, data: Array, *, angle_deg: Array, u_um: Array, z_um: float, monitor: Array,
    geometry: Geometry, source: str,
) -> None:  # fmt: skip
    """Write a reduced layer.

    The rows of a snake scan are put in order: the file is a grid over (rotation, translation).

    Parameters
    ----------
    path
        The file.
    data
        (rotation, translation, q) intensities.
    angle_deg, u_um, z_um
        (rotation,), (translation,) positions, and the height.
    monitor
        (rotation, translation) ion chamber.
    geometry
        At u = z = 0.
    source
        Name of the raw file.
    """
    with h5py.File(path, "w", locking=False) as file:
        entry = file.create_group("processed")
        entry.attrs.update({"NX_class": "NXentry", "default": "result"})
        result = entry.create_group("result")
        result.attrs.update(
            {
                "NX_class": "NXdata",
                "signal": "data",
                "axes": np.array(["kb_cs_y", "gts_cs_theta", "kb_cs_x", "q"], "S"),
                "kb_cs_y_indices": 0,
                "gts_cs_theta_indices": 1,
                "kb_cs_x_indices": 2,
                "q_indices": 3,
            }
        )
        result.create_dataset(
            "data",
            data=data[None],
            chunks=(1, 1, *data.shape[1:]),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        for name, values, unit in (
            ("q", q_axis(), "1/angstrom"),
            ("gts_cs_theta", angle_deg, "deg"),
            ("kb_cs_x", u_um, "um"),
            ("kb_cs_y", np.array([z_um]), "um"),
        ):
            result.create_dataset(name, data=values).attrs["units"] = unit
        entry.create_dataset("monitor/data", data=monitor[None])
        _record(entry.create_group("process"), geometry)
        entry.create_dataset("raw_file", data=source)


def _record(group: h5py.Group, geometry: Geometry) -> None:
    """How the file was made, in the manner of DAWN's processing records."""
    group.attrs["NX_class"] = "NXprocess"
    parameters = {
        "bins": BINS,
        "pixel_splitting": "bounding box",
        "solid_angle": True,
        "polarization_factor": geometry.polarization,
        "moving_beam": True,
        "distance_m": geometry.distance,
        "poni1_m": geometry.poni1,
        "poni2_m": geometry.poni2,
        "rot_rad": [geometry.rot1, geometry.rot2, geometry.rot3],
        "wavelength_angstrom": geometry.wavelength,
    }
    step = group.create_group("0")
    step.attrs["NX_class"] = "NXnote"
    step.create_dataset("name", data="Azimuthal Integration, moving beam")
    step.create_dataset("data", data=json.dumps(parameters))
    step.create_dataset("type", data="application/json")
    group.create_dataset("program", data="pyFAI")
    group.create_dataset("version", data=pyFAI.version)

"""The truth behind an XRD-CT scan: phase weights on its grid, and every nuisance parameter."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.twin import diffraction
from zeoarray.twin.frames import bad_pixels, crystals_of
from zeoarray.twin.rings import PHASES
from zeoarray.twin.scan_xrdct import Plan
from zeoarray.twin.slab import Matter, Slab

Array = np.ndarray[Any, Any]


def weights(plan: Plan, matter: Matter) -> xr.Dataset:
    """Mean volume fraction of every phase in every voxel of the scan's own grid.

    Voxels are `step_um` wide, centred on the tomographic axis, and as high as the beam (weighted by
    its profile). The weight of a phase is the factor on its reference pattern (`reference`), so
    that a sinogram of weights is in um.

    Parameters
    ----------
    plan
        The scan.
    matter
        The sample.

    Returns
    -------
    xarray.Dataset
        ``weight`` (phase, z, y, x); positions [um].
    """
    size = plan.translations
    edges = (np.arange(size + 1) - size / 2) * plan.step_um
    heights = [plan.z_sense * layer.z_um for layer in plan.layers]
    slabs = (Slab.of(matter, z, height_um=plan.height_um, pitch_um=plan.pitch_um) for z in heights)
    weight = np.stack([slab.mean(edges) for slab in slabs], axis=1)
    centres = (edges[1:] + edges[:-1]) / 2
    um = {"units": "um"}
    return xr.Dataset(
        {"weight": (("phase", "z", "y", "x"), weight.astype(np.float32), {"units": "1"})},
        coords={
            "phase": list(PHASES),
            "z": ("z", np.array(heights, float), um),
            "y": ("y", centres, um),
            "x": ("x", centres, um),
            "resolution": ((), plan.width_um, um),
        },
    )


def reference(q: Array) -> xr.Dataset:
    """Patterns whose sum, weighted by path lengths, is what a frame holds.

    Parameters
    ----------
    q
        Ascending scattering vector lengths [1/angstrom].

    Returns
    -------
    xarray.Dataset
        ``pattern`` (phase, q) [1/cm]: differential cross-section per volume and steradian, for
        ``sodium``, ``zinc``, ``glass`` and ``air``; without detector pixels and without parallax.
    """
    names = list(diffraction.MATERIALS)
    patterns = np.stack([diffraction.pattern(name, np.asarray(q, float)) for name in names])
    return xr.Dataset(
        {"pattern": (("phase", "q"), patterns, {"units": "1/cm"})},
        coords={"phase": names, "q": ("q", np.asarray(q, float), {"units": "1/angstrom"})},
    )


def nuisance(plan: Plan) -> xr.Dataset:
    """Everything about the scan that an analysis does not want to know, but may be judged by.

    Parameters
    ----------
    plan
        The scan.

    Returns
    -------
    xarray.Dataset
        Over (layer, rotation, translation), NaN where a rotation was dropped: true motor
        positions, time, ring current, monitor, photons. Bad pixels as (row, column) lists. The
        geometry and every number of the plan are attributes.
    """
    layers = []
    for index in range(len(plan.layers)):
        motors = plan.motors(index)
        motors = motors.drop_vars("rotation_planned").assign_coords(rotation=list(plan.kept(index)))
        layers.append(motors.reindex(rotation=np.arange(plan.rotations)))
    out = xr.concat(layers, dim="layer")
    out = out.assign_coords(
        scan_number=("layer", [layer.number for layer in plan.layers]),
        layer_z=("layer", [layer.z_um for layer in plan.layers], {"units": "um"}),
    )
    bad = bad_pixels(plan)
    columns = plan.geometry.shape[1]
    out["dead_pixel"] = (("dead", "axis"), np.stack(np.divmod(bad.dead, columns), -1))
    out["hot_pixel"] = (("hot", "axis"), np.stack(np.divmod(bad.hot, columns), -1))
    out["hot_rate"] = ("hot", bad.rate, {"units": "1"})
    out["hot_in_mask"] = ("hot", bad.known.astype(np.uint8))
    numbers = {
        f"geometry_{name}": value for name, value in dataclasses.asdict(plan.geometry).items()
    } | {
        field.name: getattr(plan, field.name)
        for field in dataclasses.fields(plan)
        if field.name not in ("geometry", "layers")
    }
    # Attributes of a store hold no booleans of Python's in every format: 0 and 1 do.
    return out.assign_attrs({k: int(v) if isinstance(v, bool) else v for k, v in numbers.items()})


def crystals(plan: Plan, matter: Matter) -> xr.Dataset:
    """The single crystals whose spots stand in the frames.

    Parameters
    ----------
    plan
        The scan.
    matter
        The sample.

    Returns
    -------
    xarray.Dataset
        Over ``crystal``: ``position`` (x, y, z) and ``radius`` [um], ``phase``, and ``rotation``,
        the matrix from crystal axes to those of the sample.
    """
    found = crystals_of(plan, matter)
    axes = ["x", "y", "z"]
    position = np.array([c.position_um for c in found]).reshape(-1, 3)
    rotation = np.array([c.rotation for c in found]).reshape(-1, 3, 3)
    return xr.Dataset(
        {
            "position": (("crystal", "axis"), position, {"units": "um"}),
            "radius": ("crystal", np.array([c.radius_um for c in found]), {"units": "um"}),
            "phase": ("crystal", np.array([c.phase for c in found], dtype="U6")),
            "rotation": (("crystal", "axis", "crystal_axis"), rotation),
        },
        coords={"axis": axes, "crystal_axis": ["a", "b", "c"]},
    )

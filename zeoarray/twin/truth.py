"""The truth behind the XCT scans: attenuation on any grid, every transform, every nuisance.

Each function returns a dataset in the names and units of `zeoarray.schema`; `write_scan` and
`write_sample` save them to a store.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import chunks, schema, store
from zeoarray.errors import ArgumentError
from zeoarray.twin.attenuation import MATERIALS
from zeoarray.twin.beam import ring_current
from zeoarray.twin.detector import Camera
from zeoarray.twin.sample import Sample
from zeoarray.twin.stripes import KINDS

Array = np.ndarray[Any, Any]

PHASES = ("sodium", "zinc", "glass")
ENERGY_KEV = 25.0
POINTS_AT_ONCE = 4_000_000
MOST_BYTES = 4 * 10**9
"""A volume is held in memory: beyond this, ask for it in parts."""


def volume(
    sample: Sample,
    z: Array,
    y: Array,
    x: Array,
    *,
    energy_kev: float,
    to_sample: Array | None = None,
    fine: int = 2,
) -> xr.Dataset:
    """Attenuation and phases on a grid, each voxel the mean of `fine`^3 points.

    Parameters
    ----------
    sample
        The sample.
    z, y, x
        Centres of the voxels [um], evenly spaced, in the coordinates of a scan's volume.
    energy_kev
        Photon energy.
    to_sample
        (4, 4) from these coordinates to the sample's, as in `transforms`; none where left out.
    fine
        Points along each side of a voxel.

    Returns
    -------
    xarray.Dataset
        ``attenuation`` (z, y, x) [1/cm] and ``weight`` (phase, z, y, x), float32.

    Raises
    ------
    ArgumentError
        For a grid that is empty or uneven, or larger than fits.
    """
    axes = [np.atleast_1d(np.asarray(a, float)) for a in (z, y, x)]
    steps = [_step(name, a) for name, a in zip("zyx", axes, strict=True)]
    step = next((s for s in reversed(steps) if s), 0.0)
    shape = tuple(a.size for a in axes)
    nbytes = 4 * (1 + len(PHASES)) * int(np.prod(shape))
    if nbytes > MOST_BYTES:
        raise ArgumentError(
            "the grid is too large to be held",
            got=f"{shape}, {chunks.format_bytes(nbytes)}",
            expected=f"at most {chunks.format_bytes(MOST_BYTES)}",
            do="ask for a part of it: its values are the same",
        )
    matrix = np.eye(4) if to_sample is None else np.asarray(to_sample, float)
    attenuation = np.empty(shape, np.float32)
    weight = np.empty((len(PHASES), *shape), np.float32)
    offsets = (np.arange(fine) + 0.5) / fine - 0.5
    rows = max(1, POINTS_AT_ONCE // max(1, shape[1] * shape[2]))
    for first in range(0, shape[0], rows):
        part = slice(first, first + rows)
        mu = np.zeros((axes[0][part].size, *shape[1:]))
        phases = np.zeros((len(PHASES), *mu.shape))
        for shift in itertools.product(offsets, repeat=3):
            grids = [
                a + o * (s or step) for a, o, s in zip((axes[0][part], *axes[1:]), shift, steps,
                                                       strict=True)
            ]  # fmt: skip
            pz, py, px = np.meshgrid(*grids, indexing="ij", sparse=True)
            sx, sy, sz = (m[0] * px + m[1] * py + m[2] * pz + m[3] for m in matrix[:3])
            points = sample.points(sx, sy, sz)
            mu += points.attenuation(energy_kev)
            found = points.phases()
            phases += np.stack([found[name] for name in PHASES])
        attenuation[part] = mu / fine**3
        weight[:, part] = phases / fine**3
    coords = {n: (n, a, {"units": "um"}) for n, a in zip("zyx", axes, strict=True)}
    ds = xr.Dataset(
        {
            "attenuation": (("z", "y", "x"), attenuation),
            "weight": (("phase", "z", "y", "x"), weight, {"units": "1"}),
        },
        coords | {"phase": list(PHASES), "energy": energy_kev, "resolution": step},
    )
    return schema.describe(ds, schema.VOLUME_XCT)


def _step(name: str, axis: Array) -> float:
    if axis.size == 0 or (axis.size > 2 and np.ptp(np.diff(axis)) > 1e-6 * abs(np.ptp(axis))):
        raise ArgumentError(
            f"the grid's {name} cannot be used",
            got="no positions" if axis.size == 0 else "positions that are not evenly spaced",
            expected="at least one centre, evenly spaced [um]",
        )
    return float(axis[1] - axis[0]) if axis.size > 1 else 0.0


def transforms(camera: Camera) -> xr.Dataset:
    """Where the sample was in a scan, and what its camera does to positions.

    Returns
    -------
    xarray.Dataset
        ``to_sample`` (4, 4) takes volume coordinates with the nominal pixel size [um] to the
        sample's; ``axis_u`` (z) [um] and ``center`` (z) [px] say where the axis meets each row of
        undistorted projections; ``distortion`` are the coefficients of the lens in pixels, about
        ``distortion_center`` (column, row of the whole detector).
    """
    scan, mount = camera.scan, camera.mount
    rows = slice(*camera.rows)
    center = mount.axis_column(scan)[rows]
    z = ((np.arange(scan.rows) - (scan.rows - 1) / 2) * scan.pixel_um)[rows]
    ds = xr.Dataset(
        {
            "to_sample": (("to", "from"), mount.to_sample(), {"units": "um"}),
            "pixel_size": ((), scan.pixel_um * mount.scale, {"units": "um"}),
            "axis_u": ("z", (center - (scan.columns - 1) / 2) * scan.pixel_um, {"units": "um"}),
            "center": ("z", center, {"units": "px"}),
            "roll": ((), mount.roll_deg, {"units": "deg"}),
            "distortion": ("power", np.array(scan.distortion)),
            "distortion_center": ("axis", np.array(scan.lens_centre), {"units": "px"}),
        },
        {
            "z": ("z", z, {"units": "um"}),
            "resolution": ((), scan.pixel_um, {"units": "um"}),
            "energy": ((), scan.energy_kev, {"units": "keV"}),
            "rotation_sense": ((), scan.rotation_sense),
            "u_sense": ((), scan.u_sense),
            "z_sense": ((), scan.z_sense),
        },
    )
    numbers = {k: v for k, v in dataclasses.asdict(scan).items() if not isinstance(v, tuple)}
    return ds.assign_attrs(scan=scan.name, **{f"scan_{k}": v for k, v in numbers.items()})


def frames(camera: Camera) -> xr.Dataset:
    """What each frame of a scan was: key, angle, time, drift of beam and sample, ring current."""
    plan = camera.schedule
    shift = np.array([camera.beam.shift(float(t)) for t in plan.time]) / camera.scan.binning
    current = ring_current(plan.time, camera.beam.duration)
    values: dict[str, tuple[Array, str]] = {
        "image_key": (plan.image_key, "1"),
        "angle": (plan.angle, "deg"),
        "angle_set": (plan.angle_set, "deg"),
        "time": (plan.time, "s"),
        "motion_u": (camera.motion[:, 0], "um"),
        "motion_z": (camera.motion[:, 1], "um"),
        "beam_shift": (shift, "px"),
        "ring_current": (current, "1"),
        "zingers": (np.array([len(camera.zingers(n)) for n in range(len(plan))]), "1"),
    }
    return xr.Dataset({k: ("frame", v, {"units": u}) for k, (v, u) in values.items()})


def stripes(camera: Camera) -> xr.Dataset:
    """The defects that make stripes: kind, place and size [px], strength, part of the scan."""
    found = camera.stripes
    columns = {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
    columns["kind"] = np.array(KINDS)[found.kind] if len(found) else np.empty(0, "U11")
    return xr.Dataset({name: ("stripe", values) for name, values in columns.items()})


def contents(sample: Sample) -> xr.Dataset:
    """The sample's single crystals, and the numbers its zinc front and capillary are made of."""
    crystals, scene = sample.crystals, sample.scene
    ds = xr.Dataset(
        {
            "crystal_position": (("crystal", "axis"), crystals.position, {"units": "um"}),
            "crystal_radius": ("crystal", crystals.radius, {"units": "um"}),
            "crystal_orientation": ("crystal", crystals.orientation),
            "front_depth": ((), scene.front[0], {"units": "um"}),
            "front_width": ((), scene.front[1], {"units": "um"}),
            "capillary_radius": ("wall", scene.capillary[6:8], {"units": "um"}),
            "capillary_axis": (("capillary", "axis"), scene.capillary[:6].reshape(2, 3)),
        },
        {"axis": ["x", "y", "z"], "wall": ["inner", "outer"], "capillary": ["point", "direction"]},
    )
    densities = {f"density_{m.name}": m.density for m in MATERIALS.values()}
    return ds.assign_attrs(seed=sample.seed, preset=sample.preset, **densities)


def grid(sample: Sample, voxel_um: float, *, height_um: float | None = None) -> dict[str, Array]:
    """z, y and x of voxels that cover the sample, symmetric about its origin [um].

    Parameters
    ----------
    sample
        The sample.
    voxel_um
        Size of a voxel.
    height_um
        Height that is covered; the sample's own where left out.
    """
    (x0, x1), (y0, y1), (z0, z1) = sample.bounds
    reach = {"z": max(-z0, z1), "y": max(-y0, y1), "x": max(-x0, x1)}
    if height_um is not None:
        reach["z"] = min(reach["z"], height_um / 2)
    half = {name: int(np.ceil(r / voxel_um - 0.5)) for name, r in reach.items()}
    return {name: np.arange(-n, n + 1) * voxel_um for name, n in half.items()}


def write_scan(path: Path, camera: Camera) -> None:
    """Save the truth of one scan to a store: ``xct/<scan>/mount``, ``/frames``, ``/stripes``."""
    node = f"xct/{camera.scan.name}"
    for name, ds in (
        ("mount", transforms(camera)),
        ("frames", frames(camera)),
        ("stripes", stripes(camera)),
    ):
        store.save(ds, path, f"{node}/{name}", overwrite=True)


def write_sample(
    path: Path, sample: Sample, *, voxel_um: float, energy_kev: float = ENERGY_KEV
) -> None:
    """Save the truth of the sample to a store: ``sample``, and ``joint/truth`` on a grid.

    Parameters
    ----------
    path
        The store.
    sample
        The sample.
    voxel_um
        Voxel of the grid, which is in the sample's coordinates.
    energy_kev
        Energy of the attenuation; that of the I13 scans where left out.
    """
    store.save(contents(sample), path, "sample", overwrite=True)
    at = grid(sample, voxel_um)
    whole = volume(sample, at["z"], at["y"], at["x"], energy_kev=energy_kev)
    store.save(whole, path, "joint/truth", overwrite=True)

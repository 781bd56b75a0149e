"""Scans of the twin, reconstructed as `pipelines/xct.yaml` does, beside what is true of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy import ndimage

import zeoarray
from zeoarray import xct
from zeoarray.twin import presets, truth, writers_xct
from zeoarray.twin.detector import Camera
from zeoarray.twin.presets import Scan
from zeoarray.twin.sample import Sample

Array = np.ndarray[Any, Any]

SEED = 1
PRESET = presets.find("small")
SENSOR_ROWS = 2160
"""Of the unbinned camera, about whose middle all rows are."""
WINDOWS = {"la_size": 15, "sm_size": 7}
"""Those of the I13-2 process list, 71 and 31, over the binning of the preset, to odd numbers."""
PACKED = 0.4
"""Volume fraction of zeolite in what is called solid; its packing is 0.45 to 0.7."""
AWAY = 2
"""Solid is further than this from any voxel that is not [voxels]."""


class Measured(NamedTuple):
    """A scan as its file says it, what it was taken with, and where the sample was."""

    ds: xr.Dataset
    scan: Scan
    mount: xr.Dataset

    @property
    def scale(self) -> float:
        """True over nominal pixel size."""
        return float(self.mount["pixel_size"] / self.mount["resolution"])


def sample() -> Sample:
    """The twin's sample."""
    return Sample.make(SEED, PRESET.name)


def measured(
    folder: Path,
    matter: Sample,
    name: str,
    *,
    rows: tuple[int, int] | None = None,
    striped: bool = True,
    workers: int = 2,
) -> Measured:
    """Take a scan, or a band of its rows, write its file, and open it.

    Without stripes everything else, but for the noise of pixels that had them, is the same.
    """
    scan = PRESET.scan(name) if striped else replace(PRESET.scan(name), stripes=0)
    camera = Camera(SEED, matter, scan, rows=rows, workers=workers)
    path = writers_xct.write(folder, camera)
    ds = zeoarray.open_scan(path, sidecar=path.with_suffix(".yaml")).load()
    mount = truth.transforms(camera)
    # The file of a band takes it for the whole detector, and its middle row for the detector's.
    z = ds["z"].copy(data=mount["z"].values)
    return Measured(ds.assign_coords(z=z), scan, mount)


def lens(scan: Scan) -> dict[str, Any]:
    """What undoes the distortion of the scan's camera, in its binned pixels."""
    rows = SENSOR_ROWS // scan.binning
    left, top = scan.lens_centre
    return {
        "polynomial": scan.distortion,
        "center_from_left": left,
        "center_from_top": top + (rows - scan.rows) / 2,
        "detector": (rows, scan.columns),
    }


def absorbance(found: Measured, *, rings: bool = True) -> xr.Dataset:
    """The steps of the pipeline before reconstruction."""
    ds = xct.normalize(found.ds)
    if rings:
        ds = xct.remove_rings(ds, snr=3.0, **WINDOWS, norm=False)
    return xct.minus_log(xct.correct_distortion(ds, **lens(found.scan)))


def inner(volume: xr.Dataset, half_um: float) -> xr.Dataset:
    """The middle of slices."""
    return volume.sel(y=slice(-half_um, half_um), x=slice(-half_um, half_um))


def true(matter: Sample, found: Measured, volume: xr.Dataset) -> xr.Dataset:
    """What is true at the voxels of a volume of this scan."""
    return truth.volume(
        matter,
        *(volume[dim].values for dim in "zyx"),
        energy_kev=found.scan.energy_kev,
        to_sample=found.mount["to_sample"].values,
    )


def solid(real: xr.Dataset) -> Array:
    """(z, y, x) Where there is nothing but zeolite, at some distance from all else."""
    packed = real["weight"].sel(phase=["sodium", "zinc"]).sum("phase").values > PACKED
    # Beyond the first and last row counts as solid: bands of a few rows have no others.
    return np.asarray(ndimage.binary_erosion(packed, iterations=AWAY, border_value=1))


def mean_over(values: Array, real: Array, where: Array) -> float:
    """Mean of what was measured over the mean of what is true."""
    return float(values[where].mean(dtype=float) / real[where].mean(dtype=float))


def registered(
    volume: xr.Dataset, of: Measured, into: Measured, z: Array, half_um: float
) -> xr.Dataset:
    """A volume of one scan in the frame of another, by the twin's known geometry.

    Attenuation is divided by the pixel size that its own scan states wrongly, and multiplied by
    that of the other.
    """
    step = float(of.ds["resolution"])
    plane = np.arange(-half_um, half_um + step / 2, step)
    heights = np.arange(z.min() - step, z.max() + 1.5 * step, step)
    between = np.linalg.inv(of.mount["to_sample"].values) @ into.mount["to_sample"].values
    at = np.meshgrid(plane, plane, heights, indexing="ij")
    # Axes of the grid are y, x and z; the matrix takes (x, y, z).
    there = np.tensordot(between[:3, :3], np.stack([at[1], at[0], at[2]]), 1)
    there += between[:3, 3][:, None, None, None]
    index = [(there[n] - float(volume[dim][0])) / step for n, dim in ((2, "z"), (1, "y"), (0, "x"))]
    values = ndimage.map_coordinates(
        volume["attenuation"].values, [i.transpose(2, 0, 1) for i in index], order=1, mode="nearest"
    )
    um = {"units": "um"}
    return xr.Dataset(
        {
            "attenuation": (
                ("z", "y", "x"),
                (values * into.scale / of.scale).astype(np.float32),
                volume["attenuation"].attrs,
            )
        },
        {
            "z": ("z", heights, um),
            "y": ("y", plane, um),
            "x": ("x", plane, um),
            "resolution": ((), step, um),
        },
    )


def contrast(values: Array, real: Array, within: Array) -> float:
    """Solid minus void of what was measured, over that of the truth.

    Parameters
    ----------
    values, real
        (z, y, x) attenuation.
    within
        (z, y, x) which voxels count. Solid is what `solid` says, or any region of matter.
    """
    void = ndimage.binary_erosion(real < 0.02, np.ones((1, 3, 3)), iterations=AWAY)
    void &= field(real.shape)
    apart = [v[within].mean(dtype=float) - v[void].mean(dtype=float) for v in (values, real)]
    return float(apart[0] / apart[1])


def field(shape: tuple[int, ...], share: float = 0.9) -> Array:
    """(z, y, x) What lies within this share of the circle that fits into a slice."""
    y, x = (np.arange(n) - (n - 1) / 2 for n in shape[-2:])
    return np.broadcast_to(np.hypot(y[:, None], x) < share * shape[-1] / 2, shape)

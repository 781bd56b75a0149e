"""Small files as facilities write them, for the tests of the readers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from zeoarray.ingest.parts.arrays import HDF5Array

KEYS = (2, 2, 1, 1, 1, 0, 0, 0, 0, 1, 2)
"""Two darks, three flats, four projections, a flat, a dark."""
ROWS, COLUMNS = 5, 7


def frames(count: int, rows: int = ROWS, columns: int = COLUMNS) -> np.ndarray:
    """Frames of which every pixel differs: a wrong index shows."""
    return np.arange(count * rows * columns, dtype="u2").reshape(count, rows, columns)


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every read of a frame fail."""

    def refuse(self: HDF5Array, key: tuple[Any, ...]) -> None:
        raise AssertionError(f"{self.dataset} was read: {key}")

    monkeypatch.setattr(HDF5Array, "_read", refuse)


def group(file: h5py.File, path: str, nx_class: str) -> h5py.Group:
    """Make a group of a NeXus class."""
    made = file.require_group(path)
    made.attrs["NX_class"] = nx_class
    return made


def put(file: h5py.File, path: str, values: Any, units: str | None = None) -> None:
    """Write a dataset, in place of the one that is there."""
    if path in file:
        del file[path]
    file[path] = values
    if units is not None:
        file[path].attrs["units"] = units


def nxtomo(
    path: Path,
    *,
    entry: str = "entry1/tomo_entry",
    keys: Sequence[float] | None = KEYS,
    angles: Sequence[float] | None = None,
    pixel: float | None = 2.6,
    data: Any = None,
) -> Path:
    """Write an NXtomo: angles rise by 10 deg from -5 over all frames, timestamps by 0.5 s."""
    count = len(keys) if keys is not None else len(KEYS)
    with h5py.File(path, "a") as file:
        group(file, entry, "NXsubentry")
        group(file, f"{entry}/instrument", "NXinstrument")
        group(file, f"{entry}/instrument/detector", "NXdetector")
        file[f"{entry}/definition"] = "NXtomo"
        detector = f"{entry}/instrument/detector"
        file[f"{detector}/data"] = frames(count) if data is None else data
        if keys is not None:
            file[f"{detector}/image_key"] = np.asarray(keys)
        turned = -5 + 10.0 * np.arange(count) if angles is None else np.asarray(angles)
        put(file, f"{entry}/sample/rotation_angle", turned, "degrees")
        put(file, f"{detector}/start_time", 100 + 0.5 * np.arange(count), "s")
        put(file, f"{detector}/count_time", np.full(count, 0.4), "s")
        if pixel is not None:
            put(file, f"{detector}/x_pixel_size", pixel, "um")
            put(file, f"{detector}/y_pixel_size", pixel, "um")
    return path


def diad_xct(folder: Path, *, leave_out: Sequence[str] = ()) -> Path:
    """Write a DIAD tomography with its linked files, some left out."""
    path = folder / "k11-18.nxs"
    linked = {
        "imaging": ("entry/detector/detector", frames(len(KEYS))),
        "pcompPanda": ("entry/gts_theta.value/gts_theta.value", 5 + 10.0 * np.arange(len(KEYS))),
        "EtherCAT": ("entry/detector/gts_theta_set", 10.0 * np.arange(len(KEYS))),
    }
    (folder / "k11-18").mkdir()
    for name, (inside, values) in linked.items():
        if name not in leave_out:
            with h5py.File(folder / f"k11-18/k11-18-{name}.h5", "w") as file:
                file[inside] = values
    with h5py.File(path, "w") as file:
        links = {
            "imaging/data": "imaging",
            "imaging_sum/gts_theta_value": "pcompPanda",
            "imaging_sum/gts_theta_value_set": "EtherCAT",
        }
        for name, target in links.items():
            file[f"entry/{name}"] = h5py.ExternalLink(
                f"k11-18/k11-18-{target}.h5", linked[target][0]
            )
        file["entry/instrument/imaging/image_key"] = np.array(KEYS, "i4")
        file["entry/instrument/imaging/count_time"] = 0.02
        put(file, "entry/instrument/source/energy", 3.0009, "GeV")
        file["entry/instrument/dcm1/dcm1_bragg\n\t\t\t"] = -4.14
    return path


def diad_xrdct(
    path: Path,
    *,
    grid: tuple[int, ...] = (4, 3),
    theta: Any = None,
    across: Any = None,
    up: Any = None,
    units: str | None = "mm",
) -> Path:
    """Write DIAD diffraction frames (rotation, translation, y, x) with their motors."""
    count = int(np.prod(grid))
    theta = np.linspace(0, 270, grid[0]) if theta is None else theta
    across = np.arange(grid[-1]) * 0.025 if across is None else across
    with h5py.File(path, "w") as file:
        made = group(file, "entry/diffraction", "NXdata")
        made["data"] = frames(count).reshape(*grid, ROWS, COLUMNS).astype("i4")
        put(file, "entry/diffraction/gts_cs_theta", theta, "deg")
        put(file, "entry/diffraction/kb_cs_x", across, units)
        if np.ndim(theta) == 1 and np.ndim(across) == 1 and len(grid) == 2:
            made.attrs["gts_cs_theta_indices"] = np.array([0], "i4")
            made.attrs["kb_cs_x_indices"] = np.array([1], "i4")
        if up is not None:
            put(file, "entry/diffraction/kb_cs_y", up, units)
        put(file, "entry/diffraction/RingCurrent", 300 - 0.1 * np.arange(count).reshape(grid), "mA")
        file["entry/diffraction/I0"] = 1e5 + np.arange(count).reshape(grid)
        file["entry/instrument/diffraction/count_time"] = 10.0
        put(file, "entry/instrument/source/energy", 3.0009, "GeV")
    return path


def pencil(
    path: Path,
    *,
    definition: str = "NXstxm",
    heights: int | None = 2,
    trailing: tuple[int, ...] = (),
    entry: str = "entry1/stxm_entry",
) -> Path:
    """Write a scan (theta, y, x) of 3 angles and 4 columns, theta out of order."""
    points = (3, 4) if heights is None else (3, heights, 4)
    x = np.broadcast_to(0.002 * np.arange(4) - 0.85, points[1:])
    with h5py.File(path, "a") as file:
        group(file, entry, "NXsubentry")
        file[f"{entry}/definition"] = definition
        data = group(file, f"{entry}/data", "NXdata")
        size = int(np.prod(points + trailing))
        data["data"] = np.arange(size, dtype="f4").reshape(points + trailing)
        put(file, f"{entry}/data/theta", np.array([-42.0, 63.0, 0.0], "f4"), "degrees")
        put(file, f"{entry}/data/x", x, "mm")
        data.attrs["theta_indices"] = "0"
        data.attrs["x_indices"] = [b"1", b"2"] if heights else "1"
        if heights is not None:
            y = np.broadcast_to(13.6 + 0.005 * np.arange(heights)[:, None], points[1:])
            put(file, f"{entry}/data/y", y, "mm")
            data.attrs["y_indices"] = [b"1", b"2"]
        file[f"{entry}/monitor/data"] = 1e5 + np.arange(np.prod(points)).reshape(points)
        put(file, f"{entry}/instrument/monochromator/energy", 17000.0, "eV")
    return path


def exchange(path: Path, *, theta: Any = None, white: Any = None, dark: Any = None) -> Path:
    """Write a Data Exchange file of six projections."""
    with h5py.File(path, "w") as file:
        file["exchange/data"] = frames(6)
        put(file, "exchange/theta", np.linspace(0, 150, 6) if theta is None else theta, "degree")
        file["exchange/data_white"] = frames(3) + 1000 if white is None else white
        file["exchange/data_dark"] = frames(2) if dark is None else dark
        instrument = "measurement/instrument"
        put(file, f"{instrument}/detection_system/objective/resolution", 1.17, "microns")
        put(file, f"{instrument}/detector/pixel_size", 3.45, "microns")
        put(file, f"{instrument}/detector/exposure_time", 0.1, "s")
        put(file, f"{instrument}/monochromator/energy", 25.0, "keV")
        put(file, f"{instrument}/camera_motor_stack/setup/camera_distance", 150.0, "mm")
    return path

"""XCT scans as the beamlines write them: I13-2 as one NXtomo file, DIAD as a file of links.

``169068.nxs`` holds everything, in the places of an I13 scan. ``k11-43320.nxs`` holds metadata and
external links into the folder ``k11-43320`` (camera frames in ``-imaging.h5``, encoders in
``-pcompPanda.h5``, the angles asked for in ``-EtherCAT.h5``, the machine in ``-detectorPanda.h5``).
Beside each lies a YAML file with the options that its file cannot state.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from zeoarray.twin.beam import ring_current
from zeoarray.twin.detector import Camera

Array = np.ndarray[Any, Any]
OnFrame = Callable[[int, int], None]
"""Called with the number of frames written, and of all there will be."""

BEGUN = "2024-04-10T09:00:00"
RING_MA = 300.0


def path_of(folder: Path, camera: Camera) -> Path:
    """Path of the NeXus file of a scan."""
    number = camera.scan.number
    return folder / (f"{number}.nxs" if camera.scan.layout == "i13" else f"k11-{number}.nxs")


def write(folder: Path, camera: Camera, *, on_frame: OnFrame | None = None) -> Path:
    """Write one scan, frame by frame, in the layout of its beamline.

    Parameters
    ----------
    folder
        Where; made if it is not there.
    camera
        The scan, or a band of its rows.
    on_frame
        Called after each frame.

    Returns
    -------
    pathlib.Path
        The NeXus file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = path_of(folder, camera)
    if camera.scan.layout == "i13":
        _write_i13(path, camera, on_frame)
    else:
        _write_diad(path, camera, on_frame)
    write_sidecar(path.with_suffix(".yaml"), camera)
    return path


def write_sidecar(path: Path, camera: Camera) -> None:
    """Write the options with which the scan is opened: senses, pixel size, energy."""
    scan = camera.scan
    options: dict[str, str | int] = {
        "pixel_size": f"{scan.pixel_um:g} um",
        "energy": f"{scan.energy_kev:g} keV",
        "exposure": f"{scan.exposure_s:g} s",
        "rotation_sense": scan.rotation_sense,
        "u_sense": scan.u_sense,
        "z_sense": scan.z_sense,
    }
    path.write_text(yaml.safe_dump(options, sort_keys=False), encoding="utf-8")


def _put_frames(data: h5py.Dataset, camera: Camera, on_frame: OnFrame | None) -> Array:
    """Write every frame, and return the sum of each."""
    sums = np.zeros(len(data))
    for number, frame in enumerate(camera.frames()):
        data[number] = frame
        sums[number] = frame.sum(dtype=np.int64)
        if on_frame is not None:
            on_frame(number + 1, len(data))
    return sums


def _frames(file: h5py.File, name: str, camera: Camera) -> h5py.Dataset:
    shape = (len(camera.schedule), *camera.shape)
    return file.create_dataset(name, shape, np.uint16, chunks=(1, *camera.shape))


def _current(camera: Camera) -> Array:
    """Current of the storage ring at each frame [mA]."""
    return RING_MA * ring_current(camera.schedule.time, camera.beam.duration)


def _group(parent: h5py.Group, name: str, nx_class: str) -> h5py.Group:
    group = parent.require_group(name)
    group.attrs["NX_class"] = np.bytes_(nx_class)
    return group


def _value(group: h5py.Group, name: str, value: object, units: str | None = None) -> h5py.Dataset:
    data = group.create_dataset(name, data=value)
    if units is not None:
        data.attrs["units"] = np.bytes_(units)
    return data


def _write_i13(path: Path, camera: Camera, on_frame: OnFrame | None) -> None:
    scan, plan = camera.scan, camera.schedule
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["file_name"] = np.bytes_(f"/dls/i13/data/2024/cm0-1/raw/{path.name}")
        entry = _group(file, "entry1", "NXentry")
        instrument = _group(entry, "instrument", "NXinstrument")
        _value(instrument, "name", [np.bytes_("i13")])
        _source(instrument, 3.0, float(_current(camera)[0]))
        camera_group = _group(instrument, "pco1_hw_hdf", "NXdetector")
        frames = _frames(file, "entry1/instrument/pco1_hw_hdf/data", camera)
        start = _value(camera_group, "start_time", plan.time, "s")
        start.attrs["start"] = np.bytes_(BEGUN)
        count = _value(camera_group, "count_time", np.full(len(plan), scan.exposure_s), "s")
        device = _group(instrument, "tomoScanDevice", "NXpositioner")
        # GDA writes its keys as floating point numbers.
        key = _value(device, "image_key", plan.image_key.astype(float))
        angle = _value(device, "ss1_rot", plan.angle, "deg")
        ion = _group(instrument, "ionc_i", "NXpositioner")
        ion["ionc_i"] = _current(camera)

        tomo = _group(entry, "tomo_entry", "NXsubentry")
        _value(tomo, "definition", [np.bytes_("NXtomo")])
        _value(tomo, "title", [np.bytes_(f"Zn13X pellet, {scan.name}")])
        _group(tomo, "control", "NXmonitor")["data"] = ion["ionc_i"]
        inner = _group(tomo, "instrument", "NXinstrument")
        inner["source"] = instrument["source"]
        _value(_group(inner, "monochromator", "NXmonochromator"), "energy", scan.energy_kev, "keV")
        detector = _group(inner, "detector", "NXdetector")
        detector["data"], detector["image_key"] = frames, key
        detector["start_time"], detector["count_time"] = start, count
        for axis in ("x", "y"):
            _value(detector, f"{axis}_pixel_size", scan.pixel_um, "um")
        _value(detector, "distance", max(scan.propagation_m, 0.01), "m")
        sample = _group(tomo, "sample", "NXsample")
        sample["rotation_angle"] = angle
        plotted = _group(tomo, "data", "NXdata")
        plotted["data"], plotted["rotation_angle"] = frames, angle
        plotted["image_key"] = key
        plotted.attrs["signal"] = np.bytes_("data")
        _put_frames(frames, camera, on_frame)


def _source(instrument: h5py.Group, ring_gev: float, current_ma: float) -> None:
    source = _group(instrument, "source", "NXsource")
    _value(source, "name", [np.bytes_("DLS")])
    # That of the storage ring: DIAD states no other, and readers must not take it for the beam's.
    _value(source, "energy", ring_gev, "GeV")
    _value(source, "current", current_ma, "mA")


def _write_diad(path: Path, camera: Camera, on_frame: OnFrame | None) -> None:
    stem, plan = path.stem, camera.schedule
    beside = path.with_suffix("")
    beside.mkdir(exist_ok=True)
    with h5py.File(beside / f"{stem}-imaging.h5", "w", locking=False) as file:
        frames = _frames(file, "entry/detector/detector", camera)
        numbers = np.arange(1, len(plan) + 1, dtype=np.int32)
        file["entry/NDAttributes/NDArrayUniqueId"] = numbers
        file["entry/sum/sum"] = _put_frames(frames, camera, on_frame)
    readings = {
        "pcompPanda": {"gts_theta.value/gts_theta.value": plan.angle},
        "EtherCAT": {"detector/gts_theta_set": plan.angle_set},
        "detectorPanda": {
            "RingCurrent.data/RingCurrent.data": _current(camera),
            "start_time/start_time": plan.time,
        },
    }
    for suffix, values in readings.items():
        with h5py.File(beside / f"{stem}-{suffix}.h5", "w", locking=False) as file:
            for name, value in values.items():
                file[f"entry/{name}"] = value
    _write_diad_links(path, camera)


def _write_diad_links(path: Path, camera: Camera) -> None:
    """The file that people open: metadata, and links to the rest."""
    stem, scan, plan = path.stem, camera.scan, camera.schedule
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["file_name"] = np.bytes_(f"/dls/k11/data/2024/cm0-1/nexus/{path.name}")
        entry = _group(file, "entry", "NXentry")
        entry.attrs["default"] = np.bytes_("imaging")

        def link(where: str, suffix: str, target: str) -> None:
            entry[where] = h5py.ExternalLink(f"{stem}/{stem}-{suffix}.h5", f"/entry/{target}")

        # The scan of 2022 spells these with an underscore, the scans of the paper with a dot.
        spellings = {"imaging": "_", "imaging_sum": "_", "imaging.sum": "."}
        for group, joint in spellings.items():
            made = _group(entry, group, "NXdata")
            theta = f"gts_theta{joint}value"
            signal = "data" if group == "imaging" else "sum"
            made.attrs["signal"] = np.bytes_(signal)
            rest = 2 if signal == "data" else 0
            made.attrs["axes"] = np.array([f"{theta}_set", *["."] * rest], "S20")
            link(f"{group}/{theta}_set", "EtherCAT", "detector/gts_theta_set")
            link(f"{group}/{theta}", "pcompPanda", "gts_theta.value/gts_theta.value")
            link(f"{group}/RingCurrent", "detectorPanda", "RingCurrent.data/RingCurrent.data")
            target = "detector/detector" if signal == "data" else "sum/sum"
            link(f"{group}/{signal}", "imaging", target)

        instrument = _group(entry, "instrument", "NXinstrument")
        _value(instrument, "beamline", "k11")
        _value(instrument, "name", "k11")
        _source(instrument, 3.0, float(_current(camera)[0]))
        detector = _group(instrument, "imaging", "NXdetector")
        _value(detector, "count_time", scan.exposure_s)
        _value(detector, "image_key", plan.image_key)
        link("instrument/imaging/data", "imaging", "detector/detector")
        link("instrument/imaging/sum", "imaging", "sum/sum")
        link("instrument/imaging/start_time", "detectorPanda", "start_time/start_time")
        _group(instrument, "gts_theta", "NXpositioner")
        link("instrument/gts_theta/value", "pcompPanda", "gts_theta.value/gts_theta.value")
        link("instrument/gts_theta/value_set", "EtherCAT", "detector/gts_theta_set")
        stage = _group(instrument, "gts", "NXpositioner")
        # As in the real files, an angle whose unit says mm.
        _value(stage, "gts_theta", float(plan.angle_set[0]), "mm")

        record = _group(entry, "diamond_scan", "NXcollection")
        _value(record, "scan_shape", np.array([len(plan)], np.int32))
        _value(record, "scan_finished", np.array([1], np.int32))
        _value(record, "start_time", BEGUN)
        link("diamond_scan/keys/imaging", "imaging", "NDAttributes/NDArrayUniqueId")
        _value(entry, "start_time", BEGUN)
        _value(entry, "program_name", "GDA 9.28.0")
        _group(entry, "sample", "NXsample")

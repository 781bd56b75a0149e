"""XRD-CT as DIAD writes it: a NeXus file of links, frames and motors beside it, geometry, mask.

For each layer there are ``k11-<scan>.nxs`` with external links into the folder ``k11-<scan>``
(frames in ``-diffraction.h5``, motors in ``-pcompPanda.h5``, machine in ``-detectorPanda.h5``), and
``k11-<scan>_processed.nxs``, reduced by pyFAI itself from the frames as they were written. Once
for the scan there are ``diad-<scan>.poni`` (for the beam at u = z = 0: a moving beam takes the
detector's geometry with it) and the mask, 1 where a pixel is bad, as ``.npy`` and ``.edf``.

Frames are in the order in which they were measured: in a snake scan every other row of
``(rotation, translation)`` runs backwards, which only the motors tell.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabio.edfimage
import h5py
import hdf5plugin
import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.twin import writers_dawn
from zeoarray.twin.frames import LayerFrames, mask
from zeoarray.twin.geometry import Geometry
from zeoarray.twin.rings import Lookup
from zeoarray.twin.scan_xrdct import Plan
from zeoarray.twin.slab import Matter
from zeoarray.twin.writers_dawn import Reducer

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Written:
    """The files of one XRD-CT scan."""

    raw: tuple[Path, ...]
    """One NeXus file for each layer."""
    reduced: tuple[Path, ...]
    """One for each layer; empty where none were asked for."""
    poni: Path
    mask: Path


def write_scan(
    folder: Path,
    plan: Plan,
    matter: Matter,
    *,
    workers: int = 2,
    reduced: bool = True,
    on_frame: Callable[[int, int], None] | None = None,
) -> Written:
    """Write all layers of an XRD-CT scan.

    Parameters
    ----------
    folder
        Where; made if it is not there.
    plan
        The scan.
    matter
        The sample.
    workers
        Threads that make frames. The files are the same for any number.
    reduced
        Whether to reduce the frames too.
    on_frame
        Called with the number of frames written, and of all there will be.

    Returns
    -------
    Written
        What was written.

    Raises
    ------
    ArgumentError
        For less than one worker.
    """
    if workers < 1:
        raise ArgumentError("frames need a worker", got=workers, expected="1 or more")
    folder.mkdir(parents=True, exist_ok=True)
    poni, mask_path = write_geometry(folder, plan)
    total = sum(len(plan.kept(i)) for i in range(len(plan.layers))) * plan.translations
    done = 0
    raw, processed = [], []
    for index, layer in enumerate(plan.layers):
        frames = LayerFrames(plan, matter, index)
        path = folder / f"k11-{layer.number}.nxs"
        beside = folder / path.stem
        beside.mkdir(exist_ok=True)
        _write_motors(beside, path.stem, frames.motors)
        sink = _Frames.create(beside / f"{path.stem}-diffraction.h5", plan.shape(index))
        patterns = np.zeros((*plan.shape(index)[:2], writers_dawn.BINS), np.float32)
        for made in produce(frames, workers=workers, reduced=reduced):
            sink.put(made)
            if made.pattern is not None:
                patterns[made.rotation, made.place] = made.pattern
            done += 1
            if on_frame is not None:
                on_frame(done, total)
        sink.close()
        _write_master(path, plan, frames.motors)
        raw.append(path)
        if reduced:
            processed.append(folder / f"{path.stem}_processed.nxs")
            _write_reduced(processed[-1], patterns, frames, path.name)
    return Written(tuple(raw), tuple(processed), poni, mask_path)


@dataclass(frozen=True)
class Made:
    """One frame, and its place."""

    rotation: int
    translation: int
    """Place of the frame in the file."""
    place: int
    """Index of the beam position, ascending with u."""
    counts: Array
    pattern: Array | None
    """(q) reduced frame."""


def produce(frames: LayerFrames, *, workers: int, reduced: bool) -> Iterator[Made]:
    """Make the frames of a layer, one beam position after the other, in one order for ever.

    Frames are made by threads ahead of their turn, at most two for each worker: what is held in
    memory does not grow with the scan. Pixel map and integration matrix of the next beam position
    are built meanwhile.
    """
    plan = frames.plan
    places = places_of(frames.motors)
    bad = mask(plan)
    # What all threads share is built before they start.
    _ = frames.slab, frames.table

    def prepare(place: int) -> tuple[Lookup, Reducer | None]:
        at = 0, int(np.flatnonzero(places[0] == place)[0])
        reducer = Reducer(frames.geometry(*at), bad) if reduced else None
        return frames.lookup(*at), reducer

    with ThreadPoolExecutor(workers) as pool:
        ahead = pool.submit(prepare, 0)
        for place in range(plan.translations):
            lookup, reducer = ahead.result()
            if place + 1 < plan.translations:
                ahead = pool.submit(prepare, place + 1)
            where = np.argwhere(places == place)
            jobs: collections.deque[tuple[int, int, Future[Array]]] = collections.deque()
            for rotation, translation in where.tolist():
                job = pool.submit(frames.counts, rotation, translation, lookup)
                jobs.append((rotation, translation, job))
                if len(jobs) > 2 * workers:
                    yield _collect(*jobs.popleft(), place, reducer)
            while jobs:
                yield _collect(*jobs.popleft(), place, reducer)


def _collect(
    rotation: int, translation: int, job: Future[Array], place: int, reducer: Reducer | None
) -> Made:
    counts = job.result()
    pattern = None if reducer is None else reducer.reduce(counts)
    return Made(rotation, translation, place, counts, pattern)


def places_of(motors: xr.Dataset) -> Array:
    """(rotation, translation) index of the beam position of every frame, ascending with u."""
    planned = motors["planned_u"].values
    return np.asarray(planned.argsort(axis=1).argsort(axis=1))


class _Frames:
    """The file of frames, written one by one."""

    def __init__(self, file: h5py.File, data: h5py.Dataset) -> None:
        self._file, self._data = file, data
        self._sums = np.zeros(data.shape[:2])

    @classmethod
    def create(cls, path: Path, shape: tuple[int, int, int, int]) -> _Frames:
        file = h5py.File(path, "w", locking=False)
        data = file.create_dataset(
            "entry/detector/detector",
            shape,
            np.int32,
            chunks=(1, 1, *shape[2:]),
            **hdf5plugin.Bitshuffle(cname="lz4"),
        )
        return cls(file, data)

    def put(self, made: Made) -> None:
        self._data[made.rotation, made.translation] = made.counts
        self._sums[made.rotation, made.translation] = made.counts[made.counts > 0].sum()

    def close(self) -> None:
        self._file.create_dataset("entry/sum/sum", data=self._sums)
        self._file.close()


def _write_motors(folder: Path, stem: str, motors: xr.Dataset) -> None:
    """The files that hold what motors and machine read during the scan."""
    panda = {"gts_cs_theta": "angle", "kb_cs_x": "u", "kb_cs_y": "z", "kb_cs_x_value_set":
             "planned_u", "start_time": "time"}  # fmt: skip
    machine = {"RingCurrent": "ring_current", "monitor": "monitor"}
    for suffix, names in (("pcompPanda", panda), ("detectorPanda", machine)):
        with h5py.File(folder / f"{stem}-{suffix}.h5", "w", locking=False) as file:
            for name, source in names.items():
                data = file.create_dataset(f"entry/{name}/{name}", data=motors[source].values)
                data.attrs["units"] = motors[source].attrs["units"]


def _write_master(path: Path, plan: Plan, motors: xr.Dataset) -> None:
    """The NeXus file: a tree of links, with what does not change during the scan."""
    stem = path.stem
    with h5py.File(path, "w", locking=False) as file:
        file.attrs["file_name"] = f"/dls/k11/data/2024/cm0-1/nexus/{path.name}"
        entry = file.create_group("entry")
        entry.attrs.update({"NX_class": "NXentry", "default": "diffraction"})

        def link(where: str, suffix: str, target: str) -> None:
            entry[where] = h5py.ExternalLink(f"{stem}/{stem}-{suffix}.h5", f"/entry/{target}")

        axes = ("gts_cs_theta", "kb_cs_x", "kb_cs_y", "kb_cs_x_value_set")
        for group, signal in (("diffraction", "data"), ("diffraction_sum", "sum")):
            made = entry.create_group(group)
            made.attrs.update({"NX_class": "NXdata", "signal": signal})
            made.attrs["axes"] = np.array(["gts_cs_theta", "kb_cs_x", ".", "."][: 4 if signal ==
                                          "data" else 2], "S")  # fmt: skip
            for name in axes:
                link(f"{group}/{name}", "pcompPanda", f"{name}/{name}")
                made.attrs[f"{name}_indices"] = np.array([0, 1], np.int32)
            for name in ("RingCurrent", "monitor"):
                link(f"{group}/{name}", "detectorPanda", f"{name}/{name}")
                made.attrs[f"{name}_indices"] = np.array([0, 1], np.int32)
        link("diffraction/data", "diffraction", "detector/detector")
        link("diffraction_sum/sum", "diffraction", "sum/sum")
        link("instrument/diffraction/data", "diffraction", "detector/detector")
        link("instrument/diffraction/start_time", "pcompPanda", "start_time/start_time")
        _write_instrument(entry, plan, motors)


def _write_instrument(entry: h5py.Group, plan: Plan, motors: xr.Dataset) -> None:
    instrument = entry["instrument"]
    instrument.attrs["NX_class"] = "NXinstrument"
    instrument.create_dataset("beamline", data="k11")
    instrument.create_dataset("name", data="DIAD")
    detector = instrument["diffraction"]
    detector.attrs["NX_class"] = "NXdetector"
    detector.create_dataset("count_time", data=plan.exposure_s).attrs["units"] = "s"
    detector.create_dataset("description", data=plan.geometry.detector)
    source = instrument.create_group("source")
    source.attrs["NX_class"] = "NXsource"
    # The ring's energy, as DIAD's files have it; that of the photons stands in the .poni file.
    source.create_dataset("energy", data=3.0).attrs["units"] = "GeV"
    current = float(motors["ring_current"].values.flat[0])
    source.create_dataset("current", data=current).attrs["units"] = "mA"
    scan = entry.create_group("diamond_scan")
    scan.attrs["NX_class"] = "NXcollection"
    planned = [plan.rotations, plan.translations]
    scan.create_dataset("scan_shape", data=np.array(planned, np.int32))
    measured = motors.sizes["rotation"] == plan.rotations
    scan.create_dataset("scan_finished", data=np.array([int(measured)], np.int32))
    request = {"alternating": plan.snake, "gts_cs_theta": plan.rotations,
               "kb_cs_x": plan.translations}  # fmt: skip
    scan.create_dataset("scan_request", data=json.dumps(request))
    entry.create_dataset("program_name", data="GDA 9.28.0")


def _write_reduced(path: Path, patterns: Array, frames: LayerFrames, source: str) -> None:
    plan, motors = frames.plan, frames.motors
    order = places_of(motors).argsort(axis=1)
    writers_dawn.write(
        path,
        patterns,
        angle_deg=motors["angle"].values[:, 0],
        u_um=np.sort(motors["planned_u"].values[0]),
        z_um=float(motors["z"].values[0, 0]),
        monitor=np.take_along_axis(motors["monitor"].values, order, axis=1),
        geometry=plan.geometry,
        source=source,
    )


def write_geometry(folder: Path, plan: Plan) -> tuple[Path, Path]:
    """Write ``.poni`` and mask of a scan, and return both paths (the mask's is that of the npy)."""
    poni = folder / f"diad-{plan.name}.poni"
    poni.write_text(poni_text(plan.geometry), encoding="utf-8")
    bad = mask(plan)
    path = folder / f"diad-{plan.name}-mask.npy"
    np.save(path, bad)
    fabio.edfimage.EdfImage(data=bad).write(str(path.with_suffix(".edf")))
    return poni, path


def poni_text(geometry: Geometry) -> str:
    """A geometry as pyFAI's ``.poni``, version 2.1; without a date, so always the same text."""
    lines = {
        "poni_version": 2.1,
        "Detector": type(geometry.integrator().detector).__name__,
        "Detector_config": json.dumps({"orientation": 3}),
        "Distance": geometry.distance,
        "Poni1": geometry.poni1,
        "Poni2": geometry.poni2,
        "Rot1": geometry.rot1,
        "Rot2": geometry.rot2,
        "Rot3": geometry.rot3,
        "Wavelength": geometry.wavelength * 1e-10,
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items())

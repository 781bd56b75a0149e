"""What Savu writes: reconstructions (HDF5, scaled TIFF) and the ``.nxs`` that describes a run.

A reconstruction is ``N-Plugin-dataset/data``, (voxel_x, voxel_y, voxel_z) with voxel_y the
height: (z, y, x) is its transpose (1, 2, 0). Its values are per pixel; 1/cm is that divided by
the pixel size in cm, done where values are read.
"""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.core import indexing

from zeoarray import schema
from zeoarray.errors import ArgumentError, SourceError, unknown
from zeoarray.ingest.parts import hdf5, images, labels
from zeoarray.ingest.parts.arrays import MissingArray
from zeoarray.ingest.parts.views import Readable, View
from zeoarray.ingest.reader import Options, Reader, position, scalar

NAME = "savu"
_PLUGIN = re.compile(r"\d+-(\w+)-(\w+)")
_RECONSTRUCTS = re.compile(r"recon|backproj|fbp|sart|sirt|cgls|volume", re.IGNORECASE)
_PROJECTION_AXES = {"rotation_angle": "angle", "detector_y": "z", "detector_x": "u"}
_VOLUME_AXES = {"voxel_y": "z", "voxel_z": "y", "voxel_x": "x"}
_CM_PER_UM = 1e-4

TRANSMISSION = schema.Schema(
    "corrected projections",
    (schema.TRANSMISSION, schema.ANGLE, schema.Z, schema.U),
    schema.SCAN_XCT.required + schema.SCAN_XCT.optional,
)


@dataclass(frozen=True)
class _Output:
    """One dataset that Savu wrote."""

    dataset: str
    plugin: str
    axes: tuple[str, ...] = ()
    """Savu's names of the axes, where the file states them."""


def _outputs(file: h5py.File) -> list[_Output]:
    found = []
    for name in file:
        match = _PLUGIN.fullmatch(name)
        if match and hdf5.own_group(file, name) and hdf5.resolve(file, f"{name}/data"):
            found.append(_Output(f"{name}/data", match[1]))
    for name in hdf5.own_group(file, "entry") or ():
        group = hdf5.own_group(file, f"entry/{name}") if name.startswith("final_result_") else None
        if group is not None and hdf5.resolve(file, f"entry/{name}/data"):
            stated = np.atleast_1d(group.attrs.get("axes", ()))
            axes = tuple(str(hdf5.text(axis)) for axis in stated)
            found.append(_Output(f"entry/{name}/data", "", axes))
    return found


def recognise(path: Path) -> bool:
    """Whether the file holds ``N-Plugin-dataset/data``, or describes a run of Savu."""
    return hdf5.holds(path, _outputs)


def read(path: Path, options: Options) -> xr.Dataset:
    """Open a reconstruction, or the corrected projections, that Savu wrote.

    Parameters
    ----------
    path
        The ``.h5`` of a plugin, or the ``_processed.nxs`` of a run.
    options
        ``pixel_size`` is needed: Savu's files do not state it. ``dataset`` chooses among several.

    Returns
    -------
    xarray.Dataset
        ``attenuation(z, y, x)`` [1/cm], or ``transmission(angle, z, u)``.

    Raises
    ------
    SourceError
        Where there is a choice and none was made, or the data is no reconstruction.
    """
    with hdf5.opened(path) as file:
        output = _chosen(path, _outputs(file), options)
        if "rotation_angle" in output.axes:
            return _corrected(file, path, output, options)
        _refuse_others(path, output, options)
        array = hdf5.array(file, output.dataset, link_root=options.link_root)
        notes = [f"Savu's plug-ins: {', '.join(_plugins(file))}"] if _plugins(file) else []
    if isinstance(array, MissingArray):
        array = dataclasses.replace(array, shape=(0, 0, 0), dtype=np.dtype("float32"))
    if len(array.shape) != 3:
        raise SourceError(
            f"{path}: {output.dataset} is not a volume",
            got=f"the shape {array.shape}",
            expected="(voxel_x, voxel_y, voxel_z)",
        )
    axes: tuple[int, ...] = (1, 2, 0)
    if set(output.axes) == set(_VOLUME_AXES):
        axes = tuple(output.axes.index(name) for name in _VOLUME_AXES)
    notes.append(
        "y and x are Savu's voxel_z and voxel_x; the file does not state the sense of rotation"
    )
    return _volume(array, axes, options, path=path, source=[path], notes=notes)


def _chosen(path: Path, outputs: list[_Output], options: Options) -> _Output:
    names = {output.dataset: output for output in outputs}
    if options.dataset is not None:
        name = options.dataset.strip("/")
        if name not in names:
            raise unknown(f"result of Savu in {path},", name, names)
        return names[name]
    if len(outputs) > 1:
        raise SourceError(
            f"{path} holds several results of Savu",
            got=", ".join(names),
            do=f"--dataset {outputs[-1].dataset}, for example",
        )
    if not outputs:
        raise SourceError(
            f"{path} holds no result of Savu",
            expected="N-Plugin-dataset/data, or entry/final_result_*/data",
        )
    return outputs[0]


def _refuse_others(path: Path, output: _Output, options: Options) -> None:
    known = set(output.axes) == set(_VOLUME_AXES) or _RECONSTRUCTS.search(output.plugin)
    if known or options.dataset is not None:
        return
    raise SourceError(
        f"{path}: {output.dataset} does not look like a reconstruction",
        got=f"the plug-in {output.plugin!r}" if output.plugin else f"axes {output.axes}",
        expected="a plug-in that reconstructs, such as TomopyRecon",
        do=f"--dataset {output.dataset} if it is one all the same",
    )


def _volume(
    array: Readable,
    axes: tuple[int, ...],
    options: Options,
    *,
    path: Path,
    source: list[Path],
    notes: list[str],
    scale: float = 1.0,
    offset: float = 0.0,
) -> xr.Dataset:
    pixel = options.need("pixel_size", path=path)
    per_cm = 1.0 if pixel is None else 1 / (pixel * _CM_PER_UM)
    view = View(array, axes, scale=scale * per_cm, offset=offset * per_cm)
    sizes = dict(zip(("z", "y", "x"), view.shape, strict=True))
    whole = xr.Variable(("z", "y", "x"), indexing.LazilyIndexedArray(view))
    coords: dict[str, Any] = {dim: position(dim, size, pixel) for dim, size in sizes.items()}
    coords |= labels.beam(options, notes=notes)
    if pixel is not None:
        coords["resolution"] = scalar(pixel, "um")
        notes.append(
            f"Savu's values are per pixel: divided by the pixel size of {pixel:g} um "
            f"= {pixel * _CM_PER_UM:g} cm as they are read"
        )
    ds = labels.cropped(xr.Dataset({"attenuation": whole}, coords), options.crop, list(sizes))
    ds = labels.finish(ds, schema.VOLUME_XCT, reader=NAME, source=source, notes=notes)
    if pixel is None:
        ds["attenuation"].attrs["units"] = "1/px"
    return _with_missing(ds, "attenuation", array)


def _with_missing(ds: xr.Dataset, name: str, array: Readable) -> xr.Dataset:
    if not isinstance(array, MissingArray):
        return ds
    return ds.assign_attrs(missing=[array.entry(name)])


def volume_of_images(
    stack: images.ImageStack, options: Options, *, path: Path, notes: list[str]
) -> xr.Dataset:
    """Open slices that were scaled to integers as ``attenuation(z, y, x)`` [1/cm].

    value = least + number / largest integer * (greatest - least), with the ends in ``range``.

    Parameters
    ----------
    stack
        Slices of 8 or 16 bits.
    options
        ``range`` per pixel, as Savu was told; ``pixel_size``.
    path
        Where they came from, for messages.
    notes
        Takes what was assumed.

    Raises
    ------
    SourceError
        For images that are not of 8 or 16 bits.
    ArgumentError
        For a range that is empty or upside down.
    """
    least, greatest = options.range or (0.0, 0.0)
    if not (np.isfinite([least, greatest]).all() and least < greatest):
        raise ArgumentError(
            f"{path}: the range that the slices were scaled to cannot be right",
            got=f"{least:g} to {greatest:g}",
            expected="the least value, then the greatest, for example -0.0008 0.0018",
        )
    if stack.dtype.kind != "u" or stack.dtype.itemsize > 2:
        raise SourceError(
            f"{path}: slices that were scaled to a range are unsigned integers of 8 or 16 bits",
            got=str(stack.dtype),
            expected="uint8 or uint16",
            do="leave out --range if these are not scaled slices",
        )
    top = int(np.iinfo(stack.dtype).max)
    notes += [
        f"0 to {top} are {least:g} to {greatest:g} per pixel; Savu rounds down, by up to "
        f"{(greatest - least) / top:.2g}",
        "rows of the images are y and their columns x (Savu's HDF5 output of the same volume, "
        "read as here, has y and x exchanged)",
    ]
    return _volume(
        stack,
        (0, 1, 2),
        options,
        path=path,
        source=stack.files,
        notes=notes,
        scale=(greatest - least) / top,
        offset=least,
    )


def _plugins(file: h5py.File) -> list[str]:
    """``Name(parameters that are set)`` of each active plug-in, in the order they ran."""
    found: list[tuple[int, str]] = []
    for key in hdf5.own_group(file, "entry/plugin") or ():
        name, data, active = (
            hdf5.read(file, f"entry/plugin/{key}/{n}") for n in ("name", "data", "active")
        )
        if name is None or (active is not None and not bool(np.ravel(active[0])[0])):
            continue
        shown = str(hdf5.text(name[0]))
        parameters = _parameters(data)
        order = int(key) if key.strip().isdigit() else len(found)
        found.append((order, f"{shown}({parameters})" if parameters else shown))
    return [shown for _, shown in sorted(found)]


def _parameters(data: tuple[Any, dict[str, Any]] | None) -> str:
    try:
        values = json.loads(str(hdf5.text(data[0]))) if data is not None else {}
    except ValueError:
        return ""
    skipped = ("in_datasets", "out_datasets", "name")
    stated = values.items() if isinstance(values, dict) else ()
    return ", ".join(f"{k}={v}" for k, v in stated if v not in (None, [], "") and k not in skipped)


def _corrected(file: h5py.File, path: Path, output: _Output, options: Options) -> xr.Dataset:
    """Projections that Savu corrected: transmission, where flats and darks were applied."""
    if set(output.axes) != set(_PROJECTION_AXES):
        raise SourceError(
            f"{path}: {output.dataset} has axes that are not known",
            got=", ".join(output.axes),
            expected=", ".join(_PROJECTION_AXES) + ", or " + ", ".join(_VOLUME_AXES),
        )
    folder = output.dataset.rpartition("/")[0]
    known = {name: hdf5.read(file, f"{folder}/{name}") for name in output.axes}
    shape = tuple(0 if known[name] is None else len(known[name][0]) for name in output.axes)  # type: ignore[index]
    array = hdf5.array(file, output.dataset, link_root=options.link_root, shape_if_missing=shape)
    if isinstance(array, MissingArray):
        array = dataclasses.replace(array, dtype=np.dtype("float32"))
    plugins = _plugins(file)
    order = tuple(output.axes.index(name) for name in _PROJECTION_AXES)
    view = View(array, order)
    angle = known["rotation_angle"]
    if angle is None or len(view.shape) != 3 or len(angle[0]) != view.shape[0]:
        raise SourceError(
            f"{path}: {folder}/rotation_angle does not match the projections",
            got="no angles" if angle is None else f"{len(angle[0])} angles",
            expected=f"{view.shape[0]}, for data of the shape {array.shape}",
        )
    pixel = options.need("pixel_size", path=path)
    notes = [f"Savu's plug-ins: {', '.join(plugins)}"]
    flat = any("FlatField" in plugin for plugin in plugins)
    name = "transmission" if flat else "counts"
    if not flat:
        notes.append("no plug-in of the run corrects for flat and dark frames: these are counts")
    coords: dict[str, Any] = {
        "angle": ("angle", angle[0].astype(float)),
        "z": position("z", view.shape[1], pixel),
        "u": position("u", view.shape[2], pixel),
        **labels.beam(options, notes=notes),
        **labels.senses(options),
    }
    if pixel is not None:
        coords["resolution"] = scalar(pixel, "um")
    lazy = xr.Variable(("angle", "z", "u"), indexing.LazilyIndexedArray(view))
    ds = labels.cropped(xr.Dataset({name: lazy}, coords), options.crop, ("z", "u"))
    ds = labels.finish(ds, TRANSMISSION, reader=NAME, source=[path], notes=notes)
    return _with_missing(ds, name, array)


READERS = (
    Reader(
        name=NAME,
        looks_for="N-Plugin-dataset/data or entry/final_result_*/data, as Savu writes them",
        recognise=recognise,
        read=read,
        takes=frozenset({"dataset", "crop"}),
    ),
)

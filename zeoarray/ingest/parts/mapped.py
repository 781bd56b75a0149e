"""Reading an HDF5 file by a `Layout` that says where things are in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.core import indexing

from zeoarray import schema, units
from zeoarray.errors import MissingMetadataError, SourceError, UnitError
from zeoarray.ingest.parts import hdf5, labels, setting
from zeoarray.ingest.parts.angles import angles_of
from zeoarray.ingest.parts.arrays import MissingArray, flattened
from zeoarray.ingest.parts.finder import Finder
from zeoarray.ingest.parts.layout import Layout, Position, Where
from zeoarray.ingest.parts.views import Readable, View
from zeoarray.ingest.reader import Options, detector_size, position, scalar

Array = np.ndarray[Any, Any]
_UNITS = {"angle": "deg", "u": "um", "z": "um", "q": "1/angstrom", "two_theta": "deg",
          "ring_current": "mA", "exposure": "s"}  # fmt: skip
_CM_PER_UM = 1e-4


def dataset(file: h5py.File, layout: Layout, options: Options) -> xr.Dataset:
    """Return the dataset that `layout` describes in an open file; no frame is read."""
    reading = _Reading(Finder(file, options), layout)
    make = {
        "xct": reading.projections,
        "xrdct": reading.frames,
        "sinogram": reading.integrated,
        "volume": reading.volume,
        "powder": reading.integrated,
    }[layout.kind]
    return make()


@dataclass
class _Reading:
    """One file while it is read by a layout."""

    finder: Finder
    layout: Layout

    def __post_init__(self) -> None:
        self.file, self.path = self.finder.file, self.finder.path
        self.options, self.notes = self.finder.options, self.finder.notes

    def array(self, name: str, dims: Sequence[str] | None = None) -> Readable:
        found = hdf5.array(self.file, name, link_root=self.options.link_root)
        if isinstance(found, MissingArray):
            # Its shape is not known, so nothing could be shown of it.
            raise found.error()
        self.finder.use(found.path)
        if dims is not None and len(found.shape) != len(dims):
            raise SourceError(
                f"{self.path}: {name} does not have the dims of the mapping",
                got=f"the shape {found.shape}",
                expected=f"{len(dims)} dims: {', '.join(dims)}",
            )
        for dim, size in zip(dims or (), found.shape, strict=False):
            if dim == "." and size != 1:
                raise SourceError(
                    f"{self.path}: a dim of {name} that the mapping leaves out is not of length 1",
                    got=f"the shape {found.shape}",
                    expected=", ".join(dims or ()),
                )
        return found

    def lazy(
        self,
        name: str,
        dims: Sequence[str],
        to: Sequence[str],
        *,
        power: int = 1,
        frames: Sequence[int] | None = None,
    ) -> xr.Variable:
        """The dataset `name` with the dims `to`; of its first dim only `frames`, if given."""
        axes = tuple(dims.index(dim) if dim in dims else None for dim in to)
        view = View(self.array(name, dims), axes, power=power)
        whole = xr.Variable(tuple(to), indexing.LazilyIndexedArray(view))
        return whole if frames is None else whole[list(frames)]

    def numbers(self, name: str, where: Position | Where) -> tuple[Array, str | None]:
        """Values of a position in the unit of the schema, and that unit."""
        unit = _UNITS.get(name)
        if isinstance(where, Position) and where.value is not None:
            values, attrs = np.array(where.value), {}
        else:
            read = hdf5.read(self.file, str(where.path), link_root=self.options.link_root)
            if read is None:
                raise hdf5.absent(self.file, str(where.path))
            values, attrs = np.asarray(read[0]), read[1]
        if values.dtype.kind not in "biuf":
            raise SourceError(f"{self.path}: {where.path} holds no numbers", got=str(values.dtype))
        values = values.astype(float)
        if not np.isfinite(values).all():
            raise SourceError(
                f"{self.path}: {where.path} holds values that are no finite numbers",
                got=f"{int((~np.isfinite(values)).sum())} of {values.size}",
            )
        if unit is None:
            return values, None
        stated = getattr(where, "units", None) or attrs.get("units")
        if stated is None:
            raise SourceError(
                f"{self.path}: {where.path} has no units",
                expected=f"a unit such as {unit!r}",
                do=f"{name}: {{path: {where.path}, units: {unit}}} in the mapping",
            )
        try:
            return units.convert(values, str(stated), unit), unit
        except UnitError as error:
            raise SourceError(
                f"{self.path}: {name} is in {stated!r}", expected=f"a unit such as {unit!r}"
            ) from error

    def finished(
        self, ds: xr.Dataset, like: schema.Schema, crops: Sequence[str] = ()
    ) -> xr.Dataset:
        ds = labels.cropped(ds, self.options.crop, crops)
        return labels.finish(ds, like, reader="mapping", source=self.finder.files, notes=self.notes)

    def setting(self) -> dict[str, Any]:
        return setting.setting(self.finder) | setting.spot(self.options.beam_size)

    # --- kinds ------------------------------------------------------------------------------

    def projections(self) -> xr.Dataset:
        data, to = self.layout.data, ("angle", "z", "u")
        whole = self.lazy(data.path, data.dims, to)
        kinds = self._kinds(whole.sizes["angle"])
        left = set(labels.kept(self.finder, whole.sizes["angle"]))
        keep = [i for i in kinds["counts"] if i in left]
        variables = {"counts": self.lazy(data.path, data.dims, to, frames=keep)}
        for name, where in (("flat", self.layout.flats), ("dark", self.layout.darks)):
            own = (f"{name}_frame", "z", "u")
            if where is not None:
                flat = len(self.array(where.path).shape) == 2
                variables[name] = self.lazy(where.path, own[1:] if flat else own, own)
            elif kinds[name]:
                dims = [own[0] if dim == "angle" else dim for dim in data.dims]
                chosen = [i for i in kinds[name] if i in left]
                variables[name] = self.lazy(data.path, dims, own, frames=chosen)
            else:
                self.notes.append(f"the mapping names no {name} frames")
        pixel = self.options.need("pixel_size", path=self.path)
        coords: dict[str, Any] = {
            "angle": ("angle", self._angles(whole.sizes["angle"], kinds["counts"], keep)),
            "z": position("z", whole.sizes["z"], pixel),
            "u": position("u", whole.sizes["u"], pixel),
            **detector_size((whole.sizes["z"], whole.sizes["u"])),
            **self.setting(),
            **labels.senses(self.options),
        }
        if pixel is not None:
            coords["resolution"] = scalar(pixel, "um")
        for name, variable in variables.items():
            if variable.shape[1:] != whole.shape[1:]:
                raise SourceError(
                    f"{self.path}: the {name} frames do not match the projections",
                    got=f"{variable.shape[1:]} pixels",
                    expected=f"{whole.shape[1:]} pixels",
                )
        return self.finished(xr.Dataset(variables, coords), schema.SCAN_XCT, ("z", "u"))

    def _kinds(self, frames: int) -> dict[str, list[int]]:
        key = self.layout.image_key
        if key is None:
            return {"counts": list(range(frames)), "flat": [], "dark": []}
        values = np.ravel(self.numbers("image_key", key)[0])
        if len(values) != frames:
            raise SourceError(
                f"{self.path}: {key.path} does not match the frames",
                got=f"{len(values)} keys",
                expected=f"{frames}",
            )
        kinds = {"counts": key.projection, "flat": key.flat, "dark": key.dark}
        found = {name: np.flatnonzero(values == n).tolist() for name, n in kinds.items()}
        if not found["counts"]:
            raise SourceError(
                f"{self.path}: {key.path} calls no frame a projection",
                got=", ".join(f"{n:g}" for n in np.unique(values)),
                expected=f"{key.projection}",
            )
        return found

    def _angles(self, frames: int, projections: Sequence[int], keep: Sequence[int]) -> Array:
        if self.options.angles is not None or self.layout.angle is None:
            every = angles_of(self.finder, len(projections))
        else:
            every = np.ravel(self.numbers("angle", self.layout.angle)[0])
            if len(every) == frames:
                return np.asarray(every[list(keep)])
            if len(every) != len(projections):
                raise SourceError(
                    f"{self.path}: {self.layout.angle.path} does not match the frames",
                    got=f"{len(every)} angles",
                    expected=f"{len(projections)} for the projections, or {frames} for all frames",
                )
        return np.asarray(every[np.isin(projections, keep)])

    def frames(self) -> xr.Dataset:
        dims = self.layout.data.dims
        array = self.array(self.layout.data.path, dims)
        lead = dict(zip(dims[:-2], array.shape[:-2], strict=True))
        listed: Any = (
            flattened(array, len(lead)) if lead else View(array, (None, 0, 1))  # type: ignore[arg-type]
        )
        counts = xr.Variable(("frame", "det_y", "det_x"), indexing.LazilyIndexedArray(listed))
        coords: dict[str, Any] = {**self.setting(), **labels.senses(self.options)}
        if self.options.orientation is not None:
            coords["orientation"] = scalar(self.options.orientation, "1")
        variables: dict[str, Any] = {"counts": counts}
        for name in ("angle", "u", "z"):
            where = getattr(self.layout, name)
            if where is None and lead.get(name, 1) > 1:
                raise MissingMetadataError(
                    f"{self.path}: {name!r} is a dim of the data, and its positions are not stated",
                    do=f"{name}: {{path: ..., units: {_UNITS[name]}}} in the mapping",
                )
            if where is None:
                self.notes.append(f"the mapping states no {name}: it is 0")
            values = np.zeros(()) if where is None else self.numbers(name, where)[0]
            coords[name] = ("frame", self._spread(name, values, lead, counts.sizes["frame"]))
        for name in ("monitor", "ring_current", "exposure"):
            where = getattr(self.layout, name)
            if where is not None:
                values = self._spread(
                    name, self.numbers(name, where)[0], lead, counts.sizes["frame"]
                )
                coords[name] = ("frame", values)
        ds = xr.Dataset(variables, coords)
        ds = ds.isel(frame=labels.kept(self.finder, ds.sizes["frame"]))
        return self.finished(ds, schema.SCAN_XRDCT)

    def _spread(self, name: str, values: Array, lead: Mapping[str, int], frames: int) -> Array:
        """One value for each frame: of one for all, of one for each, or of one along a dim."""
        if values.size == 1:
            return np.full(frames, float(values.ravel()[0]))
        if values.size == frames:
            return values.ravel()
        if values.ndim == 1 and lead.get(name) == values.size:
            shape = [n if dim == name else 1 for dim, n in lead.items()]
            return np.broadcast_to(values.reshape(shape), tuple(lead.values())).ravel()
        raise SourceError(
            f"{self.path}: the values of {name!r} do not match the frames",
            got=f"the shape {values.shape}",
            expected=f"{frames} (one for each frame), 1"
            + (f", or {lead[name]} (along {name})" if name in lead else ""),
        )

    def integrated(self) -> xr.Dataset:
        dims = self.layout.data.dims
        powder = self.layout.kind == "powder"
        radial, coords = self._radial()
        named = tuple(radial if dim == "q" else dim for dim in dims)
        to = (radial,) if powder else ("z", "angle", "u", radial)
        variables = {"intensity": self.lazy(self.layout.data.path, named, to)}
        sizes = variables["intensity"].sizes
        if sizes[radial] != len(coords[radial][1]):
            raise SourceError(
                f"{self.path}: {radial} does not match the data",
                got=f"{len(coords[radial][1])} values",
                expected=f"{sizes[radial]}",
            )
        for where, power in ((self.layout.variance, 1), (self.layout.sigma, 2)):
            if where is not None:
                variables["variance"] = self.lazy(where.path, named, to, power=power)
                if variables["variance"].shape != variables["intensity"].shape:
                    raise SourceError(
                        f"{self.path}: {where.path} does not match the data",
                        got=f"the shape {variables['variance'].shape}",
                        expected=f"{variables['intensity'].shape}",
                    )
        for dim in () if powder else ("z", "angle", "u"):
            coords[dim] = (dim, self._along(dim, sizes[dim]))
        if not powder:
            coords |= labels.senses(self.options)
        like = schema.POWDER if powder else schema.SINOGRAM
        return self.finished(xr.Dataset(variables, coords), like, to)

    def _along(self, dim: str, size: int) -> Array:
        where = getattr(self.layout, dim)
        if dim == "angle" and (where is None or self.options.angles is not None):
            return angles_of(self.finder, size)
        if where is None:
            if size > 1:
                raise MissingMetadataError(
                    f"{self.path}: the positions along {dim!r} are not stated",
                    do=f"{dim}: {{path: ..., units: {_UNITS[dim]}}} in the mapping",
                )
            self.notes.append(f"the mapping states no {dim}: it is 0")
            return np.zeros(1)
        values = np.ravel(self.numbers(dim, where)[0])
        if len(values) != size:
            raise SourceError(
                f"{self.path}: {dim} does not match the data",
                got=f"{len(values)} values",
                expected=f"{size}",
            )
        return values

    def _radial(self) -> tuple[str, dict[str, Any]]:
        beam = self.setting()
        wavelength = float(beam["wavelength"].values) if "wavelength" in beam else None
        name = "q" if self.layout.q is not None else "two_theta"
        where = getattr(self.layout, name)
        if where is None:
            raise MissingMetadataError(
                f"{self.path}: neither q nor two_theta is stated",
                do="q: {path: ..., units: 1/angstrom} in the mapping",
            )
        values = np.ravel(self.numbers(name, where)[0])
        if (np.diff(values) <= 0).any():
            raise SourceError(f"{self.path}: {where.path} does not ascend", got=f"{len(values)}")
        if name == "q":
            return "q", labels.radial(values, wavelength) | beam
        wavelength = self.options.need("wavelength", wavelength, path=self.path)
        if wavelength is None:
            self.notes.append("without a wavelength there is no q: the axis is two_theta")
            return "two_theta", {"two_theta": ("two_theta", values, {"units": "deg"})}
        return "q", labels.radial(labels.q_of(values, wavelength), wavelength, values) | beam

    def volume(self) -> xr.Dataset:
        data = self.layout.data
        pixel = self.options.need("pixel_size", path=self.path)
        array = self.array(data.path, data.dims)
        scale = self._per_cm(data.units, pixel)
        to = ("z", "y", "x")
        view = View(array, tuple(data.dims.index(dim) for dim in to), scale=scale)
        coords: dict[str, Any] = {
            dim: position(dim, size, pixel) for dim, size in zip(to, view.shape, strict=True)
        }
        coords |= self.setting()
        if pixel is not None:
            coords["resolution"] = scalar(pixel, "um")
        if view.dtype.kind != "f":
            raise SourceError(
                f"{self.path}: {data.path} holds no attenuation",
                got=str(view.dtype),
                expected="floating-point numbers",
            )
        variables = {"attenuation": xr.Variable(to, indexing.LazilyIndexedArray(view))}
        return self.finished(xr.Dataset(variables, coords), schema.VOLUME_XCT, to)

    def _per_cm(self, unit: str | None, pixel: float | None) -> float:
        if unit is None:
            raise SourceError(
                f"{self.path}: the mapping does not say the units of the volume",
                expected="data: {..., units: 1/cm}, or 1/mm, 1/m, or 1/px for values per pixel",
            )
        if unit == "1/px":
            if pixel is None:
                self.notes.append("without a pixel size the values stay per pixel")
                return 1.0
            self.notes.append(f"values per pixel are divided by {pixel:g} um as they are read")
            return 1 / (pixel * _CM_PER_UM)
        return units.factor(unit, "1/cm")

"""Sinograms of a few rows of a scan, as the axis is looked for in them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import distortion
from zeoarray.kernels.contract import contract_of
from zeoarray.labelled import known
from zeoarray.xct.frames import minus_log, normalize
from zeoarray.xct.optics import correct_distortion

Array = np.ndarray[Any, Any]

TOGETHER = 64
"""Projections whose lens is corrected at once: of each row its neighbours are needed too."""


class Lens(NamedTuple):
    """Distortion of a lens, as `correct_distortion` takes it."""

    polynomial: tuple[float, ...]
    center_from_top: float
    center_from_left: float
    detector: tuple[int, int]
    """Rows and columns."""

    @property
    def reach(self) -> int:
        """Rows on either side that the values of a row come from."""
        center = self.center_from_top, self.center_from_left
        given = {"polynomial": self.polynomial, "center": center, "detector": self.detector}
        contract = contract_of(distortion.unwarp)
        return contract.overlap(contract.resolve(given))["z"]


def lens_of(
    ds: xr.Dataset,
    polynomial: tuple[float, ...] | None,
    center_from_top: float | None,
    center_from_left: float | None,
    detector: tuple[int, int] | None,
    by: str,
) -> Lens | None:
    """The lens of a scan, where one is given.

    Raises
    ------
    ArgumentError
        Where its centre is given without its polynomial, or one of both is missing.
    """
    given = {
        "polynomial": polynomial,
        "center_from_top": center_from_top,
        "center_from_left": center_from_left,
        "detector": detector,
    }
    stated = [name for name, value in given.items() if value is not None]
    if not stated:
        return None
    if polynomial is None or center_from_top is None or center_from_left is None:
        raise ArgumentError(
            f"{by}: this does not tell a lens",
            got=f"only {', '.join(stated)}",
            expected="polynomial, center_from_top and center_from_left, or none of them",
        )
    names = [var.name for var in schema.DETECTOR_SIZE]
    if detector is None and all(name in ds.coords for name in names):
        rows, columns = (int(known(ds[name])) for name in names)
        detector = rows, columns
    whole = detector or (ds.sizes["z"], ds.sizes["u"])
    return Lens(tuple(polynomial), center_from_top, center_from_left, whole)


def sinograms(
    ds: xr.Dataset, chosen: Array, frames: xr.Dataset | None, lens: Lens | None, by: str
) -> Array:
    """(row, angle, u) Absorbance of the rows that were chosen, by their index.

    Raises
    ------
    SchemaError
        For a dataset without projections, or without what the correction of the lens needs.
    """
    if not {"absorbance", "transmission", "counts"} & {*ds.variables}:
        raise SchemaError(
            f"{by}: there are no projections",
            got=", ".join(map(str, ds.variables)),
            expected="absorbance, transmission, or counts with flat and dark",
        )
    if lens is None:
        return _read(ds.isel(z=chosen), frames, None)
    out = np.empty((len(chosen), ds.sizes["angle"], ds.sizes["u"]), np.float32)
    for target, row in zip(out, chosen, strict=True):
        first = max(int(row) - lens.reach, 0)
        near = ds.isel(z=slice(first, int(row) + lens.reach + 1))
        for at in range(0, ds.sizes["angle"], TOGETHER):
            part = near.isel(angle=slice(at, at + TOGETHER))
            target[at : at + TOGETHER] = _read(part, frames, lens)[int(row) - first]
    return out


def _read(part: xr.Dataset, frames: xr.Dataset | None, lens: Lens | None) -> Array:
    if not {"absorbance", "transmission"} & {*part.variables}:
        part = normalize(part, frames=frames)
    if lens is not None:
        part = correct_distortion(part, **lens._asdict())
    if "absorbance" not in part.variables:
        part = minus_log(part)
    schema.validate(part, schema.ABSORBANCE_XCT, by="xct.find_center")
    read = part["absorbance"].transpose("z", "angle", "u").compute(scheduler="synchronous")
    return np.asarray(read.values)

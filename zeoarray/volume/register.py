"""Where one volume lies in another, and how far that can be believed."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import RegistrationError, SchemaError, SourceError
from zeoarray.kernels import transform
from zeoarray.step import Count, Distance, Positive, measure
from zeoarray.volume import align, report
from zeoarray.volume.levels import Level, Pyramid

__all__ = ["register"]

Array = np.ndarray[Any, Any]

UNITS = 100.0
"""Voxels that differ by more than this are of different units, or not meant for each other."""
CONSTANT = 1e-6
"""A volume is constant where its values spread by less than this share of their size."""


def _expected(ds: xr.Dataset, *, model: transform.Model = "rigid", **arguments: Any) -> xr.Dataset:
    return report.expected(ds, model)


@measure(
    expects=_expected,
    cites=("10.1109/TIP.2011.2181402", "10.1109/83.506761", "10.1016/j.jsb.2005.05.009"),
)
def register(
    ds: xr.Dataset,
    *,
    fixed: xr.Dataset,
    model: transform.Model = "rigid",
    modality: Literal["same", "cross"] = "same",
    variable: str | None = None,
    fixed_variable: str | None = None,
    start: xr.Dataset | None = None,
    turn_deg: Distance = 180.0,
    circle: Positive | None = None,
    voxel_um: Positive | None = None,
    blur_um: Distance = 0.0,
    blocks: Count = 96,
    most_error: Positive = 0.5,
    memory_mb: Count = 512,
    accept: bool = False,
) -> xr.Dataset:
    """Find where a volume lies in another one, in um, with the error of the answer.

    Coarse to fine. At the start a turn about z and a shift that may be large, and leave only a part
    in common: angles by the magnitudes of both transforms, shifts by masked normalised correlation.
    Then blocks are compared one by one and a model is fitted to their shifts in spite of outliers,
    on ever finer voxels. In the end the blocks' normal equations are summed: Gauss-Newton on the
    local normalised correlation, so that grey scale and offset may change from place to place; or,
    between modalities, on mutual information. Both volumes are compared at the coarser one's voxel,
    the finer one averaged over it, so that a small, fine volume finds its place in a large one.

    A quarter of the blocks is kept from the fit and tests it. Volumes are read in boxes; those that
    do not fit in memory are held at coarser voxels only, and of the finest just the blocks.

    Streaks of few angles count as structure. Two scans share none; but two tomograms from parts of
    one scan are alike where their streaks meet, which is turned by the angle between the parts.
    Smoothed volumes show that, and the answer is not trusted then: crop to where neighbouring
    angles are less than a voxel apart, or go by what is coarser than streaks with `blur_um`.

    Parameters
    ----------
    ds
        The volume that is to be placed, of (z, y, x) in um, along ascending or descending axes.
        Values that are not finite do not count.
    fixed
        The volume that it is placed in.
    model
        ``translation``, ``rigid``, ``similarity`` (with one scale, which says the true size of the
        pixels) or ``affine``.
    modality
        ``same`` where attenuation is compared with attenuation, ``cross`` where what is bright in
        one volume may be dark in the other.
    variable, fixed_variable
        Which variable; None where just one is of (z, y, x).
    start
        A registration to begin with, or any dataset with `to_fixed`; nothing is searched then.
    turn_deg
        The largest turn about z that is looked for [deg].
    circle
        Voxels further from the middle of y and x than this share of half the width do not count,
        as those beyond the field of view.
    voxel_um
        Size of the voxels that are compared at last; None takes those of the coarser volume.
    blur_um
        Both volumes are smoothed before by a Gaussian of this standard deviation, where fine
        structure is not the sample's; the error of the answer grows.
    blocks
        How many blocks are compared at the most.
    most_error
        An answer is not trusted where its predicted error is above this [voxels].
    memory_mb
        Volumes are held in memory at such voxels that they need no more than this.
    accept
        Give the answer even where it is not trusted.

    Returns
    -------
    xarray.Dataset
        ``to_fixed`` (4, 4), from positions x, y, z [um] in `ds` to those in `fixed`, with the
        ``covariance`` of its ``parameter`` (small changes in the fixed frame, about ``about``);
        the predicted error, the figures by which it was tested, the blocks' residuals, the Fourier
        shell correlation, ``trusted``, and in the attribute `reasons` why not. The attributes
        `moving` and `fixed` name the nodes of both volumes, where they are of a store.

    Raises
    ------
    SchemaError
        For a dataset without a volume, or with several of which none was named.
    SourceError
        For a volume that is empty or constant.
    ArgumentError
        For voxels that differ a hundredfold, uneven axes, or a start that is singular.
    RegistrationError
        Where both volumes share nothing, one of them is mirrored, or the answer is not trusted.

    References
    ----------
    D. Padfield, IEEE Trans. Image Process. 21, 2706 (2012), doi:10.1109/TIP.2011.2181402.
    B. S. Reddy, B. N. Chatterji, IEEE Trans. Image Process. 5, 1266 (1996), doi:10.1109/83.506761.
    """
    arrays = [_array(ds, variable, "the moving"), _array(fixed, fixed_variable, "the fixed")]
    moving_full, fixed_full = (Level(a, circle=circle) for a in arrays)
    _same_units(moving_full, fixed_full)
    finest = float(voxel_um or max(moving_full.voxel_um, fixed_full.voxel_um))
    limit = memory_mb * 2**20 // 8
    pyramids = [Pyramid(v, finest, most_bytes=limit) for v in (fixed_full, moving_full)]
    for pyramid, which in zip(pyramids, ("the fixed", "the moving"), strict=True):
        _has_contrast(pyramid.coarse, which)
    settings = align.Settings(model, modality, np.deg2rad(turn_deg), blocks, finest, blur_um)
    begin = None if start is None else _start(start)
    found = align.align(pyramids[0], pyramids[1], settings, begin)
    out = report.node(found, settings, most_error, nominal_um=_nominal(ds))
    if not bool(out["trusted"]):
        align.refuse_mirrored(pyramids[0], pyramids[1], settings, found)
        if not accept:
            raise RegistrationError(
                "volume.register: the answer is not trusted",
                got="; ".join(out.attrs["reasons"]),
                expected=f"an error below {most_error:g} voxels of {finest:g} um, that all tests "
                "bear out",
                do="give a start near the answer, another model, or accept=True to have it",
            )
    # So that who looks at the result later finds what it is about.
    nodes = {k: d.attrs["node"] for k, d in (("moving", ds), ("fixed", fixed)) if "node" in d.attrs}
    return out.assign_attrs(ds.attrs | out.attrs | nodes)


def _array(ds: xr.Dataset, name: str | None, which: str) -> xr.DataArray:
    by = "volume.register"
    schema.validate(ds, schema.positioned("zyx"), by=by)
    fit = [str(n) for n, v in ds.data_vars.items() if set(v.dims) == {"z", "y", "x"}]
    if name is None and len(fit) != 1:
        raise SchemaError(
            f"{by}: {which} dataset has "
            + ("no volume" if not fit else "several volumes, and none was named"),
            got=", ".join(f"{n} {dict(v.sizes)}" for n, v in ds.data_vars.items()) or "no variable",
            expected="one variable of (z, y, x)",
            do="name it: variable= for the moving, fixed_variable= for the fixed dataset"
            if fit
            else "choose one of a dim: ds.isel(phase=0)",
        )
    chosen = fit[0] if name is None else name
    if chosen not in fit:
        raise SchemaError(
            f"{by}: {which} dataset has no volume {chosen!r}",
            got=", ".join(map(str, ds.data_vars)),
            expected="a variable of (z, y, x)" + (f": {', '.join(fit)}" if fit else ""),
        )
    array = ds[chosen].transpose("z", "y", "x")
    if min(array.shape) < 4:
        raise SourceError(
            f"{by}: {which} volume {chosen!r} is empty, or too thin to be compared",
            got=str(dict(array.sizes)),
            expected="4 voxels or more along each of z, y, x",
        )
    return array


def _same_units(moving: Level, fixed: Level) -> None:
    ratio = moving.voxel_um / fixed.voxel_um
    if not 1 / UNITS < ratio < UNITS:
        raise RegistrationError(
            "volume.register: the voxels of both volumes are too unlike to be of one unit",
            got=f"{moving.voxel_um:g} um and {fixed.voxel_um:g} um: a factor of "
            f"{max(ratio, 1 / ratio):.4g}",
            expected=f"less than {UNITS:g}; both in um",
            do='check the coordinates: ds["x"] * 1000 makes um of mm, / 1000 of nm; or bin the '
            "finer volume first",
        )


def _has_contrast(level: Level, which: str) -> None:
    values = level.read((slice(0, level.shape[0]), slice(0, level.shape[1]),
                         slice(0, level.shape[2])))  # fmt: skip
    good = values[np.isfinite(values)]
    if not good.size:
        raise SourceError(
            f"volume.register: {which} volume is empty",
            got="no finite voxel" + (" within the circle" if values.size else ""),
            expected="a volume of the sample",
        )
    spread, size = float(good.std()), float(np.abs(good).max())
    if not spread > CONSTANT * size:
        raise SourceError(
            f"volume.register: {which} volume is constant",
            got=f"{good.mean():g} everywhere",
            expected="a volume with structure",
        )


def _start(start: xr.Dataset) -> Array:
    """(4, 4): from the fixed frame to the moving one."""
    schema.validate(start, schema.Schema("registration to begin with", (schema.TO_FIXED,)),
                    by="volume.register")  # fmt: skip
    matrix = transform.check(start["to_fixed"].values, "volume.register: to_fixed of the start")
    return np.asarray(np.linalg.inv(matrix))


def _nominal(ds: xr.Dataset) -> float:
    if "resolution" in ds.variables and ds["resolution"].ndim == 0:
        return float(ds["resolution"])
    return float("nan")

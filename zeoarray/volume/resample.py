"""`resample`: a volume on another grid, block by block."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import affine
from zeoarray.labelled import known
from zeoarray.step import Positive, step
from zeoarray.volume import grids, sampling
from zeoarray.volume.grids import AXES
from zeoarray.volume.sampling import Method, Way

__all__ = ["resample"]

Array = np.ndarray[Any, Any]
BY = "volume.resample"
TOUCH = 0.8
"""Layers touch where they are thicker than this share of their distance."""
MAPS = ("to_sample", "to_fixed")
"""What a registration calls its map, the first that is there counts."""


@step()
def resample(
    ds: xr.Dataset,
    *,
    volume: xr.Dataset,
    registration: xr.Dataset | None = None,
    scan: str | None = None,
    inverse: bool = False,
    interpolation: Method = "mean",
    psf: Positive | None = None,
    circle: Positive | None = None,
    variables: tuple[str, ...] | None = None,
) -> xr.Dataset:
    """Bring a volume onto a grid, through the map that registration found.

    A block of the grid reads only the boxes of the volume behind it, so neither need fit in memory.

    By ``mean``, each voxel is the mean of the volume over a box of its size (along axes where it is
    smaller than the volume's voxels, linear interpolation): what is in the volume is neither lost
    nor counted twice, and nothing finer than the grid is folded into it. ``linear`` and ``cubic``
    are values at points, which fold what is finer.

    Where layers are further apart than the beam is high (`beam_size` of a diffraction scan),
    nothing is known of what is between: a voxel has the value of the layer in which it lies as a
    whole, and is NaN and not ``valid`` in the gaps.

    Parameters
    ----------
    ds
        The grid, as `volume.grid` gives it, or a block of rows of it.
    volume
        What is brought onto it: z, y, x in um, evenly spaced, and any dims before or after them.
    registration
        What `volume.register` gave: its ``to_sample`` (or ``to_fixed``) takes positions in `volume`
        to those of the grid. None where both are in one frame.
    scan
        Which of them, where the registration is of several scans (`volume.solve_network`).
    inverse
        Whether the registration is of the grid's frame to that of `volume`, the other way round.
    interpolation
        How values come about. ``cubic`` rings at sharp edges.
    psf
        Standard deviation of a Gaussian point-spread function, by which is averaged in place of the
        box [um]; with ``mean`` only.
    circle
        Voxels further from the middle of y and x than this share of half the width of `volume` do
        not count, as those beyond the field of view.
    variables
        Which of the volume's variables; None takes all that have z, y, x.

    Returns
    -------
    xarray.Dataset
        The variables on the grid, NaN where there is nothing, flags set where all that they stand
        for were set; and ``valid``, set where the volume covers the whole voxel and has values.

    Raises
    ------
    SchemaError
        For a grid or a volume without positions in um, and a registration without a map.
    ArgumentError
        For a singular map, uneven positions, a psf finer than the volume, and a grid that has
        nothing in common with the volume.
    SourceError
        For an empty volume.

    References
    ----------
    M. Unser, A. Aldroubi, M. Eden, IEEE Trans. Signal Process. 41, 834 (1993),
    doi:10.1109/78.193221.

    Examples
    --------
    >>> z = ("z", [0.0, 1.0, 2.0, 3.0], {"units": "um"})
    >>> axes = {"z": z, "y": ("y", *z[1:]), "x": ("x", *z[1:])}
    >>> ds = xr.Dataset({"attenuation": (tuple("zyx"), np.ones((4, 4, 4), "f4"))}, axes)
    >>> resample(grids.grid(ds, voxel=2.0), volume=ds).attenuation.shape
    (2, 2, 2)
    """
    grids.is_grid(ds, BY)
    of = map_of(registration, scan, BY)
    way = way_to(ds, volume, of, inverse, interpolation, psf, circle, by=BY)
    values = brought(ds, volume, fitting(volume, variables, BY), way, BY)
    coords = carried(ds, volume, values)
    return schema.describe(xr.Dataset(values, coords, ds.attrs), schema.RESAMPLED)


def way_to(
    ds: xr.Dataset,
    volume: xr.Dataset,
    map_um: Array | None,
    inverse: bool,
    interpolation: Method,
    psf: float | None,
    circle: float | None,
    *,
    by: str,
) -> Way:
    """How `volume` is brought onto the grid `ds`, of which a block will do.

    `map_um` is (4, 4), x, y, z, 1 of the volume to the grid's (`inverse`: the other way round).
    """
    schema.validate(volume, schema.positioned(AXES), by=by)
    steps = tuple(grids.spacing(volume, d, by) for d in AXES)
    back = np.eye(4) if map_um is None else map_um
    if not inverse:
        back = np.linalg.inv(back)
    size = float(ds["voxel"])
    of_grid = grids.to_um(ds, by, (size,) * 3)
    of_grid[2, 3] = 0.0  # rows are counted from where z is 0: a block is as the whole
    to_index = np.linalg.inv(grids.to_um(volume, by, steps)) @ back
    spread = None
    if psf is not None:
        if interpolation != "mean":
            raise ArgumentError(
                f"{by}: a point-spread function is for means",
                got=f"interpolation={interpolation!r}, psf={psf:g}",
                expected="interpolation='mean'",
            )
        spread = tuple(psf * sampling.FWHM / abs(s) for s in steps)
        if min(spread) < 1:
            raise ArgumentError(
                f"{by}: the point-spread function is narrower than the volume's own voxels",
                got=f"psf={psf:g} um, which is {psf * sampling.FWHM:.3g} um wide at half height",
                expected=f"at least {max(map(abs, steps)) / sampling.FWHM:.3g} um",
                do="leave psf out: the mean over a voxel of the grid is taken",
            )
    z, y, x = (volume.sizes[d] for d in AXES)
    plane = (ds.sizes["y"], ds.sizes["x"])
    layer = _layer(volume, steps[0])
    way = Way(to_index @ of_grid, size, (z, y, x), plane, interpolation, spread, circle, layer)
    _meet(ds, volume, to_index, way, by)
    if layer is not None and way.own_height > layer:
        thick = layer * abs(steps[0])
        raise ArgumentError(
            f"{by}: voxels of this grid fit into no layer of the volume",
            got=f"voxels of {size:g} um, layers {thick:g} um high and {abs(steps[0]):g} um apart",
            expected=f"voxels of at most {thick:g} um, since nothing is known of the gaps",
            do="a finer grid, or interpolation='linear' for the values at the voxels' middles",
        )
    return way


def _layer(volume: xr.Dataset, step: float) -> float | None:
    """Thickness of a volume's layers, as a share of their distance; None where they touch."""
    if "beam_size" not in volume.coords or volume["beam_size"].ndim:
        return None
    share = float(known(volume["beam_size"])) / abs(step)
    return share if 0 < share < TOUCH and volume.sizes["z"] > 1 else None


def map_of(registration: xr.Dataset | None, scan: str | None, by: str) -> Array | None:
    """(4, 4): the map of a registration, or of one scan of several; None where none is given.

    Raises
    ------
    SchemaError
        Where it has none, or none of this scan.
    ArgumentError
        Where it has no inverse.
    """
    if registration is None:
        return None
    name = next((n for n in MAPS if n in registration.variables), None)
    found = None if name is None else registration[name]
    if found is not None and "scan" in found.dims:
        names = [str(n) for n in found["scan"].values]
        if scan not in names:
            raise SchemaError(
                f"{by}: the registration is of several scans, and this one is not among them",
                got=repr(scan),
                expected="one of " + ", ".join(names),
            )
        found = found.isel(scan=names.index(scan))
    if found is None or found.shape != (4, 4):
        raise SchemaError(
            f"{by}: the registration has no map",
            got=", ".join(f"{n}{v.shape}" for n, v in registration.variables.items()),
            expected="to_sample or to_fixed, (4, 4), from x, y, z, 1 to x, y, z, 1 in um",
            do="give what volume.register gave",
        )
    out = np.asarray(found.values, float)
    affine.widths(out)  # raises for what has no inverse
    return out


def _meet(ds: xr.Dataset, volume: xr.Dataset, to_index: Array, way: Way, by: str) -> None:
    half = way.step / 2
    z = (float(ds["from_z"]) + half, float(ds["to_z"]) - half)
    y, x = (tuple(known(ds[d], whole=False)[[0, -1]]) for d in ("y", "x"))
    corners = np.array([(*p, 1.0) for p in itertools.product(x, y, z)])
    theirs = [tuple(np.sort(known(volume[d], whole=False)[[0, -1]])) for d in AXES]
    extents = f"grid {_extent((z, y, x))}; volume {_extent(theirs)} um"
    sampling.overlap((corners @ to_index.T)[:, :3], way, by, extents)


def _extent(ends: Sequence[tuple[Any, ...]]) -> str:
    return ", ".join(f"{d} {a:.5g} to {b:.5g}" for d, (a, b) in zip(AXES, ends, strict=True))


def fitting(volume: xr.Dataset, variables: Sequence[str] | None, by: str) -> list[str]:
    """Names of the variables that are brought onto a grid: those asked for, or all that can be.

    Raises
    ------
    SchemaError
        Where one cannot be, or none is there.
    """
    fit = [str(n) for n, v in volume.data_vars.items() if set(AXES) <= set(v.dims)]
    wrong = sorted(set(variables or ()) - set(fit))
    if wrong or not fit:
        raise SchemaError(
            f"{by}: the volume has no such variable of z, y, x",
            got=", ".join(wrong) or ", ".join(map(str, volume.data_vars)) or "no variable",
            expected="some of " + ", ".join(fit) if fit else "attenuation(z, y, x)",
        )
    return fit if variables is None else list(variables)


def brought(
    ds: xr.Dataset, volume: xr.Dataset, names: Sequence[str], way: Way, by: str
) -> dict[str, xr.DataArray]:
    """The variables on the rows of `ds`, and `valid`; lazy where one of both is, or is planned."""
    z = ds["z"]
    out: dict[str, xr.DataArray] = {}
    flags: set[str] = set()
    for name in names:
        data = volume[name]
        lead = [str(d) for d in data.dims if d not in AXES]
        source = data.variable
        late = sampling.planned(source, way, f"{by} {name}") or source.chunks is not None
        found = _by_rows(functools.partial(sampling.rows, source=source, way=way), z, late,
                         {d: source.sizes[d] for d in lead}, way, np.float32)  # fmt: skip
        if data.dtype.kind == "b" or name in schema.FLAGS:
            found = found > 1 - 1e-5
            flags.add(name)
        out[name] = found.transpose(*map(str, data.dims)).assign_attrs(data.attrs)
    late = any(v.chunks is not None for v in out.values())
    valid = _by_rows(functools.partial(sampling.covered, way=way), z, late, {}, way, bool)
    for name, data in out.items():
        if name in flags and name != "valid":
            continue
        fine = data if name == "valid" else abs(data) < np.inf
        valid = valid & fine.all([d for d in fine.dims if d not in AXES])
    out["valid"] = valid.transpose(*AXES)
    return out


def _by_rows(
    function: Any, z: xr.DataArray, late: bool, lead: dict[str, int], way: Way, dtype: Any
) -> xr.DataArray:
    """(row, ..., y, x) of a function of the rows' positions."""
    dims = [*lead, "y", "x"]
    sizes = lead | dict(zip(("y", "x"), way.plane, strict=True))
    bare = xr.DataArray(known(z, whole=False).astype(float), dims="z")
    if not late:
        return xr.DataArray(function(bare.values), dims=("z", *dims))
    out: xr.DataArray = xr.apply_ufunc(
        function,
        bare.chunk(z=sampling.TOGETHER),
        output_core_dims=[dims],
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": sizes},
    )
    return out


def carried(
    ds: xr.Dataset, volume: xr.Dataset, values: dict[str, xr.DataArray]
) -> dict[str, xr.Variable]:
    """Coordinates of the result: the grid's, the names of phases and such, the nominal size."""
    lead = {str(d) for v in values.values() for d in v.dims} - set(AXES)
    coords = {str(n): ds[n].variable for n in ds.coords}
    coords |= {d: volume[d].variable for d in sorted(lead) if d in volume.coords}
    if "resolution" in volume.coords and not volume["resolution"].ndim:
        coords["resolution"] = volume["resolution"].variable
    return coords

"""`extract`: the windows of any volume at the places that `place` chose."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels.contract import Kernel, Memory, Parameters, Sizes
from zeoarray.labelled import Call, told
from zeoarray.patches import registered, windows
from zeoarray.patches.cutting import BY, Plan
from zeoarray.step import Distance, Positive, Whole, step

Array = np.ndarray[Any, Any]

READ = 1 << 25
"""Bytes of a volume that are read at once, at most, where one window has fewer."""
WASTE = 2.0
"""Windows are read together while the box round them has at most this many times their voxels."""
TASK = 64
"""Patches of one task, where the volume is lazy."""
HELD = 1 << 26
"""A volume of fewer bytes may be kept in memory from block to block."""
DECODED = 1 << 25
"""Bytes of chunks that are being decoded, where a volume is read in boxes."""


@step()
def extract(
    ds: xr.Dataset,
    *,
    volume: xr.Dataset,
    variables: tuple[str, ...] | None = None,
    voxel: Positive | None = None,
    psf: Distance = 0.0,
    shift_sigma: Distance = 0.0,
    neighbours: Whole = 0,
) -> xr.Dataset:
    """Cut the windows of a volume at the places of a set: one source of matched training data.

    Sources of one set have the same places along `patch`, each with voxels of its own size.
    Without `voxel` the volume's own voxels are cut, those whose window lies nearest to the place;
    ``z_cut, y_cut, x_cut`` say where it is. With it, values are brought to that voxel size, exactly
    at the place: coarser ones are means over what they cover, of `psf` if that is given (a coarse
    scan simulated from a fine one), finer ones are interpolated.

    Parameters
    ----------
    ds
        Places, as `patches.place` gives them.
    volume
        What is cut: z, y, x in the frame of the places, and any dims before or after them.
        Resolutions and phases become `channel`; q stays. A volume that is turned against the places
        is brought into their frame first (`volume.resample`).
    variables
        Which; None takes all that have z, y, x.
    voxel
        Size of a voxel of the patches [um]; None keeps the volume's.
    psf
        Standard deviation of the Gaussian point-spread function that is added [um].
    shift_sigma
        Standard deviation of the registration of this volume to that of the places [um].
    neighbours
        For flat patches, one voxel high: so many slices on either side become channels.

    Returns
    -------
    xarray.Dataset
        Each variable as (patch, channel, z, y, x), or (patch, q, z, y, x); z, y, x count from the
        centre of the patch [um].

    Raises
    ------
    ArgumentError
        For a source whose support is wider than that of the places, so that splits would leak;
        for places beyond the volume, and for one whose map to their frame is still to be applied.
    SchemaError
        For a volume without z, y, x, in other units, or with uneven steps where voxels change.
    """
    schema.validate(ds, schema.POSITIONS_PATCHES, by=BY)
    schema.validate(volume, schema.positioned(windows.AXES), by=BY)
    registered.same_frame(volume, by=BY)
    plan = Plan.of(ds, volume, voxel, psf, shift_sigma, neighbours)
    starts = plan.starts(ds)
    middles = plan.middles(ds, starts)
    _support(ds, plan.reach(ds, middles))
    where = np.concatenate([starts, np.stack(middles, 1)], axis=1)
    out = {name: _cut(volume[name], where, plan) for name in _fitting(volume, variables)}
    coords = {
        v.name: ds[v.name].variable for v in (*schema.CENTRES, *schema.SIZES, *schema.SUPPORTS)
    }
    coords |= {n: ds[n].variable for n in ("split", "block", "foreground") if n in ds.coords}
    for var, place in zip(schema.CUTS, middles, strict=True):
        coords[var.name] = xr.Variable("patch", place)
    for name, centres in zip(windows.AXES, plan.inside(), strict=True):
        coords[name] = xr.Variable(name, centres)
    coords |= _channels(volume, out)
    if len({*plan.voxel}) == 1:
        coords["voxel"] = xr.Variable((), float(plan.voxel[0]))
    return schema.describe(xr.Dataset(out, coords), schema.PATCHES)


def _fitting(volume: xr.Dataset, variables: tuple[str, ...] | None) -> list[str]:
    fit = [str(n) for n, v in volume.data_vars.items() if set(windows.AXES) <= set(v.dims)]
    wrong = sorted(set(variables or ()) - set(fit))
    if wrong or not fit:
        raise ArgumentError(
            f"{BY}: the volume has no such variable with z, y, x",
            got=", ".join(wrong) or "none",
            expected="some of " + (", ".join(fit) or "attenuation(z, y, x)"),
        )
    return fit if variables is None else list(variables)


def _channels(volume: xr.Dataset, out: dict[str, xr.Variable]) -> dict[str, xr.Variable]:
    """What the channels are called, and q."""
    found: dict[str, xr.Variable] = {}
    for name, cut in out.items():
        lead = next((d for d in volume[name].dims if d not in windows.AXES), None)
        if lead is None or lead not in volume.coords:
            continue
        names = volume[lead].variable.to_base_variable()
        if lead != "q":
            text = [f"{n:g}" if isinstance(n, float) else str(n) for n in names.values.tolist()]
            names = xr.Variable("channel", np.asarray(text))
        if found.setdefault(str(cut.dims[1]), names).shape != names.shape:
            raise SchemaError(
                f"{BY}: variables of one set of patches have the same channels",
                got=f"{name!r} along {lead!r}, {names.size}",
                do="variables=(...): one kind, and the other into a node of its own",
            )
    return found


def _support(ds: xr.Dataset, needs: Array) -> None:
    given = np.array([float(ds[v.name]) for v in schema.SUPPORTS])
    if (needs > given + 1e-6).any():
        enough = ", ".join(f"{n:.4g}" for n in np.maximum(needs, given))
        raise ArgumentError(
            f"{BY}: this source sees farther than the places allow for, so that splits would leak",
            got=f"it needs {', '.join(f'{n:.4g}' for n in needs)} um beyond a patch along "
            "(z, y, x)",
            expected=f"at most {', '.join(f'{n:.4g}' for n in given)} um, the places' support",
            do=f"patches.place with support=({enough})",
        )


def _cut(data: xr.DataArray, where: Array, plan: Plan) -> xr.Variable:
    """One variable, (patch, channel, z, y, x) or (patch, q, z, y, x).

    `where` is (patch, 6): the first voxel that is read along each axis, and the centre [um].
    """
    lead = [str(d) for d in data.dims if d not in windows.AXES]
    if len(lead) > 1 or (plan.neighbours and lead):
        raise SchemaError(
            f"{BY}: {data.name!r} has too many dims to become channels",
            got=", ".join(map(str, data.dims)),
            expected="z, y, x and one more",
            do="volume.isel(...) of the others first",
        )
    dims = ("patch", "q" if "q" in lead else "channel", *windows.AXES)
    source = data.variable.transpose(*lead, *windows.AXES)
    dtype = source.dtype if source.dtype.kind in "fb" else np.dtype(np.float32)
    many = source.sizes[lead[0]] if lead else 1 + 2 * plan.neighbours
    shape = (many, *plan.counts)
    if not _planned(source, plan, shape, f"{BY} {data.name}") and source.chunks is None:
        return xr.Variable(dims, _windows(where, source, plan, shape, dtype), data.attrs)
    # Lazy as the volume is, or to be planned: a task cuts some patches and reads what they need.
    out = xr.apply_ufunc(
        _windows,
        xr.DataArray(where, dims=("patch", "axis")).chunk(patch=TASK, axis=-1),
        kwargs={"source": source, "plan": plan, "shape": shape, "dtype": dtype},
        input_core_dims=[["axis"]],
        output_core_dims=[list(dims[1:])],
        dask="parallelized",
        output_dtypes=[dtype],
        dask_gufunc_kwargs={"output_sizes": dict(zip(dims[1:], shape, strict=True))},
    )
    return xr.Variable(dims, out.variable.data, data.attrs)


def _planned(source: xr.Variable, plan: Plan, shape: tuple[int, ...], name: str) -> bool:
    """Tell a planner what a block of patches takes; whether one listens."""
    held, window = source.size * source.dtype.itemsize, math.prod(plan.read())

    def memory(sizes: Sizes, parameters: Parameters, threads: int) -> Memory:
        most = min(_limit(source, plan, shape[0]), math.ceil(WASTE * sizes["batch"] * window))
        block = max(most, window) * shape[0] * source.dtype.itemsize
        if not plan.own:
            block += 4 * shape[0] * plan.scratch()
        if held <= HELD:
            return Memory(held, block)
        return Memory(0, block + DECODED)

    kernel = Kernel(
        name=name, function=_windows, inputs=(), outputs=(), rows={}, halo={}, grain={},
        memory=memory, dtype=(), sizes=None,
    )  # fmt: skip
    return told(Call(kernel, {}, {}, {}, ("patch",)))


def _limit(source: xr.Variable, plan: Plan, many: int) -> int:
    """Voxels of a volume that are read at once: of one window at least."""
    return max(int(READ // (source.dtype.itemsize * many)), math.prod(plan.read()))


def _windows(
    where: Array, source: xr.Variable, plan: Plan, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Array:
    """(patch, channel, z, y, x): read a few windows at a time, those that lie together."""
    out = np.empty((len(where), *shape), dtype)
    starts, centres = where[:, :3].astype(np.int64), where[:, 3:]
    read = np.array(plan.read())
    for group in _together(starts, read, _limit(source, plan, shape[0])):
        low = starts[group].min(axis=0)
        high = starts[group].max(axis=0) + read
        box = {d: slice(int(a), int(b)) for d, a, b in zip(windows.AXES, low, high, strict=True)}
        part = source.isel(box)
        values = part.compute(scheduler="synchronous").values if part.chunks else part.values
        for i in group:
            z, y, x = (slice(a, a + n) for a, n in zip(starts[i] - low, read, strict=True))
            window = values[..., z, y, x]
            if not plan.own:
                window = plan.brought(window, starts[i], centres[i])
            out[i] = window.reshape(shape)
    return out


def _together(starts: Array, read: Array, limit: int) -> Iterator[list[int]]:
    """Runs of windows, in their order, that one box holds without much waste."""
    group: list[int] = []
    low = high = np.zeros(3, dtype=np.int64)
    for i, start in enumerate(starts):
        if group:
            bottom, top = np.minimum(low, start), np.maximum(high, start + read)
            box = int(np.prod(top - bottom))
            if box <= limit and box <= WASTE * (len(group) + 1) * np.prod(read):
                group.append(i)
                low, high = bottom, top
                continue
            yield group
        group, low, high = [i], start, start + read
    if group:
        yield group

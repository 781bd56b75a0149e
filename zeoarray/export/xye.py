"""`to_xye`: the pattern of a voxel or of a region, as columns of text for TOPAS and GSAS-II."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, MissingMetadataError, SchemaError, unknown
from zeoarray.export import place
from zeoarray.store import durable

Array = np.ndarray[Any, Any]
Where = Mapping[str, float | tuple[float, float]]

_KINDS = {
    ".xye": "two-theta [deg], intensity, sigma",
    ".xy": "two-theta [deg], intensity",
    ".qye": "q [1/angstrom], intensity, sigma",
}
"""What the ending of a file says about its columns."""


@dataclass(frozen=True)
class _Mean:
    """The mean pattern of a region."""

    intensity: Array
    variance: Array | None
    patterns: int
    left_out: int
    """Points of the region without a pattern."""


def to_xye(
    ds: xr.Dataset,
    out: str | Path,
    *,
    at: Where | None = None,
    variable: str = "intensity",
    overwrite: bool = False,
    wait: bool = False,
) -> dict[str, Any]:
    r"""Write the mean pattern of a voxel or a region: columns of text, ascending.

    The ending of the file says what its columns are. ``.xye``: two-theta [deg], intensity and its
    standard deviation, for TOPAS and GSAS-II. ``.xy``: without the last, for patterns that have no
    variance. ``.qye``: q [1/angstrom] in place of two-theta, for GSAS-II, which turns it into
    two-theta by the wavelength in the heading. Lines of the heading begin with an apostrophe, a
    comment to both programs. Sigma is that of the mean of independent patterns,
    :math:`\sqrt{\sum \sigma^2} / n`, which rays are and neighbouring voxels are not quite.

    Parameters
    ----------
    ds
        ``intensity(..., q)``, and ``variance`` of the same dims: a volume, a sinogram or a pattern.
        Only the region is read.
    out
        File to make.
    at
        Position [units of the coordinate, um or deg] by dim: one number for the point nearest to
        it, or the least and the greatest of a range, both ends in it. A dim that is not named is
        taken whole.
    variable
        Which patterns, where it is not the intensity; then there is no sigma.
    overwrite
        Replace a file that exists, once this one is whole.
    wait
        Wait for another process that writes the same.

    Returns
    -------
    dict
        ``variable``, ``region`` (first and last position of each dim), ``patterns`` (how many were
        averaged), ``left_out`` (points without a pattern: not finite, or 0 everywhere, as beyond
        the circle of a reconstruction), ``bins``, ``bins_left_out`` (not finite, or without a
        sigma) and ``columns``.

    Raises
    ------
    ArgumentError
        For another ending, a dim or a position that is not there, a region without patterns.
    SchemaError
        For a variable without bins of q, and a sigma that is wanted and not there.
    MissingMetadataError
        Where q cannot become two-theta, nor the other way round, for lack of a wavelength.
    StoreError
        Where `out` exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> q = ("q", [1.0, 1.1], {"units": "1/angstrom"})
    >>> beam = ((), 0.5391, {"units": "angstrom"})
    >>> ds = xr.Dataset({"intensity": ("q", [8.0, 9.0])}, {"q": q, "wavelength": beam})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = to_xye(ds, f"{folder}/a.xy")
    ...     lines = Path(f"{folder}/a.xy").read_text("utf-8").splitlines()
    >>> lines[-2:]
    ['4.917512 8', '5.409612 9']
    """
    target = Path(out)
    kind = target.suffix.lower()
    if kind not in _KINDS:
        raise ArgumentError(
            f"the ending of {target.name} says no columns",
            got=repr(target.suffix),
            expected="; ".join(f"{ending}: {told}" for ending, told in _KINDS.items()),
        )
    with place.prepared(target, overwrite=overwrite, wait=wait) as partial:
        array, noise, radial = _chosen(ds, variable, kind)
        index, region = _region(array, radial, at or {})
        columns, wavelength = _radial(ds, radial, kind)
        found = _mean(array, noise, radial, index, region)
        used = np.isfinite(found.intensity) & np.isfinite(columns)
        table = [columns, found.intensity]
        if found.variance is not None:
            used &= found.variance > 0
            table.append(np.sqrt(found.variance))
        if not used.any():
            raise ArgumentError(
                "the region has no bin with a value" + ("" if noise is None else " and a sigma"),
                got=_where(region),
                do="another position, or .xy for a pattern without sigma",
            )
        rows = np.stack(table)[:, used]
        told: dict[str, Any] = {
            "variable": variable,
            "region": region,
            "patterns": found.patterns,
            "left_out": found.left_out,
            "bins": int(used.sum()),
            "bins_left_out": int((~used).sum()),
            "columns": _KINDS[kind],
        }
        heading = _heading(ds, array, told, kind, wavelength)
        durable.write(partial, [_text(heading, rows[:, np.argsort(rows[0])])])
        place.finish(partial, target)
    return told


def _chosen(
    ds: xr.Dataset, variable: str, kind: str
) -> tuple[xr.DataArray, xr.DataArray | None, str]:
    """The patterns, their variance, and the dim along which a pattern runs."""
    if variable not in ds.data_vars:
        raise unknown("variable", variable, map(str, ds.data_vars))
    array = ds[variable]
    radial = next((str(d) for d in ("q", "two_theta") if d in array.dims), None)
    if radial is None or array.dtype.kind not in "iuf":
        raise SchemaError(
            f"{variable!r} holds no patterns",
            got=f"{dict(array.sizes)} {array.dtype}",
            expected="numbers over q, such as intensity(z, y, x, q)",
        )
    if kind == ".xy":
        return array, None, radial
    if variable != "intensity" or "variance" not in ds.data_vars:
        raise SchemaError(
            f"there is no sigma of {variable!r}",
            got=", ".join(map(str, ds.data_vars)),
            expected="'variance' beside 'intensity', for the third column",
            do="name the file .xy: two-theta and intensity alone; or integrate with an error model",
        )
    if set(ds["variance"].dims) != set(array.dims):
        raise SchemaError(
            "the variance is not that of every bin",
            got=f"variance{ds['variance'].dims}, intensity{array.dims}",
        )
    return array, ds["variance"], radial


def _region(
    array: xr.DataArray, radial: str, at: Where
) -> tuple[dict[str, slice | Array], dict[str, list[float]]]:
    """Which points of each dim, and the first and the last of their positions."""
    dims = [str(d) for d in array.dims if d != radial]
    for name in at:
        if name not in dims:
            raise unknown(f"dim of {array.name!r},", name, dims)
    index: dict[str, slice | Array] = {}
    region: dict[str, list[float]] = {}
    for dim in dims:
        if dim not in at and dim not in array.coords:
            index[dim] = slice(None)
            continue
        position = _positions(array, dim)
        index[dim] = _points(position, at.get(dim), dim, str(array[dim].attrs.get("units", "")))
        inside = position[index[dim]]
        region[dim] = [float(inside.min()), float(inside.max())]
    return index, region


def _positions(array: xr.DataArray, dim: str) -> Array:
    if dim not in array.coords or array[dim].dtype.kind not in "iuf":
        raise ArgumentError(
            f"{dim!r} has no positions",
            got="no coordinate" if dim not in array.coords else f"values {array[dim].dtype}",
            do=f"in Python: zeoarray.export.to_xye(ds.isel({dim}=0, drop=True), ...)",
        )
    return np.asarray(array[dim].values, float)


def _points(
    position: Array, wanted: float | tuple[float, float] | None, dim: str, unit: str
) -> Array:
    if wanted is None:
        return np.arange(position.size)
    step = float(np.abs(np.diff(position)).max()) if position.size > 1 else 0.0
    told = f"positions from {position.min():g} to {position.max():g} {unit}".rstrip()
    if isinstance(wanted, tuple):
        low, high = wanted
        found = np.flatnonzero((position >= low) & (position <= high))
        if not found.size:
            raise ArgumentError(
                f"no position of {dim} is in the range",
                got=f"{low:g} to {high:g}",
                expected=f"{told}, the lower end first",
                do=f"one number for the nearest point; neighbours are {step:g} apart",
            )
        return found
    away = np.abs(position - wanted)
    nearest = int(np.argmin(np.where(np.isfinite(away), away, np.inf)))
    # Of a single point, any position is as good: its own width is not known.
    if position.size > 1 and not away[nearest] <= 0.5 * step * (1 + 1e-6):
        raise ArgumentError(f"{dim} has no such position", got=f"{wanted:g}", expected=told)
    return np.array([nearest])


def _radial(ds: xr.Dataset, radial: str, kind: str) -> tuple[Array, float | None]:
    """The first column, and the wavelength where it is known."""
    values = np.asarray(ds[radial].values, float)
    wavelength = float(ds["wavelength"]) if "wavelength" in ds.variables else None
    if (radial == "q") is (kind == ".qye"):
        if kind == ".qye" and wavelength is None:
            raise _no_wavelength("GSAS-II reads q only with one in the heading")
        return values, wavelength
    if kind != ".qye" and "two_theta" in ds.variables and ds["two_theta"].dims == (radial,):
        return np.asarray(ds["two_theta"].values, float), wavelength
    if wavelength is None:
        raise _no_wavelength("q and two-theta are turned into each other by it")
    if kind == ".qye":
        return 4 * np.pi / wavelength * np.sin(np.deg2rad(values / 2)), wavelength
    sine = values * wavelength / (4 * np.pi)
    return np.rad2deg(2 * np.arcsin(np.where(sine <= 1, sine, np.nan))), wavelength


def _no_wavelength(why: str) -> MissingMetadataError:
    return MissingMetadataError(
        f"the wavelength is not known: {why}",
        do='ds["wavelength"] = ((), 0.5391, {"units": "angstrom"}); or --wavelength at ingest',
    )


def _mean(
    array: xr.DataArray,
    noise: xr.DataArray | None,
    radial: str,
    index: Mapping[str, slice | Array],
    region: Mapping[str, list[float]],
) -> _Mean:
    values = _read(array, radial, index)
    spread = None if noise is None else _read(noise, radial, index)
    # Beyond the circle of a reconstruction everything is 0, the variance as well.
    seen = np.isfinite(values).any(axis=1) & (np.nan_to_num(values) != 0).any(axis=1)
    if spread is not None:
        seen = np.isfinite(values).any(axis=1) & (np.nan_to_num(spread) > 0).any(axis=1)
    count = int(seen.sum())
    if not count:
        raise ArgumentError(
            "there is no pattern in the region",
            got=f"{_where(region)}: {len(seen)} without values",
            do="a position within the sample, or within the circle that was reconstructed",
        )
    mean = values[seen].mean(axis=0)
    variance = None if spread is None else spread[seen].sum(axis=0) / count**2
    return _Mean(mean, variance, count, len(seen) - count)


def _read(array: xr.DataArray, radial: str, index: Mapping[str, slice | Array]) -> Array:
    part = array.isel(index).compute(scheduler="synchronous").transpose(..., radial)
    return np.asarray(part.values, float).reshape(-1, part.sizes[radial])


def _where(region: Mapping[str, list[float]]) -> str:
    parts = [
        f"{dim} {low:g}" if low == high else f"{dim} {low:g} to {high:g}"
        for dim, (low, high) in region.items()
    ]
    return ", ".join(parts) or "one pattern"


def _heading(
    ds: xr.Dataset, array: xr.DataArray, told: Mapping[str, Any], kind: str,
    wavelength: float | None,
) -> list[str]:  # fmt: skip
    """Lines that both programs take for comments."""
    unit = str(array.attrs.get("units", "1"))
    beam = "" if wavelength is None else f"; wavelength {wavelength:.8g} angstrom"
    lines = [
        f"{told['columns']}; {array.name} [{unit}]{beam}",
        f"mean of {told['patterns']} patterns, {told['left_out']} left out; "
        f"{_where(told['region'])}",
        f"zeoarray {version('zeoarray')} {ds.attrs.get('store', '')} {ds.attrs.get('node', '')}",
    ]
    # A letter q in a comment tells GSAS-II that the first column is q, and that the comment's
    # first word is the wavelength; "temp" before an equals sign, that a temperature follows.
    lines = [" ".join(line.split()).replace("q", "Q").replace("=", ":") for line in lines]
    if kind == ".qye":
        lines.insert(0, f"{wavelength:.8g} is the wavelength [angstrom], q in the first column")
    return [f"' {line}" for line in lines]


def _text(heading: list[str], rows: Array) -> bytes:
    width = ["{:.6f}", "{:.8g}", "{:.7g}"][: len(rows)]
    form = " ".join(width)
    lines = [*heading, *(form.format(*row) for row in rows.T.tolist())]
    # Names of stores and nodes may hold anything; old readers of columns may not.
    return ("\n".join(lines) + "\n").encode("ascii", "replace")

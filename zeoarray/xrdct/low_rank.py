"""Patterns without the noise that no few curves can make: `find_basis` and `low_rank`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import low_rank as kernels
from zeoarray.labelled import known, lift
from zeoarray.step import Count, Whole, measure, step
from zeoarray.xrdct import model, samples

__all__ = ["find_basis", "low_rank"]

Array = np.ndarray[Any, Any]

BY = "xrdct.find_basis"
LIMIT = (
    "patterns were brought to a few curves: errors of bins are correlated over all of q, and what "
    "few patterns have by themselves is weaker"
)


def _as_it_may_be(
    ds: xr.Dataset, *, rank: int | None = None, seed: int = 0, **others: Any
) -> xr.Dataset:
    """Ten curves that are orthogonal, made without reading."""
    bins = ds.sizes["q"]
    count = min(rank or 10, bins)
    basis = np.eye(count, bins)
    return _node(ds, basis, np.ones(bins), np.ones(count), (1.0, seed))


@measure(cites=("10.1109/TIT.2014.2323359",), expects=_as_it_may_be)
def find_basis(
    ds: xr.Dataset,
    *,
    rank: Count | None = None,
    correlation: xr.Dataset | None = None,
    patterns: Count = 2000,
    seed: Whole = 0,
) -> xr.Dataset:
    r"""Find the few curves over q that patterns of a scan are sums of, beyond their noise.

    They are the first right singular vectors of the patterns, each bin divided by its standard
    error, the root of the mean variance. As many are kept as have singular values above the best
    threshold: the edge of noise with the variance that the patterns have, times 1.15 or a little
    less. Bins narrower than pixels have errors in common: without their `correlation` many curves
    of noise are kept, which cost precision and no bias.

    Parameters
    ----------
    ds
        ``intensity(..., q)`` of rays or voxels; ``variance``, from which the rank follows;
        ``valid``. Patterns that are not finite in a bin that others have are left out.
    rank
        How many curves; by the noise where None.
    correlation
        ``correlation(q, lag)`` from `bin_correlation`; bins are taken as independent where None.
    patterns
        How many patterns of the scan are read, evenly spread, and held in memory.
    seed
        Of the draw of noise.

    Returns
    -------
    xarray.Dataset
        ``basis(component, q)``, orthonormal; ``scale(q)``, what bins are divided by, 0 where there
        is none; ``singular(component)``; ``threshold``; ``seed``.

    Raises
    ------
    SchemaError
        For a dataset without patterns.
    ArgumentError
        Where the noise is not known and `rank` is not given; no pattern is finite; no curve stands
        out, or there are fewer than `rank`; a variance is negative; the correlation is of other
        bins.

    References
    ----------
    M. Gavish, D. L. Donoho, IEEE Trans. Inf. Theory 60, 5040 (2014),
    doi:10.1109/TIT.2014.2323359.
    """
    chosen = model.selection(ds, None, BY)
    band = None if correlation is None else model.correlations(ds, correlation, chosen, BY)
    values, spread = samples.read(ds, chosen, patterns, BY)
    if spread is None and rank is None:
        raise ArgumentError(
            f"{BY}: without a variance the noise is not known",
            got="intensity alone",
            do="rank=, or integrate with error_model='poisson'",
        )
    noise = np.ones_like(values) if spread is None else spread
    fine = np.isfinite(values) & np.isfinite(noise)
    bins = fine.any(axis=0)
    rows = fine[:, bins].all(axis=1) & bins.any()
    scale = np.zeros(bins.size)
    scale[bins] = np.sqrt(noise[rows][:, bins].mean(axis=0)) if rows.any() else 0
    used = scale > 0
    if not used.any():
        raise ArgumentError(
            f"{BY}: no pattern of the sample is finite",
            got=f"{len(values)} patterns",
            expected="intensities, with a variance that is not 0",
            do="more patterns=, or other bins: ds.isel(q=...)",
        )
    white = values[rows][:, used] / scale[used]
    curves, singular = kernels.basis_of(white)
    sigma = np.zeros(values[rows].shape)
    sigma[:, used] = np.sqrt(noise[rows][:, used]) / scale[used]
    edge = np.nan if spread is None else kernels.edge_of(sigma, seed=seed, band=band)
    count = int((singular > edge).sum()) if rank is None else rank
    if not 0 < count <= len(singular):
        raise ArgumentError(
            f"{BY}: there are no so many curves" if rank else f"{BY}: nothing stands out of noise",
            got=f"rank={rank}, of {len(singular)}" if rank else f"singular values up to "
            f"{singular[0]:g}, the threshold being {edge:g}",
            do="a smaller rank=" if rank else "rank=, or patterns with more counts",
        )  # fmt: skip
    basis = np.zeros((count, bins.size))
    basis[:, used] = curves[:count]
    return _node(ds, basis, scale, singular[:count], (edge, seed))


def _node(
    ds: xr.Dataset, basis: Array, scale: Array, singular: Array, numbers: tuple[float, int]
) -> xr.Dataset:
    out = xr.Dataset(
        {
            "basis": (("component", "q"), basis.astype(np.float32)),
            "scale": ("q", scale),
            "singular": ("component", singular),
            "threshold": numbers[0],
            "seed": numbers[1],
        },
        {"q": ds["q"].variable.to_base_variable()},
    )
    return schema.describe(out, schema.BASIS).assign_attrs(ds.attrs)


@step(cites=("10.1109/TIT.2014.2323359",))
def low_rank(ds: xr.Dataset, *, basis: xr.Dataset) -> xr.Dataset:
    r"""Bring every pattern to the nearest sum of a few curves, which has less noise.

    :math:`y = s\,V V^T (x / s)`, with curves V and scale s from `find_basis`. It is linear in the
    pattern and the same for all, so that it may come before `reconstruct` by filtered
    back-projection or after it. What it costs: a line that few patterns have, too weak for a curve
    of its own, is lost or shared out, and errors of bins become correlated over all of q.
    `fit_phases` gains nothing from it, being a projection itself.

    Parameters
    ----------
    ds
        ``intensity(..., q)``, with or without ``variance``. Patterns with bins that are not finite
        become NaN; bins that have no scale stay as they are.
    basis
        From `find_basis`, on this scan.

    Returns
    -------
    xarray.Dataset
        The same with other ``intensity``, and ``variance``: that of independent bins, carried
        through exactly with the curves taken for known; more in truth where bins have errors in
        common. A covariance of bins is dropped.

    Raises
    ------
    SchemaError
        For a dataset without patterns or a node without basis.
    ArgumentError
        For a basis of other bins.
    """
    by = "xrdct.low_rank"
    intensity, spread = model.intensities(ds, by)
    schema.validate(basis, schema.BASIS, by=by)
    q, own = known(ds["q"]).astype(float), known(basis["q"]).astype(float)
    if q.size != own.size or np.abs(q - own).max() > 1e-6 * np.abs(q).max():
        raise ArgumentError(
            f"{by}: the basis is that of other bins",
            got=f"{own.size} bins, {own[0]:g} to {own[-1]:g} 1/angstrom",
            expected=f"{q.size} bins, {q[0]:g} to {q[-1]:g} 1/angstrom",
            do="measure it on this scan: xrdct.find_basis",
        )
    curves = basis["basis"].transpose("component", "q").compute(scheduler="synchronous")
    parameters = {"basis": np.asarray(curves.values, float), "scale": known(basis["scale"])}
    made = {"intensity": lift(kernels.project, intensity, parameters=parameters)[0]}
    if spread is not None:
        made["variance"] = lift(kernels.variance, spread, parameters=parameters)[0]
    out = ds.drop_dims([d for d in ("lag",) if d in ds.dims])
    out = out.drop_vars([n for n in ("signal", "normalization") if n in out.variables])
    for name, array in made.items():
        old = ds[name]
        out[name] = array.transpose(*old.dims).assign_attrs(old.attrs)
    return out.assign_attrs({**ds.attrs, "limits": [*ds.attrs.get("limits", []), LIMIT]})

"""Are the phases isolated? The share of voxels that are mixed beyond the beam's blur."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels.isolation import shares
from zeoarray.labelled import known
from zeoarray.step import Count, Share, measure

__all__ = ["isolation"]

Array = np.ndarray[Any, Any]
BY = "xrdct.isolation"


def _as_it_may_be(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    """Phases that are isolated, made without reading."""
    return _node(ds, np.zeros((ds.sizes["z"], 4)), np.ones(ds.sizes["z"], int))


@measure(expects=_as_it_may_be)
def isolation(
    ds: xr.Dataset,
    *,
    beam_um: float | None = None,
    pure: Share = 0.1,
    empty: Share = 0.2,
    draws: Count = 100,
    seed: int = 0,
) -> xr.Dataset:
    """Measure the share of voxels in which phases are mixed, beyond what the beam's width mixes.

    A voxel is mixed where the lesser phases have more than `pure` of the sum of weights. The same
    is counted in a map made of the measured one, in which every place belongs to one phase, blurred
    by the beam and with noise of the measured covariance: what is mixed there is no mixing of the
    sample. The excess is the difference. Errors are those of the counts; what the beam's width
    makes, if it is not known, is not among them.

    Parameters
    ----------
    ds
        From `fit_phases`, of voxels.
    beam_um
        Full width at half maximum of the beam [um]; the coordinate `beam_size`, else `resolution`,
        of `ds` where None.
    pure
        Share of the lesser phases in a voxel that still counts as pure.
    empty
        Voxels with less than this of the 95th percentile of the sum of weights hold no matter.
    draws
        Of the noise.
    seed
        Of the draws.

    Returns
    -------
    xarray.Dataset
        Over ``z``: ``mixed``, ``mixed_blur``, ``mixed_excess`` with their errors, and ``voxels``.

    Raises
    ------
    SchemaError
        For a dataset without weights of voxels and their covariance.
    ArgumentError
        Where the beam's width is not known, or there is one phase only.
    """
    for name in ("weight", "weight_covariance"):
        if name not in ds.variables or not {"z", "y", "x", "phase"} <= set(ds[name].dims):
            raise SchemaError(
                f"{BY}: there is no {name!r} of voxels",
                got=", ".join(f"{n}{v.dims}" for n, v in ds.data_vars.items()),
                expected="what xrdct.fit_phases gives of intensity(z, y, x, q)",
            )
    if ds.sizes["phase"] < 2:
        raise ArgumentError(f"{BY}: one phase alone cannot be mixed", got="1 phase")
    if draws < 2 or (beam_um is not None and not beam_um > 0):
        raise ArgumentError(
            f"{BY}: a spread needs two draws or more, and a beam a width",
            got=f"draws={draws}, beam_um={beam_um}",
        )
    step = _step(ds)
    blur = _beam(ds) if beam_um is None else beam_um
    order = ("z", "phase", "y", "x")
    weight = np.asarray(ds["weight"].transpose(*order).values, float)
    covariance = ds["weight_covariance"].transpose("z", "phase", "other", "y", "x").values
    positive = np.maximum(np.nan_to_num(weight), 0).sum(axis=1)
    solid = positive[positive > 0]
    least = empty * float(np.percentile(solid, 95)) if solid.size else 0.0
    found, voxels = [], []
    for i, height in enumerate(known(ds["z"]).astype(float)):
        # Each layer has draws of its own, by its height.
        rng = np.random.default_rng([seed, int(np.rint(height * 1000)) % 2**63])
        *share, count = shares(
            weight[i], np.asarray(covariance[i], float), blur_px=blur / step, pure=pure,
            least=least, draws=draws, rng=rng,
        )  # fmt: skip
        found.append(share)
        voxels.append(count)
    return _node(ds, np.array(found), np.array(voxels))


def _step(ds: xr.Dataset) -> float:
    x = known(ds["x"]).astype(float)
    if x.size > 1:
        return float(abs(x[-1] - x[0])) / (x.size - 1)
    schema.validate(ds, schema.Schema("volume of one column", (schema.RESOLUTION,)), by=BY)
    return float(known(ds["resolution"]))


def _beam(ds: xr.Dataset) -> float:
    for name in ("beam_size", "resolution"):
        if name in ds.variables:
            return float(known(ds[name]))
    raise ArgumentError(
        f"{BY}: the width of the beam is not known",
        got="neither 'beam_size' nor 'resolution'",
        do="beam_um=25, its full width in um",
    )


def _node(ds: xr.Dataset, found: Array, voxels: Array) -> xr.Dataset:
    mixed, mixed_sigma, null, null_sigma = found.T
    values = {
        "mixed": mixed,
        "mixed_sigma": mixed_sigma,
        "mixed_blur": null,
        "mixed_blur_sigma": null_sigma,
        "mixed_excess": mixed - null,
        "mixed_excess_sigma": np.hypot(mixed_sigma, null_sigma),
        "voxels": voxels,
    }
    out = xr.Dataset(
        {name: ("z", value) for name, value in values.items()},
        {"z": ds["z"].variable.to_base_variable()},
    )
    return schema.describe(out, schema.ISOLATION).assign_attrs(ds.attrs)

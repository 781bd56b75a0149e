"""Stripes of bad detector columns, which would be rings in the slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import rings, stripes_fourier, stripes_regularized
from zeoarray.labelled import known, lift
from zeoarray.step import Count, measure, step

__all__ = ["compare_rings", "remove_rings", "ring_check"]

Method = Literal["all", "sorting", "filtering", "large", "dead", "wavelet-fourier", "regularized"]
VO = "10.1364/OE.26.028396"
MUENCH = "10.1364/OE.17.008567"
TITARENKO = "10.1063/1.3216041"

# Each method's kernel, and what its parameters are called here.
METHODS: dict[str, tuple[Callable[..., Any], dict[str, str]]] = {
    "all": (
        rings.remove_all_stripe,
        {
            "snr": "snr",
            "la_size": "la_size",
            "sm_size": "sm_size",
            "drop_ratio": "drop_ratio",
            "norm": "norm",
        },
    ),
    "sorting": (rings.remove_stripe_based_sorting, {"size": "sm_size"}),
    "filtering": (rings.remove_stripe_based_filtering, {"size": "sm_size"}),
    "large": (
        rings.remove_large_stripe,
        {"snr": "snr", "size": "la_size", "drop_ratio": "drop_ratio", "norm": "norm"},
    ),
    "dead": (rings.remove_dead_stripe, {"snr": "snr", "size": "la_size"}),
    "wavelet-fourier": (
        stripes_fourier.remove_stripe_based_wavelets,
        {"level": "level", "sigma": "sigma", "order": "order"},
    ),
    "regularized": (
        stripes_regularized.remove_stripe_based_regularization,
        {"alpha": "alpha"},
    ),
}


@step(cites=(VO, MUENCH, TITARENKO))
def remove_rings(
    ds: xr.Dataset,
    *,
    method: Method = "all",
    snr: float = 3.0,
    la_size: Count = 71,
    sm_size: Count = 31,
    drop_ratio: float = 0.1,
    norm: bool = True,
    level: Count = 4,
    sigma: float = 1.0,
    order: Count = 8,
    alpha: float = 0.005,
) -> xr.Dataset:
    """Remove stripes from sinograms, row by row: methods of Vo, Münch, Titarenko and others.

    The defaults are those of Savu's plugins, and the names where they say what is meant; results
    of Vo's methods equal those of `algotom.prep.removal`. A parameter that a method does not use
    has no effect: each says below by which methods it is used.

    Parameters
    ----------
    ds
        ``absorbance(angle, z, u)`` or, where it has none, ``transmission(angle, z, u)``.
    method
        ``all``: dead, then large, then sorting. ``sorting``: small full and partial stripes.
        ``filtering``: the same for what varies slowly along the angle. ``large``: wide and strong
        ones. ``dead``: unresponsive and fluctuating ones, then large. These are Vo's.
        ``wavelet-fourier``: full stripes, by wavelets and Fourier transforms (Münch).
        ``regularized``: full stripes, by one offset for each column (Titarenko).
    snr
        How many times the noise a stripe stands out, at least 1; greater finds fewer. Used by
        all, large, dead.
    la_size
        Window of the median for large stripes [px], wider than the widest of them. Used by all,
        large, dead.
    sm_size
        Window of the median for small stripes [px]. Used by all, sorting, filtering.
    drop_ratio
        Share of the lowest and highest values of a column that are left out of its mean. Used by
        all and large.
    norm
        Whether columns are divided by what their means exceed the median of their neighbours by,
        before large stripes are looked for. It removes more, and takes some of a sample that is
        not many times wider than `la_size` with it: about 1 % of the attenuation. Used by all and
        large.
    level
        Levels of wavelets; stripes of up to about 2^level columns are removed. Used by
        wavelet-fourier.
    sigma
        Width of the damping [frequencies of a column]; greater removes more. Used by
        wavelet-fourier.
    order
        Order of Daubechies' wavelets, 1 to 20. Used by wavelet-fourier.
    alpha
        Weight of the offsets; smaller removes more. Used by regularized.

    Returns
    -------
    xarray.Dataset
        The same without stripes.

    Raises
    ------
    SchemaError
        For a dataset that has neither.
    ArgumentError
        For a window wider than the detector, `snr` below 1, `drop_ratio` outside 0 to 0.8, more
        levels than fit into a sinogram, a `sigma` or an `alpha` that is not positive, an `order`
        that there is not; and, when it is computed, for values that are not finite.

    References
    ----------
    N. T. Vo et al., Opt. Express 26, 28396 (2018), doi:10.1364/OE.26.028396; B. Münch et al.,
    Opt. Express 17, 8567 (2009), doi:10.1364/OE.17.008567; S. Titarenko et al., Appl. Phys. Lett.
    95, 071113 (2009), doi:10.1063/1.3216041, and Opt. Express 18, 22775 (2010),
    doi:10.1364/OE.18.022775.
    """
    var = _sinograms(ds, by="xct.remove_rings")
    values = {
        "snr": snr, "la_size": la_size, "sm_size": sm_size, "drop_ratio": drop_ratio, "norm": norm,
        "level": level, "sigma": sigma, "order": order, "alpha": alpha,
    }  # fmt: skip
    clean = _cleaned(ds[var.name], method, values, by="xct.remove_rings")
    return ds.assign({var.name: clean})


def compare_rings(
    ds: xr.Dataset,
    *,
    z: float | None = None,
    method: Method = "all",
    snr: float = 3.0,
    la_size: int = 71,
    sm_size: int = 31,
    drop_ratio: float = 0.1,
    norm: bool = True,
    level: int = 4,
    sigma: float = 1.0,
    order: int = 8,
    alpha: float = 0.005,
) -> xr.Dataset:
    """Return one sinogram before and after the removal of stripes, and the difference.

    Parameters
    ----------
    ds
        As for `remove_rings`.
    z
        Height of the row [um], the nearest is taken; by default the middle row.
    method, snr, la_size, sm_size, drop_ratio, norm, level, sigma, order, alpha
        As for `remove_rings`.

    Returns
    -------
    xarray.Dataset
        ``before(angle, u)``, ``after(angle, u)``, ``removed(angle, u)``; lazy where `ds` is.

    Raises
    ------
    SchemaError, ArgumentError
        As `remove_rings` does.
    """
    var = _sinograms(ds, by="xct.compare_rings")
    heights = known(ds["z"])
    row = heights.size // 2 if z is None else int(np.abs(heights - z).argmin())
    before = ds[var.name].isel(z=row)
    values = {
        "snr": snr, "la_size": la_size, "sm_size": sm_size, "drop_ratio": drop_ratio, "norm": norm,
        "level": level, "sigma": sigma, "order": order, "alpha": alpha,
    }  # fmt: skip
    after = _cleaned(before, method, values, by="xct.compare_rings")
    removed = (before - after).assign_attrs(before.attrs)
    return xr.Dataset({"before": before, "after": after, "removed": removed})


def _as_it_may_be(ds: xr.Dataset, *, rows: int = 4, **parameters: Any) -> xr.Dataset:
    """A check that found nothing, made without reading."""
    _sinograms(ds, by="xct.ring_check")
    sample = ds[["z", "u"]].isel(z=_rows(ds, rows))
    ones, width = np.ones(sample.sizes["z"]), sample.sizes["u"]
    return _labelled(sample, ones, ones, 0 * ones, np.zeros((ones.size, width), np.float32))


@measure(cites=(VO, MUENCH, TITARENKO), expects=_as_it_may_be)
def ring_check(
    ds: xr.Dataset,
    *,
    rows: Count = 4,
    method: Method = "all",
    snr: float = 3.0,
    la_size: Count = 71,
    sm_size: Count = 31,
    drop_ratio: float = 0.1,
    norm: bool = True,
    level: Count = 4,
    sigma: float = 1.0,
    order: Count = 8,
    alpha: float = 0.005,
) -> xr.Dataset:
    """Measure on a sample of rows what `remove_rings` would do with these parameters.

    Parameters
    ----------
    ds
        As for `remove_rings`.
    rows
        How many rows are read, evenly spread over `z`.
    method, snr, la_size, sm_size, drop_ratio, norm, level, sigma, order, alpha
        As for `remove_rings`.

    Returns
    -------
    xarray.Dataset
        For each row of the sample the ring score of its sinogram before and after (see
        `kernels.rings.ring_score`: 1 is noise alone), the root mean square of all that is removed,
        and ``stripe(z, u)``, its mean over the angle.

    Raises
    ------
    SchemaError, ArgumentError
        As `remove_rings` does.
    """
    var = _sinograms(ds, by="xct.ring_check")
    before = ds[var.name].isel(z=_rows(ds, rows))
    values = {
        "snr": snr, "la_size": la_size, "sm_size": sm_size, "drop_ratio": drop_ratio, "norm": norm,
        "level": level, "sigma": sigma, "order": order, "alpha": alpha,
    }  # fmt: skip
    after = _cleaned(before, method, values, by="xct.ring_check")
    removed = before - after
    scores = [lift(rings.ring_score, a)[0].astype(np.float64) for a in (before, after)]
    found = xr.Dataset(
        {
            "before": scores[0],
            "after": scores[1],
            "rms": np.sqrt((removed**2).mean(("angle", "u"), dtype=np.float64)),
            "stripe": removed.mean("angle", dtype=np.float64)
            .astype(np.float32)
            .transpose("z", "u"),
        }
    ).compute()
    parts = (found[name].values for name in ("before", "after", "rms", "stripe"))
    return _labelled(found[["z", "u"]], *parts)


def _labelled(sample: xr.Dataset, before: Any, after: Any, rms: Any, stripe: Any) -> xr.Dataset:
    out = sample.reset_coords(drop=True).drop_attrs(deep=False)
    pairs = (
        (schema.RING_SCORE_BEFORE, before),
        (schema.RING_SCORE_AFTER, after),
        (schema.STRIPE_RMS, rms),
        (schema.STRIPE, stripe),
    )
    return out.assign({v.name: (v.dims, values, schema.attrs_of(v)) for v, values in pairs})


def _rows(ds: xr.Dataset, rows: int) -> np.ndarray:
    count = ds.sizes["z"]
    return np.unique(np.linspace(0, count - 1, min(rows, count)).round().astype(int))


def _sinograms(ds: xr.Dataset, *, by: str) -> schema.Var:
    has = schema.ABSORBANCE.name in ds.variables
    schema.validate(ds, schema.ABSORBANCE_XCT if has else schema.NORMALIZED_XCT, by=by)
    return schema.ABSORBANCE if has else schema.TRANSMISSION


def _cleaned(
    sinograms: xr.DataArray, method: Method, values: dict[str, Any], *, by: str
) -> xr.DataArray:
    kernel, names = METHODS[method]
    width = sinograms.sizes["u"]
    for name in names.values():
        if name.endswith("_size") and values[name] > width:
            raise ArgumentError(
                f"{by}: the window {name} is wider than the detector",
                got=f"{name}={values[name]}, {width} columns",
                expected=f"1 to {width} columns",
                do=f"{name}={max(width // 3 | 1, 1)}, or another method than {method!r}",
            )
    if "level" in names:
        stripes_fourier.check_level(values["level"], sinograms.sizes["angle"], width)
    parameters = {inner: values[name] for inner, name in names.items()}
    # A kernel checks its parameters also where there is nothing to do: not only when it computes.
    kernel(np.empty((0, 0), np.float32), **parameters)
    (clean,) = lift(kernel, sinograms, parameters=parameters)
    return clean.rename(sinograms.name).assign_attrs(sinograms.attrs)

"""From patterns to phases: `fit_phases`, `fractions`, and the correlation of bins they rest on."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels import phases as kernels
from zeoarray.labelled import known, lift
from zeoarray.step import Count, measure, step
from zeoarray.xrdct import model

__all__ = ["bin_correlation", "fit_phases", "fractions"]

BY = "xrdct.fit_phases"


@step(cites=("10.1137/1.9781611971217", "10.1017/S0370164600014346"))
def fit_phases(
    ds: xr.Dataset,
    *,
    references: xr.Dataset,
    phases: tuple[str, ...] | None = None,
    q_range: tuple[float, float] | None = None,
    background: int = 8,
    nonnegative: bool = True,
    correlation: xr.Dataset | None = None,
    parallax: xr.Dataset | None = None,
    smooth: Count = kernels.SMOOTH,
    floor: float = kernels.FLOOR,
) -> xr.Dataset:
    r"""Fit every pattern by reference patterns and a smooth background.

    :math:`I(q) = \sum_p w_p P_p(q) + \sum_b c_b B_b(q)`, by generalised least squares with
    :math:`w_p \ge 0`. Weights add up: that of a ray is the integral of those of its voxels, and
    they may be back-projected. Fractions do not add up and are derived (`fractions`). The errors
    are those of the fit without bound, with the covariance of neighbouring bins where it is known,
    and with the covariance of overlapping phases.

    Parameters
    ----------
    ds
        ``intensity(z, y, x, q)`` of voxels or ``intensity(z, angle, u, q)`` of rays, with
        ``variance`` of the same dims. Without variance every bin counts the same and the errors
        come from the residual, in which bins are taken as independent.
    references
        ``pattern(phase, q)``, from `reference_patterns` or of the user's own.
    phases
        Those that are fitted; all where None.
    q_range
        First and last q that are fitted [1/angstrom]; all where None.
    background
        Number of cubic B-splines; 0 for none.
    nonnegative
        Whether weights are held at 0 from below. Where sums are taken of them, as in totals of a
        region or in rays that are back-projected, they should not be: what is cut off at 0 does not
        average out. Around a phase that fills a third of a layer, streaks cut off at 0 add 1 % to
        its total.
    correlation
        ``correlation(q, lag)`` from `bin_correlation`; bins are taken as independent where None.
    parallax
        From `parallax`: lines of a voxel off the axis, seen over a full circle, are broadened by
        its way along the beam. Only of voxels.
    smooth
        Bins over which variances are averaged for the weights: single variances of counts hang on
        the fluctuation that they weigh, which biases the fit.
    floor
        Share of a bin's variance that is taken as not correlated, for the weights only: where a
        pixel spreads over several bins, some of their differences have almost no error, and a model
        that is not perfect must not be judged by them. Where the correlations are those
        of no covariance (a band that was cut off), it is doubled until they are; `limits` says so.

    Returns
    -------
    xarray.Dataset
        ``weight(phase, ...)``, ``weight_sigma``, ``weight_covariance(phase, other, ...)``,
        ``at_bound``; ``chi2``, 1 where the model is right, if there is a variance. NaN where a
        pattern has no more bins than the model has terms.

    Raises
    ------
    SchemaError
        For a dataset without patterns or references.
    ArgumentError
        Where references do not cover q, are collinear (it says which), or are more than there are
        bins.
    """
    if not 0 <= floor <= 1:
        raise ArgumentError(f"{BY}: the floor is a share", got=f"floor={floor}", expected="0 to 1")
    chosen = model.selection(ds, q_range, BY)
    intensity, variance = model.intensities(ds, BY)
    q = known(ds["q"]).astype(float)[chosen]
    spread, level = _levels(intensity, parallax)
    reach = float(max(spread))
    names, curves = model.patterns_of(references, phases, q, BY, reach)
    design = model.design_of(curves, q, background, spread)
    if design.shape[1] >= q.size:
        raise ArgumentError(
            f"{BY}: there are more phases and background terms than bins",
            got=f"{len(names)} phases, {background} of the background, {q.size} bins",
            do="a longer q_range=, or a smaller background=",
        )
    model.check_collinear(names, design[0], BY)
    band, told = None, ""
    if correlation is not None:
        band = model.correlations(ds, correlation, chosen, BY)
        floor, asked = kernels.floor_of(band, floor), floor
        if floor > asked:
            told = (
                "the correlations of bins are not positive definite, as a band that was cut off: "
                f"weights have the floor {floor:g} in place of {asked:g}"
            )
    if variance is None:
        like = xr.DataArray(np.ones(q.size, np.float32), dims="q")
    else:
        like = variance.isel(q=chosen)
    found = lift(
        kernels.fit,
        intensity.isel(q=chosen),
        like,
        parameters={
            "design": design if len(design) > 1 else design[0],
            "bounded": len(names) if nonnegative else 0,
            "correlation": band,
            "level": level,
            "floor": floor,
            "smooth": smooth,
        },
        dims={"term": "phase"},
    )
    out = _labelled(ds, found, names, scaled=variance is None)
    limits = _limits(variance is not None, band is not None, parallax is not None)
    limits += [told] if told else []
    return out.assign_attrs({**ds.attrs, "limits": [*ds.attrs.get("limits", []), *limits]})


def _levels(
    intensity: xr.DataArray, parallax: xr.Dataset | None
) -> tuple[list[float], xr.DataArray | float]:
    """Relative shifts at the ends of each model's circle, and which model belongs to each voxel."""
    if parallax is None:
        return [0.0], 0.0
    # The models are the same whatever part of the volume is looked at; only their number differs.
    level = model.spread_of(intensity, parallax, BY) / model.LEVEL
    count = int(np.ceil(float(level.max()))) + 1 if level.size else 1
    return [model.LEVEL * i for i in range(count)], level


def _labelled(
    ds: xr.Dataset, found: tuple[xr.DataArray, ...], names: list[str], *, scaled: bool
) -> xr.Dataset:
    """The results over phases, in the order of dims of the data model."""
    count = len(names)
    some = slice(0, count)
    weight, covariance, chi2, bound = found
    covariance = covariance.isel(phase=some, other=some)
    if scaled:
        covariance = covariance * chi2.astype(covariance.dtype)
    own = xr.DataArray(np.arange(count), dims="phase")
    values: dict[str, xr.DataArray] = {
        "weight": weight.isel(phase=some),
        "weight_sigma": covariance.isel(phase=own, other=own) ** 0.5,
        "weight_covariance": covariance,
        "at_bound": bound.isel(phase=some),
    }
    if not scaled:
        values["chi2"] = chi2
    out = {}
    for name, array in values.items():
        array = array.reset_coords(drop=True)
        first = [d for d in ("phase", "other") if d in array.dims]
        out[name] = array.transpose(*first, ...).drop_attrs(deep=False)
    rest = ds.drop_dims([d for d in ("q", "lag") if d in ds.dims])
    made = rest.assign(out).assign_coords(phase=names, other=names)
    return schema.describe(made, _schema(made["weight"]))


def _schema(weight: xr.DataArray) -> schema.Schema:
    rays = {"angle", "u"} <= set(weight.dims)
    return schema.PHASES_SINOGRAM if rays else schema.PHASES_XRDCT


def _limits(variance: bool, band: bool, parallax: bool) -> list[str]:
    """What a reader of the result has to know."""
    out = []
    if not variance:
        out.append("phase errors come from the residual: the patterns had no variance")
    if not band:
        out.append("phase errors take bins as independent: their correlation was not given")
    if not parallax:
        out.append("lines of voxels off the axis are broader by parallax, which was not modelled")
    return out


@step()
def fractions(ds: xr.Dataset, *, least: float = 0.0) -> xr.Dataset:
    r"""Derive the share of each phase in the sum of weights, with its error.

    :math:`f_p = w_p / \sum_r w_r`, and its variance :math:`g^T C g` with
    :math:`g_r = (\delta_{pr} - f_p) / \sum w`. Fractions do not add up over voxels: they are never
    averaged or back-projected.

    Parameters
    ----------
    ds
        From `fit_phases`.
    least
        Where the sum of weights is not above this there is no fraction: NaN.

    Returns
    -------
    xarray.Dataset
        The same with ``fraction(phase, ...)`` and ``fraction_sigma``.

    Raises
    ------
    SchemaError
        For a dataset without weights and their covariance.
    """
    for name in ("weight", "weight_covariance"):
        if name not in ds.variables:
            raise SchemaError(
                f"xrdct.fractions: there is no {name!r}",
                got=", ".join(map(str, ds.data_vars)),
                do="xrdct.fit_phases gives it",
            )
    weight = ds["weight"]
    fraction, sigma = lift(
        kernels.share, weight, ds["weight_covariance"], parameters={"least": least}
    )
    made = ds.assign(
        fraction=fraction.transpose(*weight.dims), fraction_sigma=sigma.transpose(*weight.dims)
    )
    return schema.describe(made, _schema(weight)).assign_attrs(ds.attrs)


def _as_it_may_be(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    """Independent bins, made without reading."""
    band = np.zeros((ds.sizes["q"], ds.sizes.get("lag", 1)), np.float32)
    band[:, 0] = 1
    return _correlations(ds, band)


@measure(expects=_as_it_may_be)
def bin_correlation(ds: xr.Dataset, *, rays: Count = 64) -> xr.Dataset:
    """Measure how the errors of neighbouring bins are correlated, on a sample of patterns.

    Pixels are wider than bins, so their counts go into several of them. How the errors correlate
    is a matter of the geometry, and changes little from ray to ray, so that what the rays share
    serves for voxels too, which are sums of rays.

    Parameters
    ----------
    ds
        ``covariance(..., q, lag)`` of bins with those that `lag` bins on, variance at lag 0.
    rays
        Number of patterns that are read, evenly spread over the scan.

    Returns
    -------
    xarray.Dataset
        ``correlation(q, lag)``.

    Raises
    ------
    SchemaError
        For a dataset without covariances.
    """
    if "covariance" not in ds.variables or ds["covariance"].dims[-2:] != ("q", "lag"):
        raise SchemaError(
            "xrdct.bin_correlation: there is no covariance of bins",
            got=", ".join(f"{n}{v.dims}" for n, v in ds.data_vars.items()),
            expected="covariance(..., q, lag)",
            do="integrate with an error model, and keep the covariance band",
        )
    band = ds["covariance"]
    sizes = [n for d, n in band.sizes.items() if d not in ("q", "lag")]
    count = int(np.prod(sizes, dtype=int))
    picked = np.unique(np.linspace(0, count - 1, min(rays, count)).round().astype(int))
    at = dict(zip([d for d in band.dims if d not in ("q", "lag")],
                  (xr.DataArray(i, dims="ray") for i in np.unravel_index(picked, sizes)),
                  strict=True)) if sizes else {}  # fmt: skip
    values = np.asarray(band.isel(at).compute(scheduler="synchronous").values, float)
    values = values.reshape(-1, *values.shape[-2:])
    # A point that was not measured has no covariance.
    values = values[np.isfinite(values).all(axis=(1, 2))]
    if not len(values):
        raise ArgumentError(
            "xrdct.bin_correlation: no pattern of the sample was measured",
            got=f"{picked.size} patterns that are not finite",
            do="more rays=",
        )
    return _correlations(ds, kernels.correlation_of(values).astype(np.float32))


def _correlations(ds: xr.Dataset, band: Any) -> xr.Dataset:
    out = xr.Dataset(
        {"correlation": (("q", "lag"), band)},
        {"q": ds["q"].variable.to_base_variable(), "lag": np.arange(band.shape[-1])},
    )
    return schema.describe(out, schema.CORRELATIONS).assign_attrs(ds.attrs)

"""Peaks of every pattern, one by one or overlapping: `map_peaks`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.kernels import peaks as kernels
from zeoarray.kernels import phases as phase_kernels
from zeoarray.labelled import known, lift
from zeoarray.step import Count, step
from zeoarray.xrdct import model

__all__ = ["map_peaks"]

BY = "xrdct.map_peaks"


@step(cites=("10.1137/0111030",))
def map_peaks(
    ds: xr.Dataset,
    *,
    peaks: tuple[float, ...],
    window: float = 0.02,
    width: float = 0.008,
    profile: kernels.Profile = "pseudo_voigt",
    correlation: xr.Dataset | None = None,
    significance: float = 3.0,
    smooth: Count = phase_kernels.SMOOTH,
    iterations: Count = 60,
) -> xr.Dataset:
    """Fit peaks in every pattern: area above a straight background, position and width.

    Peaks whose windows meet are fitted jointly. Only areas add up along a ray: reconstruct the
    patterns first and map their peaks, or back-project areas of rays; never back-project a position
    or a width. Areas may be negative, so that they stay true on average where there is no peak.

    Parameters
    ----------
    ds
        ``intensity(..., q)`` with ``variance``. Without, every bin counts the same and the errors
        come from the residual.
    peaks
        Where peaks are looked for [1/angstrom].
    window
        A peak is fitted from this far below its place to this far above, and is found within half
        of it [1/angstrom].
    width
        Full width at half maximum to begin with [1/angstrom].
    profile
        ``pseudo_voigt`` or ``gaussian``.
    correlation
        From `bin_correlation`; bins are taken as independent where None.
    significance
        A peak whose area, with the shape that it begins with, is not so many times its error keeps
        that shape: its area is a linear fit's, its position and width are NaN.
    smooth
        Bins over which variances are averaged, for the weights.
    iterations
        At most so many steps of Levenberg and Marquardt.

    Returns
    -------
    xarray.Dataset
        ``area(peak, ...)``, ``position``, ``width``, ``lorentzian``, and the standard error of each
        (``area_sigma``, ...); ``peak_chi2``, 1 where the model is right; ``converged``.

    Raises
    ------
    SchemaError
        For a dataset without patterns.
    ArgumentError
        For peaks outside q, and windows that hold too few bins.
    """
    chosen = model.selection(ds, None, BY)
    intensity, variance = model.intensities(ds, BY)
    q = known(ds["q"]).astype(float)
    band = None if correlation is None else model.correlations(ds, correlation, chosen, BY)
    parameters: dict[str, Any] = {
        "q": q, "peaks": peaks, "window": window, "width": width, "profile": profile,
        "correlation": band, "significance": significance, "smooth": smooth,
        "iterations": iterations,
    }  # fmt: skip
    # A kernel checks its parameters also where there is nothing to do: not only when it computes.
    kernels.fit_peaks(np.empty((0, q.size), np.float32), np.ones(q.size), **parameters)
    unknown_noise = variance is None
    like = xr.DataArray(np.ones(q.size, np.float32), dims="q") if variance is None else variance
    values, sigma, chi2, converged = lift(kernels.fit_peaks, intensity, like, parameters=parameters)
    if unknown_noise:
        sigma = sigma * chi2.astype(sigma.dtype) ** 0.5
    out = {"peak_chi2": chi2, "converged": converged} if not unknown_noise else {
        "converged": converged
    }  # fmt: skip
    for i, name in enumerate(("area", "position", "width", "lorentzian")):
        out[name] = values.isel(number=i)
        out[f"{name}_sigma"] = sigma.isel(number=i)
    rest = ds.drop_dims([d for d in ("q", "lag") if d in ds.dims])
    made = rest.assign({n: a.transpose("peak", ...) for n, a in out.items()})
    made = made.assign_coords(peak=("peak", np.asarray(peaks, float)))
    rays = {"angle", "u"} <= set(intensity.dims)
    made = schema.describe(made, schema.PEAKS_SINOGRAM if rays else schema.PEAKS_XRDCT)
    limits = ["positions and widths of peaks do not add up: they are never back-projected"]
    if unknown_noise:
        limits.append("peak errors come from the residual: the patterns had no variance")
    if band is None:
        limits.append("peak errors take bins as independent: their correlation was not given")
    return made.assign_attrs({**ds.attrs, "limits": [*ds.attrs.get("limits", []), *limits]})

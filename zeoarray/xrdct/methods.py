"""What `reconstruct` does with the rays of all channels, by method and operator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError
from zeoarray.kernels import (
    dense,
    dense_iterative,
    dense_resampled,
    expectation,
    gaps,
    iterative,
    radon,
    total_variation,
)
from zeoarray.labelled import lift

BY = "xrdct.reconstruct"

BY_CHANNEL: dict[str, Callable[..., Any]] = {
    "sirt": iterative.sirt,
    "cgls": iterative.cgls,
    "mlem": expectation.mlem,
    "tv": total_variation.total_variation,
}
ITERATIONS = {"sirt": 100, "cgls": 10, "mlem": 50, "tv": 100}


@dataclass(frozen=True)
class Rays:
    """Line integrals that a kernel takes, and the geometry they are in."""

    values: xr.DataArray
    variance: xr.DataArray | None
    valid: xr.DataArray | None
    angle: xr.DataArray
    """In radians, anticlockwise seen against `z` of the dataset."""
    common: Mapping[str, Any]
    """Parameters of every kernel: centre, size, radius."""


def beside_noise(rays: Rays, edges: float | None, lower: float | None) -> tuple[Rays, xr.DataArray]:
    """The rays divided by the noise of their channel, where one weight of edges is right for all.

    Also that noise, with which what is made of them is multiplied.

    Raises
    ------
    ArgumentError
        Where edges cannot be weighed.
    """
    if edges is None or not 0 <= edges < np.inf:
        raise ArgumentError(
            f"{BY}: method 'tv' needs to know how much edges count",
            got=f"edges={edges}",
            expected="about 0.5; 0 is least squares",
        )
    if rays.variance is None:
        raise ArgumentError(
            f"{BY}: method 'tv' weighs edges beside the noise of each channel",
            got="a sinogram without 'variance'",
            do="integrate with error_model='poisson', or take another method",
        )
    if lower:
        raise ArgumentError(
            f"{BY}: the bound of method 'tv' is the same for all channels, whatever their noise",
            got=f"lower={lower}",
            expected="0, or None for no bound",
        )
    parameters = {"valid": rays.valid}
    (noise,) = lift(dense_resampled.backprojected_noise, rays.variance, parameters=parameters)
    scaled = replace(rays, values=rays.values / noise, variance=rays.variance / noise**2)
    return scaled, noise


def filtered(rays: Rays, chosen: Mapping[str, Any]) -> dict[str, xr.DataArray]:
    """Intensity and variance of the dense operator, by name."""
    parameters = {**rays.common, **chosen, "valid": rays.valid}
    (image,) = lift(dense.filtered_backprojection, rays.values, rays.angle, parameters=parameters)
    out = {"intensity": image}
    if rays.variance is not None:
        (out["variance"],) = lift(dense.variance, rays.variance, rays.angle, parameters=parameters)
    return out


def _weights(rays: Rays, method: str) -> xr.DataArray | None:
    """What each ray counts, 0 where it was not measured."""
    if method == "mlem" and rays.variance is not None:
        parameters = {"valid": rays.valid}
        return lift(
            dense_resampled.poisson_weights, rays.values, rays.variance, parameters=parameters
        )[0]
    return None if rays.valid is None else rays.valid.astype(np.float32)


def _positive(rays: Rays, method: str) -> xr.DataArray:
    return rays.values.clip(min=0) if method == "mlem" else rays.values


def iterated(
    rays: Rays, method: str, chosen: Mapping[str, Any], seeds: xr.DataArray
) -> dict[str, xr.DataArray]:
    """By an iterative method with the dense operator; the variance by resampling."""
    values, options = _positive(rays, method), dict(chosen)
    resamples = options.pop("resamples", None)
    parameters = {
        "iterations": ITERATIONS[method], **rays.common, **options,
        "method": method, "weights": _weights(rays, method),
    }  # fmt: skip
    image, left = lift(dense_iterative.reconstruct, values, rays.angle, parameters=parameters)
    out = {"intensity": image, "residual": left}
    if resamples is not None:
        if rays.variance is None:
            raise ArgumentError(
                f"{BY}: counts cannot be drawn again without their variance",
                got="a sinogram without 'variance'",
                do="integrate with error_model='poisson', or leave resamples out",
            )
        parameters |= {"resamples": resamples, "seed": seeds}
        (out["variance"],) = lift(
            dense_resampled.variance, values, rays.variance, rays.angle, parameters=parameters
        )
    return out


def by_channel(rays: Rays, method: str, chosen: Mapping[str, Any]) -> dict[str, xr.DataArray]:
    """With the kernels of large slices: each channel is a slice of its own."""
    if method == "fbp":
        parameters = {"center": rays.common["center"], "valid": rays.valid}
        (filled,) = lift(gaps.fill_rays, rays.values, rays.angle, parameters=parameters)
        weights = None
        if rays.valid is not None:
            (weights,) = lift(gaps.projection_weights, rays.valid, rays.angle)
        options = {**rays.common, **chosen, "weights": weights}
        (image,) = lift(radon.filtered_backprojection, filled, rays.angle, parameters=options)
        return {"intensity": image}
    options = {"iterations": ITERATIONS[method], **rays.common, **chosen, "tolerance": 0.0}
    options["weights"] = _weights(rays, method)
    if method == "tv":
        options["weight"] = options.pop("edges")
    image, curve = lift(BY_CHANNEL[method], _positive(rays, method), rays.angle, parameters=options)
    # Of mlem the curve is a deviance, and of tv an objective.
    told = {"residual": curve.min("iteration")} if method in ("sirt", "cgls") else {}
    return {"intensity": image} | told

"""Maps of peaks."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from zeoarray import xrdct
from zeoarray.errors import ArgumentError, SchemaError
from zeoarray.kernels.profiles import pseudo_voigt

Q = 1.0 + 0.001 * np.arange(200)


def volume(area: np.ndarray) -> xr.Dataset:
    line = 0.7 * pseudo_voigt(Q - 1.10, 0.01, 0.0) + 0.3 * pseudo_voigt(Q - 1.106, 0.01, 0.0)
    counts = np.random.default_rng(0).poisson(area[..., None] * line * 50 + 400)
    axes = zip(("z", "y", "x"), area.shape, strict=True)
    um = {d: (d, np.arange(n) * 25.0, {"units": "um"}) for d, n in axes}
    dims = ("z", "y", "x", "q")
    return xr.Dataset(
        {"intensity": (dims, counts.astype("f4")), "variance": (dims, counts.astype("f4"))},
        um | {"q": ("q", Q, {"units": "1/angstrom"})},
    )


def test_areas_positions_and_widths_are_mapped() -> None:
    area = np.random.default_rng(1).uniform(5, 9, (1, 6, 5))
    out = xrdct.map_peaks(volume(area), peaks=(1.1, 1.1055), profile="gaussian", window=0.03)
    assert out["area"].dims == ("peak", "z", "y", "x")
    for i, (share, place) in enumerate(((0.7, 1.1), (0.3, 1.106))):
        part = out.isel(peak=i)
        pull = (part["area"] - 50 * share * area) / part["area_sigma"]
        assert abs(float(pull.mean())) < 0.7
        assert 0.7 < float(pull.std()) < 1.35
        assert abs(float(part["position"].mean()) - place) < 5e-4
        assert abs(float(part["width"].mean()) - 0.01) < 1e-3
    assert abs(float(out["peak_chi2"].mean()) - 1) < 0.1
    assert out["converged"].all()
    assert any("never back-projected" in limit for limit in out.attrs["limits"])


def test_without_variance_errors_come_from_the_residual() -> None:
    ds = volume(np.full((1, 6, 6), 6.0)).drop_vars("variance")
    out = xrdct.map_peaks(ds, peaks=(1.1, 1.106), profile="gaussian", window=0.03)
    assert "peak_chi2" not in out
    scatter = out["area"].std(("z", "y", "x")) / out["area_sigma"].mean(("z", "y", "x"))
    assert 0.6 < float(scatter.min()) <= float(scatter.max()) < 1.5


def test_what_cannot_be_mapped_is_told() -> None:
    ds = volume(np.ones((1, 1, 1)))
    with pytest.raises(ArgumentError, match="outside the range of q"):
        xrdct.map_peaks(ds, peaks=(1.1, 3.0))
    with pytest.raises(ArgumentError, match="too few bins"):
        xrdct.map_peaks(ds, peaks=(1.1,), window=0.002)
    with pytest.raises(SchemaError, match="no patterns"):
        xrdct.map_peaks(ds.drop_vars("intensity"), peaks=(1.1,))
    with pytest.raises(SchemaError, match="q does not ascend"):
        xrdct.map_peaks(ds.isel(q=slice(None, None, -1)), peaks=(1.1,))

"""Registration on a real scan: two tomograms of it, from projections that they do not share.

91 projections, 2 degrees apart. A bright core throws streaks, 4 degrees apart in each tomogram;
those of the odd projections are those of the even ones turned by 2 degrees. From some 14 voxels
off the core on they are a voxel apart and more. There they are structure, and both tomograms are
most alike when turned by 2 degrees: so what is registered here is the core.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import zeoarray
from tests.registered import error, similarity
from zeoarray import xct
from zeoarray.errors import RegistrationError
from zeoarray.kernels import affine
from zeoarray.volume import register

pytestmark = pytest.mark.real

Array = np.ndarray[Any, Any]
Halves = tuple[xr.Dataset, xr.Dataset]

PIXEL, CENTER = 2.6, 85.86
CORE = {"z": slice(5, 60), "y": slice(72, 100), "x": slice(54, 82)}


@pytest.fixture(scope="module")
def halves(real: Path) -> Halves:
    """From even and from odd projections."""
    folder = real / "i13_xct"
    ds = zeoarray.open_scan(
        folder / "tiffs" / "raw_*.tiff",
        {
            "flats": folder / "flat_00001.tiff",
            "darks": folder / "dark_00001.tiff",
            "angles": folder / "angles.txt",
            "angle_lines": (10, 101),
            "pixel_size": PIXEL,
        },
    ).isel(z=slice(50, 125))
    clean = xct.remove_rings(xct.normalize(ds), la_size=31, sm_size=11)
    lines = xct.minus_log(clean).load()
    even, odd = (
        xct.reconstruct(lines.isel(angle=slice(i, None, 2)), center=CENTER).load() for i in (0, 1)
    )
    return even, odd


def index_to_um(ds: xr.Dataset) -> Array:
    """(4, 4) Index z, y, x, 1 to position x, y, z, 1."""
    out = np.zeros((4, 4))
    for row, dim in enumerate("xyz"):
        out[row, 2 - row], out[row, 3] = PIXEL, float(ds[dim][0])
    out[3, 3] = 1
    return out


def moved(ds: xr.Dataset, to_fixed: Array) -> xr.Dataset:
    """What the scan would show at its core, had it lain so that `to_fixed` brings it back."""
    part = ds.isel(CORE)
    matrix = np.linalg.inv(index_to_um(ds)) @ to_fixed @ index_to_um(part)
    values = affine.resample(
        ds["attenuation"].values, matrix=matrix, shape=part["attenuation"].shape, order=3
    )
    return part.assign(attenuation=part["attenuation"].copy(data=values))


@pytest.mark.parametrize(
    "truth",
    [np.eye(4), similarity((0, 0, 2.0), (1.3 * PIXEL, 0, 0)),
     similarity((1.0, -0.5, -1.0), (-4.0, 9.0, 2.0))],
    ids=["none", "turn", "tilt"],
)  # fmt: skip
def test_the_error_is_as_predicted(halves: Halves, truth: Array) -> None:
    even, odd = halves[0].isel(CORE), moved(halves[1], truth)
    found = register(odd, fixed=even, turn_deg=5.0, blocks=64)
    off, predicted = error(found["to_fixed"].values, truth, even, odd), found["predicted_rms"]
    assert off < 3 * predicted
    assert predicted < 0.1 * PIXEL
    assert found["trusted"]
    assert 0.2 < found["held_out_chi2"] < 2
    # Noise is shared by neither: what both show alike goes to little more than a voxel.
    assert PIXEL <= found["agrees_to"] < 2 * PIXEL


def test_streaks_are_not_taken_for_the_sample(halves: Halves) -> None:
    """Beyond the core both are most alike when turned by the angle between projections."""
    wide = {"z": slice(0, 75), "y": slice(20, 140), "x": slice(20, 140)}
    even, odd = (h.isel(wide) for h in halves)
    with pytest.raises(RegistrationError, match="coarse structures say otherwise") as caught:
        register(odd, fixed=even, turn_deg=3.0, blocks=32)
    assert "blur_um=6.5" in str(caught.value)
    found = register(odd, fixed=even, turn_deg=3.0, blocks=64, blur_um=6.5)
    off = error(found["to_fixed"].values, np.eye(4), even, odd)
    assert off < 3 * found["predicted_rms"] < 0.3 * PIXEL

"""Small stores with one node of each kind that the report draws, of values that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from tests import placed
from tests.strategies import um
from zeoarray import patches, schema, store

Array = np.ndarray[Any, Any]

PIXEL = 2.0
AXIS = 3.0
"""Where the axis of the scan is, in u [um]."""
LINES = {"sodium": (1.2, 1.651), "zinc": (1.25, 1.656)}


def places(dim: str, size: int, pixel: float = PIXEL) -> tuple[str, Array, dict[str, str]]:
    return dim, (np.arange(size) - (size - 1) / 2) * pixel, {"units": "um"}


def blobs(u: Array, z: Array, mirrored: bool, moved: tuple[float, float]) -> Array:
    """(z, u) Absorbance of a few balls; seen from behind they lie on the other side of the axis."""
    out = np.zeros((z.size, u.size))
    for at, height, size in ((-14.0, -9.0, 7.0), (11.0, 5.0, 9.0), (2.0, 14.0, 5.0)):
        place = AXIS - (at - AXIS) if mirrored else at
        far = (u[None, :] - place - moved[1]) ** 2 + (z[:, None] - height - moved[0]) ** 2
        out += 0.6 * np.exp(-far / (2 * size**2))
    return out


def scan(*, moved: tuple[float, float] = (0.0, 0.0), saturated: bool = False) -> xr.Dataset:
    """A scan of 7 angles over 180 degrees, the last moved by (z, u) [um]; two sets of flats."""
    rng = np.random.default_rng(1)
    z, u = places("z", 40), places("u", 64)
    angle = np.linspace(0, 180, 7)
    views = [blobs(u[1], z[1], a == 180, moved if a == 180 else (0, 0)) for a in angle]
    flat = np.full((4, 40, 64), 20_000.0)
    flat[2:] *= 1.1
    flat[2:, :, :32] *= 1.06
    dark = np.full((2, 40, 64), 100.0)
    counts = 100 + flat[0] * np.exp(-np.stack(views))
    counts[-1] = 100 + flat[3] * np.exp(-views[-1])
    if saturated:
        counts[0, :10] = 65_535
    noisy = {
        name: rng.normal(v, 5).clip(0, 65_535).round().astype(np.uint16)
        for name, v in (("counts", counts), ("flat", flat), ("dark", dark))
    }
    if saturated:
        noisy["counts"][0, :10] = 65_535
    ds = xr.Dataset(
        {
            "counts": (("angle", "z", "u"), noisy["counts"]),
            "flat": (("flat_frame", "z", "u"), noisy["flat"]),
            "dark": (("dark_frame", "z", "u"), noisy["dark"]),
        },
        {
            "angle": ("angle", angle), "z": z, "u": u, "resolution": PIXEL, "energy": 25.0,
            "flat_set": ("flat_frame", [0, 0, 1, 1]), "time": ("angle", np.arange(7.0) + 2),
            "flat_time": ("flat_frame", [0.0, 1.0, 8.0, 9.0]),
        },
    )  # fmt: skip
    return schema.describe(ds, schema.SCAN_XCT)


def axis(*, ambiguous: bool = False, rows: int = 3) -> xr.Dataset:
    z = places("z", 40)
    tried = np.linspace(-20, 20, 31)
    values = {
        "axis_u": np.full(40, AXIS), "axis_sigma": np.full(40, 0.1), "axis_tilt": 0.01,
        "axis_tilt_sigma": 0.002, "axis_check": 0.05, "at_edge": False, "ambiguous": ambiguous,
        "row_z": np.linspace(-20, 20, rows), "row_axis_u": np.full(rows, AXIS),
        "row_sigma": np.full(rows, 0.2), "row_used": np.arange(rows) > 0,
        "row_at_edge": np.zeros(rows, bool), "row_ambiguous": np.zeros(rows, bool),
        "candidate_u": np.tile(tried, (rows, 1)),
        "axis_metric": np.tile(np.abs(tried - AXIS), (rows, 1)),
    }  # fmt: skip
    ds = xr.Dataset({n: (schema.AXIS_XCT[n].dims, v) for n, v in values.items()}, {"z": z})
    return schema.describe(ds, schema.AXIS_XCT)


def volume(shape: tuple[int, int, int] = (6, 40, 40)) -> xr.Dataset:
    grid = np.meshgrid(*(places(d, n)[1] for d, n in zip("zyx", shape, strict=True)), indexing="ij")
    values = np.where(np.hypot(grid[1], grid[2]) < 25, 1.5, 0.1).astype(np.float32)
    ds = xr.Dataset(
        {"attenuation": (("z", "y", "x"), values), "offset_known": ((), False)},
        {**{d: places(d, n) for d, n in zip("zyx", shape, strict=True)}, "resolution": PIXEL},
    )
    return schema.describe(ds, schema.VOLUME_XCT)


def rings() -> xr.Dataset:
    ds = xr.Dataset(
        {
            "ring_score_before": ("z", [5.0, 4.0]), "ring_score_after": ("z", [1.1, 4.5]),
            "stripe_rms": ("z", [0.1, 0.2]), "stripe": (("z", "u"), np.eye(2, 64)),
        },
        {"z": um("z", 2), "u": um("u", 64)},
    )  # fmt: skip
    return schema.describe(ds, schema.RINGS_XCT)


def frames() -> xr.Dataset:
    ds = xr.Dataset({
        **{f"{k}_mean": (f"{k}_frame", np.full(4, 100.0)) for k in ("flat", "dark")},
        **{f"{k}_sigma": (f"{k}_frame", np.full(4, 3.0)) for k in ("flat", "dark")},
        "flat_good": ("flat_frame", [True, False, True, True]),
        "dark_good": ("dark_frame", [True] * 4),
    })  # fmt: skip
    return schema.describe(ds, schema.FRAMES_XCT)


def drift() -> xr.Dataset:
    angle = np.linspace(0, 180, 20)
    ds = xr.Dataset(
        {
            "drift_z": ("angle", np.sin(angle)), "drift_u": ("angle", np.cos(angle)),
            "drift_z_sigma": ("angle", np.full(20, 0.1)),
            "drift_u_sigma": ("angle", np.full(20, 0.1)),
            "drift_measured": ("angle", np.arange(20) != 5),
        },
        {"angle": ("angle", angle)},
    )  # fmt: skip
    return schema.describe(ds, schema.DRIFT_XCT)


def patterns(q: Array) -> dict[str, Array]:
    """Peaks of both phases; those of `LINES`, the second the strongest."""
    return {
        name: sum((i + 1) * np.exp(-(((q - p) / 0.004) ** 2) / 2) for i, p in enumerate(at))
        for name, at in LINES.items()
    }


def references() -> xr.Dataset:
    q = np.linspace(1.0, 2.0, 500)
    ds = xr.Dataset(
        {
            "pattern": (("phase", "q"), np.stack(list(patterns(q).values()))),
            "width_added": 0.001, "width_relative": 0.0, "shift_relative": 1e-4,
            "shift_relative_sigma": 1e-5,
        },
        {"phase": list(LINES), "q": ("q", q)},
    )  # fmt: skip
    return schema.describe(ds, schema.REFERENCES)


def weights() -> Array:
    """(phase, y, x) Two disjoint halves of a disc, volume fractions."""
    y, x = np.meshgrid(np.arange(12) - 5.5, np.arange(12) - 5.5, indexing="ij")
    disc = np.hypot(y, x) < 5
    return np.stack([disc & (x < 0), disc & (x > 0)]).astype(np.float32)


def sinogram() -> xr.Dataset:
    q = np.linspace(1.0, 2.0, 500)
    share = np.stack([np.linspace(0, 1, 12), np.linspace(1, 0, 12)])
    line = np.tensordot(share.T, np.stack(list(patterns(q).values())), 1) + 2
    values = np.tile(line, (1, 8, 1, 1)).astype(np.float32)
    valid = np.ones((1, 8, 12), bool)
    valid[0, 3] = False
    values[~valid] = np.nan
    ds = xr.Dataset(
        {
            "intensity": (("z", "angle", "u", "q"), values),
            "valid": (("z", "angle", "u"), valid),
        },
        {"z": um("z", 1), "angle": ("angle", np.linspace(0, 315, 8)), "u": places("u", 12, 25.0),
         "q": ("q", q), "resolution": 25.0},
    )  # fmt: skip
    return schema.describe(ds, schema.SINOGRAM)


def phases() -> xr.Dataset:
    weight = 3 * weights()[:, None]
    weight[:, 0, 0, 0] = np.nan
    ds = xr.Dataset(
        {
            "weight": (("phase", "z", "y", "x"), weight),
            "weight_sigma": (("phase", "z", "y", "x"), np.full_like(weight, 0.1)),
            "at_bound": (("phase", "z", "y", "x"), weight == 0),
            "chi2": (("z", "y", "x"), np.ones_like(weight[0])),
        },
        {"phase": list(LINES), "z": ("z", [-90.0]), "y": places("y", 12, 25.0),
         "x": places("x", 12, 25.0), "resolution": 25.0},
    )  # fmt: skip
    return schema.describe(ds, schema.PHASES_XRDCT)


def isolation() -> xr.Dataset:
    names = ("mixed", "mixed_blur", "mixed_excess")
    ds = xr.Dataset(
        {
            **{n: ("z", [v]) for n, v in zip(names, (0.3, 0.25, 0.05), strict=True)},
            **{f"{n}_sigma": ("z", [0.01]) for n in names},
            "voxels": ("z", [78]),
        },
        {"z": um("z", 1)},
    )  # fmt: skip
    return schema.describe(ds, schema.ISOLATION)


def peaks() -> xr.Dataset:
    shape = (1, 1, 12, 12)
    of = ("peak", "z", "y", "x")
    ds = xr.Dataset(
        {"area": (of, np.ones(shape, np.float32)), "position": (of, np.full(shape, 1.655))},
        {"peak": [1.655], "z": um("z", 1), "y": places("y", 12), "x": places("x", 12)},
    )
    return schema.describe(ds, schema.PEAKS_XRDCT)


def powder() -> xr.Dataset:
    q = np.linspace(1.0, 2.0, 500)
    ds = xr.Dataset({"intensity": ("q", patterns(q)["zinc"])}, {"q": ("q", q)})
    return schema.describe(ds, schema.POWDER).assign_attrs(sample="Zn13X")


def places_of_patches() -> xr.Dataset:
    return placed.places(placed.volume(), support=9.0, overlap=0.5)


def cut(voxel: float = PIXEL) -> xr.Dataset:
    return patches.extract(places_of_patches(), volume=placed.volume(), voxel=voxel)


NODES = {
    "xct/i13/scan": scan, "xct/i13/axis": axis, "xct/i13/rings": rings, "xct/i13/frames": frames,
    "xct/i13/drift": drift, "xct/i13/volume/bin1": volume, "xrdct/25um/sinogram": sinogram,
    "xrdct/25um/references": references, "xrdct/25um/phases": phases,
    "xrdct/25um/isolation": isolation, "xrdct/25um/peaks": peaks, "powder/Zn13X": powder,
    "patches/sr/places": places_of_patches, "patches/sr/fine": cut,
    "patches/sr/coarse": lambda: cut(2 * PIXEL),
    "patches/sr/fine-statistics": lambda: patches.statistics(cut()),
}  # fmt: skip


def full(root: Path) -> Path:
    for name, make in NODES.items():
        store.save(make(), root, name)
    return root

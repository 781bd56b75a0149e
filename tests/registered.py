"""Two scans of one sample of soft balls: known in closed form wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from zeoarray import schema
from zeoarray.kernels import radon, transform

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Balls:
    """Gaussian balls in a cylinder along z: positions x, y, z and radii [um]."""

    centre: Array
    radius: Array
    height: Array

    @classmethod
    def draw(
        cls, seed: int, *, count: int = 500, width: float = 300.0, voxel: float = 5.0
    ) -> Balls:
        rng = np.random.default_rng(seed)
        centre = rng.uniform(-0.5, 0.5, (count, 3)) * width
        inside = np.hypot(centre[:, 0], centre[:, 1]) < 0.42 * width
        radius = voxel * rng.uniform(1.0, 3.0, count)
        return cls(centre[inside], radius[inside], rng.uniform(0.3, 1, count)[inside])

    def at(self, z: Array, y: Array, x: Array, to_sample: Array | None = None) -> Array:
        """Values on a grid whose positions a similarity takes to the sample's."""
        matrix = np.eye(4) if to_sample is None else to_sample
        back = np.linalg.inv(matrix)
        scale = np.cbrt(np.linalg.det(matrix[:3, :3]))
        centre, radius = self.centre @ back[:3, :3].T + back[:3, 3], self.radius / scale

        def along(axis: Array, n: int) -> Array:
            return np.exp(-0.5 * ((axis - centre[:, n, None]) / radius[:, None]) ** 2)

        plane = np.einsum("b,bz,by->bzy", self.height, along(z, 2), along(y, 1))
        return np.tensordot(plane, along(x, 0), axes=(0, 0))


def dataset(values: Array, voxel: float, middle: tuple[float, ...] = (0, 0, 0)) -> xr.Dataset:
    """(z, y, x) on cubic voxels; `middle` is z, y, x of its centre."""
    coords = {
        d: (d, (np.arange(n) - (n - 1) / 2) * voxel + m, {"units": "um"})
        for d, n, m in zip("zyx", values.shape, middle, strict=True)
    }
    attenuation = (("z", "y", "x"), values.astype(np.float32), {"units": "1/cm"})
    return xr.Dataset(
        {"attenuation": attenuation}, coords | {"resolution": ((), voxel, {"units": "um"})}
    )


def scan(
    balls: Balls,
    shape: tuple[int, int, int],
    voxel: float,
    to_sample: Array | None = None,
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """What a scan of the sample shows."""
    axes = [(np.arange(n) - (n - 1) / 2) * voxel for n in shape]
    values = balls.at(*axes, to_sample)
    return dataset(values + noise * np.random.default_rng(seed).normal(size=shape), voxel)


def layers(
    balls: Balls,
    z: tuple[float, ...],
    spot: float,
    columns: int,
    to_sample: Array | None = None,
    *,
    angles: int = 40,
    noise: float = 0.0,
    seed: int = 0,
) -> xr.Dataset:
    """What a beam of this width at half maximum sees at some heights, steps as wide as it.

    A Gaussian ball through a Gaussian beam is a Gaussian, as wide as both.
    """
    back = np.linalg.inv(np.eye(4) if to_sample is None else to_sample)
    centre = balls.centre @ back[:3, :3].T + back[:3, 3]
    turn = np.arange(angles) * 2 * np.pi / angles
    u = (np.arange(columns) - (columns - 1) / 2) * spot
    wide = np.hypot(balls.radius, spot / np.sqrt(8 * np.log(2)))
    path = balls.height * np.sqrt(2 * np.pi) * balls.radius * (balls.radius / wide) ** 2
    at = centre[:, 0] * np.cos(turn)[:, None] + centre[:, 1] * np.sin(turn)[:, None]
    across = np.exp(-0.5 * ((u[:, None] - at[:, None]) / wide) ** 2)
    along = np.exp(-0.5 * ((np.array(z)[:, None] - centre[:, 2]) / wide) ** 2)
    total = np.einsum("zb,aub->zau", path * along, across)
    total += noise * total.std() * np.random.default_rng(seed).normal(size=total.shape)
    # Two channels that share it.
    intensity = (total[..., None] * [0.3, 0.7]).astype(np.float32)
    um = {"units": "um"}
    coords = {
        "z": ("z", np.array(z), um), "angle": ("angle", np.rad2deg(turn), {"units": "deg"}),
        "u": ("u", u, um), "q": ("q", [1.5, 2.0], {"units": "1/angstrom"}),
        "axis_u": ("z", np.zeros(len(z)), um), "resolution": ((), spot, um),
    }  # fmt: skip
    return xr.Dataset({"intensity": (("z", "angle", "u", "q"), intensity)}, coords)


def similarity(
    turn_deg: tuple[float, float, float], shift: tuple[float, float, float], scale: float = 1.0
) -> Array:
    """(4, 4): a turn by a vector along x, y, z, a scale, then a shift [um]."""
    out = np.eye(4)
    out[:3, :3] = scale * Rotation.from_rotvec(np.deg2rad(turn_deg)).as_matrix()
    out[:3, 3] = shift
    return out


def error(found: Array, truth: Array, fixed: xr.Dataset, moving: xr.Dataset) -> float:
    """Rms distance of two maps, of the part of the fixed volume that the moving one covers [um]."""
    axes = [np.linspace(fixed[d].values[0], fixed[d].values[-1], 7) for d in "xyz"]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    there = points @ np.linalg.inv(truth)[:3, :3].T + np.linalg.inv(truth)[:3, 3]
    seen = np.all(
        [
            (there[:, i] >= moving[d].values.min()) & (there[:, i] <= moving[d].values.max())
            for i, d in enumerate("xyz")
        ],
        axis=0,
    )
    at = there[seen]
    apart = (at @ found[:3, :3].T + found[:3, 3]) - points[seen]
    return float(np.sqrt((apart**2).sum(axis=1).mean()))


def answer(truth: Array, seed: int) -> xr.Dataset:
    """What a registration of the similarity model may find, off as its covariance says."""
    names, fields = transform.basis("similarity")
    sigma = np.array([0.05] * 3 + [2e-4] * 3 + [1e-4])
    off = sigma * np.random.default_rng(seed).normal(size=len(names))
    change = transform.change(np.einsum("p,pij->ij", off, fields), np.zeros(3))
    ds = xr.Dataset(
        {
            "to_fixed": (("to", "from"), change @ truth),
            "covariance": (("parameter", "other"), np.diag(sigma**2)),
            "about": ("axis", np.zeros(3)),
            "trusted": ((), True),
        },
        {"parameter": list(names), "axis": list("xyz")},
    )
    return schema.describe(ds, schema.REGISTRATION).assign_attrs(model="similarity")


def halves(
    shape: tuple[int, int, int], voxel: float, angles: int, *, balls: int = 120, core: float = 0.12
) -> tuple[xr.Dataset, xr.Dataset]:
    """Tomograms of a bright core, from even and from odd projections: unlike in streaks alone.

    Projections of a Gaussian ball are Gaussians, so both sinograms are exact.
    """
    rng = np.random.default_rng(1)
    height, size = shape[0], shape[2]
    angle = np.arange(angles) * np.pi / angles
    radius, turn = size * np.sqrt(rng.uniform(0, core**2, balls)), rng.uniform(0, 2 * np.pi, balls)
    sinogram = np.zeros((height, angles, size))
    u, z = (np.arange(n) - (n - 1) / 2 for n in (size, height))
    for r, t in zip(radius, turn, strict=True):
        sigma, high = rng.uniform(0.8, 2), rng.uniform(-0.5, 0.5) * height
        path = rng.uniform(0.5, 1) * np.sqrt(2 * np.pi) * sigma
        across = np.exp(-0.5 * ((u - r * np.cos(angle - t)[:, None]) / sigma) ** 2)
        sinogram += path * np.exp(-0.5 * ((z - high) / sigma) ** 2)[:, None, None] * across
    found = (
        radon.filtered_backprojection(
            sinogram[:, first::2].astype(np.float32), angle[first::2], center=(size - 1) / 2
        )
        for first in (0, 1)
    )
    one, other = (dataset(values, voxel) for values in found)
    return one, other


# --- for the laws ------------------------------------------------------------------------------
SMALL = (20, 21, 20)
PLACE = ((0.5, -1.0, 3.0), (4.0, -2.0, 1.5), 1.002)


def _small(seed: int) -> xr.Dataset:
    balls = Balls.draw(seed, count=90, width=110.0)
    return scan(balls, SMALL, 5.0, similarity((0, 0, 2), (4, -3, 6)), noise=0.01, seed=seed)


def _its_fixed(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    # The same sample is not known here; the volume itself, a little cropped, will do.
    return st.integers(0, 2).map(lambda n: ds.isel(z=slice(n, None)))


def _thin(seed: int) -> xr.Dataset:
    balls = Balls.draw(seed, count=60, width=110.0)
    return layers(balls, (-15.0, 15.0), 10.0, 12, angles=12, noise=0.01, seed=seed).assign_attrs(
        drawn=seed
    )


def _its_tomogram(ds: xr.Dataset) -> st.SearchStrategy[xr.Dataset]:
    balls = Balls.draw(ds.attrs["drawn"], count=60, width=110.0)
    return st.just(scan(balls, (24, 26, 26), 5.0, similarity((0, 0, 1), (2, 3, -1))))


DATASETS: dict[str, st.SearchStrategy[xr.Dataset]] = {
    "volume.register_layers": st.integers(1, 3).map(_thin),
    "volume.register": st.integers(1, 3).map(_small),
    "volume.connect": st.integers(0, 9).map(lambda seed: answer(similarity(*PLACE), seed)),
}
PARAMETERS: dict[str, Callable[[Any], st.SearchStrategy[Any]]] = {
    "volume.register_layers.fixed": _its_tomogram,
    "volume.register_layers.model": lambda ds: st.sampled_from(["translation", "rigid"]),
    "volume.register_layers.fiducials": lambda ds: st.sampled_from(
        [(), (((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),)]
    ),
    "volume.register_layers.tilt_deg": lambda ds: st.sampled_from([None, 1.0]),
    "volume.register_layers.accept": lambda ds: st.just(True),
    "volume.register.fixed": _its_fixed,
    "volume.register.model": lambda ds: st.sampled_from(["translation", "rigid"]),
    "volume.register.turn_deg": lambda ds: st.just(3.0),
    "volume.register.blocks": lambda ds: st.just(10),
    "volume.register.accept": lambda ds: st.just(True),
    "volume.connect.scans": lambda ds: st.just((("a", "b"),)),
    "volume.connect.reference": lambda ds: st.sampled_from(["a", "b"]),
    **{f"volume.connect.pair{n}": lambda ds: st.none() for n in range(2, 11)},
}

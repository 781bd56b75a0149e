"""How the sample sat in each scan: rotation, shift, true pixel size, and the rotation axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from zeoarray.twin.presets import Scan
from zeoarray.twin.random import generator

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Mount:
    """The pose of the sample in one scan, and the axis it turned about.

    The *volume frame* of a scan is what an exact reconstruction of it would have: origin on the
    rotation axis at the middle row of the detector, z along the axis, x along u at angle 0.
    """

    rotation: Array
    """(3, 3) from the volume frame to the sample."""
    shift: Array
    """(3,) of the volume frame's origin in the sample [um]."""
    scale: float
    """True over nominal pixel size."""
    axis_px: float
    """The axis lies this far from the middle column, towards ascending u, on the middle row."""
    roll_deg: float
    """Angle from the detector's columns to the axis."""

    def to_sample(self) -> Array:
        """(4, 4): from volume coordinates with the nominal pixel size [um] to the sample [um]."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation
        matrix[:3, 3] = self.shift
        return matrix

    def frame(self, angle_deg: float, pixel_um: float, motion: tuple[float, float]) -> Array:
        """Origin, e_u, e_z and beam direction (12,) of the rays of one frame, in the sample.

        Parameters
        ----------
        angle_deg
            Rotation, anticlockwise seen against z.
        pixel_um
            Nominal pixel size.
        motion
            Displacement of the sample along u and along the axis [um].
        """
        turn, roll = np.deg2rad(angle_deg), np.deg2rad(self.roll_deg)
        lateral = np.array([np.cos(turn), np.sin(turn), 0.0])
        axis, beam = np.array([0.0, 0.0, 1.0]), np.array([-np.sin(turn), np.cos(turn), 0.0])
        e_u = np.cos(roll) * lateral + np.sin(roll) * axis
        e_z = -np.sin(roll) * lateral + np.cos(roll) * axis
        origin = -self.axis_px * pixel_um * self.scale * e_u
        origin = origin - motion[0] * lateral - motion[1] * axis
        turned = [self.rotation @ v for v in (e_u, e_z, beam)]
        return np.concatenate([self.rotation @ origin + self.shift, *turned])

    def axis_column(self, scan: Scan) -> Array:
        """(row,) Column, fractional, where the axis meets each row of undistorted projections."""
        rows = np.arange(scan.rows) - (scan.rows - 1) / 2
        off = self.axis_px + scan.z_sense * rows * np.tan(np.deg2rad(self.roll_deg))
        return np.asarray((scan.columns - 1) / 2 + scan.u_sense * off)


def rotation_from(vector: Array) -> Array:
    """(3, 3) rotation about `vector` by its length [rad] (Rodrigues)."""
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return np.eye(3)
    x, y, z = np.asarray(vector, float) / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def draw(seed: int, scan: Scan) -> Mount:
    """The mount of a scan.

    The sample's coordinates are those of the DIAD instrument, where the diffraction was measured:
    its mount has no rotation and no shift. Every mount has its own pixel size and axis.
    """
    rng = generator(seed, f"{scan.name}/mount")
    tilt, spin = rng.uniform(-0.5, 0.5, 2), rng.uniform(-3, 3)
    shift = rng.uniform(-1, 1, 3) * (35.0, 35.0, 25.0)
    scale = 1 + rng.uniform(0.0005, 0.003) * rng.choice([-1, 1])
    axis_px = rng.uniform(0.002, 0.008) * scan.columns * rng.choice([-1, 1])
    roll = rng.uniform(0.02, 0.08) * rng.choice([-1, 1])
    if scan.layout == "diad":
        return Mount(np.eye(3), np.zeros(3), float(scale), float(axis_px), float(roll))
    rotation = rotation_from(np.deg2rad([tilt[0], tilt[1], spin]))
    return Mount(rotation, shift, float(scale), float(axis_px), float(roll))

"""Parallel-beam projections of the sample, as one scan's detector would see them."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeoarray.errors import ArgumentError
from zeoarray.twin.attenuation import SODIUM_X, ZINC_X
from zeoarray.twin.chords import include
from zeoarray.twin.inclusions import Inclusions, Slab, survey
from zeoarray.twin.lens import undistort
from zeoarray.twin.mounts import Mount
from zeoarray.twin.presets import Scan
from zeoarray.twin.rays import STEP_UM, Bulk, Grid, accumulate, integrate, sample_table
from zeoarray.twin.sample import Sample
from zeoarray.twin.scene import GLASS

Array = np.ndarray[Any, Any]

UM_PER_CM = 1e4


class Projector:
    """Line integrals of one sample in one scan, for a band of detector rows.

    It lists the inclusions of the band once, and gives frame after frame; threads may share it.

    Parameters
    ----------
    sample, scan, mount
        What is measured, with what, and how it sits.
    rows
        First and past-the-last detector row; all of them where left out. Rows beyond the
        detector are allowed: whatever blurs needs neighbours.
    margin
        Columns beyond either edge of the detector.
    workers
        Threads for the listing.
    """

    def __init__(
        self,
        sample: Sample,
        scan: Scan,
        mount: Mount,
        *,
        rows: tuple[int, int] | None = None,
        margin: int = 0,
        workers: int = 1,
    ) -> None:
        first, last = rows or (0, scan.rows)
        if first >= last:
            raise ArgumentError("the band has no rows", got=f"{first} to {last}")
        self.sample, self.scan, self.mount = sample, scan, mount
        self.rows, self.margin = (first, last), margin
        self.grid = grid_of(scan, mount, (first, last), margin)
        self.table = sample.fields.table(
            SODIUM_X.attenuation(scan.energy_kev),
            ZINC_X.attenuation(scan.energy_kev),
            twice_um=STEP_UM,
        )
        self.materials = sample.materials(scan.energy_kev)
        self.things = self._survey(workers)
        self.local = np.empty(len(self.things))
        sample_table(*self.table, self.things.centre, self.local)

    def _survey(self, workers: int) -> Inclusions:
        roll = np.deg2rad(self.mount.roll_deg)
        pixel = self.scan.pixel_um * self.mount.scale
        lateral = self.grid.u - self.mount.axis_px * pixel
        height = lateral * np.sin(roll) + self.grid.z * np.cos(roll)
        # What is spread over four rays reaches one ray further; a drifting sample further still.
        reach = self.grid.pixel + 2 * self.scan.motion_um + 1.0
        slab = Slab(
            self.mount.shift.astype(float),
            np.ascontiguousarray(self.mount.rotation[:, 2]),
            float(height.min()) - reach,
            float(height.max()) + reach,
        )
        return survey(self.sample.scene, slab, *self.sample.box, workers=workers)

    @property
    def nbytes(self) -> int:
        """Bytes that are held from frame to frame: rays, table and inclusions."""
        arrays = [self.grid.u, self.grid.z, self.table.values, *self.things, self.local]
        return int(sum(a.nbytes for a in arrays))

    def line_integrals(self, angle_deg: float, motion: tuple[float, float] = (0.0, 0.0)) -> Array:
        """(row, column) Integral of the attenuation along each ray, float32, without unit.

        Parameters
        ----------
        angle_deg
            Rotation of the sample, anticlockwise seen against z.
        motion
            Displacement of the sample along u and z [um].
        """
        grid, scene = self.grid, self.sample.scene
        frame = self.mount.frame(angle_deg, self.scan.pixel_um, motion)
        image = np.empty(grid.u.shape, np.float32)
        near, far = np.empty_like(image), np.empty_like(image)
        glass = float(self.materials[GLASS])
        bulk = self._bulk(frame)
        integrate(image, near, far, grid, frame, scene, self.sample.reach, bulk, glass)
        include(image, near, far, grid, frame, self.things, self.local, self.materials, bulk)
        image /= np.float32(UM_PER_CM)
        return image

    def _bulk(self, frame: Array) -> Bulk:
        # Nodes sit at whole multiples of the step, so that a cut of the detector moves none.
        grid, reach = self.grid, self.sample.reach
        off = reach[:3] - frame[:3]
        u, t = float(off @ frame[3:6]), float(off @ frame[9:12])
        low = [grid.z.min(), max(grid.u.min(), u - reach[3]), t - reach[3]]
        high = [grid.z.max(), min(grid.u.max(), u + reach[3]), t + reach[3]]
        first = np.floor(np.array(low) / STEP_UM).astype(np.int64)
        size = np.maximum(np.ceil(np.array(high) / STEP_UM).astype(np.int64) - first, 0) + 2
        sums = np.empty(tuple(size), np.float32)
        accumulate(sums, first, frame, self.sample.scene.facets, reach, *self.table)
        return Bulk(sums, first)

    def transmission(self, angle_deg: float, motion: tuple[float, float] = (0.0, 0.0)) -> Array:
        """(row, column) Fraction of the beam that reaches each pixel, the mean over its rays."""
        rays = np.exp(-self.line_integrals(angle_deg, motion))
        fine = self.scan.fine
        if fine == 1:
            return np.asarray(rays)
        rows, columns = rays.shape
        blocks = rays.reshape(rows // fine, fine, columns // fine, fine)
        return np.asarray(blocks.mean((1, 3), dtype=np.float32))


def grid_of(scan: Scan, mount: Mount, rows: tuple[int, int], margin: int) -> Grid:
    """The rays of a band of rows: each looks where the lens makes its pixel look."""
    fine, pixel = scan.fine, scan.pixel_um * mount.scale
    start = np.array([-margin * fine, rows[0] * fine])
    columns = (np.arange((scan.columns + 2 * margin) * fine) + start[0] + 0.5) / fine - 0.5
    lines = (np.arange((rows[1] - rows[0]) * fine) + start[1] + 0.5) / fine - 0.5
    across, down = undistort(columns[None, :], lines[:, None], scan.lens_centre, scan.distortion)
    middle = (scan.columns - 1) / 2, (scan.rows - 1) / 2
    u = np.ascontiguousarray((across - middle[0]) * (scan.u_sense * pixel))
    z = np.ascontiguousarray((down - middle[1]) * (scan.z_sense * pixel))
    senses = np.array([scan.u_sense / pixel, scan.z_sense / pixel, *middle])
    lens = np.array([*scan.lens_centre, *scan.distortion])
    return Grid(u, z, pixel / fine, fine, start, lens, senses)

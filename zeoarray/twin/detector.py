"""From the transmission of the sample to the grey values of a camera."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy import ndimage

from zeoarray.twin import mounts, schedule, stripes
from zeoarray.twin.attenuation import SODIUM_X
from zeoarray.twin.beam import beam_of
from zeoarray.twin.mounts import Mount
from zeoarray.twin.presets import Scan
from zeoarray.twin.projections import Projector
from zeoarray.twin.random import generator
from zeoarray.twin.sample import Sample

Array = np.ndarray[Any, Any]

BLUR_TRUNCATE = 4.0
FULL_SCALE = 65535


class Camera:
    """The camera of one scan, or of a band of its rows; gives frame after frame.

    A frame is the same whichever band it is taken in, in whatever order, by however many threads.

    Parameters
    ----------
    seed
        Seed of the twin.
    sample, scan
        What is measured, and with what.
    mount
        How the sample sits; that of the seed where left out.
    rows
        First and past-the-last row of the band; all of them where left out.
    workers
        Threads.
    """

    def __init__(
        self,
        seed: int,
        sample: Sample,
        scan: Scan,
        *,
        mount: Mount | None = None,
        rows: tuple[int, int] | None = None,
        workers: int | None = None,
    ) -> None:
        self.seed, self.scan = seed, scan
        self.mount = mount or mounts.draw(seed, scan)
        self.rows = rows or (0, scan.rows)
        self.workers = workers or os.cpu_count() or 1
        self.schedule = schedule.plan(seed, scan)
        self.motion = schedule.motion(seed, scan, self.schedule)
        self.stripes = stripes.draw(seed, scan)
        self._masks = self.stripes.masks(self.rows, scan.columns)
        # Blur and phase contrast need neighbours: rays beyond the band, and beyond the detector.
        self.halo = int(BLUR_TRUNCATE * scan.blur_px + 0.5) + (scan.propagation_m > 0)
        wide = self.rows[0] - self.halo, self.rows[1] + self.halo
        duration = float(self.schedule.time[-1]) + scan.exposure_s
        self.beam = beam_of(seed, scan, duration, wide, self.halo)
        self.projector = Projector(
            sample, scan, self.mount, rows=wide, margin=self.halo, workers=self.workers
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self.rows[1] - self.rows[0], self.scan.columns

    @functools.cached_property
    def response(self) -> Array:
        """(row, column) Gain of each pixel relative to the mean: the camera's fixed pattern."""
        return np.stack(
            [
                1 + 0.008 * generator(self.seed, f"{self.scan.name}/response", 0, row)
                .standard_normal(self.scan.columns)
                for row in range(*self.rows)
            ]
        )  # fmt: skip

    @functools.cached_property
    def offset(self) -> Array:
        """(row, column) Mean grey value of each pixel without beam."""
        return np.stack(
            [
                self.scan.offset + 1.5 * generator(self.seed, f"{self.scan.name}/offset", 0, row)
                .standard_normal(self.scan.columns)
                for row in range(*self.rows)
            ]
        )  # fmt: skip

    def expected(self, frame: int) -> Array:
        """(row, column) Photons that a frame would show on average; 0 for darks."""
        key = self.schedule.image_key[frame]
        if key == schedule.DARK:
            return np.zeros(self.shape)
        light = self.beam.profile(float(self.schedule.time[frame]))
        if key == schedule.PROJECTION:
            angle = self.scan.rotation_sense * float(self.schedule.angle[frame])
            du, dz = self.motion[frame]
            passed = self.projector.transmission(angle, (float(du), float(dz)))
            light = light * self._propagated(passed)
        if self.scan.blur_px > 0:
            for axis in (0, 1):
                light = ndimage.gaussian_filter1d(
                    light, self.scan.blur_px, axis=axis, truncate=BLUR_TRUNCATE
                )
        halo = self.halo
        light = light[halo : light.shape[0] - halo, halo : light.shape[1] - halo] * self.response
        if key == schedule.PROJECTION:
            strength = self.stripes.strength(
                self.seed, self.scan, frame, float(self.schedule.progress[frame])
            )
            for (box, cover), change in zip(self._masks, strength, strict=True):
                light[box] *= 1 + change * cover
        return np.asarray(np.maximum(light, 0.0))

    def photons(self, frame: int) -> Array:
        """(row, column) Photons counted: Poisson numbers, each row from its own generator."""
        mean = self.expected(frame)
        stream = f"{self.scan.name}/photons"
        out = np.empty(mean.shape, np.int64)
        for n, row in enumerate(range(*self.rows)):
            out[n] = generator(self.seed, stream, frame, row).poisson(mean[n])
        return out

    def frame(self, frame: int) -> Array:
        """(row, column) uint16 The grey values of one frame."""
        scan = self.scan
        grey = scan.gain * self.photons(frame) + self.offset
        for n, row in enumerate(range(*self.rows)):
            noise = generator(self.seed, f"{scan.name}/readout", frame, row)
            grey[n] += scan.read_noise * noise.standard_normal(scan.columns)
        for row, column, value in self.zingers(frame):
            if self.rows[0] <= row < self.rows[1]:
                grey[int(row) - self.rows[0], int(column)] += value
        return np.clip(np.rint(grey), 0, FULL_SCALE).astype(np.uint16)

    def zingers(self, frame: int) -> Array:
        """(n, 3) Row and column on the whole detector, and grey value, of a frame's direct hits."""
        scan = self.scan
        rng = generator(self.seed, f"{scan.name}/zingers", frame)
        count = rng.poisson(scan.zingers * scan.rows * scan.columns * 1e-6)
        row, column = rng.integers(scan.rows, size=count), rng.integers(scan.columns, size=count)
        return np.stack([row, column, 4000 + rng.exponential(9000, count)], axis=1)

    def frames(self, wanted: Sequence[int] | None = None) -> Iterator[Array]:
        """Frame after frame in the order of `wanted` (all of them), made by several threads."""
        numbers = range(len(self.schedule)) if wanted is None else wanted
        with ThreadPoolExecutor(self.workers) as pool:
            waiting: deque[Future[Array]] = deque()
            for number in numbers:
                waiting.append(pool.submit(self.frame, number))
                # Bounded: a slow writer must not make finished frames pile up.
                if len(waiting) > 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()

    def _propagated(self, passed: Array) -> Array:
        """Transmission after free space, for one material in the near field (TIE).

        ``I = T - R delta / mu * laplace(T)``: Paganin et al., J. Microsc. 206 (2002) 33,
        doi:10.1046/j.1365-2818.2002.01010.x.
        """
        scan = self.scan
        if scan.propagation_m == 0:
            return passed
        per_um = SODIUM_X.attenuation(scan.energy_kev) * 1e-4
        length = scan.propagation_m * 1e6 * SODIUM_X.delta(scan.energy_kev) / per_um
        pixel = scan.pixel_um * self.mount.scale
        edges = np.zeros_like(passed)
        edges[1:-1, 1:-1] = (
            passed[2:, 1:-1] + passed[:-2, 1:-1] + passed[1:-1, 2:] + passed[1:-1, :-2]
            - 4 * passed[1:-1, 1:-1]
        )  # fmt: skip
        return np.asarray(passed - length / pixel**2 * edges)

"""The plan of an XRD-CT scan: where beam and sample are in every frame, and how bright the beam is.

The beam scans a resting sample (moving-beam geometry): at the motor positions (angle, u, z) it runs
along s through the points (x, y, z) of the sample for which

    u - axis = x cos(angle) + y sin(angle),    s = y cos(angle) - x sin(angle),

s growing along the beam and u to the right as seen along it. With ``u_sense=-1`` the stage moves
instead and the beam, with the geometry of the detector, is at rest.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from zeoarray.errors import ArgumentError, unknown
from zeoarray.twin.geometry import Geometry
from zeoarray.twin.random import generator

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layer:
    """One file: all rotations and translations at one height."""

    number: int
    """Scan number, as in ``k11-43322.nxs``."""
    z_um: float
    """Height of the beam [um]."""
    dropped: tuple[int, ...] = ()
    """Rotations that were never measured, counted from 0."""


@dataclass(frozen=True)
class Plan:
    """Everything about a scan but the sample."""

    name: str
    """Name of the scan, its nominal spot: ``25um``."""
    seed: int
    geometry: Geometry
    layers: tuple[Layer, ...]
    rotations: int
    translations: int
    step_um: float = 25.0
    """Distance of neighbouring translations [um]."""
    width_um: float = 25.0
    """Width of the beam along u, full width at half maximum [um]."""
    height_um: float = 25.0
    """Height of the beam along z, full width at half maximum [um]."""
    axis_um: float = 6.0
    """Where the tomographic axis meets the u motor [um]."""
    jitter_um: float = 0.4
    """Standard deviation of the beam about where it should be [um]; the motors read it back."""
    first_deg: float = 0.0
    """Angle of the first rotation [deg]."""
    rotation_sense: int = 1
    """+1 where the angle motor turns anticlockwise seen against z."""
    u_sense: int = 1
    """+1 where the beam moves along u, -1 where the stage does."""
    z_sense: int = 1
    """+1 where the height motor ascends upwards."""
    snake: bool = True
    """Every other rotation runs through the translations backwards."""
    exposure_s: float = 10.0
    dead_s: float = 0.3
    """Between two frames [s]."""
    photons_per_s: float = 1.5e9
    """In the beam, at 300 mA."""
    lifetime_h: float = 16.0
    """Of the current in the ring, which decays from 300 mA [h]."""
    refill_h: float = 4.0
    """Between two fillings of the ring [h]."""
    drift: float = 0.01
    """Amplitude of the slow drift of the beamline's transmission."""
    monitor_noise: float = 0.001
    """Relative standard deviation of the ion chamber."""
    air_um: float = 30000.0
    """Path in air that the detector sees [um]."""
    self_absorption: bool = False
    """Whether the sample absorbs what it scatters."""
    spots: bool = True
    """Whether large single crystals make spots."""
    pitch_um: float = 5.0
    """Grid on which a layer of the sample is averaged over the beam's height [um]."""
    depth_um: float = 50.0
    """Distance of the depths at which rings are tabulated [um]."""
    hot_pixels: float = 5e-5
    """Share of pixels that count by themselves; half of them are in the mask."""
    dead_pixels: float = 5e-5
    """Share of pixels that count nothing; all are in the mask."""

    def __post_init__(self) -> None:
        checks = {
            "rotations": self.rotations >= 1,
            "translations": self.translations >= 1,
            "layers": len(self.layers) >= 1,
            "step_um": self.step_um > 0,
            "width_um": self.width_um > 0,
            "height_um": self.height_um > 0,
            "pitch_um": 0 < self.pitch_um <= self.width_um,
            "senses": {self.rotation_sense, self.u_sense, self.z_sense} <= {-1, 1},
            "dropped": all(0 <= d < self.rotations for k in self.layers for d in k.dropped),
        }
        wrong = [name for name, right in checks.items() if not right]
        if wrong:
            raise ArgumentError(
                f"the XRD-CT plan cannot be scanned: {', '.join(wrong)}",
                got=str({n: getattr(self, n) for n in wrong if hasattr(self, n)}),
                expected="positive sizes, senses of +1 or -1, a pitch not above the beam's width, "
                "and dropped rotations among those planned",
            )

    def kept(self, layer: int) -> tuple[int, ...]:
        """Rotations of `layer` that were measured, counted from 0 among those planned."""
        return tuple(r for r in range(self.rotations) if r not in self.layers[layer].dropped)

    def shape(self, layer: int) -> tuple[int, int, int, int]:
        """(rotation, translation, det_y, det_x) of the layer's file."""
        return len(self.kept(layer)), self.translations, *self.geometry.shape

    def frame_number(self, layer: int, rotation: int, translation: int) -> int:
        """Number of a frame among all planned ones: what random numbers are keyed by."""
        return (layer * self.rotations + rotation) * self.translations + translation

    def motors(self, layer: int) -> xr.Dataset:
        """Where everything was in every frame of a layer, and how bright the beam was.

        Returns
        -------
        xarray.Dataset
            Over (rotation, translation), in the order of the file: ``angle`` [deg], ``u``, ``z``
            [um] as the motors read back, ``planned_u`` [um] where u was sent, ``time`` [s],
            ``ring_current`` [mA], ``monitor`` (ion chamber, relative), ``photons`` in the frame,
            ``rotation_planned`` (index among the rotations planned), and the beam in the axes of
            the sample: ``true_angle`` [deg], ``true_u``, ``true_z`` [um].
        """
        rotation = np.array(self.kept(layer))[:, None]
        place = np.broadcast_to(np.arange(self.translations), (len(rotation), self.translations))
        if self.snake:
            place = np.where(rotation % 2 == 1, place[:, ::-1], place)
        rng = generator(self.seed, f"xrdct/{self.name}/motors", layer)
        wander = self.jitter_um * rng.standard_normal((self.rotations, self.translations))
        planned_u = (place - (self.translations - 1) / 2) * self.step_um
        u = planned_u + wander[rotation[:, 0]]
        z = np.full(u.shape, self.layers[layer].z_um)
        angle = np.broadcast_to(self.first_deg + rotation * (360 / self.rotations), u.shape)
        frames = self.rotations * self.translations
        number = layer * frames + rotation * self.translations + np.arange(self.translations)
        time = number * (self.exposure_s + self.dead_s)
        values: dict[str, tuple[Array, str | None]] = {
            "angle": (angle, "deg"),
            "u": (u, "um"),
            "z": (z, "um"),
            "planned_u": (planned_u, "um"),
            "time": (time, "s"),
            "true_angle": (self.rotation_sense * angle, "deg"),
            "true_u": (self.u_sense * (u - self.axis_um), "um"),
            "true_z": (self.z_sense * z, "um"),
            "rotation_planned": (np.broadcast_to(rotation, u.shape), None),
            **self._light(layer, time, rotation[:, 0]),
        }
        return xr.Dataset(
            {
                name: (("rotation", "translation"), np.array(v), {"units": unit} if unit else {})
                for name, (v, unit) in values.items()
            }
        )

    def _light(
        self, layer: int, time: Array, rotation: Array
    ) -> dict[str, tuple[Array, str | None]]:
        """Ring current, ion chamber, and the photons that each frame really had."""
        hours = time / 3600
        current = 300 * np.exp(-(hours % self.refill_h) / self.lifetime_h)
        transmission = 1 + self.drift * np.sin(2 * np.pi * hours / 7.3 + 0.4)
        rng = generator(self.seed, f"xrdct/{self.name}/monitor", layer)
        noise = rng.standard_normal((self.rotations, self.translations))[rotation]
        relative = current / 300 * transmission
        photons = self.photons_per_s * self.exposure_s * relative
        return {
            "ring_current": (current, "mA"),
            "monitor": (relative * (1 + self.monitor_noise * noise), "1"),
            "photons": (photons, "1"),
        }

    def seen_from(self, u_um: float, z_um: float) -> Geometry:
        """Geometry of the detector for a beam at the motor positions (`u_um`, `z_um`)."""
        if self.u_sense < 0:
            return self.geometry
        return self.geometry.at(u_um, self.z_sense * z_um)


PILATUS_2M = Geometry(
    "Pilatus CdTe 2M", 0.350, 0.14444, 0.12712, rot1=-0.0017, rot2=0.0026, rot3=0.0004
)
"""Geometry of the dataset's frames: rings to 5.8 1/angstrom in the corners."""
PILATUS_100K = Geometry("Pilatus 100k", 0.350, 0.01677, -0.0207, rot1=-0.0017, rot2=0.0026)
"""One module beside the beam: arcs from 0.7 to 3.4 1/angstrom, at the scale of the large one."""

LAYERS_25_UM = (43322, 43323, 43324, 43325)
"""Scans of the dataset with a spot of 25 um."""

LAYERS_50_UM = tuple(range(43336, 43356))
"""Of those with a spot of 50 um (43336 to 43401), as many as the sample is high."""


def _layers(numbers: tuple[int, ...], gap_um: float, dropped: tuple[int, ...]) -> tuple[Layer, ...]:
    middle = (len(numbers) - 1) / 2
    return tuple(
        Layer(number, (i - middle) * gap_um, dropped if i == 0 else ())
        for i, number in enumerate(numbers)
    )


def plans(seed: int, preset: str) -> dict[str, Plan]:
    """The XRD-CT scans of a preset, by their names: ``25um`` and, in `full`, ``50um``.

    Parameters
    ----------
    seed
        Seed of the twin.
    preset
        ``tiny``, ``small`` or ``full``. In all of them the first layer of the fine scan lacks one
        rotation, as scan 43322 of the dataset does.

    Raises
    ------
    UnknownNameError
        For any other preset.
    """
    tiny = Plan("100um", seed, PILATUS_100K, _layers(LAYERS_25_UM[:2], 100.0, (5,)), 8, 10,
                step_um=100.0, width_um=100.0, height_um=50.0, pitch_um=10.0,
                photons_per_s=4e8)  # fmt: skip
    small = Plan("25um", seed, PILATUS_100K, _layers(LAYERS_25_UM, 60.0, (13,)), 20, 40)
    fine = Plan("25um", seed, PILATUS_2M, _layers(LAYERS_25_UM, 60.0, (53,)), 80, 40)
    coarse = dataclasses.replace(
        fine, name="50um", layers=_layers(LAYERS_50_UM, 50.0, ()), translations=20,
        step_um=50.0, width_um=50.0, height_um=50.0,
    )  # fmt: skip
    every = {"tiny": {"100um": tiny}, "small": {"25um": small}, "full": {"25um": fine,
             "50um": coarse}}  # fmt: skip
    if preset not in every:
        raise unknown("preset", preset, every)
    return every[preset]


def part(plan: Plan, *, layers: int, rotations: int) -> Plan:
    """The first layers and rotations of a plan, every frame of which is as in the whole.

    Parameters
    ----------
    plan
        The scan.
    layers, rotations
        How many are kept. A rotation that the scan itself drops stays dropped.

    Raises
    ------
    ArgumentError
        Where the plan has no such number of layers or rotations.
    """
    if not (1 <= layers <= len(plan.layers) and 1 <= rotations <= plan.rotations):
        raise ArgumentError(
            "the scan has no such part",
            got=f"{layers} layers, {rotations} rotations",
            expected=f"1 to {len(plan.layers)} layers, 1 to {plan.rotations} rotations",
        )
    beyond = tuple(range(rotations, plan.rotations))
    kept = tuple(
        dataclasses.replace(layer, dropped=tuple(sorted({*layer.dropped, *beyond})))
        for layer in plan.layers[:layers]
    )
    return dataclasses.replace(plan, layers=kept)

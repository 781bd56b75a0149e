"""`register_layers`: where the layers of a diffraction scan lie in a tomogram of the sample."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import RegistrationError, SourceError
from zeoarray.kernels import transform
from zeoarray.kernels.filters import Filter
from zeoarray.labelled import known
from zeoarray.step import Count, Distance, Positive, measure
from zeoarray.volume import layer_fit, layer_report, layer_search, report
from zeoarray.volume.layer_inputs import geometry_of, maps_of, tomogram_of
from zeoarray.volume.layer_report import Answer
from zeoarray.volume.seen import Seen

__all__ = ["register_layers"]

Array = np.ndarray[Any, Any]
BY = "volume.register_layers"
Point = tuple[float, float, float]
Model = Literal["translation", "rigid", "similarity"]


def _expected(ds: xr.Dataset, *, model: Model = "rigid", **arguments: Any) -> xr.Dataset:
    out = report.expected(ds, model)
    of_frame = {v.name: ((), 1.0) for v in schema.OF_FRAME}
    return schema.describe(out.assign({**of_frame, "confirmed": ((), True)}), schema.REGISTRATION)


@measure(expects=_expected, cites=("10.1016/S0304-4076(98)00084-0",))
def register_layers(
    ds: xr.Dataset,
    *,
    fixed: xr.Dataset,
    phases: xr.Dataset | None = None,
    axis: xr.Dataset | None = None,
    model: Model = "rigid",
    start: xr.Dataset | None = None,
    variable: str | None = None,
    filter: Filter = "ramp",
    beam: Positive | None = None,
    reach: Distance = 3.0,
    turn_deg: Distance = 5.0,
    tilt_deg: Positive | None = None,
    scale_error: Positive | None = None,
    fiducials: tuple[tuple[Point, Point], ...] = (),
    fiducial_um: Positive | None = None,
    most_error: Positive = 0.25,
    memory_mb: Count = 512,
    accept: bool = False,
) -> xr.Dataset:
    """Find where the layers of a diffraction scan lie in a tomogram, and test the frame believed.

    The tomogram is seen as the scan would: through a Gaussian beam, at the measured z, angle and u,
    reconstructed by the kernel of the layers. That is compared with what was diffracted: in all
    (the sum over q), or as maps of phases. Each layer may relate to attenuation in its own way,
    which has bends for air, a light and a dense phase, and changes slowly over the layer. Between
    layers nothing is interpolated: the tomogram is read at the layers.

    After a search over shifts and turns, Gauss-Newton finds the map. Its covariance counts how
    residuals scatter, with their correlation. A few layers hardly fix a tilt out of their plane:
    it says so, and `tilt_deg` or `fiducials` help. The frame that was believed is confirmed where
    the map does not depart from it by more than the error.

    Parameters
    ----------
    ds
        The sinogram: ``intensity(z, angle, u, q)``, `valid`, the senses of the axes.
    fixed
        The tomogram, attenuation(z, y, x), in voxels finer than the beam.
    phases
        ``weight(phase, z, y, x)``, reconstructed from this sinogram by filtered back-projection,
        which is compared in place of the sum over q. Phases count as far as attenuation knows them.
    axis
        Where the rotation axis is, as for `xrdct.reconstruct`.
    model
        ``translation``, ``rigid``, or ``similarity`` with one scale.
    start
        The frame believed in, by its `to_fixed`; one frame for both where None.
    variable
        Of the tomogram; None where just one is of (z, y, x).
    filter
        By which the phases were reconstructed.
    beam
        Full width at half maximum of the beam [um]; `beam_size` or `resolution` of `ds` where None.
    reach
        Shifts along each axis that are looked for [spots].
    turn_deg
        Turns about z that are looked for [deg].
    tilt_deg
        Standard deviation of a tilt about x and y, from the frame believed in, where the mount
        allows no more [deg].
    scale_error
        Relative standard deviation of the scale of a ``similarity``, where steps of a stage and
        pixels of the tomogram are known so well; it is free where None.
    fiducials
        Positions x, y, z [um] of marks in the diffraction scan and in the tomogram, in pairs.
    fiducial_um
        Standard deviation of their distances along each axis; a quarter of the beam where None.
    most_error
        An answer is not trusted where its predicted error is above this [spots].
    memory_mb
        What may be read at once.
    accept
        Give the answer even where it is not trusted.

    Returns
    -------
    xarray.Dataset
        As `volume.register`, blocks being quarters of layers: ``to_fixed`` (4, 4) with its
        ``covariance``, ``predicted_rms``, tests, ``trusted``. Further ``displacement`` [um] from
        the frame believed in, ``frame_chi2`` for a parameter, ``confirmed``, and
        ``frame_correlation``, what ``block_correlation`` is in that frame.

    Raises
    ------
    SchemaError
        For a dataset that is no sinogram, a tomogram without a volume, phases without weight.
    SourceError
        For layers or a tomogram that are empty or constant.
    ArgumentError
        For phases of another grid, an axis that is not known, and voxels wider than the beam.
    RegistrationError
        Where both have nothing in common, units differ, or the answer is not trusted.

    References
    ----------
    T. G. Conley, J. Econometrics 92, 1 (1999), doi:10.1016/S0304-4076(98)00084-0.
    """
    geometry = geometry_of(ds, phases, axis, beam, filter)
    level = tomogram_of(fixed, variable, geometry)
    maps = maps_of(ds, phases, geometry)
    names, fields = transform.basis(model)
    believed = np.eye(4) if start is None else _matrix(start)
    middle = np.array([[0.0, 0.0, geometry.z.mean()]])
    about = transform.move(believed, middle)[0]
    far = (reach + 1) * geometry.spot_um + np.deg2rad(turn_deg) * geometry.places()[0][-1]
    seen = Seen(level, geometry, believed, far, memory_mb * 2**20)
    if not seen.size:
        raise _nothing(geometry.z, fixed)
    _has_contrast(seen)
    belief = layer_fit.Belief(
        believed, names, fields, about,
        _known(tilt_deg, scale_error),
        np.array(fiducials, float).reshape(-1, 2, 3),
        fiducial_um or geometry.spot_um / 4,
    )  # fmt: skip
    found = layer_search.capture(seen, maps, believed, reach, turn_deg)
    placed = layer_fit.place(seen, maps, found.matrix, belief)
    before = layer_fit.compare(seen, maps, believed, fields, about)
    if placed is None:
        raise _nothing(geometry.z, fixed)
    answer = Answer(seen, maps, placed, before, belief, reach, most_error)
    out = layer_report.node(answer, model, _nominal(ds))
    if not bool(out["trusted"]) and not accept:
        raise RegistrationError(
            f"{BY}: the answer is not trusted",
            got="; ".join(out.attrs["reasons"]),
            expected=f"an error below {most_error:g} of the beam's {geometry.spot_um:g} um, that "
            "all tests bear out",
            do="say what is known of a tilt (tilt_deg=), give fiducials=, a start near the answer, "
            "or accept=True to have it",
        )
    nodes = {k: d.attrs["node"] for k, d in (("moving", ds), ("fixed", fixed)) if "node" in d.attrs}
    return out.assign_attrs(ds.attrs | out.attrs | nodes)


def _known(tilt_deg: float | None, scale_error: float | None) -> dict[str, float]:
    """Standard deviations of parameters that a mount or a stage leaves little room."""
    tilt = None if tilt_deg is None else float(np.deg2rad(tilt_deg))
    given = {"turn_x": tilt, "turn_y": tilt, "scale": scale_error}
    return {name: sigma for name, sigma in given.items() if sigma is not None}


def _matrix(start: xr.Dataset) -> Array:
    needed = schema.Schema("registration to begin with", (schema.TO_FIXED,))
    schema.validate(start, needed, by=BY)
    return transform.check(start["to_fixed"].values, f"{BY}: to_fixed of the start")


def _has_contrast(seen: Seen) -> None:
    if seen.range is None:
        raise SourceError(
            f"{BY}: the tomogram is empty where the layers are",
            got="no finite voxel",
            expected="a tomogram of the same sample",
        )
    if not seen.range[1] > seen.range[0]:
        raise SourceError(
            f"{BY}: the tomogram is constant where the layers are",
            got=f"{seen.range[0]:g} everywhere",
            expected="a volume with structure",
        )


def _nothing(z: Array, fixed: xr.Dataset) -> RegistrationError:
    at = known(fixed["z"])
    return RegistrationError(
        f"{BY}: the layers and the tomogram have nothing in common",
        got=f"layers at z {z.min():g} to {z.max():g} um, a tomogram of z {at.min():g} to "
        f"{at.max():g} um",
        expected=f"{layer_fit.LEAST} pixels of a layer or more within the tomogram",
        do="check z of both, or give start=",
    )


def _nominal(ds: xr.Dataset) -> float:
    if "resolution" in ds.variables and ds["resolution"].ndim == 0:
        return float(ds["resolution"])
    return float("nan")

"""`connect`: registrations of pairs, nodes of a store, into one frame for all scans."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.step import measure
from zeoarray.volume.network import solve_network

__all__ = ["connect"]

BY = "volume.connect"
Names = tuple[tuple[str, str], ...]


def _expected(
    ds: xr.Dataset, *, scans: Names, reference: str, accept: bool = False, **pairs: xr.Dataset
) -> xr.Dataset:
    """A node like that of the network, made without reading."""
    named = _named([ds, *_given(pairs)], scans)
    names = sorted({s for pair in named for s in pair})
    if reference not in names:
        raise ArgumentError(
            f"{BY}: no registration has the reference {reference!r}", got=", ".join(names)
        )
    size = ds.sizes.get("parameter", 6)
    zeros, ones = np.zeros(len(names)), np.ones(len(names))
    out = xr.Dataset(
        {
            "to_sample": (("scan", "to", "from"), np.tile(np.eye(4), (len(names), 1, 1))),
            "covariance": (("scan", "parameter", "other"), np.zeros((len(names), size, size))),
            "about": ("axis", np.zeros(3)),
            "pixel_scale": ("scan", ones),
            "center_sigma": ("scan", zeros),
            "loop_chi2": ((), 1.0),
            "loop_degrees": ((), 0),
            "pair_chi2": ("pair", np.zeros(len(named))),
            "pair_residual": ("pair", np.zeros(len(named))),
        },
        {
            "scan": names,
            "pair": [f"{m} on {f}" for m, f in named],
            "parameter": list(map(str, ds["parameter"].values))
            if "parameter" in ds.variables
            else [f"parameter_{n}" for n in range(size)],
            "axis": list("xyz"),
        },
    )
    return schema.describe(out, schema.NETWORK)


@measure(expects=_expected, cites=("10.1023/A:1008854305733",))
def connect(
    ds: xr.Dataset,
    *,
    scans: Names,
    reference: str,
    pair2: xr.Dataset | None = None,
    pair3: xr.Dataset | None = None,
    pair4: xr.Dataset | None = None,
    pair5: xr.Dataset | None = None,
    pair6: xr.Dataset | None = None,
    pair7: xr.Dataset | None = None,
    pair8: xr.Dataset | None = None,
    pair9: xr.Dataset | None = None,
    pair10: xr.Dataset | None = None,
    accept: bool = False,
) -> xr.Dataset:
    """Bring all scans of a sample into one frame, from registrations that are nodes of a store.

    As `volume.solve_network`, which takes any number of pairs by name, for pipelines: all pairs are
    fitted together by their covariances, and loops that do not close are told.

    Parameters
    ----------
    ds
        The first registration, as `volume.register` gives it.
    scans
        Names of the moving and the fixed scan of each registration, in their order:
        ``[[fine, coarse], [diad, coarse]]``.
    reference
        The scan whose frame is the sample's.
    pair2, pair3, pair4, pair5, pair6, pair7, pair8, pair9, pair10
        The other registrations.
    accept
        Take registrations that are not trusted, and give the answer even where loops do not close.

    Returns
    -------
    xarray.Dataset
        ``to_sample(scan, to, from)`` with its covariance, and how the loops close: as
        `volume.solve_network`. `volume.resample` takes it, with the name of a scan.

    Raises
    ------
    ArgumentError
        For another number of names than registrations, a pair that is named twice, and as
        `volume.solve_network`.
    RegistrationError
        Where a registration is not trusted, or loops do not close.

    References
    ----------
    F. Lu, E. Milios, Auton. Robots 4, 333 (1997), doi:10.1023/A:1008854305733.
    """
    others = (pair2, pair3, pair4, pair5, pair6, pair7, pair8, pair9, pair10)
    pairs = [ds, *(p for p in others if p is not None)]
    named = dict(zip(_named(pairs, scans), pairs, strict=True))
    return solve_network(named, reference=reference, accept=accept)


def _given(pairs: dict[str, Any]) -> list[xr.Dataset]:
    return [p for p in pairs.values() if p is not None]


def _named(pairs: list[xr.Dataset], scans: Names) -> list[tuple[str, str]]:
    """The names of each pair.

    Raises
    ------
    ArgumentError
        Where there are more or fewer than pairs, or one is there twice.
    """
    if len(scans) != len(pairs):
        raise ArgumentError(
            f"{BY}: each registration has the names of its two scans",
            got=f"{len(pairs)} registrations, {len(scans)} pairs of names",
            expected="as many of both, in the order of the registrations",
            do="scans: [[moving, fixed], [moving, fixed], ...]",
        )
    if len(set(scans)) != len(scans):
        twice = sorted({f"{m} on {f}" for m, f in scans if scans.count((m, f)) > 1})
        raise ArgumentError(
            f"{BY}: two registrations are of one pair",
            got=", ".join(twice),
            expected="each pair of scans once",
        )
    return [(str(moving), str(fixed)) for moving, fixed in scans]

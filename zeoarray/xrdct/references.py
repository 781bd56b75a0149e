"""Reference patterns on the scan's own q and with its own widths: `reference_patterns`."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import xarray as xr
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import nnls
from zeoarray.kernels.profiles import pseudo_voigt
from zeoarray.labelled import known
from zeoarray.step import Count, measure
from zeoarray.xrdct import means, model

__all__ = ["reference_patterns"]

Array = np.ndarray[Any, Any]
Polarization = Literal["unpolarized", "none"]
Shape = Callable[[Array], Array]

BY = "xrdct.reference_patterns"
WIDEST = 0.03
"""Gaussian widths are looked for up to this [1/angstrom]."""
NARROW = 1e-4
"""A width below this was not found [1/angstrom]."""
COINCIDE = 1e-4
"""Peaks nearer than this are one [1/angstrom]."""
_NODE, _SHARE = np.polynomial.hermite.hermgauss(15)


def _as_it_may_be(ds: xr.Dataset, **parameters: Any) -> xr.Dataset:
    """Patterns that differ, made without reading."""
    powders = [parameters.get(n) for n in ("first", "second", "third", "fourth")]
    given = [p for p in powders if p is not None]
    names = _names(given, parameters.get("names"), parameters.get("peaks") or {})
    q = np.linspace(0, 1, ds.sizes["q"])
    patterns = np.stack([1 + np.cos(np.pi * (31 + 7 * i) * q) for i in range(len(names))])
    return _node(ds, names, patterns, (0.0, 0.0, 0.0, 0.0), [])


@measure(cites=("10.1107/S0021889887087090",), expects=_as_it_may_be)
def reference_patterns(
    ds: xr.Dataset,
    *,
    first: xr.Dataset | None = None,
    second: xr.Dataset | None = None,
    third: xr.Dataset | None = None,
    fourth: xr.Dataset | None = None,
    names: tuple[str, ...] | None = None,
    peaks: dict[str, tuple[float, ...]] | None = None,
    q_range: tuple[float, float] | None = None,
    background: int = 8,
    alpha2: float = 0.0,
    polarization: Polarization = "unpolarized",
    patterns: Count = 400,
    parallax: xr.Dataset | None = None,
) -> xr.Dataset:
    r"""Make reference patterns that fit a scan, from powder patterns or lists of peaks.

    Of a powder pattern, q is already that of its own wavelength. It is divided by the polarization
    of its source, stripped of K-alpha2 if asked for, and convolved with a Gaussian of
    :math:`\sigma^2 = a^2 + (b q)^2` after a shift :math:`q (1 + s)`: a, b and s are those with
    which the references fit the mean pattern of the scan best. Of a list of peaks, positions are
    given; areas, one Gaussian width and one Lorentzian share of all peaks, and s, are fitted to the
    mean pattern.

    Parameters
    ----------
    ds
        ``intensity(..., q)`` of the scan.
    first, second, third, fourth
        Powder patterns, ``intensity(q)`` with ``wavelength``.
    names
        Of the phases in this order; the sample's name in each file where None.
    peaks
        Lists of positions by phase [1/angstrom], in place of powder patterns.
    q_range
        First and last q [1/angstrom]; all of the scan where None.
    background
        Number of cubic B-splines under the mean pattern.
    alpha2
        Strength of K-alpha2 over K-alpha1 in the powder patterns: 0.5 of a tube without
        monochromator, 0 where it was taken out by one.
    polarization
        ``unpolarized``: the powder patterns hold the factor (1 + cos^2 2 theta) / 2 of a tube,
        which patterns that were corrected for polarization do not. ``none``: they do not.
    patterns
        How many patterns of the scan are read, evenly spread.
    parallax
        From `parallax`, where `fit_phases` gets it too: lines of a voxel off the axis, seen over a
        full circle, are broadened by its way along the beam, and the references are those of a
        voxel on the axis. Without it their widths hold what parallax adds on average, and a fit
        that adds it again takes phases for each other. Only of voxels.

    Returns
    -------
    xarray.Dataset
        ``pattern(phase, q)``, NaN beyond `q_range`; ``width_added`` (a), ``width_relative`` (b),
        ``shift_relative`` (s) with its error.

    Raises
    ------
    SchemaError
        For a dataset without patterns, and powder patterns that are none.
    ArgumentError
        Where neither or both kinds are given, a powder pattern does not cover q, peaks are outside
        it or coincide, or references are collinear (it says which).

    References
    ----------
    W. A. Rachinger, J. Sci. Instrum. 25, 254 (1948), doi:10.1088/0950-7671/25/7/125.
    """
    if not 0 <= alpha2 <= 1:
        raise ArgumentError(f"{BY}: alpha2 is a share", got=f"alpha2={alpha2}", expected="0 to 1")
    given = [p for p in (first, second, third, fourth) if p is not None]
    lists = peaks or {}
    labels = _names(given, names, lists)
    chosen = model.selection(ds, q_range, BY)
    q = known(ds["q"]).astype(float)[chosen]
    seen = means.means_of(ds, chosen, patterns, parallax, BY)
    smooth = model.background(q, background)
    if lists:
        _check_peaks(lists, q)
        found, numbers = _from_peaks(q, seen, smooth, lists)
        limits = ["references are made of listed peaks only: lines that are not listed are missing"]
    else:
        curves = [_curve(p, n, q, alpha2, polarization)
                  for p, n in zip(given, labels, strict=True)]  # fmt: skip
        found, numbers = _from_powders(q, seen, smooth, curves, labels)
        narrow = numbers[0] < NARROW and numbers[1] * q[-1] < NARROW
        limits = ["the scan's lines are not broader than those of the powder patterns, which "
                  "cannot be made narrower"] if narrow else []  # fmt: skip
        beams = [p["wavelength"].attrs for p in given if "wavelength" in p.variables]
        if not alpha2 and any("k_alpha2" in beam for beam in beams):
            limits.append("K-alpha2 of the powder patterns was taken to be absent")
    model.check_collinear(labels, np.concatenate([found, smooth]), BY)
    whole = np.full((len(labels), ds.sizes["q"]), np.nan)
    whole[:, chosen] = found
    return _node(ds, labels, whole, numbers, limits)


def _names(
    given: Sequence[xr.Dataset], names: Sequence[str] | None, peaks: dict[str, Any]
) -> list[str]:
    if bool(given) is bool(peaks):
        raise ArgumentError(
            f"{BY} needs powder patterns or lists of peaks",
            got="both" if given else "neither",
            do="first=powder/13X, second=powder/Zn13X; or peaks={zinc: [1.101, ...], ...}",
        )
    if peaks:
        return list(peaks)
    own = [str(p.attrs.get("sample") or p.attrs.get("node") or "").rpartition("/")[2]
           for p in given]  # fmt: skip
    labels = own if names is None else list(names)
    if len(labels) != len(given) or len(set(labels)) < len(labels) or "" in labels:
        raise ArgumentError(
            f"{BY}: every powder pattern has one name",
            got=f"{len(given)} patterns, names {', '.join(map(repr, labels))}",
            do='names=("sodium", "zinc"), in the order of the patterns',
        )
    return labels


# --- powder patterns ------------------------------------------------------------------------------
def _curve(
    powder: xr.Dataset, name: str, q: Array, alpha2: float, polarization: str
) -> CubicSpline:
    """A powder pattern as a function of q, corrected for its source."""
    schema.validate(powder, schema.POWDER, by=f"{BY}, {name}")
    own = known(powder["q"]).astype(float)
    values = known(powder["intensity"]).astype(float)
    fine = np.isfinite(values)
    own, values = own[fine], values[fine]
    reach = 2 * WIDEST
    if own.size < 4 or own[0] > q[0] - reach or own[-1] < q[-1] + reach:
        got = f"{own[0]:g} to {own[-1]:g} 1/angstrom" if own.size else "no finite bin"
        low, high = (own[0] + reach, own[-1] - reach) if own.size else (q[0], q[-1])
        raise ArgumentError(
            f"{BY}: the powder pattern {name!r} is on another range of q",
            got=got,
            expected=f"{q[0]:g} to {q[-1]:g} 1/angstrom, and {reach:g} beyond",
            do=f"q_range=({max(low, q[0]):g}, {min(high, q[-1]):g}), or another pattern",
        )
    if polarization == "unpolarized" or alpha2:
        need = schema.Schema("powder pattern", (schema.WAVELENGTH,))
        schema.validate(powder, need, by=f"{BY}, {name}")
        length = float(known(powder["wavelength"]))
        if alpha2:
            values = _stripped(own, values, length, powder, alpha2)
        if polarization == "unpolarized":
            theta = np.arcsin(np.minimum(own * length / (4 * np.pi), 1))
            values = values / ((1 + np.cos(2 * theta) ** 2) / 2)
    return CubicSpline(own, values)


def _stripped(q: Array, values: Array, length: float, powder: xr.Dataset, ratio: float) -> Array:
    """What K-alpha1 alone would have given (Rachinger): K-alpha2 is its copy at higher q."""
    second = powder["wavelength"].attrs.get("k_alpha2")
    if second is None:
        raise ArgumentError(
            f"{BY}: the wavelength of K-alpha2 is not known",
            got=f"{length:g} angstrom alone",
            do='powder["wavelength"].attrs["k_alpha2"] = 1.54439, in angstrom; or alpha2=0',
        )
    stretch = float(second) / length
    out = values.copy()
    place = q / stretch
    left = (np.searchsorted(q, place, side="right") - 1).tolist()
    for i in range(q.size):
        # Both neighbours are left of this bin and stripped already.
        j = min(left[i], i - 1)
        if j < 0:
            continue
        part = (place[i] - q[j]) / (q[j + 1] - q[j]) if j + 1 < i else 0.0
        below = out[j] + part * (out[j + 1] - out[j]) if j + 1 < i else out[j]
        out[i] = values[i] - ratio / stretch * below
    return out


def _from_powders(
    q: Array, seen: means.Means, smooth: Array, curves: Sequence[Shape],
    names: Sequence[str],
) -> tuple[Array, tuple[float, float, float, float]]:  # fmt: skip
    def patterns(numbers: Array) -> Array:
        a, b, shift = numbers
        place = q / (1 + shift * 1e-3)
        wide = np.sqrt(2.0) * np.hypot(a * 1e-3, b * 1e-3 * place)
        nodes = place + _NODE[:, None] * wide
        share = _SHARE / _SHARE.sum()
        return np.stack([share @ curve(nodes) for curve in curves])

    first = patterns(np.zeros(3))
    model.check_collinear(names, np.concatenate([first, smooth]), BY)
    most = 1e3 * WIDEST
    return _fitted(patterns, q, seen, smooth, [3.0, 0.5, 0.0], [0, 0, -10], [most, 10, 10])


# --- lists of peaks -------------------------------------------------------------------------------
def _check_peaks(lists: dict[str, tuple[float, ...]], q: Array) -> None:
    flat = [(float(p), name) for name, places in lists.items() for p in places]
    outside = [f"{p:g} ({name})" for p, name in flat if not q[0] < p < q[-1]]
    empty = [name for name, places in lists.items() if not places]
    if outside or empty:
        raise ArgumentError(
            f"{BY}: peaks are outside the range of q" if outside else f"{BY}: a list is empty",
            got=", ".join(outside or empty),
            expected=f"positions between {q[0]:g} and {q[-1]:g} 1/angstrom",
            do="leave them out, or widen q_range=",
        )
    flat.sort()
    for (p, name), (after, other) in itertools.pairwise(flat):
        if after - p < COINCIDE:
            raise ArgumentError(
                f"{BY}: two peaks coincide",
                got=f"{p:g} ({name}) and {after:g} ({other})",
                do="leave one out, or give powder patterns: their areas cannot be told apart",
            )


def _from_peaks(
    q: Array, seen: means.Means, smooth: Array, lists: dict[str, tuple[float, ...]]
) -> tuple[Array, tuple[float, float, float, float]]:
    places = np.array([p for listed in lists.values() for p in listed], float)
    owner = np.repeat(np.arange(len(lists)), [len(v) for v in lists.values()])

    def profiles(numbers: Array) -> Array:
        a, b, shift, share = numbers
        at = places[:, None] * (1 + shift * 1e-3)
        width = np.sqrt(8 * np.log(2)) * np.hypot(a * 1e-3, b * 1e-3 * at)
        found: Array = pseudo_voigt(q - at, width, share)
        return found

    most = 1e3 * WIDEST
    areas: list[Array] = []
    single, numbers = _fitted(
        profiles, q, seen, smooth, [3.0, 0.5, 0.0, 0.3], [0.1, 0, -10, 0],
        [most, 10, 10, 1], areas,
    )  # fmt: skip
    strong = areas[0][:, None] * single
    found = np.stack([strong[owner == i].sum(axis=0) for i in range(len(lists))])
    silent = [name for name, pattern in zip(lists, found, strict=True) if not pattern.any()]
    if silent:
        raise ArgumentError(
            f"{BY}: no listed peak of a phase is in the mean pattern",
            got=", ".join(silent),
            do="leave the phase out, or check positions and units of its peaks",
        )
    return found, numbers


# --- fit ------------------------------------------------------------------------------------------
def _fitted(
    shapes: Callable[[Array], Array], q: Array, seen: means.Means, smooth: Array,
    start: Sequence[float], low: Sequence[float], high: Sequence[float],
    weights: list[Array] | None = None,
) -> tuple[Array, tuple[float, float, float, float]]:  # fmt: skip
    """Shapes of the numbers that fit the means best; for each trial their weights follow."""

    def solved(numbers: Array) -> tuple[Array, Array, Array]:
        found = shapes(numbers)
        parts = [weighed(*one) for one in zip(means.around(found, q, seen.spread), seen.mean,
                                               seen.sigma, strict=True)]  # fmt: skip
        weight = seen.share @ np.array([x for x, _ in parts])
        return found, weight, np.concatenate([rest for _, rest in parts])

    def weighed(found: Array, mean: Array, sigma: Array) -> tuple[Array, Array]:
        white = np.concatenate([found, smooth]) / sigma
        norm = np.sqrt((white**2).sum(axis=1))
        norm[norm == 0] = 1
        unit, data = white / norm[:, None], mean / sigma
        gram = unit @ unit.T + 1e-12 * np.eye(len(unit))
        x, _ = nnls.solve(gram, unit @ data, bounded=len(found))
        return x / norm, data - x @ unit

    def residual(numbers: Array) -> Array:
        return solved(numbers)[2]

    sizes = [1, 0.3, 0.3, 0.3][: len(start)]
    done = least_squares(
        residual, start, bounds=(low, high), x_scale=sizes, diff_step=1e-3, xtol=1e-6, ftol=1e-8
    )
    found, x, rest = solved(done.x)
    if weights is not None:
        weights.append(x[: len(found)])
    # The residual's own size stands for the unknown factor of the errors.
    spread = np.linalg.pinv(done.jac.T @ done.jac) * (rest @ rest) / max(rest.size - len(x), 1)
    a, b, shift = (1e-3 * float(n) for n in done.x[:3])
    return found, (a, b, shift, 1e-3 * float(np.sqrt(spread[2, 2])))


def _node(
    ds: xr.Dataset, names: Sequence[str], patterns: Array, numbers: Sequence[float],
    limits: list[str],
) -> xr.Dataset:  # fmt: skip
    values = dict(zip(("width_added", "width_relative", "shift_relative", "shift_relative_sigma"),
                      map(float, numbers), strict=True))  # fmt: skip
    out = xr.Dataset(
        {"pattern": (("phase", "q"), patterns.astype(np.float32)), **values},
        {"phase": list(names), "q": ds["q"].variable.to_base_variable()},
    )
    made = schema.describe(out, schema.REFERENCES)
    return made.assign_attrs({**ds.attrs, "limits": [*ds.attrs.get("limits", []), *limits]})

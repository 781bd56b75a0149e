"""`place`: where patches are cut, and which split each belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError
from zeoarray.kernels import boxes
from zeoarray.kernels import sampling as drawing
from zeoarray.patches import registered, windows
from zeoarray.patches.contents import Contents
from zeoarray.step import Count, Distance, Overlap, Part, Positive, Some, Whole, measure

Array = np.ndarray[Any, Any]
Lengths = Positive | tuple[Positive, Positive, Positive]
Margins = Distance | tuple[Distance, Distance, Distance]
Range = tuple[float, float]

BY = "patches.place"
CUBE = 4
"""Patches are sorted by cubes of about this many of them along each axis."""
CLASSES = 8
"""Classes of a patch's mean value that "balance" draws equally often."""


def _expected(ds: xr.Dataset, **arguments: Any) -> xr.Dataset:
    """Positions in the middle, for the check and the plan of a pipeline."""
    axes = windows.axes(ds, by=BY)
    count = arguments["count"] or 64
    size = windows.three(arguments["size"])
    middle = np.array([[a.middle(np.array([(len(a.centres) - a.count(s)) // 2]), a.count(s))[0]
                        for a, s in zip(axes, size, strict=True)]])  # fmt: skip
    names = list(arguments["splits"])
    return _node(
        np.repeat(middle, count, axis=0), [names[0]] * count, np.zeros(count, np.int64),
        np.ones(count), size, windows.three(arguments["support"]), 0.0,
    )  # fmt: skip


@measure(expects=_expected)
def place(
    ds: xr.Dataset,
    *,
    size: Lengths,
    support: Margins = 0.0,
    variable: str | None = None,
    sampling: Literal["grid", "uniform", "blue_noise"] = "grid",
    overlap: Overlap = 0.0,
    count: Count | None = None,
    prefer: Literal["any", "gradient", "balance"] = "any",
    threshold: float | None = None,
    foreground: Part = 0.5,
    valid: Part = 1.0,
    sharpest: Some = 1.0,
    registration: xr.Dataset | None = None,
    scan: str | None = None,
    most_error: Positive | None = None,
    splits: dict[str, float] = {"train": 0.8, "validation": 0.1, "test": 0.1},  # noqa: B006
    parts: Literal["slabs", "octants", "blocks"] = "slabs",
    along: Literal["z", "y", "x"] = "z",
    blocks: Count = 4,
    folds: Count | None = None,
    fold: Whole = 0,
    z: Range | None = None,
    y: Range | None = None,
    x: Range | None = None,
    seed: Whole = 0,
) -> xr.Dataset:
    """Choose where patches are cut, in um, and give each to a split that no other can look into.

    A patch is in a split only where all that its values come from is: its box, and `support`
    beyond it on every side. So between two splits lies a buffer of twice the support, and patches
    in it are left out: `lost` says how many that costs.

    Parameters
    ----------
    ds
        A volume with z, y, x: the one by which places are chosen. It is read once, a part at a
        time. Of a variable with more dims the mean counts.
    size
        Width of a patch, or (z, y, x) [um]. Each source cuts the voxels that this covers of its
        own.
    support
        How far beyond its box a patch's values come from, for the worst of all sources [um]:
        interpolation, point-spread function and three standard deviations of the registration.
        `patches.extract` refuses a source that needs more.
    variable
        By which the sample is told from air; None takes the only one with z, y, x.
    sampling
        "grid": side by side, or overlapping; "uniform": at random; "blue_noise": at random, and
        apart from each other.
    overlap
        Share of its width by which a patch of the grid reaches into the next.
    count
        How many patches; None takes all of a grid.
    prefer
        "any"; "gradient": patches are drawn in proportion to their mean gradient; "balance": so
        that patches of every mean value are equally frequent.
    threshold
        Value above which a voxel is sample; None finds it (Otsu, doi:10.1109/TSMC.1979.4310076).
    foreground, valid
        Least share of a patch that is sample, and that is measured (finite, and `valid` where the
        volume has it).
    sharpest
        Only this share of the places, those with the greatest gradient, is kept.
    registration, most_error
        Of another source onto this volume (`volume.register`), or of several into one frame
        (`volume.solve_network`): only places where it is off by at most `most_error` are kept [um].
        That is one standard deviation by its covariance, at the worst corner of the patch, and what
        the nearest block is off beyond its noise.
    scan
        Which, where the registration is of several.
    splits
        Share of each split, by name.
    parts
        How space is cut into splits: "slabs" along one axis, "octants", or "blocks" dealt out.
    along
        Axis that slabs are cut along. With few layers, cut in plane.
    blocks
        Blocks along each axis, for "blocks" and for folds.
    folds, fold
        Cross-validation: blocks are dealt to so many folds; number `fold` is the test split, the
        next the validation split. `splits` then only names them.
    z, y, x
        First and last position that a patch may cover [um].
    seed
        Of all that is drawn.

    Returns
    -------
    xarray.Dataset
        ``z0, y0, x0, split, block, foreground`` along ``patch``, sorted by split and place.

    Raises
    ------
    ArgumentError
        For a patch larger than the volume, no place with enough sample or good enough a
        registration, a buffer that leaves a split empty, or shares that do not add up to 1.
    """
    schema.validate(ds, schema.positioned(windows.AXES), by=BY)
    names, shares = boxes.shares_of(splits)
    axes = windows.axes(ds, by=BY)
    width, margin = windows.three(size), windows.three(support)
    grid = _Grid.of(axes, width, {"z": z, "y": y, "x": x})
    rng = np.random.default_rng(seed)
    starts = grid.on_a_grid(overlap) if sampling == "grid" else grid.at_random(count, rng)
    detail = prefer != "any" or sharpest < 1
    told = Contents.of(ds, _chosen(ds, variable), grid.count, threshold, detail)
    share, measured, mean, slope = told.over(starts)
    good = (share >= foreground) & (measured >= valid - 1e-9)
    if not good.any():
        raise ArgumentError(
            f"{BY}: no place holds enough of the sample",
            got=f"{len(starts)} places, at most {share.max():.0%} sample and "
            f"{measured.max():.0%} measured",
            expected=f"{foreground:.0%} and {valid:.0%}",
            do="lower foreground, valid or threshold, or choose smaller patches",
        )
    if sharpest < 1:
        good &= slope >= np.quantile(slope[good], 1 - sharpest)
    good[good] = _registered(registration, scan, most_error, grid.centres(starts[good]), width)
    starts, share, mean, slope = starts[good], share[good], mean[good], slope[good]
    centre = grid.centres(starts)
    if folds is None:
        division = boxes.divide(
            centre, shares, parts=parts, along=windows.AXES.index(along), blocks=blocks, seed=seed
        )
    else:
        division = boxes.fold(centre, folds=folds, chosen=fold, blocks=blocks, seed=seed)
    half = grid.width / 2 + margin
    split = division.split_of(centre - half, centre + half)
    inside = split != boxes.NONE
    lost = 1 - float(inside.mean())
    _each_split(split, names if folds is None else names[:3], margin, lost)
    weight = np.where(inside, _weights(prefer, mean, slope), 0.0)
    pick = _pick(sampling, centre, weight, count, rng)
    pick = pick[_order(starts[pick], grid.count, split[pick])]
    return _node(
        centre[pick], [names[s] for s in split[pick]], division.cell_of(centre[pick]),
        share[pick], grid.width, margin, lost,
    )  # fmt: skip


def _registered(
    registration: xr.Dataset | None,
    scan: str | None,
    most: float | None,
    centre: Array,
    width: Array,
) -> Array:
    """Which places are registered well enough."""
    if (registration is None) != (most is None):
        raise ArgumentError(
            f"{BY}: places are chosen by a registration and the error that it may have",
            got=f"most_error={most}, " + ("no registration" if registration is None else "one"),
            do="give both, or none",
        )
    if registration is None or most is None:
        return np.ones(len(centre), bool)
    errors = registered.errors(registration, scan, centre, width, by=BY)
    if not (errors <= most).any():
        raise ArgumentError(
            f"{BY}: nowhere is the registration as good as that",
            got=f"most_error={most:g} um, errors from {errors.min():.4g} to {errors.max():.4g} um",
            do="allow more, or register better",
        )
    return np.asarray(errors <= most)


def _chosen(ds: xr.Dataset, variable: str | None) -> str:
    fit = [str(n) for n, v in ds.data_vars.items() if set(windows.AXES) <= set(v.dims)]
    fit = [n for n in fit if n not in schema.FLAGS and not n.endswith("_sigma")]
    if variable is None and len(fit) == 1:
        return fit[0]
    if variable is None or variable not in ds.data_vars:
        raise ArgumentError(
            f"{BY}: which variable tells the sample from air?",
            got=repr(variable),
            expected="one of " + (", ".join(fit) or "a variable with z, y, x"),
            do="variable=" + (repr(fit[0]) if fit else "..."),
        )
    return variable


@dataclass(frozen=True)
class _Grid:
    """Windows of equal size on the voxels of one volume."""

    axes: tuple[windows.Axis, windows.Axis, windows.Axis]
    count: Array
    """(3): voxels of a window."""
    low: Array
    """(3): least first voxel."""
    high: Array
    """(3): greatest first voxel."""
    width: Array
    """(3): width of a patch [um], as asked for."""

    @classmethod
    def of(
        cls,
        axes: tuple[windows.Axis, windows.Axis, windows.Axis],
        width: Array,
        limits: dict[str, Range | None],
    ) -> _Grid:
        count = np.array([a.count(w) for a, w in zip(axes, width, strict=True)])
        low, high = np.zeros(3, int), np.zeros(3, int)
        for i, a in enumerate(axes):
            first, last = limits[a.name] or (a.centres[0] - a.step, a.centres[-1] + a.step)
            inside = np.flatnonzero((a.centres >= first) & (a.centres <= last))
            if inside.size < count[i]:
                raise ArgumentError(
                    f"{BY}: a patch is larger than the volume along {a.name!r}",
                    got=f"{width[i]:g} um, {count[i]} voxels",
                    expected=f"at most {inside.size * a.step:g} um, {inside.size} voxels",
                    do=f"choose a smaller size along {a.name}: size=(z, y, x)",
                )
            low[i], high[i] = inside[0], inside[-1] + 1 - count[i]
        return cls(axes, count, low, high, width)

    def centres(self, starts: Array) -> Array:
        parts = [
            a.middle(s, int(n)) for a, s, n in zip(self.axes, starts.T, self.count, strict=True)
        ]
        return np.stack(parts, 1)

    def on_a_grid(self, overlap: float) -> Array:
        stride = np.maximum(1, np.rint(self.count * (1 - overlap))).astype(int)
        return drawing.grid(self.low, self.high, stride).astype(np.int64)

    def at_random(self, count: int | None, rng: np.random.Generator) -> Array:
        if count is None:
            raise ArgumentError(
                f"{BY}: how many patches shall be drawn?", got="count: None", do="count: 1000"
            )
        # Many more than are kept: some hold too little of the sample, some lie between splits.
        many = 4 * drawing.CANDIDATES * count
        return np.unique(rng.integers(self.low, self.high + 1, (many, 3)), axis=0)


def _weights(prefer: str, mean: Array, slope: Array) -> Array:
    if prefer == "gradient":
        return slope
    if prefer == "balance":
        edges = np.linspace(mean.min(), mean.max(), CLASSES + 1)[1:-1]
        kind = np.searchsorted(edges, mean)
        return np.asarray(1 / np.bincount(kind, minlength=CLASSES)[kind])
    return np.ones(len(mean))


def _pick(
    kind: str, centre: Array, weight: Array, count: int | None, rng: np.random.Generator
) -> Array:
    possible = np.flatnonzero(weight > 0)
    if count is None:
        return possible
    if kind != "blue_noise":
        return drawing.chosen(count, weight, rng)
    many = min(drawing.CANDIDATES * count, possible.size)
    drawn = drawing.chosen(max(many, count), weight, rng)
    points = centre[drawn]
    return np.asarray(drawn[drawing.apart(points, count, np.ptp(points, axis=0))])


def _order(starts: Array, count: Array, split: Array) -> Array:
    """Sorted by split, then by cubes of some patches: what is cut together lies together."""
    rows, cubes = starts // count, starts // (CUBE * count)
    return np.lexsort((*rows.T[::-1], *cubes.T[::-1], split))


def _each_split(split: Array, names: tuple[str, ...], margin: Array, lost: float) -> None:
    empty = [n for i, n in enumerate(names) if not (split == i).any()]
    if empty:
        raise ArgumentError(
            f"{BY}: nothing is left for the split {', '.join(map(repr, empty))}",
            got=f"{lost:.0%} of the places lie within the buffer between splits, "
            f"{2 * margin.max():g} um wide",
            do="choose fewer or larger parts (parts: slabs along the longest axis), smaller "
            "patches, or a smaller support",
        )


def _node(
    centre: Array,
    split: list[str],
    block: Array,
    share: Array,
    width: Array,
    margin: Array,
    lost: float,
) -> xr.Dataset:
    along: dict[str, Any] = {
        "z0": centre[:, 0], "y0": centre[:, 1], "x0": centre[:, 2],
        "split": np.asarray(split, dtype=str), "block": block,
        "foreground": share.astype(np.float32),
    }  # fmt: skip
    scalars = {v.name: float(n) for v, n in zip(schema.SIZES, width, strict=True)}
    scalars |= {v.name: float(n) for v, n in zip(schema.SUPPORTS, margin, strict=True)}
    out = xr.Dataset(
        {"lost": lost},
        {n: ("patch", v) for n, v in along.items()} | {n: ((), v) for n, v in scalars.items()},
    )
    return schema.describe(out, schema.POSITIONS_PATCHES)

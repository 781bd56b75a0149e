"""Phases of the twin by two-bin windows and by the fit, beside the truth: a table and a picture.

``python -m docs.phases`` from the project's root. Frames of a whole layer are drawn: some minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

from tests import phase_twin
from zeoarray import xrdct

Array = np.ndarray[Any, Any]

OUT = Path(__file__).parent / "images" / "phases_confusion.png"
NAMES = ("sodium", "zinc")
LINES = (1.6488, 1.6538)
"""Bins 866 and 871 of the dataset's reduced files, where its users look for sodium and zinc."""
TYPED = 20.0
"""The centre that is typed for 40 columns; gridrec counts pixel centres from 0, as here."""
BESIDE = (1.615, 1.705)
"""Places without lines on both sides, for a background."""
TERMS = 12


def main() -> None:
    scan = phase_twin.layer(80, 40, (1.0,))
    found = dict(maps(scan))
    volume = xrdct.reconstruct(scan.sinograms[1.0], center=scan.axis)
    # Half the slice is 500 um.
    inside = np.hypot(volume["y"].values[:, None], volume["x"].values) <= 475
    sys.stdout.write(table(found, scan.truth, inside) + "\n")
    figure = picture(found, scan.truth, inside)
    figure.savefig(OUT, dpi=60, bbox_inches="tight")
    plt.close(figure)


def maps(scan: phase_twin.Layer) -> Iterator[tuple[str, Array]]:
    """(phase, y, x) of each recipe, by its name."""
    noisy = scan.sinograms[1.0]
    yield "two bins, typed centre", windows(noisy, TYPED)
    yield "two bins, true axis", windows(noisy, scan.axis)
    yield "two bins, true axis, background", windows(noisy, scan.axis, background=True)
    powders: dict[str, Any] = {
        "first": phase_twin.powder("sodium"), "second": phase_twin.powder("zinc"),
        "polarization": "none", "background": TERMS,
    }  # fmt: skip
    given: dict[str, Any] = {"correlation": scan.correlation, "background": TERMS}
    plain = xrdct.reference_patterns(noisy, **powders)
    depth = xrdct.parallax(noisy, center=scan.axis, references=plain, **given)
    volume = xrdct.reconstruct(noisy, center=scan.axis)
    own = xrdct.reference_patterns(volume, parallax=depth, **powders)
    for name, node, lines in (("fit", None, plain), ("fit with parallax", depth, own)):
        found = xrdct.fit_phases(volume, parallax=node, references=lines, **given)
        yield name, found["weight"].isel(z=0).values


def windows(sinogram: xr.Dataset, center: float, *, background: bool = False) -> Array:
    """Sums of two bins at each line, back-projected."""
    q, values = sinogram["q"].values, sinogram["intensity"]

    def around(place: float) -> xr.DataArray:
        first = int(np.abs(q - place).argmin())
        return values.isel(q=slice(first, first + 2)).sum("q")

    below = sum(map(around, BESIDE)) / len(BESIDE) if background else 0.0
    lines = xr.concat([around(place) - below for place in LINES], "q").transpose(..., "q")
    both = sinogram.drop_vars(["variance", "intensity"]).isel(q=[0, 1])
    made = xrdct.reconstruct(both.assign(intensity=lines), center=center)
    return np.asarray(made["intensity"].isel(z=0).transpose("q", "y", "x").values)


def judged(found: Array, truth: Array, inside: Array) -> list[tuple[float, float]]:
    """Of each map: the other phase that it takes for its own, and its rms, both by least squares.

    A map is fitted by a times its own truth plus b times the other's: b / a is what it confuses.
    Its rms is that about its own truth after the best scale, over the greatest value.
    """
    out = []
    for own, other, found_one in zip(truth, truth[::-1], found, strict=True):
        both = np.stack([own[inside], other[inside]], axis=1)
        (mine, theirs), *_ = np.linalg.lstsq(both, found_one[inside], rcond=None)
        scale = (own[inside] @ found_one[inside]) / (own[inside] @ own[inside])
        rest = found_one[inside] / scale - own[inside]
        out.append((float(theirs / mine), float(np.sqrt(np.mean(rest**2)) / own.max())))
    return out


def table(found: dict[str, Array], truth: Array, inside: Array) -> str:
    head = "| recipe | zinc in sodium | sodium in zinc | rms sodium | rms zinc |"
    rows = [head, "|---|---|---|---|---|"]
    for name, one in found.items():
        (sodium, rms), (zinc, other) = judged(one, truth, inside)
        rows.append(
            f"| {name} | {sodium:.1%} | {zinc:.1%} | {rms:.1%} | {other:.1%} |".replace("%", " %")
        )
    return "\n".join(rows)


def picture(found: dict[str, Array], truth: Array, inside: Array) -> plt.Figure:
    """Truth and maps, each phase over its greatest true value."""
    shown = {"truth": truth, **{n: m for n, m in found.items() if n != "fit"}}
    figure, grid = plt.subplots(2, len(shown), figsize=(3 * len(shown), 6), layout="constrained")
    for column, (title, both) in enumerate(shown.items()):
        for row, (name, own, one) in enumerate(zip(NAMES, truth, both, strict=True)):
            scale = (own[inside] @ one[inside]) / (own[inside] @ own[inside])
            image = np.where(inside, one / scale / own.max(), np.nan)
            axes = grid[row, column]
            axes.imshow(image, origin="lower", cmap="magma", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(title.replace(", ", ",\n") if row == 0 else "")
            if column == 0:
                axes.set_ylabel(name)
    return figure


if __name__ == "__main__":
    main()

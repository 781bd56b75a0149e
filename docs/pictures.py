"""The pictures of the documentation, from a twin's files.

``zeoarray twin twin-small --preset small --seed 1`` and ``python docs/pictures.py twin-small``
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

import zeoarray
from zeoarray import xct
from zeoarray.twin import presets
from zeoarray.twin import truth as twin_truth
from zeoarray.twin.sample import Sample

OUT = Path(__file__).parent / "images"


def main(files: Path) -> None:
    OUT.mkdir(exist_ok=True)
    truth = zeoarray.open(files / "truth.zarr")["joint/truth"].to_dataset()
    save(slices(truth), "twin_slices")
    save(tomogram(files), "twin_tomogram")
    save(diffraction(files), "twin_diffraction")
    save(accuracy(files), "accuracy_slices")


def save(figure: plt.Figure, name: str) -> None:
    figure.savefig(OUT / f"{name}.png", dpi=80, bbox_inches="tight")
    plt.close(figure)


def show(axes: plt.Axes, data: xr.DataArray, title: str, **style: object) -> None:
    """An image with physical axes and equal scales."""
    data.plot.imshow(ax=axes, **style)
    axes.set(title=title, aspect="equal")


def slices(truth: xr.Dataset) -> plt.Figure:
    """True attenuation and phases of three heights."""
    chosen = (np.array([0.3, 0.5, 0.7]) * (truth.sizes["z"] - 1)).astype(int)
    heights = truth["z"].values[chosen]
    figure, grid = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    for column, z in enumerate(heights):
        at = truth.sel(z=z)
        show(
            grid[0, column], at["attenuation"], f"attenuation, z = {z:.0f} um", cmap="gray", vmin=0
        )
        colours = xr.concat(
            [at["weight"].sel(phase=p) for p in ("zinc", "sodium", "glass")], dim="colour"
        ).transpose("y", "x", "colour")
        show(grid[1, column], colours.clip(0, 1), "zinc red, sodium green, glass blue")
    return figure


def tomogram(files: Path) -> plt.Figure:
    """A projection and a sinogram, raw and normalized."""
    scan = zeoarray.open_scan(files / "169068.nxs", sidecar=files / "169068.yaml")
    transmission = xct.normalize(scan)["transmission"]
    figure, grid = plt.subplots(2, 2, figsize=(13, 7), layout="constrained")
    middle = scan.sizes["z"] // 2
    scan["counts"][0].plot.imshow(ax=grid[0, 0], cmap="gray", robust=True)
    transmission[0].plot.imshow(ax=grid[0, 1], cmap="gray", robust=True)
    scan["counts"][:, middle].plot.imshow(ax=grid[1, 0], cmap="gray", robust=True)
    transmission[:, middle].plot.imshow(ax=grid[1, 1], cmap="gray", robust=True)
    for axes, title in zip(
        grid.flat,
        ("a raw projection", "its transmission", "a raw sinogram", "its transmission"),
        strict=True,
    ):
        axes.set_title(title)
    return figure


def diffraction(files: Path) -> plt.Figure:
    """A frame, a reduced pattern, and a sinogram of a zinc and a sodium line."""
    raw = files / "k11-43323.nxs"
    frames = zeoarray.open_scan(raw, {"beam_size": 25.0})
    reduced = zeoarray.open_scan(files / f"{raw.stem}_processed.nxs", {"beam_size": 25.0})
    figure, grid = plt.subplots(1, 3, figsize=(16, 4.5), layout="constrained")
    middle = int(np.abs(frames["u"].values).argmin())
    counts = frames["counts"][middle].astype(float)
    np.log1p(counts.where(counts >= 0)).plot.imshow(ax=grid[0], cmap="magma", vmax=5)
    grid[0].set(title="a frame, log(1 + counts)", aspect="equal")
    pattern = reduced["intensity"].mean(["z", "angle", "u"])
    pattern.sel(q=slice(1.0, 3.0)).plot(ax=grid[1])
    grid[1].set_title("mean pattern")
    line = reduced["intensity"].isel(z=0).sel(q=slice(1.63, 1.68)).sum("q")
    line.plot.imshow(ax=grid[2], cmap="gray")
    grid[2].set_title("sinogram of 533, both phases")
    return figure


def accuracy(files: Path) -> plt.Figure:
    """A slice as it is, and as it is reconstructed before and after the removal of rings."""
    found = presets.find("small").scan("i13-1.625um")
    scan = zeoarray.open_scan(files / f"{found.number}.nxs", sidecar=files / f"{found.number}.yaml")
    mount = zeoarray.open(files / "truth.zarr")[f"xct/{found.name}/mount"].to_dataset().load()
    rows = 2160 // found.binning
    left, top = found.lens_centre
    lens = {
        "polynomial": found.distortion, "center_from_left": left,
        "center_from_top": top + (rows - found.rows) / 2, "detector": (rows, found.columns),
    }  # fmt: skip
    transmission = xct.normalize(scan.isel(z=slice(4, 11)).load())
    clean = xct.remove_rings(transmission, la_size=15, sm_size=7)
    made = []
    for ds in (transmission, clean):
        lines = xct.minus_log(xct.correct_distortion(ds, **lens))
        volume = xct.reconstruct(lines.isel(z=[3]), axis=mount[["axis_u"]])
        made.append(volume.sel(y=slice(-1600, 1600), x=slice(-1600, 1600)))
    true = twin_truth.volume(
        Sample.make(1, "small"), *(made[0][d].values for d in "zyx"),
        energy_kev=found.energy_kev, to_sample=mount["to_sample"].values,
    )  # fmt: skip
    figure, grid = plt.subplots(1, 4, figsize=(19, 4.4), layout="constrained")
    images = [v["attenuation"].isel(z=0) for v in (true, *made)]
    images.append(images[2] - images[0])
    titles = ("truth", "reconstructed", "rings removed, 15 and 7", "rings removed, less truth")
    for axes, image, title in zip(grid, images, titles, strict=True):
        show(axes, image, title, cmap="gray", vmin=-1 if title != titles[3] else -2,
             vmax=6 if title != titles[3] else 2)  # fmt: skip
    return figure


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Registration on random mounts of the digital twin, beside brute force, SimpleITK, scikit-image.

Two scans of one sample, at a coarse and at the same, a finer, or a much finer voxel that covers a
part only: turns to 5 degrees about every axis, shifts to 30 % of the field, a pixel size off by
0.3 %, noise, rings about each scan's own axis. The truth is known. Errors are rms over what both
see, in coarse voxels; seconds are of the processor, on one thread.

Layers of a diffraction scan in a tomogram: four with gaps, by a beam of 25 or 50 um at 80 angles
and 40 positions, phases that scatter by another factor of their attenuation each time, counting
noise; shifts to two spots, turns to 4 degrees, tilts to 1 degree. Errors are in spots.

    python -m benchmarks.bench_registration [how many]
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
import time
import tracemalloc
from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import scipy.ndimage
import xarray as xr

from benchmarks.harness import FILES, table
from tests import registered
from zeoarray import volume
from zeoarray.backend import single_threaded
from zeoarray.errors import ZeoError
from zeoarray.kernels import transform
from zeoarray.twin import truth
from zeoarray.twin.sample import Sample
from zeoarray.volume import capture, refine

Array = np.ndarray[Any, Any]

VOXEL, FINE = 12.5, 5.0
"""Of the coarse scan, and of the grid that the samples are kept on [um]."""
SAMPLES, SIDE = 3, 212
KINDS = ("same", "finer", "part")
RATIO = {"same": 1.0, "finer": 1.6, "part": 2.5}
WRONG = 0.3
"""Coarse voxels."""
PEERS = 3
"""Mounts on which the peers run."""
LAYERS, SPOTS = 40, (25.0, 50.0)
"""Mounts of a diffraction scan, and full widths of its beam at half maximum [um]."""
COARSE, WIDE = 10.0, 106
"""Grid that its samples are kept on [um], and how many points of it there are along a side."""
WRONG_SPOTS = 0.25


class Mount(NamedTuple):
    """A pair of scans, and the map between them."""

    kind: str
    moving: xr.Dataset
    fixed: xr.Dataset
    to_fixed: Array


def sample(number: int) -> Array:
    """A twin sample on a fine grid, made once."""
    file = FILES / f"registration-{number}.npy"
    if not file.exists():
        FILES.mkdir(exist_ok=True)
        axis = (np.arange(SIDE) - (SIDE - 1) / 2) * FINE
        whole = truth.volume(Sample.make(number, "tiny"), axis, axis, axis, energy_kev=25.0, fine=1)
        np.save(file, whole["attenuation"].values)
    values: Array = np.load(file)
    return values


def scanned(
    rng: np.random.Generator, values: Array, to_sample: Array, shape: tuple[int, ...],
    voxel: float, noise: float, rings: float, fine: float = FINE,
) -> xr.Dataset:  # fmt: skip
    """A scan of a sample: voxels' means, blurred, with correlated noise and rings."""
    swap = np.eye(3)[::-1]
    matrix = swap @ to_sample[:3, :3] @ swap * voxel / fine
    middle = (values.shape[0] - 1) / 2 + swap @ to_sample[:3, 3] / fine
    first = middle - matrix @ ((np.array(shape) - 1) / 2)
    parts = max(1, round(voxel / fine))
    out, steps = np.zeros(shape), (np.arange(parts) + 0.5) / parts - 0.5
    for off in np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3):
        # scipy's, so that what makes the scans is not what aligns them.
        out += scipy.ndimage.affine_transform(values, matrix, first + matrix @ off, shape, order=1)
    out = scipy.ndimage.gaussian_filter(out / parts**3, 0.5)
    y, x = np.indices(shape[1:])
    radius = np.hypot(y - (shape[1] - 1) / 2, x - (shape[2] - 1) / 2)
    profile = np.zeros(int(radius.max()) + 2)
    profile[rng.integers(2, profile.size, 6)] += rings * rng.normal(size=6)
    out += np.interp(radius, np.arange(profile.size), profile) * rng.normal(
        1, 0.2, (shape[0], 1, 1)
    )
    out += 1.6 * noise * scipy.ndimage.gaussian_filter(rng.normal(size=shape), 0.4)
    return registered.dataset(out, voxel)


def draw(number: int, kind: str | None = None) -> Mount:
    """One of the random mounts."""
    rng = np.random.default_rng([7, number])
    kind = kind or KINDS[number % 3]
    values = sample(1 + number % SAMPLES)
    to_sample = registered.similarity(tuple(rng.uniform(-2, 2, 3)), (0, 0, 0))
    turn, scale = tuple(rng.uniform(-5, 5, 3)), 1 + rng.uniform(-0.003, 0.003)
    shape = (76, 80, 80)
    voxel = VOXEL / RATIO[kind]
    size = (100, 110, 110) if kind == "part" else tuple(int(n * RATIO[kind]) for n in shape)
    way = rng.uniform(-1, 1, 3)
    if kind != "part":
        way /= np.abs(way).max()
    field = np.array(size[::-1]) * voxel
    shift = 0.3 * field * way * (1 if kind == "part" else rng.uniform(0, 1))
    to_fixed = registered.similarity(turn, tuple(shift), scale)
    noise, rings = rng.uniform(0.05, 0.2), rng.uniform(0, 0.2)
    fixed = scanned(rng, values, to_sample, shape, VOXEL, noise, rings)
    more = 1.5 if kind == "part" else 1.0
    moving = scanned(rng, values, to_sample @ to_fixed, size, voxel, noise * more, rings)
    return Mount(kind, moving, fixed, to_fixed)


class Result(NamedTuple):
    """One registration against the truth."""

    error: float
    predicted: float
    trusted: bool
    seconds: float


def run(mount: Mount) -> Result:
    """Register one mount; one that is refused outright counts as flagged."""
    start = time.process_time()
    try:
        with single_threaded():
            out = volume.register(mount.moving, fixed=mount.fixed, model="similarity", accept=True)
    except ZeoError:
        return Result(np.inf, np.nan, False, time.process_time() - start)
    spent = time.process_time() - start
    off = registered.error(out["to_fixed"].values, mount.to_fixed, mount.fixed, mount.moving)
    return Result(off / VOXEL, float(out["predicted_rms"]) / VOXEL, bool(out["trusted"]), spent)


def summary(results: list[Result], wrong: float = WRONG) -> dict[str, float]:
    """What is asked of many registrations."""
    error, predicted, trusted, seconds = (np.array(v) for v in zip(*results, strict=True))
    good = np.isfinite(predicted)
    return {
        "median error": float(np.median(error)),
        "95 %": float(np.percentile(error, 95, method="higher")),
        "predicted / true": float(np.median(predicted[good] / error[good])),
        "flagged": float((~trusted).mean()),
        "accepted and wrong": float((trusted & (error > wrong)).mean()),
        "s": float(np.median(seconds)),
    }


# --- layers of a diffraction scan ---------------------------------------------------------------
def diffracting(number: int) -> Array:
    """(4, z, y, x): attenuation of a twin sample and the shares of its phases, made once."""
    file = FILES / f"registration-phases-{number}.npy"
    if not file.exists():
        FILES.mkdir(exist_ok=True)
        axis = (np.arange(WIDE) - (WIDE - 1) / 2) * COARSE
        whole = truth.volume(Sample.make(number, "tiny"), axis, axis, axis, energy_kev=25.0, fine=1)
        np.save(file, np.concatenate([whole["attenuation"].values[None], whole["weight"].values]))
    values: Array = np.load(file)
    return values


def rays(
    rng: np.random.Generator, scattering: Array, to_sample: Array, heights: Array, spot: float,
    counts: float, columns: int = 40, angles: int = 80,
) -> xr.Dataset:  # fmt: skip
    """A sinogram of what a Gaussian beam meets, by summing points; with Poisson noise.

    `counts` are those of the brightest ray; a twentieth as many are of the air, taken off again.
    """
    sigma, u = spot / np.sqrt(8 * np.log(2)), (np.arange(columns) - (columns - 1) / 2) * spot
    turn = np.arange(angles) * 2 * np.pi / angles
    place = (np.arange(4 * columns) - (4 * columns - 1) / 2) * spot / 3
    y, x = np.meshgrid(place, place, indexing="ij")
    fine = (np.arange(80 * columns) + 0.5) * spot / 40 - columns * spot
    beam = np.exp(-0.5 * ((u[:, None] - fine) / sigma) ** 2)
    above = np.linspace(-2.5, 2.5, 9) * sigma
    share = np.exp(-0.5 * (above / sigma) ** 2)
    out = np.zeros((len(heights), angles, columns))
    for layer, height in zip(out, heights, strict=True):
        slab = np.zeros(x.shape)
        for rise, part in zip(above, share / share.sum(), strict=True):
            points = np.stack([x, y, np.full_like(x, height + rise), np.ones_like(x)])
            at = np.tensordot(to_sample[2::-1], points, 1) / COARSE + (WIDE - 1) / 2
            slab += part * scipy.ndimage.map_coordinates(scattering, at, order=1)
        for line, angle in zip(layer, turn, strict=True):
            across = x * np.cos(angle) + y * np.sin(angle)
            edges = np.append(fine - spot / 80, fine[-1] + spot / 80)
            line += beam @ np.histogram(across, edges, weights=slab)[0]
    per = counts / out.max()
    intensity = (rng.poisson(out * per + 0.05 * counts) - 0.05 * counts) / per
    um = {"units": "um"}
    coords = {
        "z": ("z", heights, um), "angle": ("angle", np.rad2deg(turn), {"units": "deg"}),
        "u": ("u", u, um), "q": ("q", [1.65], {"units": "1/angstrom"}),
        "axis_u": ("z", np.zeros(len(heights)), um), "beam_size": ((), spot, um),
    }  # fmt: skip
    return xr.Dataset(
        {"intensity": (("z", "angle", "u", "q"), intensity[..., None].astype(np.float32))}, coords
    )


def draw_layers(number: int) -> Mount:
    """One of the random mounts of a diffraction scan."""
    rng = np.random.default_rng([9, number])
    attenuation, *weight = diffracting(1 + number % SAMPLES)
    spot = SPOTS[number // SAMPLES % 2]
    factors = 1.0, rng.uniform(0.4, 1.2), rng.uniform(0.05, 0.5)
    scattering = np.tensordot(factors, weight, 1)
    turned = registered.similarity((0, 0, rng.uniform(-180, 180)), tuple(rng.uniform(-40, 40, 3)))
    to_sample = registered.similarity(tuple(rng.uniform(-2, 2, 3)), (0, 0, 0)) @ turned
    turn, way = rng.uniform(-1, 1, 3) * [1, 1, 4], rng.uniform(-2, 2, 3) * spot
    to_fixed = registered.similarity(tuple(turn), tuple(way))
    noise, rings = rng.uniform(0.05, 0.2), rng.uniform(0, 0.2)
    fixed = scanned(rng, attenuation, to_sample, (90, WIDE, WIDE), COARSE, noise, rings, COARSE)
    heights = (np.arange(4) - 1.5) * rng.uniform(60, 100)
    moving = rays(rng, scattering, to_sample @ to_fixed, heights, spot, 10 ** rng.uniform(2.5, 4))
    return Mount(f"{spot:g} um", moving, fixed, to_fixed)


def run_layers(mount: Mount) -> Result:
    """Register the layers of one mount; one that is refused outright counts as flagged."""
    start = time.process_time()
    try:
        with single_threaded():
            out = volume.register_layers(mount.moving, fixed=mount.fixed, accept=True)
    except ZeoError:
        return Result(np.inf, np.nan, False, time.process_time() - start)
    spent = time.process_time() - start
    place = np.linspace(-350, 350, 8)
    points = np.stack(np.meshgrid(place, place, mount.moving["z"].values), -1).reshape(-1, 3)
    points = points[np.hypot(points[:, 0], points[:, 1]) < 350]
    there = (transform.move(m, points) for m in (out["to_fixed"].values, mount.to_fixed))
    off = np.sqrt((np.subtract(*there) ** 2).sum(axis=1).mean())
    spot = float(mount.moving["beam_size"])
    return Result(off / spot, float(out["predicted_rms"]) / spot, bool(out["trusted"]), spent)


def layers(count: int) -> str:
    """Errors of many mounts of a diffraction scan, by the width of its beam."""
    mounts = [draw_layers(n) for n in range(count)]
    results = [run_layers(m) for m in mounts]
    rows = []
    for kind in ("all", *(f"{s:g} um" for s in SPOTS)):
        of = [r for m, r in zip(mounts, results, strict=True) if kind in ("all", m.kind)]
        if of:
            found = summary(of, WRONG_SPOTS)
            rows.append([kind, f"{len(of)}", *(f"{v:.3g}" for v in found.values())])
    return table(["layers of a diffraction scan [spots]", "mounts", *found], rows)


# --- peers -------------------------------------------------------------------------------------
def brute_force(mount: Mount, reach: int = 12, stride: int = 2) -> tuple[Array, int]:
    """The dataset paper's recipe: a slice at every whole shift, the best structural similarity.

    No turn, no scale, no part of a voxel. By default strides of two voxels, in y and x and over
    slices; `beside_the_paper` takes its 50 shifts along each axis, one voxel apart.
    """
    similarity = importlib.import_module("skimage.metrics").structural_similarity
    fixed = mount.fixed["attenuation"].values
    moving = scipy.ndimage.zoom(
        mount.moving["attenuation"].values, 1 / RATIO[mount.kind], order=1, grid_mode=True,
        mode="nearest",
    )  # fmt: skip
    n = np.array(moving.shape)
    at = np.array(fixed.shape) // 2
    half = np.minimum(np.minimum(n[1:], fixed.shape[1:]) // 5, at[1:] - reach)
    middle = n // 2
    piece = moving[middle[0], middle[1] - half[0] : middle[1] + half[0],
                   middle[2] - half[1] : middle[2] + half[1]]  # fmt: skip
    best, where, tried = -2.0, (0, 0, 0), 0
    span = float(np.ptp(fixed))
    for dz, dy, dx in itertools.product(range(-reach, reach, stride), repeat=3):
        y, x = at[1] + dy - half[0], at[2] + dx - half[1]
        other = fixed[at[0] + dz, y : y + 2 * half[0], x : x + 2 * half[1]]
        tried += 1
        score = similarity(piece, other, data_range=span)
        if score > best:
            best, where = float(score), (dz, dy, dx)
    matrix = np.eye(4)
    # Middles of the piece and of the place where it was found, from the middles of both volumes.
    there = (at + where) - (np.array(fixed.shape) - 1) / 2
    here = middle - (n - 1) / 2
    matrix[:3, 3] = ((there - here) * VOXEL)[::-1]
    return matrix, tried


def beside_the_paper(number: int = 2) -> str:
    """The paper's 125,000 trials on one mount, and ours: answers, trials, seconds, memory.

    A trial of ours is one map under which blocks were compared, or one angle at which all shifts
    were correlated. Its slice has 30 x 30 pixels here; the paper's had 2500 x 2500 and 128 GB.
    """
    mount, rows = draw(number), []
    trials = {"": 0}

    def counted(function: Any) -> Any:
        def call(*arguments: Any, **named: Any) -> Any:
            trials[""] += 1
            return function(*arguments, **named)

        return call

    def ours() -> tuple[Array, int]:
        with ExitStack() as stack:
            for owner, name in (
                (refine, "equations"), (refine, "match"), (capture.Search, "_at"),
            ):  # fmt: skip
                patched = mock.patch.object(owner, name, counted(getattr(owner, name)))
                stack.enter_context(patched)
            out = volume.register(mount.moving, fixed=mount.fixed, model="similarity")
        return out["to_fixed"].values, trials[""]

    ways: dict[str, tuple[Any, Any]] = {"zeoarray": (ours, ours)}
    if importlib.util.find_spec("skimage"):
        # What it holds does not hang on how many shifts it tries.
        ways["brute force, SSIM (the paper's recipe)"] = (
            lambda: brute_force(mount, 25, 1),
            lambda: brute_force(mount, 2, 1),
        )
    for name, (way, short) in ways.items():
        start = time.process_time()
        with single_threaded():
            matrix, tried = way()
        spent = time.process_time() - start
        off = registered.error(matrix, mount.to_fixed, mount.fixed, mount.moving) / VOXEL
        tracemalloc.start()
        short()
        held = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        rows.append([name, f"{off:.3f}", f"{tried:,}", f"{spent:.1f}", f"{held:.0f}"])
    head = [f"one mount ({mount.kind})", "error [coarse voxels]", "trials", "s", "MB"]
    return table(head, rows)


def phase_cross_correlation(mount: Mount) -> Array:
    """scikit-image: one shift, to a tenth of a voxel, of volumes of one voxel size."""
    registration = importlib.import_module("skimage.registration")
    fixed = mount.fixed["attenuation"].values
    moving = scipy.ndimage.zoom(
        mount.moving["attenuation"].values, 1 / RATIO[mount.kind], order=1, grid_mode=True,
        mode="nearest",
    )  # fmt: skip
    size = np.maximum(fixed.shape, moving.shape)
    padded = []
    for values in (fixed, moving):
        before = (size - values.shape) // 2
        after = size - values.shape - before
        padded.append(np.pad(values, list(zip(before, after, strict=True))))
    shift = registration.phase_cross_correlation(*padded, upsample_factor=10)[0]
    matrix = np.eye(4)
    matrix[:3, 3] = shift[::-1] * VOXEL
    return matrix


def simple_itk(mount: Mount) -> Array:
    """SimpleITK: its usual multi-resolution similarity registration on normalised correlation."""
    sitk = importlib.import_module("SimpleITK")
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    images = []
    for ds in (mount.fixed, mount.moving):
        image = sitk.GetImageFromArray(ds["attenuation"].values)
        image.SetSpacing([float(ds.x[1] - ds.x[0])] * 3)
        image.SetOrigin([float(ds[d][0]) for d in "xyz"])
        images.append(image)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.2, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-4, 300)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    start = sitk.CenteredTransformInitializer(
        *images, sitk.Similarity3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    method.SetInitialTransform(start, inPlace=False)
    done = sitk.Similarity3DTransform(method.Execute(*images).GetNthTransform(0))
    back = np.eye(4)
    for i, unit in enumerate(np.eye(3)):
        back[:3, i] = np.subtract(done.TransformPoint(unit), done.TransformPoint((0.0,) * 3))
    back[:3, 3] = done.TransformPoint((0.0,) * 3)
    return np.asarray(np.linalg.inv(back))


def beside_peers(count: int) -> str:
    """Errors and seconds of ours and of the peers that are installed, on the same mounts."""
    ways: dict[str, Any] = {}
    if importlib.util.find_spec("skimage"):
        ways["brute force, SSIM (the paper's recipe)"] = lambda m: brute_force(m)[0]
        ways["scikit-image phase_cross_correlation"] = phase_cross_correlation
    if importlib.util.find_spec("SimpleITK"):
        ways["SimpleITK, similarity, correlation"] = simple_itk
    rows = []
    mounts = [draw(n) for n in range(count)]
    own = [run(m) for m in mounts]
    rows.append(["zeoarray", *(f"{r.error:.3f}" for r in own),
                 f"{np.median([r.seconds for r in own]):.1f}"])  # fmt: skip
    for name, way in ways.items():
        off, spent = [], []
        for mount in mounts:
            start = time.process_time()
            with single_threaded():
                matrix = way(mount)
            spent.append(time.process_time() - start)
            off.append(registered.error(matrix, mount.to_fixed, mount.fixed, mount.moving) / VOXEL)
        rows.append([name, *(f"{v:.3f}" for v in off), f"{np.median(spent):.1f}"])
    head = ["error [coarse voxels]", *(f"{m.kind}, {i}" for i, m in enumerate(mounts)), "s"]
    return table(head, rows)


def main(count: int = 20) -> str:
    """Every table."""
    results = [run(draw(n)) for n in range(count)]
    found = summary(results)
    rows = [[f"{count}", *(f"{v:.3g}" for v in found.values())]]
    tables = (
        table(["mounts", *found], rows), layers(max(count, LAYERS)),
        beside_peers(min(PEERS, count)), beside_the_paper(),
    )  # fmt: skip
    return "\n\n".join(tables)


if __name__ == "__main__":
    print(main(*map(int, sys.argv[1:2])))

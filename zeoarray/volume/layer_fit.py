"""Where layers lie in a tomogram: Gauss-Newton on what they show and what it would show there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.ndimage

from zeoarray.kernels import transform
from zeoarray.volume.seen import Geometry, Seen, moved, plane

Array = np.ndarray[Any, Any]
Equations = tuple[Array, Array]
"""Information and score of the parameters of a change."""

ROUNDS, SETTLED = 15, 0.01
"""Steps are taken until none moves a point by more [spots]."""
LONGEST = 0.7
"""No step moves a point by more [spots]."""
CORRELATED = 4.0
"""Standard deviation of the Gaussian by which residuals count as correlated [pixels]."""
COVERED = 0.95
"""Pixels count where so much of their beam meets the tomogram."""
LEAST = 60
"""Layers with fewer pixels do not count."""
DEGREE = 2
"""Of the polynomial of y and x by which the relation to attenuation may change over a layer."""
RIDGE = 1e-9
"""Grey levels whose power is below this share of the largest are the same ones again."""
DAMP = 1e-9


class Belief(NamedTuple):
    """What is known of the map beside the comparison."""

    matrix: Array
    """The frame believed in: from positions of the layers to those of the tomogram."""
    names: tuple[str, ...]
    fields: Array
    about: Array
    sigma: dict[str, float]
    """Standard deviation of parameters of the change from that frame, where it is known."""
    fiducials: Array
    """(mark, 2, 3): in the layers' frame, and in the tomogram's [um]."""
    fiducial_um: float

    def apart(self, matrix: Array) -> Array:
        """(parameter). The change that leads from the frame believed in to this map."""
        field = transform.logarithm(matrix @ np.linalg.inv(self.matrix), self.about)
        flat = self.fields.reshape(len(self.fields), 12)
        return np.asarray(np.linalg.lstsq(flat.T, field.ravel(), rcond=None)[0])

    def equations(self, matrix: Array) -> Equations:
        """Of the map, from marks and from what a mount allows."""
        left, right = np.zeros((len(self.fields),) * 2), np.zeros(len(self.fields))
        apart = self.apart(matrix)
        for i, name in enumerate(self.names):
            if name in self.sigma:
                left[i, i] = self.sigma[name] ** -2
                right[i] = -apart[i] * left[i, i]
        if len(self.fiducials):
            at = transform.move(matrix, self.fiducials[:, 0])
            moves = transform.design(at, self.fields, self.about) / self.fiducial_um
            rest = (self.fiducials[:, 1] - at) / self.fiducial_um
            left += np.einsum("nip,niq->pq", moves, moves)
            right += np.einsum("nip,ni->p", moves, rest)
        return left, right


class Compared(NamedTuple):
    """The layers under one map."""

    design: Array
    """(parameter, target, pixel): what each parameter changes, less what grey levels take up."""
    rest: Array
    """(target, pixel): what the tomogram does not explain."""
    inverse: Array
    """(target, target): inverse covariance of the latter, in a pixel."""
    layer: Array
    """(pixel)."""
    pixel: Array
    """(pixel): in the flattened (y, x)."""
    correlation: Array
    """(layer): multiple correlation of map and model, NaN where there is nothing to compare."""

    @property
    def scores(self) -> Array:
        """(parameter, pixel)."""
        out: Array = np.einsum("ptn,ts,sn->pn", self.design, self.inverse, self.rest)
        return out

    def equations(self, chosen: Any = slice(None)) -> Equations:
        """Of some of the pixels, as though these were independent."""
        design = self.design[..., chosen]
        left = np.einsum("ptn,ts,qsn->pq", design, self.inverse, design, optimize=True)
        return left, self.scores[:, chosen].sum(axis=1)


def compare(seen: Seen, maps: Array, matrix: Array, fields: Array, about: Array) -> Compared | None:
    """Compare all layers under a map; None where nothing is in common.

    What a layer shows is, up to noise, a sum of an offset and of what the scan would see of the
    tomogram's classes, each with a factor that is a polynomial over the layer: other phases
    scatter more for their attenuation, and where they are they are many voxels wide.

    Parameters
    ----------
    seen
        The tomogram through the beam.
    maps
        (layer, target, y, x): what the layers show, NaN where they show nothing.
    matrix
        From positions of the layers to those of the tomogram.
    fields, about
        Of the model, in the frame of the tomogram.
    """
    geometry, parts = seen.geometry, []
    correlation = np.full(len(maps), np.nan)
    for layer, whole in enumerate(maps):
        points = moved(matrix, plane(*geometry.places(), geometry.z[layer]))
        used = geometry.inside() & np.isfinite(whole).all(axis=0)
        used &= seen.covered(points) > COVERED
        if used.sum() < LEAST:
            continue
        target, at, vary = whole[:, used], points[used], _polynomials(geometry, used)
        model = seen.model(matrix, layer)[:, used]
        grey = np.concatenate([np.ones((1, len(at))), *(vary * m for m in model)])
        basis, levels = _levels(grey, target)
        rest = target - levels @ grey
        factor = levels[:, 1:].reshape(len(target), len(model), -1) @ vary
        along = np.einsum("tkn,kin->tin", factor, seen.slopes(at))
        spread = np.zeros((len(fields), len(target), *geometry.shape))
        spread[..., used] = np.einsum(
            "tin,nip->ptn", along, transform.design(at, fields, about), optimize=True
        )
        design = geometry.smoothed(spread)[..., used]
        design = design - (design @ basis.T) @ basis
        correlation[layer] = _correlation(target, rest)
        parts.append((design, rest, np.full(len(at), layer), np.flatnonzero(used.ravel())))
    if not parts:
        return None
    design, rest, of_layer, pixel = (np.concatenate(p, axis=-1) for p in zip(*parts, strict=True))
    covariance = rest @ rest.T / rest.shape[1]
    covariance += 1e-9 * np.trace(covariance) * np.eye(len(covariance))
    covariance += 1e-300 * np.eye(len(covariance))
    return Compared(design, rest, np.linalg.inv(covariance), of_layer, pixel, correlation)


def _polynomials(geometry: Geometry, used: Array) -> Array:
    """(term, pixel)."""
    half = min(geometry.shape) * geometry.step_um / 2
    y, x = (a[used] / half for a in np.meshgrid(*geometry.places(), indexing="ij"))
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    return np.stack([x**i * y**j for i, j in powers])


def _levels(grey: Array, target: Array) -> tuple[Array, Array]:
    """An orthonormal basis of the grey levels, and the factors that fit them to the targets."""
    scale = 1 / np.sqrt((grey**2).mean(axis=1) + 1e-300)
    level = grey * scale[:, None]
    power, turn = np.linalg.eigh(level @ level.T)
    kept = power > RIDGE * power[-1]
    by = turn[:, kept] / np.sqrt(power[kept])
    basis = by.T @ level
    return basis, (target @ basis.T) @ by.T * scale


def _correlation(target: Array, rest: Array) -> float:
    """Of the target that is explained best."""
    power = target.var(axis=1)
    share = np.where(power > 0, rest.var(axis=1) / np.maximum(power, 1e-300), 1)
    return float(np.sqrt(np.clip(1 - share.min(), 0, 1)))


def scattered(compared: Compared, geometry: Geometry) -> Array:
    """(parameter, parameter). Covariance of the scores, of residuals that are correlated nearby.

    Noise of a reconstruction is correlated, and so is what the tomogram cannot explain, which is
    the larger part where many photons were counted. Layers are as near as they are.

    References
    ----------
    T. G. Conley, "GMM estimation with cross sectional dependence", J. Econometrics 92, 1 (1999),
    doi:10.1016/S0304-4076(98)00084-0.
    """
    scores = compared.scores
    layers, pixels = geometry.z.size, geometry.shape[0] * geometry.shape[1]
    flat = np.zeros((len(scores), layers, pixels))
    flat[:, compared.layer, compared.pixel] = scores
    images = flat.reshape(len(scores), layers, *geometry.shape)
    near = scipy.ndimage.gaussian_filter(
        images, (0, 0, CORRELATED, CORRELATED), mode="constant"
    ) * (2 * np.pi * CORRELATED**2)  # fmt: skip
    apart = (geometry.z[:, None] - geometry.z) / (CORRELATED * geometry.step_um)
    alike = np.exp(-(apart**2) / 2)
    found = np.einsum("plyx,lm,qmyx->pq", images, alike, near, optimize=True)
    clusters = compared.pixel.size / (4 * np.pi * CORRELATED**2) / alike.sum(axis=0).mean()
    # Residuals of a fit scatter less than errors, by as many of them as were fitted; half at most.
    few = clusters / max(clusters - len(scores), clusters / 2)
    return np.asarray((found + found.T) / 2 * few)


class Placed(NamedTuple):
    """What `place` gives."""

    matrix: Array
    covariance: Array
    """(parameter, parameter), of small changes in the tomogram's frame about `about`."""
    inflation: float
    """Scatter of the scores over that of independent pixels."""
    compared: Compared
    settled: bool


def place(seen: Seen, maps: Array, matrix: Array, belief: Belief) -> Placed | None:
    """Gauss-Newton from a map that is nearly right; None where nothing is in common.

    Parameters
    ----------
    seen, maps
        As of `compare`.
    matrix
        To begin with.
    belief
        What is known of the map beside the comparison, and the model.
    """
    geometry, fields, about = seen.geometry, belief.fields, belief.about
    rounds, settled = 0, False
    while True:
        compared = compare(seen, maps, matrix, fields, about)
        if compared is None:
            return None
        left, right = compared.equations()
        scatter = scattered(compared, geometry)
        inflation = _inflation(left, scatter)
        more, towards = belief.equations(matrix)
        if settled or rounds == ROUNDS:
            covariance = _covariance(left, scatter, more, inflation)
            return Placed(matrix, covariance, inflation, compared, settled)
        whole = left / inflation + more
        whole += np.diag(DAMP * np.diag(whole) + 1e-300)
        step = np.linalg.solve(whole, right / inflation + towards)
        most = np.abs(transform.design(_rim(geometry, matrix), fields, about) @ step).max()
        step *= min(1.0, LONGEST * geometry.spot_um / max(most, 1e-300))
        matrix = transform.change(np.einsum("p,pij->ij", step, fields), about) @ matrix
        rounds, settled = rounds + 1, bool(most < SETTLED * geometry.spot_um)


def _inflation(left: Array, scatter: Array) -> float:
    found = np.linalg.lstsq(left, scatter, rcond=1e-10)[0]
    return max(float(np.trace(found)) / len(left), 1e-12)


def _covariance(left: Array, scatter: Array, more: Array, inflation: float) -> Array:
    """Of the answer: residuals as they scatter, and what was known before.

    What nothing depends on, as a shift along what is the same everywhere, comes out as not known.
    """
    power = np.diag(left)
    units = np.sqrt(np.maximum(power, 1e-12 * power.max()) + 1e-300)
    both = np.outer(units, units)
    bread = np.linalg.inv(left / both + DAMP * np.eye(len(left)))
    alone = bread @ (scatter / both) @ bread
    alone = (alone + alone.T) / 2 + 1e-3 * inflation * np.diag(np.diag(bread))
    found = np.linalg.inv(np.linalg.inv(alone) + more / both) / both
    return np.asarray((found + found.T) / 2)


def _rim(geometry: Geometry, matrix: Array) -> Array:
    """Points by which the length of a step is measured."""
    y, x = (a[[0, -1]] * 0.7 for a in geometry.places())
    return moved(matrix, np.concatenate([plane(y, x, z).reshape(-1, 3) for z in geometry.z]))

"""The node of layers in a tomogram: the map, its error, what bears it out, and the frame's test."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.kernels import transform
from zeoarray.volume import layer_fit, layer_search
from zeoarray.volume.layer_fit import Belief, Compared, Placed
from zeoarray.volume.seen import Seen, moved, plane

Array = np.ndarray[Any, Any]

LEAST_CORRELATION = 0.7
"""Of the layers, in the median."""
COLLAPSE = 0.5
"""What is unexplained must be less than this share of what is where the layers cannot belong."""
MOST_CHI2 = 3.0
"""Of quarters held out, for each degree of freedom; and of the frame believed, for a parameter."""
AGREE, CLOSE = 5.0, 0.1
"""Halves may differ by so many predicted errors; or by so many spots, if that is larger."""
MOST_SCALE = 0.1
"""Relative change of size that a registration may find."""
MATTER = 0.5
"""Pixels are matter where the beam sees so much of the densest."""


class Answer(NamedTuple):
    """All that is known of an answer."""

    seen: Seen
    maps: Array
    placed: Placed
    before: Compared | None
    """In the frame that was believed."""
    belief: Belief
    reach: float
    most_error: float
    """Spots."""


class Quarters(NamedTuple):
    """What each quarter of each layer says by itself."""

    position: Array
    """(block, 3) [um]."""
    residual: Array
    """(block, 2): the shift along x and y that is left, fitted without it [um]."""
    covariance: Array
    """(block, 2, 2)."""
    halves: Array
    """(parameter): half the difference of answers by either half of the quarters."""

    @property
    def chi2(self) -> float:
        """For each degree of freedom."""
        if not len(self.residual):
            return float("nan")
        inverse = np.linalg.inv(self.covariance)
        return float(np.einsum("bi,bij,bj->", self.residual, inverse, self.residual)) / (
            2 * len(self.residual)
        )


def quarters(answer: Answer) -> Quarters:
    """Leave one after the other out of the equations, and see where it would lie."""
    placed, geometry = answer.placed, answer.seen.geometry
    compared, inflation = placed.compared, placed.inflation
    more, _ = answer.belief.equations(placed.matrix)
    y, x = (g.ravel()[compared.pixel] for g in np.meshgrid(*geometry.places(), indexing="ij"))
    which = 4 * compared.layer + 2 * (y > 0) + (x > 0)
    every = [np.flatnonzero(which == n) for n in np.unique(which)]
    every = [chosen for chosen in every if chosen.size >= layer_fit.LEAST // 4]
    parts = [compared.equations(chosen) for chosen in every]
    left, right = (sum((p[i] for p in parts), start=np.zeros(())) for i in (0, 1))
    position, residual, covariance = [], [], []
    for chosen, (own, score) in zip(every, parts, strict=True):
        own2 = own[:2, :2]
        if not np.linalg.cond(own2) < 1e6:
            continue
        rest = _damped(left - own + inflation * more)
        factors = np.linalg.solve(rest, right - score)
        position.append([x[chosen].mean(), y[chosen].mean(),
                         geometry.z[compared.layer[chosen[0]]]])  # fmt: skip
        residual.append(np.linalg.solve(own2, (score - own @ factors)[:2]))
        through = np.linalg.solve(own2, own[:2])
        of_rest = through @ np.linalg.inv(rest) @ through.T
        covariance.append(inflation * (np.linalg.inv(own2) + of_rest))
    answers = []
    for first in (0, 1):
        half = [sum((p[i] for p in parts[first::2]), start=np.zeros(())) for i in (0, 1)]
        answers.append(np.linalg.solve(_damped(half[0] + inflation * more), half[1]))
    at = moved(placed.matrix, np.array(position).reshape(-1, 3))
    return Quarters(
        at, np.array(residual).reshape(-1, 2), np.array(covariance).reshape(-1, 2, 2),
        (answers[0] - answers[1]) / 2,
    )  # fmt: skip


def _damped(left: Array) -> Array:
    return np.asarray(left + np.diag(1e-6 * np.diag(left) + 1e-300))


def matter(answer: Answer) -> Array:
    """(point, 3) x, y, z [um], in the tomogram, of pixels in which there is something."""
    geometry, compared = answer.seen.geometry, answer.placed.compared
    grid = np.stack([plane(*geometry.places(), z).reshape(-1, 3) for z in geometry.z])
    at = moved(answer.placed.matrix, grid[compared.layer, compared.pixel])
    light = answer.seen.rough(at)[0]
    least = light.min() + MATTER * np.ptp(light)
    return np.asarray(at[light >= least])


class Figures(NamedTuple):
    """What was found out about an answer, lengths in um."""

    predicted: tuple[float, float]
    displacement: float
    frame_chi2: float
    frame_correlation: float
    correlation: float
    quarters: Quarters
    split: float
    null: float
    """Correlation where the layers cannot belong."""
    wrong: str
    """Which place that is."""


def figures(answer: Answer, points: Array) -> Figures:
    """Run every test."""
    placed, belief = answer.placed, answer.belief
    apart = belief.apart(placed.matrix)
    there = transform.move(belief.matrix @ np.linalg.inv(placed.matrix), points)
    parts = quarters(answer)
    halves = transform.design(points, belief.fields, belief.about) @ parts.halves
    null, how = layer_search.elsewhere(answer.seen, answer.maps, placed.matrix)
    wrong = layer_fit.compare(
        answer.seen, answer.maps, null.matrix, belief.fields[:0], belief.about
    )
    return Figures(
        predicted=transform.rms(points, belief.fields, belief.about, placed.covariance),
        displacement=float(np.sqrt(((points - there) ** 2).sum(axis=1).mean())),
        frame_chi2=float(apart @ np.linalg.solve(placed.covariance, apart)) / len(apart),
        frame_correlation=_median(answer.before),
        correlation=_median(placed.compared),
        quarters=parts,
        split=float(np.sqrt((halves**2).sum(axis=1).mean())),
        null=_median(wrong),
        wrong=how,
    )


def _median(compared: Compared | None) -> float:
    return 0.0 if compared is None else float(np.nanmedian(compared.correlation))


def reasons(answer: Answer, about: Figures) -> list[str]:
    """Why the answer should not be trusted; empty where it may be."""
    spot = answer.seen.geometry.spot_um
    error = about.predicted[0] / spot
    own, least = 1 - about.correlation**2, 1 - about.null**2
    scale = abs(np.linalg.det(answer.placed.matrix[:3, :3])) ** (1 / 3)
    far = about.displacement / spot
    tests = {
        f"the fit has not settled in {layer_fit.ROUNDS} steps": answer.placed.settled,
        f"the predicted error of {error:.2g} spots is above {answer.most_error:g}, the most of it "
        f"by {_loosest(answer)}": error <= answer.most_error,
        f"layers correlate by {about.correlation:.2f} only": (
            about.correlation >= LEAST_CORRELATION
        ),
        f"{about.wrong}, the layers fit {'better' if least < COLLAPSE * own else 'about as well'}: "
        f"{least:.2g} of what they show is then unexplained, {own:.2g} in their place": own
        <= COLLAPSE * least,
        "quarters of layers held out are off by a chi-square of "
        f"{about.quarters.chi2:.2g} for each degree": about.quarters.chi2 <= MOST_CHI2,
        f"halves of the layers differ by {about.split / spot:.2g} spots": (
            about.split <= max(AGREE * about.predicted[0], CLOSE * spot)
        ),
        f"the layers are {far:.2g} spots from the frame believed in, as far as was looked for": (
            far <= 2 * (answer.reach + 1)
        ),
        f"the sizes differ by {scale - 1:+.1%}": abs(scale - 1) <= MOST_SCALE,
    }
    return [reason for reason, passed in tests.items() if not passed]


def _loosest(answer: Answer) -> str:
    """The parameter that moves the layers most by its standard deviation."""
    geometry, belief = answer.seen.geometry, answer.belief
    sigma = np.sqrt(np.diag(answer.placed.covariance))
    half = geometry.places()[0][-1] / 2
    moves = sigma * [1.0 if n.startswith("shift") else half for n in belief.names]
    return belief.names[int(np.argmax(moves))]


def node(answer: Answer, model: transform.Model, nominal_um: float) -> xr.Dataset:
    """The result as a dataset."""
    placed, belief, geometry = answer.placed, answer.belief, answer.seen.geometry
    about = figures(answer, matter(answer))
    why, parts = reasons(answer, about), about.quarters
    scale = abs(np.linalg.det(placed.matrix[:3, :3])) ** (1 / 3)
    count = len(parts.position)
    # Along z a quarter of a layer says next to nothing by itself.
    flat = np.zeros((count, 1), np.float32)
    sigma = np.sqrt(np.einsum("bii->bi", parts.covariance))
    nothing = ("frequency", np.empty(0))
    out = xr.Dataset(
        {
            "to_fixed": (("to", "from"), placed.matrix),
            "covariance": (("parameter", "other"), placed.covariance),
            "about": ("axis", belief.about),
            "pixel_scale": ((), scale),
            "pixel_size": ((), scale * nominal_um),
            "compared_at": ((), geometry.spot_um),
            "predicted_rms": ((), about.predicted[0]),
            "predicted_max": ((), about.predicted[1]),
            "held_out_chi2": ((), parts.chi2),
            "held_out_blocks": ((), count),
            "round_trip": ((), np.nan),
            "split_half": ((), about.split),
            "scales_apart": ((), np.nan),
            "block_correlation": ((), about.correlation),
            "null_correlation": ((), about.null),
            "block_position": (("block", "axis"), parts.position.astype(np.float32)),
            "block_residual": (("block", "axis"), np.hstack([parts.residual, flat])),
            "block_sigma": (("block", "axis"), np.hstack([sigma, flat * np.nan])),
            "block_weight": ("block", np.ones(count)),
            "block_held_out": ("block", np.zeros(count, bool)),
            "frequency": nothing,
            "shell_correlation": nothing,
            "half_bit": nothing,
            "agrees_to": ((), np.nan),
            "displacement": ((), about.displacement),
            "frame_chi2": ((), about.frame_chi2),
            "frame_correlation": ((), about.frame_correlation),
            "confirmed": ((), not why and about.frame_chi2 <= MOST_CHI2),
            "trusted": ((), not why),
        },
        {"parameter": list(belief.names), "axis": list("xyz")},
    )
    floats = [n for n, v in out.data_vars.items() if v.ndim > 1 and n not in schema.EXACT]
    out = out.assign({n: out[n].astype(np.float32) for n in floats})
    return schema.describe(out, schema.REGISTRATION).assign_attrs(model=model, reasons=why)

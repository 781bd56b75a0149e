"""All scans of a sample in one frame, from registrations of pairs that need not agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from zeoarray import schema
from zeoarray.errors import ArgumentError, RegistrationError
from zeoarray.kernels import transform

__all__ = ["solve_network"]

Array = np.ndarray[Any, Any]
Pairs = Mapping[tuple[str, str], xr.Dataset]

ROUNDS, SETTLED = 20, 1e-3
"""Steps are taken until none changes a parameter by more than this share of its sigma."""
MOST_CHI2 = 4.0
"""Loops that close worse than this, for each degree of freedom, are not trusted."""


class Edge(NamedTuple):
    """One registration."""

    moving: str
    fixed: str
    matrix: Array
    precision: Array
    about: Array


def solve_network(pairs: Pairs, *, reference: str, accept: bool = False) -> xr.Dataset:
    """Bring all scans of a sample into one frame, that of `reference`.

    All registrations are fitted together, each with the inverse of its covariance as weight. What
    is measured in more than one way closes loops, and by how much they fail to close it is seen
    whether the covariances were right.

    Parameters
    ----------
    pairs
        Registrations by the names of (moving, fixed) scan, as `register` gives them, all of one
        model. Redundant pairs are welcome; a chain is enough.
    reference
        The scan whose frame is the sample's.
    accept
        Take registrations that are not trusted, and give the answer even where loops do not close.

    Returns
    -------
    xarray.Dataset
        ``to_sample(scan, to, from)`` [um] with the ``covariance(scan, parameter, other)`` of small
        changes in the sample's frame about ``about``; ``pixel_scale`` and ``center_sigma(scan)``;
        ``loop_chi2`` for each degree of freedom, ``loop_degrees``, and by pair
        ``pair_chi2(pair)`` and ``pair_residual(pair)`` [um], what each was changed by.

    Raises
    ------
    ArgumentError
        For no pairs, several models, a covariance that has no inverse, or scans that no pair ties
        to the reference.
    RegistrationError
        Where a registration is not trusted, or loops do not close.

    References
    ----------
    F. Lu, E. Milios, "Globally consistent range scan alignment for environment mapping", Auton.
    Robots 4, 333 (1997), doi:10.1023/A:1008854305733.
    """
    by = "volume.solve_network"
    edges, model = _edges(pairs, accept, by)
    names = sorted({s for e in edges for s in (e.moving, e.fixed)})
    if reference not in names:
        raise ArgumentError(
            f"{by}: no registration has the reference {reference!r}", got=", ".join(names)
        )
    placed = _placed(edges, names, reference, by)
    free = [n for n in names if n != reference]
    fields = transform.basis(model).fields
    centre = _centre(edges, placed)
    information = np.eye(0)
    for _ in range(ROUNDS):
        information, score = _equations(edges, placed, free, fields, centre)
        step = np.linalg.solve(information, score).reshape(len(free), len(fields))
        for name, factors in zip(free, step, strict=True):
            field = np.einsum("p,pij->ij", factors, fields)
            # Changes are counted in the sample's frame, behind each scan's own map.
            placed[name] = transform.change(field, centre) @ placed[name]
        sigma = np.sqrt(np.diag(np.linalg.inv(information))).reshape(step.shape)
        if (np.abs(step) < SETTLED * sigma).all():
            break
    out = _node(edges, placed, names, free, model, np.linalg.inv(information), centre)
    closed = float(out["loop_chi2"])
    if closed > MOST_CHI2 and not accept:
        worst = out["pair"].values[int(np.argmax(out["pair_chi2"].values))]
        raise RegistrationError(
            f"{by}: the loops do not close",
            got=f"a chi-square of {closed:.3g} for each of {int(out['loop_degrees'])} degrees, the "
            f"most by {worst}",
            expected=f"at most {MOST_CHI2:g}",
            do="look at that registration, leave it out, or accept=True",
        )
    return out


def _edges(pairs: Pairs, accept: bool, by: str) -> tuple[list[Edge], transform.Model]:
    if not pairs:
        raise ArgumentError(f"{by}: there is nothing to solve", got="no registrations")
    models = {str(ds.attrs.get("model", "")) for ds in pairs.values()}
    if len(models) != 1 or not models <= {"translation", "rigid", "similarity", "affine"}:
        raise ArgumentError(
            f"{by}: all registrations must be of one model",
            got=", ".join(sorted(m or "none stated" for m in models)),
            do="register all pairs with the freest model that any of them needs",
        )
    model: Any = models.pop()
    edges = []
    for (moving, fixed), ds in pairs.items():
        who = f"{moving} on {fixed}"
        needed = schema.Schema(
            f"registration of {who}", (schema.TO_FIXED, schema.COVARIANCE, schema.ABOUT)
        )
        schema.validate(ds, needed, by=by)
        if moving == fixed:
            raise ArgumentError(f"{by}: a scan is registered on itself", got=who)
        if "trusted" in ds and not bool(ds["trusted"]) and not accept:
            raise RegistrationError(
                f"{by}: the registration of {who} is not trusted",
                got="; ".join(ds.attrs.get("reasons", [])) or "trusted is 0",
                do="leave it out, or accept=True",
            )
        covariance = np.asarray(ds["covariance"].values, float)
        if not np.isfinite(covariance).all() or not np.linalg.eigvalsh(covariance).min() > 0:
            raise ArgumentError(
                f"{by}: the covariance of {who} has no inverse",
                got="NaN or Inf"
                if not np.isfinite(covariance).all()
                else f"an eigenvalue of {np.linalg.eigvalsh(covariance).min():.3g}",
            )
        matrix = transform.check(ds["to_fixed"].values, f"{by}: to_fixed of {who}")
        edges.append(Edge(moving, fixed, matrix, np.linalg.inv(covariance), ds["about"].values))
    return edges, model


def _placed(edges: list[Edge], names: list[str], reference: str, by: str) -> dict[str, Array]:
    """A first place for each scan, along any way to the reference."""
    placed = {reference: np.eye(4)}
    for _ in names:
        for edge in edges:
            if edge.fixed in placed and edge.moving not in placed:
                placed[edge.moving] = placed[edge.fixed] @ edge.matrix
            elif edge.moving in placed and edge.fixed not in placed:
                placed[edge.fixed] = placed[edge.moving] @ np.linalg.inv(edge.matrix)
    if lost := [n for n in names if n not in placed]:
        raise ArgumentError(
            f"{by}: no registration ties these scans to {reference!r}",
            got=", ".join(lost),
            do="register one of them with a scan that is tied to it",
        )
    return placed


def _centre(edges: list[Edge], placed: dict[str, Array]) -> Array:
    places = [transform.move(placed[e.fixed], e.about[None])[0] for e in edges]
    return np.asarray(np.mean(places, axis=0))


def _rest(edge: Edge, placed: dict[str, Array], fields: Array) -> Array:
    """(parameter) What the places of both scans differ by from the registration, in its frame."""
    apart = np.linalg.inv(placed[edge.fixed]) @ placed[edge.moving] @ np.linalg.inv(edge.matrix)
    return _factors(transform.logarithm(apart, edge.about)[None], fields)[:, 0]


def _factors(changes: Array, fields: Array) -> Array:
    """(change, 3, 4) -> (parameter, change): as sums of the model's fields."""
    flat = fields.reshape(len(fields), 12).T
    return np.asarray(np.linalg.lstsq(flat, changes.reshape(len(changes), 12).T, rcond=None)[0])


def _equations(
    edges: list[Edge], placed: dict[str, Array], free: list[str], fields: Array, centre: Array
) -> tuple[Array, Array]:
    size = len(fields)
    information, score = np.zeros((len(free) * size,) * 2), np.zeros(len(free) * size)
    for edge in edges:
        rest = _rest(edge, placed, fields)
        # A change of either in the sample's frame, seen in the frame of the fixed scan.
        back = np.linalg.inv(placed[edge.fixed])
        seen = _factors(transform.transported(fields, centre, back, edge.about), fields)
        parts = [(edge.moving, seen), (edge.fixed, -seen)]
        for name, one in parts:
            if name not in free:
                continue
            i = free.index(name) * size
            score[i : i + size] -= one.T @ edge.precision @ rest
            for other_name, other in parts:
                if other_name in free:
                    j = free.index(other_name) * size
                    information[i : i + size, j : j + size] += one.T @ edge.precision @ other
    return information, score


def _node(
    edges: list[Edge], placed: dict[str, Array], names: list[str], free: list[str],
    model: transform.Model, covariance: Array, centre: Array,
) -> xr.Dataset:  # fmt: skip
    parameters, fields = transform.basis(model)
    size = len(fields)
    of_scan = np.zeros((len(names), size, size))
    for i, name in enumerate(free):
        part = slice(i * size, (i + 1) * size)
        of_scan[names.index(name)] = covariance[part, part]
    rests = [_rest(e, placed, fields) for e in edges]
    chi2 = np.array([r @ e.precision @ r for r, e in zip(rests, edges, strict=True)])
    degrees = size * (len(edges) - len(free))
    scale = [np.cbrt(np.linalg.det(placed[n][:3, :3])) for n in names]
    out = xr.Dataset(
        {
            "to_sample": (("scan", "to", "from"), np.array([placed[n] for n in names])),
            "covariance": (("scan", "parameter", "other"), of_scan),
            "about": ("axis", centre),
            "pixel_scale": ("scan", np.array(scale)),
            "center_sigma": ("scan", np.sqrt(of_scan[:, [0, 1, 2], [0, 1, 2]].sum(axis=1))),
            "loop_chi2": ((), chi2.sum() / degrees if degrees else np.nan),
            "loop_degrees": ((), degrees),
            "pair_chi2": ("pair", chi2 / size),
            "pair_residual": ("pair", np.array([np.linalg.norm(r[:3]) for r in rests])),
        },
        {
            "scan": names,
            "pair": [f"{e.moving} on {e.fixed}" for e in edges],
            "parameter": list(parameters),
            "axis": list("xyz"),
        },
    )
    return schema.describe(out, schema.NETWORK).assign_attrs(model=model)

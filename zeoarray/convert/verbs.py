"""Our verbs as lists of other packages ask for them: one function for each, for Savu and HTTomo."""

from __future__ import annotations

from typing import Any

from zeoarray.convert.draft import Draft, Verb
from zeoarray.convert.given import Given, plain
from zeoarray.ingest.parts.process_list import printable

FILTERS = {
    "ramlak": "ramp", "ram-lak": "ramp", "ramp": "ramp",
    "shepp": "shepp-logan", "shepp-logan": "shepp-logan",
    "cosine": "cosine", "hamming": "hamming", "hann": "hann",
}  # fmt: skip
"""Filters of TomoPy, ASTRA and scikit-image, by our names."""


OPEN = 1e6
"""Bound of transmission where a list has none on that side: a 16-bit camera does not reach it."""


class NoCounterpart(Exception):
    """A step of a list that we do not have.

    Parameters
    ----------
    instead
        What to use in its place.
    """

    def __init__(self, instead: str) -> None:
        self.instead = instead
        super().__init__(instead)


def told(given: Given, defaults: dict[str, Any], why: dict[str, str]) -> list[str]:
    """Return a sentence for each parameter that nobody took.

    Parameters
    ----------
    given
        What is left of the parameters.
    defaults
        Values that ask for nothing.
    why
        What to say of a parameter, besides that it is not converted.
    """
    return [
        f"not converted: {printable(name)}={printable(str(value), 80)}"
        + (f" ({why[name]})" if name in why else "")
        for name, value in given.left(defaults).items()
    ]


def bounds(low: float | None, high: float | None) -> dict[str, Any]:
    """Return the parameter `bounds` of ``xct.normalize``, of which a list may have one or none."""
    if low is None and high is None:
        return {}
    return {"bounds": [-OPEN if low is None else low, OPEN if high is None else high]}


def rings(draft: Draft, method: str, parameters: dict[str, float | None], notes: list[str]) -> None:
    """Append ``xct.remove_rings``: a window is a whole number of pixels."""
    given: dict[str, Any] = {} if method == "all" else {"method": method}
    given |= {
        k: plain(v) if k.endswith("size") else v for k, v in parameters.items() if v is not None
    }
    draft.add(Verb("xct.remove_rings", given, notes))


def export(draft: Draft, kind: str, dtype: str = "uint16") -> str:
    """Return the command that writes the result as other programs read it."""
    chosen = "" if dtype == "uint16" else f" --dtype {dtype}"
    out = "volume.h5 --hdf5" if kind == "hdf5" else "slices --tiff"
    return f"zeoarray export {draft.store} {draft.node(draft.result)} {out}{chosen}"


def minus_log(draft: Draft, notes: list[str]) -> None:
    """Append ``xct.minus_log``."""
    draft.add(Verb("xct.minus_log", {}, notes))


def vo(
    draft: Draft,
    given: Given,
    notes: list[str],
    *,
    by: str,
    area: list[float] | None,
    around: float | None,
    rows: int | None,
) -> None:
    """Append ``xct.find_center`` for a plug-in of Vo's method.

    Parameters
    ----------
    draft
        The pipeline.
    given
        What is left of the parameters: ``step`` and ``ratio`` are called so by all.
    notes
        What is said above it.
    by
        Savu or HTTomo.
    area, around
        Columns that were searched, before and after `around`; the middle where that is None.
    rows
        How many rows were looked at, where that is known.
    """
    parameters: dict[str, Any] = {"method": "vo"}
    if rows is not None:
        parameters["rows"] = rows
    if area is not None and around is not None:
        parameters |= {"start": around + area[0], "stop": around + area[1]}
    elif area is not None:
        notes.append(
            f"{by} searched {area[0]:g} to {area[1]:g} columns around the middle; here a sixteenth "
            "of the width on either side of it, unless start and stop (columns) say otherwise"
        )
    step = given.number("step")
    if step is not None:
        parameters["step"] = step
    notes.append(
        "rows are spread evenly over z, and a line is drawn through what they say that a wrong row "
        "moves little; rings are not removed before"
    )
    why = {
        "ratio": "as in Vo's paper: 0.5",
        "row_drop": "as in Vo's paper: 20",
        "drop": "as in Vo's paper: 20",
        "average_radius": "each row stands for itself",
        "search_radius": "the fine search reaches as far as the coarse one leaves open",
        "srad": "the fine search reaches as far as the coarse one leaves open",
    }
    defaults = {"ratio": 0.5, "row_drop": 20, "drop": 20}
    find_center(draft, parameters, notes + told(given, defaults, why))


def find_center(draft: Draft, parameters: dict[str, Any], notes: list[str]) -> None:
    """Append the measure ``xct.find_center``, which makes the node ``axis``."""
    draft.add(Verb("xct.find_center", parameters, notes, into="axis"))


def find_overlap(draft: Draft, notes: list[str]) -> None:
    """Append the measure ``xct.find_overlap``, which makes the node ``overlap``."""
    draft.add(Verb("xct.find_overlap", {}, notes, into="overlap", raw=False))


def unfold(draft: Draft, parameters: dict[str, Any], notes: list[str]) -> None:
    """Append ``xct.unfold``; without parameters, by what ``xct.find_overlap`` measures."""
    if not parameters:
        if not draft.measured("overlap"):
            find_overlap(draft, notes)
            notes = []
        parameters = {"overlap": draft.node("overlap")}
    draft.add(Verb("xct.unfold", parameters, notes, moves=True))


def reconstruct(
    draft: Draft,
    *,
    method: str = "fbp",
    filter_name: str = "ramp",
    iterations: int | None = None,
    center: float | None = None,
    circle: float | None,
    extended: bool = False,
    notes: list[str],
) -> None:
    """Append ``xct.reconstruct``, about the measured axis, or one that was typed.

    Parameters
    ----------
    draft
        The pipeline; where it measures no axis and none is typed, a measure is added.
    method, filter_name, iterations
        The algorithm.
    center
        Index of `u` where the axis is, pixel centres at integers.
    circle
        Diameter of the circle that is kept, as a share of the width; None keeps all.
    extended
        Whether rows go on beyond the detector with their last values; if not, with nothing.
    notes
        What is said above it.
    """
    parameters: dict[str, Any] = {}
    if draft.measured("axis"):
        parameters["axis"] = draft.node("axis")
    elif draft.applied("xct.unfold"):
        notes = [*notes, "about the axis that unfolding knows"]
        if center is not None:
            notes.append(
                f"not converted: the centre {center:g}, of rows that were joined elsewhere"
            )
    elif center is not None:
        parameters["center"] = center
    else:
        find_center(draft, {}, ["the list states no centre of rotation: it is measured here"])
        parameters["axis"] = draft.node("axis")
    if method == "fbp":
        parameters["filter"] = filter_name
    else:
        parameters["method"] = method
        if iterations is not None:
            parameters["iterations"] = iterations
    if extended and method == "fbp":
        parameters["truncation"] = "edge"
    parameters["circle"] = circle
    draft.add(Verb("xct.reconstruct", parameters, notes))
    draft.result = "volume/bin1"

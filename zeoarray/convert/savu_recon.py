"""Reconstruction plug-ins of Savu: their algorithms, filters, and what they call the centre.

Where the axis is. ASTRA's plug-ins, scikit-image's and TomoPy's gridrec take the index of the
detector column, pixel centres at integers, as here. The algorithms of TomoPy that trace rays count
from the edge of the first pixel: half a pixel more (both read in their sources; for gridrec see
also tomopy issue 409, where (columns - 1) / 2 is the middle).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zeoarray.convert import verbs
from zeoarray.convert.draft import Draft
from zeoarray.convert.given import Given
from zeoarray.convert.verbs import FILTERS, NoCounterpart
from zeoarray.ingest.parts.process_list import printable

_LOG = "np.nan_to_num(-np.log(sino))"
_DEFAULTS: dict[str, Any] = {
    "outer_pad": False, "centre_pad": False, "vol_shape": "fixed", "force_zero": [None, None],
    "res_norm": False, "reg_par": 0.0, "log_func": _LOG,
}  # fmt: skip
_WHY = {
    "centre_pad": "here the slice is centred on the axis without padding",
    "log_func": "here values are held within bounds before the logarithm, see xct.minus_log",
    "init_vol": "iterations begin from zero",
    "force_zero": "cut the values of the finished volume",
    "preview": "ingest takes crop: {z: [first, past]}",
}
_EDGES = "TomoPy counts from the edge of the first pixel"


def _tomopy(draft: Draft, given: Given, told: str) -> None:
    algorithm = given.text("algorithm", "gridrec").lower()
    method = {"gridrec": "fbp", "fbp": "fbp", "sirt": "sirt", "mlem": "mlem", "osem": "osem"}
    if algorithm not in method:
        raise NoCounterpart(
            f"its algorithm {printable(algorithm, 40)!r}: gridrec or sirt in the list, or "
            "xct.reconstruct: {method: sirt}"
        )
    edge = 0.0 if algorithm == "gridrec" else 0.5
    _reconstruct(draft, given, told, method[algorithm], "filter_name", edge=edge, padded=True)
    if algorithm == "gridrec":
        draft.last.append(
            "Savu's gridrec puts the axis at voxel N/2 of y and x, here it is at (N-1)/2: its "
            "volume lies half a voxel aside"
        )


def _astra(draft: Draft, given: Given, told: str) -> None:
    given.drop(("projector", "GPU_index"))
    algorithm = given.text("algorithm", "FBP_CUDA").upper().removesuffix("_CUDA")
    method = {"FBP": "fbp", "SIRT": "sirt", "SIRT3D": "sirt", "CGLS": "cgls", "CGLS3D": "cgls"}
    if algorithm not in method:
        raise NoCounterpart(
            f"its algorithm {printable(algorithm, 40)!r}: FBP, SIRT or CGLS in the list, or "
            "xct.reconstruct: {method: sirt}"
        )
    told += " (outside its circle Savu's plug-in writes NaN, here it is fill: 0)"
    _reconstruct(draft, given, told, method[algorithm], "FBP_filter", edge=0.0, padded=True)


def _scikit(draft: Draft, given: Given, told: str) -> None:
    given.drop(("circle", "interpolation", "output_size", "filter"))
    notes = "Savu's plug-in always uses the ramp filter and keeps the whole square"
    _reconstruct(draft, given, f"{told} ({notes})", "fbp", "filter", edge=0.0, padded=False)


def _cgls(draft: Draft, given: Given, told: str) -> None:
    given.drop(("n_frames",))
    given_resolution = given.number("resolution", 1.0)
    if given_resolution != 1:
        raise NoCounterpart(f"its resolution {given_resolution:g}: bin the scan, or use 1")
    _reconstruct(draft, given, told, "cgls", "", edge=0.0, padded=False)


def _reconstruct(
    draft: Draft,
    given: Given,
    told: str,
    method: str,
    filter_key: str,
    *,
    edge: float,
    padded: bool,
) -> None:
    notes = [told]
    asked = given.text(filter_key, "ram-lak") if filter_key else "ram-lak"
    if method == "fbp" and asked.lower() not in FILTERS:
        raise NoCounterpart(
            f"its filter {printable(asked, 40)!r}: one of " + ", ".join(sorted(FILTERS))
        )
    iterations = given.whole("n_iterations", 1)
    _logarithm(draft, given)
    center = _center(draft, given, notes, edge)
    extended = padded and method == "fbp" and _extended(given, notes)
    circle = _circle(given, notes) if padded and not extended else None
    notes += verbs.told(given, _DEFAULTS, _WHY)
    verbs.reconstruct(
        draft,
        method=method,
        filter_name=FILTERS.get(asked.lower(), "ramp"),
        iterations=iterations,
        center=center,
        circle=circle,
        extended=extended,
        notes=notes,
    )


def _logarithm(draft: Draft, given: Given) -> None:
    taken, wanted = draft.applied("xct.minus_log"), given.flag("log", True)
    if wanted and taken:
        raise NoCounterpart(
            "it takes a second logarithm: set log to false in the list, as PaganinFilter asks"
        )
    if not wanted and not taken:
        raise NoCounterpart(
            "it reconstructs without a logarithm (log is false), and nothing before took one: set "
            "log to true in the list"
        )
    if wanted:
        verbs.minus_log(draft, ["the logarithm inside Savu's reconstruction, in its place"])


def _center(draft: Draft, given: Given, notes: list[str], edge: float) -> float | None:
    value = given.take("centre_of_rotation")
    if isinstance(value, Mapping):
        raise given.wrong(
            "centre_of_rotation", value, "one number, or VoCentering for an axis that is tilted"
        )
    if isinstance(value, str) and draft.measured("axis"):
        return None
    typed = Given(given.where, {"centre_of_rotation": value}).number("centre_of_rotation", 0.0)
    if not typed:
        return None
    if draft.measured("axis"):
        notes.append(f"the axis is the measured one, as in Savu; typed, and not used: {typed:g}")
        return None
    if edge:
        notes.append(f"Savu's centre {typed:g} is {typed - edge:g} here: {_EDGES}")
    else:
        notes.append(
            f"Savu's centre {typed:g} is the same here: an index of u, pixel centres at integers"
        )
    return typed - edge


def _extended(given: Given, notes: list[str]) -> bool:
    """Whether Savu goes on beyond the detector with each row's last values; it then has no mask."""
    value = given.take("outer_pad")
    if value in (None, False, 0):
        return False
    if not isinstance(value, (bool, int, float)):
        raise given.wrong("outer_pad", value, "true, false or a share of the width")
    ratio = given.take("ratio")
    notes.append(
        f"outer_pad={value}: Savu goes on with the last values of each row, so does truncation: "
        "edge. Where the projections see all of the sample, leave it out: then values have a known "
        "offset"
    )
    notes.append(f"Savu draws no circle (ratio={printable(str(ratio), 40)}) where it pads")
    return True


def _circle(given: Given, notes: list[str]) -> float | None:
    """Share of the width that Savu's mask keeps."""
    value = given.take("ratio")
    if isinstance(value, list) and value:
        notes.append(f"not converted: outside its circle Savu writes {printable(str(value[1:]))}")
        value = value[0]
    ratio = Given(given.where, {"ratio": value}).number("ratio", 0.95)
    return ratio or None


PLUGINS: dict[str, Callable[[Draft, Given, str], None]] = {
    "TomopyRecon": _tomopy,
    "AstraReconCpu": _astra,
    "AstraReconGpu": _astra,
    "ScikitimageFilterBackProjection": _scikit,
    "CcpiCglsRecon": _cgls,
    "CglsRecon": _cgls,
}
_FBP_OR_SIRT = "TomopyRecon or AstraReconGpu in the list, or xct.reconstruct"
INSTEAD = dict.fromkeys(
    ("TomobarRecon", "TomobarRecon3D", "TomobarReconCpu", "TomobarReconFully3D", "ScikitimageSart",
     "FistaRecon", "TigreRecon", "SimpleRecon", "VisualHullsRecon"),
    _FBP_OR_SIRT,
)  # fmt: skip

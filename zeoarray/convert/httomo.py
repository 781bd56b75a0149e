"""Process lists of HTTomo: YAML, each method with the module that has it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zeoarray.convert import verbs
from zeoarray.convert.draft import Draft, Verb
from zeoarray.convert.given import Given
from zeoarray.convert.verbs import FILTERS, NoCounterpart
from zeoarray.errors import SourceError
from zeoarray.ingest.parts import plain_yaml
from zeoarray.ingest.parts.process_list import printable

Converter = Callable[[Draft, Given, str], None]

_REFERENCE = re.compile(r"\$\{\{[^{}]*\}\}")
_KEYS = {"method", "module_path", "parameters", "id", "side_outputs", "save_result"}
_LONGEST = 100
_NO_MASK = 2.0
"""Radius of the mask at which httomolibgpu has none."""


@dataclass(frozen=True)
class Row:
    """One method of a list."""

    method: str
    """Its name, as in ``find_center_vo``."""
    module: str
    """Where it comes from, as in ``httomolibgpu.recon.rotation``."""
    parameters: dict[str, Any]


def read(path: Path) -> list[Row]:
    """Read the methods of a list, in their order.

    Raises
    ------
    SourceError
        For a file that is no such list, naming the entry.
    """
    rows = []
    for i, entry in enumerate(plain_yaml.read_list(path), start=1):
        if not isinstance(entry, dict) or not {"method", "module_path"} <= set(entry):
            raise SourceError(
                f"{path}: entry {i} is no method of HTTomo",
                got=printable(repr(entry)),
                expected="method, module_path and parameters",
            )
        if odd := sorted(set(map(str, entry)) - _KEYS):
            raise SourceError(
                f"{path}: entry {i} has a key that HTTomo does not have",
                got=printable(odd[0]),
                expected=", ".join(sorted(_KEYS)),
            )
        method, module = entry["method"], entry["module_path"]
        for name in (method, module):
            if not isinstance(name, str) or not all(p.isidentifier() for p in name.split(".")):
                raise SourceError(
                    f"{path}: entry {i} has a name that no method can have",
                    got=printable(repr(name)),
                    expected="method: find_center_vo, module_path: httomolibgpu.recon.rotation",
                )
        parameters = entry.get("parameters") or {}
        if not isinstance(parameters, dict) or len(method) > _LONGEST:
            raise SourceError(
                f"{path}: the parameters of entry {i}, {printable(method, _LONGEST)}, are no names "
                "with values",
                got=printable(repr(parameters)),
                expected="parameters: {name: value}, or {}",
            )
        rows.append(Row(method, module, {str(k): v for k, v in parameters.items()}))
    return rows


def _loader(draft: Draft, given: Given, told: str) -> None:
    notes = [told]
    for name in ("data_path", "image_key_path", "rotation_angles"):
        value = given.take(name)
        if value not in (None, "auto"):
            notes.append(f"HTTomo: {name} is {printable(str(value))}; here it is found in the file")
    preview = given.take("preview") or {}
    if not isinstance(preview, dict):
        raise given.wrong("preview", preview, "detector_x and detector_y with start and stop")
    crop: dict[str, list[int]] = {}
    for name, dim in (("detector_y", "z"), ("detector_x", "u")):
        part = preview.get(name) or {}
        if not isinstance(part, dict):
            raise given.wrong("preview", part, "start and stop")
        ends = Given(given.where, part)
        first, past = ends.whole("start"), ends.whole("stop")
        if first is not None or past is not None:
            if first is None or past is None or part.get("start_offset") or part.get("stop_offset"):
                raise NoCounterpart(f"a preview of {name} from start to stop: give both as numbers")
            crop[dim] = [first, past]
    if preview.get("angles"):
        raise NoCounterpart("a preview of angles: leave frames out with ignore: [...] of ingest")
    if crop:
        draft.ingest["crop"] = crop
    for name in ("darks", "flats"):
        other = given.take(name)
        if other is None:
            continue
        file = other.get("file") if isinstance(other, dict) else None
        if not isinstance(file, str):
            raise given.wrong(name, other, "file and data_path")
        draft.ingest[name] = file
        notes.append(f"{name} come from another file")
    draft.ingest_notes += notes + verbs.told(given, {}, {})


def _normalize(draft: Draft, given: Given, told: str) -> None:
    parameters: dict[str, Any] = {}
    average = given.text("averaging", "mean")
    if average not in ("mean", "median"):
        raise given.wrong("averaging", average, "mean or median")
    if average != "mean":
        parameters["average"] = average
    low, high, cutoff = (given.number(n) for n in ("lower_bound", "upper_bound", "cutoff"))
    # A cutoff of 10, and these flags, guard against values that normalising never gives here.
    if high is None and cutoff != 10:
        high = cutoff
    parameters |= verbs.bounds(low, high)
    logged = given.flag("minus_log", False)
    given.drop(("remove_nans", "nonnegativity"))
    defaults = {"flats_multiplier": 1.0, "darks_multiplier": 1.0}
    draft.add(Verb("xct.normalize", parameters, [told, *verbs.told(given, defaults, {})]))
    if logged:
        verbs.minus_log(draft, ["the logarithm inside HTTomo's normalize"])


def _minus_log(draft: Draft, given: Given, told: str) -> None:
    verbs.minus_log(draft, [told, *verbs.told(given, {}, {})])


def _rings(method: str, **names: str) -> Converter:
    def convert(draft: Draft, given: Given, told: str) -> None:
        given.drop(("dim", "ncore", "nchunk"))
        parameters = {ours: given.number(theirs) for theirs, ours in names.items()}
        verbs.rings(draft, method, parameters, [told, *verbs.told(given, {"sigma": 3}, {})])

    return convert


def _find_center_vo(draft: Draft, given: Given, told: str) -> None:
    notes = [told]
    row = given.take("ind")
    if row is not None:
        notes.append(f"HTTomo looked at row {printable(str(row), 20)}")
    low, high = given.number("smin"), given.number("smax")
    area = None if low is None or high is None else [low, high]
    around = given.number("cor_initialisation_value")
    verbs.vo(draft, given, notes, by="HTTomo", area=area, around=around, rows=None)


def _find_center_pc(draft: Draft, given: Given, told: str) -> None:
    notes = [told, *verbs.told(given, {"proj1": 0.0, "proj2": 1.0, "tol": 0.5}, {})]
    verbs.find_center(draft, {"method": "opposite"}, notes)


def _find_overlap(draft: Draft, given: Given, told: str) -> None:
    given.drop(("ind", "denoise", "norm", "use_overlap"))
    notes = [told, *verbs.told(given, {"win_width": 10}, {})]
    verbs.find_overlap(draft, notes)


def _unfold(draft: Draft, given: Given, told: str) -> None:
    overlap, side = given.take("overlap"), given.take("side")
    side = given.take("rotation") if side is None else side
    parameters: dict[str, Any] = {}
    if overlap and not _is_reference(overlap):
        if side not in ("left", "right"):
            raise given.wrong("side", side, "left or right, with an overlap that is typed")
        typed = Given(given.where, {"overlap": overlap}).number("overlap")
        parameters = {"overlap_columns": typed, "side": side}
    verbs.unfold(draft, parameters, [told, *verbs.told(given, {}, {})])


def _paganin(draft: Draft, given: Given, told: str) -> None:
    ratio = given.number("ratio_delta_beta", 250.0)
    pixel = given.number("pixel_size", 1.28)
    parameters = {
        "delta_beta": ratio,
        "distance_m": given.number("distance", 1.0),
        "energy_kev": given.number("energy", 53.0),
    }
    given.drop(("calculate_padding_value_method", "pad_x_y"))
    draft.ingest.setdefault("pixel_size", f"{pixel:g} um")
    notes = [
        told,
        f"HTTomo's pixel was {pixel:g} um: here it is that of the scan (ingest: pixel_size)",
    ]
    draft.add(Verb("xct.retrieve_phase", parameters, notes + verbs.told(given, {}, {})))


def _recon(
    method: str, *, edge: float = 0.0, logged: bool = False, mask: float | None = 0.95
) -> Converter:
    """Make the converter of a reconstruction; `logged`: its `neglog` takes the logarithm."""

    def convert(draft: Draft, given: Given, told: str) -> None:
        notes = [told]
        asked = given.text("filter_type", given.text("filter_name", "ram-lak")).lower()
        if method == "fbp" and asked not in FILTERS:
            raise NoCounterpart(
                f"its filter {printable(asked, 40)!r}: one of " + ", ".join(sorted(FILTERS))
            )
        if given.flag("neglog", False) and logged and not draft.applied("xct.minus_log"):
            verbs.minus_log(draft, [f"the logarithm inside {told}"])
        if not draft.applied("xct.minus_log"):
            raise NoCounterpart("nothing before it took the logarithm: add minus_log to the list")
        center = _center(draft, given, notes, edge)
        radius = given.number("recon_mask_radius", mask)
        padded = given.take("detector_pad") not in (None, False, 0)
        if padded:
            notes.append(
                "detector_pad: rows go on with their last values, as truncation: edge does"
            )
        defaults = {"sinogram_order": False, "filter_freq_cutoff": 0.35}
        iterations = given.whole("iterations", given.whole("num_iter"))
        given.drop(("gpu_id", "ncore", "nchunk"))
        verbs.reconstruct(
            draft,
            method=method,
            filter_name=FILTERS.get(asked, "ramp"),
            iterations=iterations,
            center=center,
            circle=radius if radius is not None and radius < _NO_MASK else None,
            extended=padded,
            notes=notes + verbs.told(given, defaults, {}),
        )

    return convert


def _tomopy_recon(draft: Draft, given: Given, told: str) -> None:
    algorithm = given.text("algorithm", "gridrec").lower()
    found = {"gridrec": ("fbp", 0.0), "fbp": ("fbp", 0.5), "sirt": ("sirt", 0.5),
             "mlem": ("mlem", 0.5), "osem": ("osem", 0.5)}  # fmt: skip
    if algorithm not in found:
        raise NoCounterpart(
            f"its algorithm {printable(algorithm, 40)!r}: gridrec or sirt in the list"
        )
    method, edge = found[algorithm]
    _recon(method, edge=edge, mask=None)(draft, given, told)


def _center(draft: Draft, given: Given, notes: list[str], edge: float) -> float | None:
    value = given.take("center")
    if value is None or _is_reference(value):
        return None
    typed = Given(given.where, {"center": value}).number("center")
    if typed is None:
        return None
    if draft.measured("axis"):
        # Unlike Savu, HTTomo takes what is typed: so nothing measured may stand in its way.
        draft.verbs = [verb for verb in draft.verbs if verb.into != "axis"]
        notes.append("the list measures an axis and then types another: the typed one is taken")
    if edge:
        notes.append(
            f"HTTomo's centre {typed:g} is {typed - edge:g} here: this algorithm of TomoPy counts "
            "from the edge of the first pixel"
        )
    return typed - edge


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and _REFERENCE.fullmatch(value.strip()) is not None


def _images(draft: Draft, given: Given, told: str) -> None:
    draft.last.append(f"{told}: {verbs.export(draft, 'tiff')}")


def _nothing(draft: Draft, given: Given, told: str) -> None:
    draft.last.append(f"{told}: not needed here, left out")


METHODS: dict[str, Converter] = {
    "standard_tomo": _loader,
    "normalize": _normalize,
    "dark_flat_field_correction": _normalize,
    "minus_log": _minus_log,
    "remove_all_stripe": _rings("all", snr="snr", la_size="la_size", sm_size="sm_size"),
    "remove_stripe_based_sorting": _rings("sorting", size="sm_size"),
    "remove_stripe_based_filtering": _rings("filtering", size="sm_size"),
    "remove_large_stripe": _rings("large", snr="snr", size="la_size"),
    "remove_dead_stripe": _rings("dead", snr="snr", size="la_size"),
    "find_center_vo": _find_center_vo,
    "find_center_pc": _find_center_pc,
    "find_center_360": _find_overlap,
    "sino_360_to_180": _unfold,
    "paganin_filter": _paganin,
    "recon": _tomopy_recon,
    "FBP2d_astra": _recon("fbp"),
    "FBP3d_tomobar": _recon("fbp", logged=True),
    "FBP": _recon("fbp"),
    "LPRec3d_tomobar": _recon("fbp", logged=True),
    "SIRT3d_tomobar": _recon("sirt"),
    "CGLS3d_tomobar": _recon("cgls"),
    "save_to_images": _images,
    "calculate_stats": _nothing,
    "rescale_to_int": _nothing,
    "save_intermediate_data": _nothing,
}
_ZINGERS = "xct.remove_zingers, in its place"
INSTEAD: dict[str, str] = {
    "remove_outlier": _ZINGERS,
    "remove_outlier3d": _ZINGERS,
    "median_filter": _ZINGERS,
    "remove_stripe_ti": "xct.remove_rings: {method: regularized}, after xct.minus_log; its alpha "
    "means something else",
    "remove_stripe_fw": "xct.remove_rings: {method: wavelet-fourier}, with its level and sigma, "
    "the number of its wname as order; TomoPy's damping is half a frequency aside, so results "
    "differ",
    "raven_filter": "xct.remove_rings, in its place",
    "paganin_filter_tomopy": "paganin_filter in the list, or xct.retrieve_phase: its lengths are "
    "in cm, its alpha is beta / delta",
    "paganin_filter_savu": "paganin_filter in the list, or xct.retrieve_phase",
    "distortion_correction_proj_discorpy": "xct.correct_distortion, with the coefficients typed",
    "distortion_correction_proj": "xct.correct_distortion, with the coefficients typed",
    "data_resampler": "volume.bin, of the finished volume",
    "data_reducer": "nothing: --skip it",
    "FISTA3d_tomobar": "xct.reconstruct: {method: tv}, or SIRT3d_tomobar in the list",
    "ADMM3d_tomobar": "xct.reconstruct: {method: tv}, or SIRT3d_tomobar in the list",
    "OSEM3d_tomobar": "SIRT3d_tomobar in the list",
}


def converter(row: Row) -> Converter:
    """Return what converts a method, or raise with what to use instead."""
    if row.method in METHODS:
        return METHODS[row.method]
    instead = INSTEAD.get(row.method, "nothing known: `zeoarray steps` lists what there is")
    raise NoCounterpart(f"(of {printable(row.module, 60)}) {instead}")

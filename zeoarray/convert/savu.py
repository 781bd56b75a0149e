"""Process lists of Savu: each plug-in, in the list's own order, by what does the same here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from zeoarray.convert import savu_recon, verbs
from zeoarray.convert.draft import Draft, Verb
from zeoarray.convert.given import Given
from zeoarray.convert.verbs import NoCounterpart
from zeoarray.ingest.parts.process_list import printable

Converter = Callable[[Draft, Given, str], None]

_WHOLE = re.compile(r"|:|::|:::|0:end(:1(:1)?)?")
_SPAN = re.compile(r"(\d+):(\d+)(:1(:1)?)?")
_ABOUT_MIDDLE = re.compile(r"mid(?:-(\d+))?:mid(?:\+(\d+))?(?::1(?::1)?)?")


def _loader(draft: Draft, given: Given, told: str) -> None:
    notes = [told]
    places = [
        f"{name}: {printable(str(value))}"
        for name in ("data_path", "image_key_path")
        if (value := given.take(name)) is not None
    ]
    if places:
        notes.append(
            f"Savu read {', '.join(places)}; here they are found in the file (where there is a "
            "choice: dataset: PATH)"
        )
    for name in ("dark", "flat"):
        path, inside, factor = _other_frames(given, name)
        if path:
            draft.ingest[f"{name}s"] = path
            notes.append(f"{name}s come from another file" + (f", from {inside}" if inside else ""))
        if factor != 1:
            notes.append(f"not converted: {name}s are multiplied by {factor:g} in Savu")
    angles = given.take("angles")
    if angles is not None:
        notes.append(
            f"Savu took the angles from {printable(str(angles))}; here they are found in the file "
            "(or give angles: FILE, one in degrees on each line)"
        )
    if given.take("3d_to_4d"):
        raise NoCounterpart("ingest each scan of the series by itself: 3d_to_4d has no counterpart")
    _crop(draft, given)
    given.drop(("name",))
    notes += verbs.told(given, {}, {"ignore_flats": "ingest takes ignore: [frames]"})
    draft.ingest_notes += notes


def _other_frames(given: Given, name: str) -> tuple[str, str, float]:
    value = given.take(name)
    if value in (None, "", []):
        return "", "", 1.0
    if not isinstance(value, list) or len(value) != 3:
        raise given.wrong(name, value, "[file, path in it, factor]")
    parts = Given(given.where, {name: value[0], "path": value[1], "factor": value[2]})
    return parts.text(name), printable(parts.text("path")), parts.number("factor", 1.0) or 0.0


def _crop(draft: Draft, given: Given) -> None:
    """Turn the loader's preview, a slice for each of angle, z and u, into a crop."""
    preview = given.take("preview")
    if preview in (None, "", []):
        return
    if not isinstance(preview, list) or not all(isinstance(part, str) for part in preview):
        raise given.wrong("preview", preview, 'slices as text: [":", "100:200", ":"]')
    crop: dict[str, list[int]] = {}
    for dim, part in zip(("angle", "z", "u"), preview, strict=False):
        text = part.replace(" ", "")
        span = _SPAN.fullmatch(text)
        if span and dim != "angle":
            crop[dim] = [int(span[1]), int(span[2])]
        elif not _WHOLE.fullmatch(text):
            raise NoCounterpart(
                f"its preview {printable(part, 40)!r} of {dim}: type crop: {{z: [first, past]}} "
                "(or u) into the pipeline's ingest, and ignore: [frames] for projections"
            )
    if crop:
        draft.ingest["crop"] = crop


def _normalize(draft: Draft, given: Given, told: str) -> None:
    parameters = verbs.bounds(given.number("lower_bound"), given.number("upper_bound"))
    notes = [told, *verbs.told(given, {"warn_proportion": 0.05}, {})]
    draft.add(Verb("xct.normalize", parameters, notes))


def _normalize_in_time(draft: Draft, given: Given, told: str) -> None:
    parameters = verbs.bounds(0.0, 1.0) if given.flag("in_range", False) else {}
    notes = [told, "flats are interpolated in time wherever the scan has times"]
    draft.add(Verb("xct.normalize", parameters, notes + verbs.told(given, {}, {})))


def _rings(method: str, **names: str) -> Converter:
    """Make the converter of a plug-in of Vo's methods: our names by Savu's."""

    def convert(draft: Draft, given: Given, told: str) -> None:
        parameters = {ours: given.number(savus) for savus, ours in names.items()}
        verbs.rings(draft, method, parameters, [told, *verbs.told(given, {"sigma": 3}, {})])

    return convert


def _distortion(draft: Draft, given: Given, told: str) -> None:
    if given.has("file_path"):
        raise NoCounterpart(
            f"its coefficients are in {printable(str(given.take('file_path')))}: type them into "
            "the list, or into xct.correct_distortion"
        )
    polynomial = given.numbers("polynomial_coeffs")
    top, left = given.number("center_from_top"), given.number("center_from_left")
    if polynomial is None or top is None or left is None:
        raise given.wrong(
            "polynomial_coeffs, center_from_top, center_from_left",
            [polynomial, top, left],
            "all three",
        )
    parameters: dict[str, Any] = {
        "polynomial": polynomial,
        "center_from_top": top,
        "center_from_left": left,
    }
    crop = given.whole("crop_edges", 0)
    if crop:
        parameters["crop_edges"] = crop
    notes = [told, *verbs.told(given, {}, {})]
    draft.add(Verb("xct.correct_distortion", parameters, notes, moves=True))


def _paganin(draft: Draft, given: Given, told: str) -> None:
    ratio = given.number("Ratio", 250.0)
    pixel = given.number("Resolution", 1.28)
    parameters = {
        "delta_beta": ratio,
        "distance_m": given.number("Distance", 1.0),
        "energy_kev": given.number("Energy", 53.0),
    }
    given.drop(("Padtopbottom", "Padleftright", "Padmethod"))
    notes = [
        told,
        f"Savu's pixel was {pixel:g} um: here it is that of the scan (ingest: pixel_size); edges "
        "are extended as far as the filter reaches",
        f"Savu's plug-in multiplies by half of delta/beta, here by nothing: its volume is "
        f"{ratio:g}/2 times this one per pixel, plus a constant",
    ]
    notes += verbs.told(given, {"increment": 0.0}, {})
    draft.ingest.setdefault("pixel_size", f"{pixel:g} um")
    draft.add(Verb("xct.retrieve_phase", parameters, notes))
    verbs.minus_log(draft, ["Savu takes the logarithm inside PaganinFilter"])


def _vo_centering(draft: Draft, given: Given, told: str) -> None:
    rows, start = _rows(given), given.number("start_pixel")
    area = given.numbers("search_area", 2)
    given.drop(("datasets_to_populate",))
    notes = [told]
    method = given.text("broadcast_method", "median")
    if method != "linear_fit":
        notes.append(f"Savu took the {printable(method, 40)} over rows, one axis for all of them")
    verbs.vo(draft, given, notes, by="Savu", area=area, around=start, rows=rows)


def _rows(given: Given) -> int | None:
    """Number of rows of a centring plug-in's preview."""
    preview = given.take("preview")
    if preview in (None, "", []):
        return None
    if not isinstance(preview, list) or not all(isinstance(part, str) for part in preview):
        raise given.wrong("preview", preview, 'slices as text: [":", "mid-5:mid+6", ":"]')
    text = preview[1].replace(" ", "") if len(preview) > 1 else ":"
    span, about = _SPAN.fullmatch(text), _ABOUT_MIDDLE.fullmatch(text)
    if _WHOLE.fullmatch(text):
        return None
    if span and int(span[2]) > int(span[1]):
        return int(span[2]) - int(span[1])
    if about and int(about[1] or 0) + int(about[2] or 0) > 0:
        return int(about[1] or 0) + int(about[2] or 0)
    if re.fullmatch(r"mid|end|\d+", text):
        return 1
    raise given.wrong("preview", preview, 'rows such as "mid-5:mid+6" or "900:911"')


def _overlap(draft: Draft, given: Given, told: str) -> None:
    given.drop(("preview", "datasets_to_populate", "broadcast_method"))
    notes = [told, *verbs.told(given, {"side": None, "win_width": 100}, {})]
    verbs.find_overlap(draft, notes)


def _unfold(draft: Draft, given: Given, told: str) -> None:
    notes = [told]
    center = given.number("center", 0.0)
    if center:
        notes.append(f"not converted: center={center:g}; the overlap is measured")
    verbs.unfold(draft, {}, notes + verbs.told(given, {}, {}))


def _nothing(draft: Draft, given: Given, told: str) -> None:
    draft.last.append(f"{told}: does nothing, left out")


def _saver(draft: Draft, given: Given, told: str) -> None:
    least, greatest, bits = given.number("min"), given.number("max"), given.whole("num_bit", 32)
    kind = "hdf5" if told.startswith("Hdf5") else "tiff"
    command = verbs.export(draft, kind, "float32" if bits == 32 else "uint16")
    notes = [f"{told}: {command}"]
    if least is not None and greatest is not None:
        notes.append(
            f"Savu wrote {bits} bits from {least:g} to {greatest:g} per pixel; values here are in "
            "1/cm: --range takes both divided by the pixel size in cm"
        )
    given.drop(("prefix", "format", "jpeg_quality"))
    draft.last += notes + verbs.told(given, {}, {})


_SAVERS = ("ImageSaver", "TiffSaver", "TiffSaver16bit", "Hdf5Saver", "Hdf5TomoSaver")

PLUGINS: dict[str, Converter] = {
    **dict.fromkeys(("NxtomoLoader", "DiadLoader", "I13TxmNxLoader"), _loader),
    "DarkFlatFieldCorrection": _normalize,
    "TimeBasedCorrection": _normalize_in_time,
    "RemoveAllRings": _rings("all", snr="snr", la_size="la_size", sm_size="sm_size"),
    "RemoveLargeRings": _rings("large", snr="snr", size="la_size"),
    "RemoveUnresponsiveAndFluctuatingRings": _rings("dead", snr="snr", size="la_size"),
    "RingRemovalSorting": _rings("sorting", size="sm_size"),
    "RingRemovalFiltering": _rings("filtering", size="sm_size"),
    "DistortionCorrection": _distortion,
    "PaganinFilter": _paganin,
    "VoCentering": _vo_centering,
    "Centering360": _overlap,
    "Convert360180Sinogram": _unfold,
    "Sino360To180": _unfold,
    **savu_recon.PLUGINS,
    **dict.fromkeys(_SAVERS, _saver),
    "NoProcess": _nothing,
    "NoProcessPlugin": _nothing,
}
"""What makes our stages of each plug-in."""

_RINGS = "xct.remove_rings, in its place"
_ZINGERS = "xct.remove_zingers, in its place"
_DENOISE = "nothing: filter the finished volume, if at all"
INSTEAD: dict[str, str] = {
    **dict.fromkeys(
        ("RavenFilter", "RingRemovalFilter", "RingRemovalNormalization", "RingRemovalFitting",
         "RingRemovalInterpolation", "CcpiRingArtefactFilter"),
        _RINGS,
    ),
    "RingRemovalWaveletfft": "xct.remove_rings: {method: wavelet-fourier}, with its level and "
    "sigma, its nvalue as order; Savu's damping is half a frequency aside, so results differ",
    "RingRemovalRegularization": "xct.remove_rings: {method: regularized}, with its alpha, after "
    "xct.minus_log; Savu's offsets are not quite those of the least sum, so results differ",
    **dict.fromkeys(
        ("MedianFilter", "MedianFilterGpu", "Dezinger", "DezingFilter", "DezingerGpu",
         "DezingerSimple", "DezingerSinogram", "DezingerSinogramGpu"),
        _ZINGERS,
    ),
    **dict.fromkeys(
        ("CcpiDenoisingCpu", "CcpiDenoisingCpu3D", "CcpiDenoisingGpu", "CcpiDenoisingGpu3D",
         "DenoiseBregmanFilter", "WaveletDenoisingGpu"),
        _DENOISE,
    ),
    **dict.fromkeys(("FresnelFilter", "HilbertFilter"), "xct.retrieve_phase, in its place"),
    **dict.fromkeys(
        ("ProjectionShift", "ProjectionVerticalAlignment", "SinogramAlignment",
         "Projection2dAlignment"),
        "measure xct.find_drift and xct.correct_drift, after xct.normalize",
    ),
    **dict.fromkeys(
        ("CropProjections", "AutoCropProjections", "AutoCropEstimate", "DataCrop"),
        "crop: {z: [first, past], u: [first, past]} of ingest",
    ),
    "MonitorCorrection": "xct.normalize: {scale_by: monitor}, in place of both",
    "DownsampleFilter": "volume.bin, after xct.normalize",
    "CameraRotCorrection": "rotate the frames before ingest",
    "VoCenteringIterative": "VoCentering, or xct.find_center",
    **dict.fromkeys(
        ("ImageLoader", "SavuNexusLoader", "DxchangeLoader", "MultiNxtomoLoader",
         "LfovLoader", "MrcLoader", "Random3dTomoLoader", "TomoPhantomLoader"),
        "--skip it: `zeoarray ingest` (and the pipeline's ingest) knows the file by itself",
    ),
    **savu_recon.INSTEAD,
}  # fmt: skip
"""What to use in place of plug-ins that have no counterpart."""


def converter(name: str) -> Converter:
    """Return what converts the plug-in `name`, or raise with what to use instead."""
    if name in PLUGINS:
        return PLUGINS[name]
    raise NoCounterpart(INSTEAD.get(name, "nothing known: `zeoarray steps` lists what there is"))

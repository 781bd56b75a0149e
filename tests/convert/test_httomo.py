"""Process lists of HTTomo become pipelines that say the same, in the same order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.convert.lists import comments, content, httomo, verbs
from zeoarray import xct
from zeoarray.convert import convert
from zeoarray.convert.httomo import INSTEAD, METHODS
from zeoarray.errors import SourceError
from zeoarray.step import find

assert xct, "its verbs are registered"

Method = tuple[str, str, dict[str, Any]]

PREP, RECON = "httomolibgpu.prep.normalize", "httomolibgpu.recon.algorithm"
LOADER: Method = (
    "standard_tomo",
    "httomo.data.hdf.loaders",
    {"data_path": "auto", "image_key_path": "auto", "rotation_angles": "auto"},
)
FLAT: Method = ("dark_flat_field_correction", PREP, {"flats_multiplier": 1.0, "upper_bound": None})
LOG: Method = ("minus_log", PREP, {})
AXIS: Method = (
    "find_center_vo",
    "httomolibgpu.recon.rotation",
    {"ind": "mid", "smin": -50, "smax": 50, "srad": 6.0, "step": 0.5, "ratio": 0.5, "drop": 20},
)
MEASURED = "${{centering.side_outputs.centre_of_rotation}}"
FBP: Method = (
    "FBP2d_astra",
    RECON,
    {"center": MEASURED, "filter_type": "ram-lak", "recon_mask_radius": 0.95, "recon_size": None},
)
IMAGES: Method = ("save_to_images", "httomolib.misc.images", {"file_format": "tif"})


def converted(tmp_path: Path, *methods: Method, **options: Any) -> list[tuple[str, dict[str, Any]]]:
    """Verbs of the list after a loader, which all must exist and take their parameters."""
    found = verbs(content(httomo(tmp_path / "a.yaml", LOADER, *methods), scan="a", **options))
    for name, parameters in found:
        entry = find(name)
        entry.resolve({k: v for k, v in parameters.items() if k not in entry.nodes})
    return found


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as error:
        convert(path)
    return str(error.value)


def test_the_usual_list(tmp_path: Path) -> None:
    rings = ("remove_all_stripe", "httomolibgpu.prep.stripe", {"snr": 3.0, "la_size": 61, "dim": 1})
    assert converted(tmp_path, FLAT, rings, AXIS, LOG, FBP, IMAGES) == [
        ("xct.find_center", {"method": "vo", "step": 0.5}),
        ("xct.normalize", {}),
        ("xct.remove_rings", {"snr": 3.0, "la_size": 61}),
        ("xct.minus_log", {}),
        ("xct.reconstruct", {"axis": "xct/a/axis", "filter": "ramp", "circle": 0.95}),
    ]
    told = comments(convert(tmp_path / "a.yaml"))
    assert "HTTomo looked at row mid" in told
    assert "HTTomo searched -50 to 50 columns around the middle" in told
    assert "save_to_images (7): zeoarray export" in told


def test_the_logarithm_inside_normalize(tmp_path: Path) -> None:
    normalize = ("normalize", PREP, {"cutoff": 10.0, "minus_log": True, "averaging": "median"})
    found = converted(tmp_path, normalize, AXIS, FBP)
    assert [name for name, _ in found][1:3] == ["xct.normalize", "xct.minus_log"]
    assert found[1][1] == {"average": "median"}
    path = httomo(tmp_path / "b.yaml", LOADER, FLAT, AXIS, FBP)
    assert "nothing before it took the logarithm" in refused(path)
    neglog = ("FBP3d_tomobar", RECON, {"center": MEASURED, "neglog": True})
    assert "xct.minus_log" in dict(converted(tmp_path, FLAT, AXIS, neglog))


def test_a_typed_centre_goes_before_a_measured_one(tmp_path: Path) -> None:
    typed = ("FBP2d_astra", RECON, {"center": 79.5})
    assert converted(tmp_path, FLAT, AXIS, LOG, typed)[-1][1]["center"] == 79.5
    assert "xct.find_center" not in dict(converted(tmp_path, FLAT, AXIS, LOG, typed))
    rays = ("recon", "tomopy.recon.algorithm", {"center": 79.5, "algorithm": "sirt", "num_iter": 9})
    last = converted(tmp_path, FLAT, LOG, rays)[-1][1]
    assert (last["center"], last["method"], last["iterations"]) == (79.0, "sirt", 9)
    grid = ("recon", "tomopy.recon.algorithm", {"center": 79.5, "algorithm": "gridrec"})
    assert converted(tmp_path, FLAT, LOG, grid)[-1][1]["center"] == 79.5


def test_full_circles_and_phase(tmp_path: Path) -> None:
    found = converted(
        tmp_path,
        FLAT,
        ("find_center_360", "httomolibgpu.recon.rotation", {"win_width": 10, "side": None}),
        ("sino_360_to_180", "httomolibgpu.misc.morph", {"overlap": MEASURED, "side": MEASURED}),
        ("remove_stripe_based_sorting", "httomolibgpu.prep.stripe", {"size": 11, "dim": 1}),
        ("paganin_filter", "httomolibgpu.prep.phase", {"ratio_delta_beta": 250, "energy": 53.0}),
        LOG,
        FBP,
    )
    names = [name.removeprefix("xct.") for name, _ in found]
    assert names[:3] == ["normalize", "find_overlap", "unfold"]
    assert names[-3:] == ["retrieve_phase", "minus_log", "reconstruct"]
    # Unfolding knows the axis.
    assert found[-1][1] == {"filter": "ramp", "circle": 0.95}
    assert dict(found)["xct.remove_rings"] == {"method": "sorting", "sm_size": 11}


def test_an_overlap_that_is_typed(tmp_path: Path) -> None:
    module = "httomolibgpu.misc.morph"
    fold = ("sino_360_to_180", module, {"overlap": 30, "side": "right"})
    found = converted(tmp_path, FLAT, fold, LOG, ("FBP2d_astra", RECON, {"center": 200.0}))
    assert dict(found)["xct.unfold"] == {"overlap_columns": 30.0, "side": "right"}
    assert "center" not in found[-1][1]
    assert "not converted: the centre 200" in comments(convert(tmp_path / "a.yaml"))
    path = httomo(tmp_path / "a.yaml", FLAT, ("sino_360_to_180", module, {"overlap": 30}))
    assert "left or right, with an overlap that is typed" in refused(path)


def test_previews_and_other_files(tmp_path: Path) -> None:
    preview = {"detector_y": {"start": 10, "stop": 20}, "detector_x": {"start": None, "stop": None}}
    loader = (LOADER[0], LOADER[1], {"preview": preview, "darks": {"file": "d.h5"}})
    found = content(httomo(tmp_path / "a.yaml", loader, FLAT))["stages"][0]["ingest"]
    assert found["crop"] == {"z": [10, 20]}
    assert found["darks"] == "d.h5"
    half = (LOADER[0], LOADER[1], {"preview": {"detector_y": {"start": 10, "stop": None}}})
    assert "give both as numbers" in refused(httomo(tmp_path / "a.yaml", half, FLAT))


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    path = httomo(
        tmp_path / "a.yaml",
        FLAT,
        ("remove_outlier", "httomolibgpu.misc.corr", {"dif": 0.1}),
        ("FISTA3d_tomobar", RECON, {}),
        ("FBP2d_astra", RECON, {"filter_type": "kaiser"}),
    )
    told = refused(path)
    assert "3 steps of the list cannot be converted" in told
    assert "2 remove_outlier: (of httomolibgpu.misc.corr) xct.remove_zingers, in its place" in told
    assert "3 FISTA3d_tomobar" in told
    assert "4 FBP2d_astra: its filter 'kaiser'" in told


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_what_to_use_instead_is_said_for_no_method_that_converts(name: str) -> None:
    assert name not in METHODS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method: x", "holds no list"),
        ("- 3", "entry 1 is no method of HTTomo"),
        ("- {method: normalize}", "method, module_path and parameters"),
        ("- {method: normalize, module_path: a.b, paramters: {}}", "got:      paramters"),
        ("- {method: 'rm -rf', module_path: a.b}", "a name that no method can have"),
        ("- {method: normalize, module_path: 3}", "a name that no method can have"),
        ("- {method: normalize, module_path: a.b, parameters: [1]}", "are no names with values"),
        ("- {method: normalize, module_path: a.b, parameters: {averaging: 3}}", "a text"),
        ("- {method: normalize, module_path: a.b, parameters: {averaging: best}}", "mean or med"),
        ("- {method: normalize, module_path: a.b, parameters: {cutoff: .nan}}", "is finite"),
        ("- {method: recon, module_path: !!python/name:os.system ''}", "tags are refused"),
        ("- method: find_center_vo\n  ratio: !Sweep [1, 2]", "line 2: tags are refused"),
        ("- &a {method: normalize}\n- *a", "aliases are refused"),
        ("- [", "this is not YAML"),
    ],
)
def test_a_file_that_is_no_list(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    told = refused(path)
    assert message in told
    assert len(told) < 1000

"""Process lists of Savu become pipelines that say the same, in the same order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.convert.lists import FLAT, LOADER, RECON, RINGS, Step, comments, content, savu, verbs
from zeoarray import xct
from zeoarray.__main__ import main
from zeoarray.convert import convert
from zeoarray.convert.savu import INSTEAD, PLUGINS
from zeoarray.errors import ArgumentError, SourceError
from zeoarray.step import find

assert xct, "its verbs are registered"

POLYNOMIAL = [0.9996, 5.6e-07, 9.3e-10, 9.7e-13, -3.1e-16]
LENS: Step = (
    "DistortionCorrection",
    {
        "polynomial_coeffs": POLYNOMIAL,
        "center_from_top": 60.5,
        "center_from_left": 70.25,
        "file_path": None,
        "crop_edges": 5,
    },
)
VO: Step = (
    "VoCentering",
    {
        "preview": [":", "mid-5:mid+6", ":"],
        "search_area": [-50, 50],
        "ratio": 0.5,
        "search_radius": 6,
        "step": 0.5,
        "row_drop": 20,
        "broadcast_method": "median",
    },
)
GPU: Step = ("AstraReconGpu", {"algorithm": "FBP_CUDA", "FBP_filter": "ram-lak", "log": True})
PAGANIN: Step = (
    "PaganinFilter",
    {"Ratio": 100.0, "Energy": 27.0, "Distance": 0.1, "Resolution": 1.625, "increment": 0.0},
)


def recon(**parameters: Any) -> Step:
    return RECON[0], RECON[1] | parameters


def converted(tmp_path: Path, *steps: Step, **options: Any) -> list[tuple[str, dict[str, Any]]]:
    """Verbs of the list after a loader, which all must exist and take their parameters."""
    found = verbs(content(savu(tmp_path / "a.nxs", [LOADER, *steps]), **options))
    for name, parameters in found:
        entry = find(name)
        nodes = {k for k in parameters if k in entry.nodes}
        entry.resolve({k: v for k, v in parameters.items() if k not in nodes})
        assert all(str(parameters[k]).startswith("xct/") for k in nodes)
    return found


def said(tmp_path: Path, *steps: Step) -> str:
    return comments(convert(savu(tmp_path / "a.nxs", [LOADER, *steps])))


def refused(tmp_path: Path, *steps: Step, **options: Any) -> str:
    with pytest.raises(SourceError) as error:
        convert(savu(tmp_path / "a.nxs", [LOADER, *steps]), **options)
    return str(error.value)


def test_the_papers_list_of_i13(real: Path) -> None:
    path = real / "process_lists" / "savu_process_list_xct.nxs"
    found = content(path, source="169068.nxs", store="zn13x.zarr", scan="i13-2.6um")
    assert found == {
        "zeoarray": 1,
        "store": "zn13x.zarr",
        "stages": [
            {"ingest": {"source": "169068.nxs", "into": "xct/i13-2.6um/scan"}},
            {
                "from": "xct/i13-2.6um/scan",
                "into": "xct/i13-2.6um/volume/bin1",
                "steps": [
                    "xct.normalize",
                    {"xct.remove_rings": {"snr": 3.0, "la_size": 71, "sm_size": 31}},
                    {
                        "xct.correct_distortion": {
                            "polynomial": [
                                0.9996340745552107,
                                5.593942960200652e-07,
                                9.335426689340698e-10,
                                9.742488482303165e-13,
                                -3.1376393960203227e-16,
                            ],
                            "center_from_top": 1328.205,
                            "center_from_left": 1192.643,
                            "crop_edges": 25,
                        }
                    },
                    "xct.minus_log",
                    {
                        "xct.reconstruct": {
                            "center": 1265.5,
                            "filter": "ramp",
                            "truncation": "edge",
                            "circle": None,
                        }
                    },
                ],
            },
        ],
    }


def test_the_papers_list_of_diad(real: Path) -> None:
    path = real / "process_lists" / "savu_process_list_DIAD.nxs"
    found = content(path, source="k11-18014.nxs", scan="diad")
    assert found["store"] == "k11-18014.zarr"
    assert [next(iter(stage)) for stage in found["stages"]] == ["ingest", "measure", "from"]
    assert found["stages"][1]["from"] == "xct/diad/scan"
    assert found["stages"][1]["into"] == "xct/diad/axis"
    assert verbs(found) == [
        ("xct.find_center", VO_AS_OURS),
        ("xct.normalize", {}),
        ("xct.remove_rings", {"snr": 3.0, "la_size": 100, "sm_size": 10}),
        ("xct.minus_log", {}),
        ("xct.reconstruct", {"axis": "xct/diad/axis", "filter": "ramp", "circle": 0.95}),
    ]


def test_what_the_papers_lists_say_and_we_lack_is_told(real: Path) -> None:
    told = comments(convert(real / "process_lists" / "savu_process_list_xct.nxs"))
    assert "outer_pad=1.51: Savu goes on with the last values of each row" in told
    assert "Savu draws no circle (ratio=0.95) where it pads" in told
    assert "Savu's centre 1265.5 is the same here" in told
    assert "Savu wrote 16 bits from -0.0008 to 0.0018 per pixel" in told
    assert "type the scan's file here" in told
    told = comments(convert(real / "process_lists" / "savu_process_list_DIAD.nxs"))
    assert "Savu took the angles from /entry/imaging.sum/gts_theta.value_set" in told
    assert "Savu searched -50 to 50 columns around the middle" in told
    assert "not converted: average_radius=5" in told


VO_AS_OURS = {"method": "vo", "rows": 11, "step": 0.5}


@pytest.mark.parametrize(
    ("steps", "names"),
    [
        ((FLAT, RINGS, LENS, RECON), "normalize remove_rings correct_distortion minus_log"),
        ((FLAT, LENS, RINGS, RECON), "normalize correct_distortion remove_rings minus_log"),
        ((LENS, FLAT, RECON), "correct_distortion normalize minus_log"),
    ],
)
def test_steps_keep_the_order_of_the_list(
    tmp_path: Path, steps: tuple[Step, ...], names: str
) -> None:
    found = [name for name, _ in converted(tmp_path, *steps)]
    assert found == [f"xct.{name}" for name in (*names.split(), "reconstruct")]


def test_a_switched_off_step_is_left_out_and_told(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER, FLAT, RINGS, RECON], off=["RemoveAllRings"])
    assert "xct.remove_rings" not in dict(verbs(content(path)))
    assert "RemoveAllRings (3): switched off in the list, left out" in comments(convert(path))


@pytest.mark.parametrize(
    ("plugin", "parameters", "ours"),
    [
        ("RemoveLargeRings", {"size": 51, "snr": 2.5}, ("large", {"snr": 2.5, "la_size": 51})),
        ("RingRemovalSorting", {"size": 21}, ("sorting", {"sm_size": 21})),
        ("RingRemovalFiltering", {"sigma": 3, "size": 21}, ("filtering", {"sm_size": 21})),
        (
            "RemoveUnresponsiveAndFluctuatingRings",
            {"size": 71, "snr": 3.0},
            ("dead", {"snr": 3.0, "la_size": 71}),
        ),
    ],
)
def test_each_of_vos_methods(
    tmp_path: Path, plugin: str, parameters: dict[str, Any], ours: tuple[str, dict[str, Any]]
) -> None:
    (_, found), *_ = converted(tmp_path, (plugin, parameters))
    method, expected = ours
    assert found["method"] == method
    assert expected.items() <= found.items()


def test_bounds_and_flats_in_time(tmp_path: Path) -> None:
    bounded = ("DarkFlatFieldCorrection", {"lower_bound": 0.0, "upper_bound": 1.5})
    assert converted(tmp_path, bounded) == [("xct.normalize", {"bounds": [0.0, 1.5]})]
    low = ("DarkFlatFieldCorrection", {"lower_bound": 0.1, "warn_proportion": 0.2})
    # With one bound the other is out of reach.
    assert converted(tmp_path, low) == [("xct.normalize", {"bounds": [0.1, 1e6]})]
    assert "not converted: warn_proportion=0.2" in said(tmp_path, low)
    in_time = ("TimeBasedCorrection", {"in_range": True})
    assert converted(tmp_path, in_time) == [("xct.normalize", {"bounds": [0.0, 1.0]})]


def test_the_axis_is_measured_where_the_list_measures_it(tmp_path: Path) -> None:
    found = content(savu(tmp_path / "a.nxs", [LOADER, FLAT, RINGS, VO, GPU]), scan="a")
    assert [s.get("into", s.get("ingest", {}).get("into")) for s in found["stages"]] == [
        "xct/a/scan",
        "xct/a/axis",
        "xct/a/volume/bin1",
    ]
    # After the lens was corrected the axis is elsewhere: it must be measured there.
    found = content(savu(tmp_path / "a.nxs", [LOADER, FLAT, LENS, VO, GPU]), scan="a")
    stages = found["stages"][1:]
    assert [(s["from"], s["into"]) for s in stages] == [
        ("xct/a/scan", "xct/a/corrected"),
        ("xct/a/corrected", "xct/a/axis"),
        ("xct/a/corrected", "xct/a/volume/bin1"),
    ]
    assert [next(iter(s)) if isinstance(s, dict) else s for s in stages[2]["steps"]] == [
        "xct.minus_log",
        "xct.reconstruct",
    ]


@pytest.mark.parametrize(
    ("rows", "count"),
    [("mid-5:mid+6", 11), ("mid:mid+1", 1), ("900:911:1:1", 11), ("mid", 1), (":", None)],
)
def test_rows_of_centring(tmp_path: Path, rows: str, count: int | None) -> None:
    step = ("VoCentering", VO[1] | {"preview": [":", rows, ":"]})
    assert converted(tmp_path, step)[0][1].get("rows") == count
    wrong = ("VoCentering", VO[1] | {"preview": [":", "some", ":"]})
    assert "rows such as" in refused(tmp_path, wrong)


def test_the_range_of_centring(tmp_path: Path) -> None:
    around = ("VoCentering", VO[1] | {"start_pixel": 100, "search_area": [-20, 30], "ratio": 2.0})
    found = converted(tmp_path, around)[0][1]
    assert (found["start"], found["stop"]) == (80.0, 130.0)
    told = said(tmp_path, around)
    assert "around the middle" not in told
    assert "not converted: ratio=2.0 (as in Vo's paper: 0.5)" in told
    assert "not converted: search_radius=6" in told


def test_a_measured_axis_goes_before_a_typed_one_as_in_savu(tmp_path: Path) -> None:
    last = converted(tmp_path, FLAT, VO, RECON, scan="a")[-1]
    assert last[1]["axis"] == "xct/a/axis"
    assert "center" not in last[1]
    assert "typed, and not used: 86" in said(tmp_path, FLAT, VO, RECON)


def test_no_axis_at_all_is_measured(tmp_path: Path) -> None:
    found = converted(tmp_path, FLAT, recon(centre_of_rotation=0.0), scan="a")
    assert found[0] == ("xct.find_center", {})
    assert found[-1][1]["axis"] == "xct/a/axis"
    told = said(tmp_path, FLAT, recon(centre_of_rotation=0.0))
    assert "the list states no centre of rotation: it is measured here" in told


@pytest.mark.parametrize(
    ("step", "center"),
    [
        # TomoPy's gridrec and ASTRA take the index of the column; rays are counted from the edge.
        (recon(algorithm="gridrec"), 86.0),
        (recon(algorithm="fbp"), 85.5),
        (recon(algorithm="sirt", n_iterations=20), 85.5),
        (("AstraReconCpu", {"algorithm": "FBP", "centre_of_rotation": 86.0}), 86.0),
        (("ScikitimageFilterBackProjection", {"centre_of_rotation": 86.0}), 86.0),
    ],
)
def test_what_each_calls_the_centre(tmp_path: Path, step: Step, center: float) -> None:
    assert converted(tmp_path, FLAT, step)[-1][1]["center"] == center


@pytest.mark.parametrize(
    ("step", "ours"),
    [
        (recon(filter_name="shepp"), {"filter": "shepp-logan"}),
        (recon(filter_name="hann"), {"filter": "hann"}),
        (("AstraReconGpu", {"algorithm": "SIRT_CUDA", "n_iterations": 50}), {"method": "sirt"}),
        (("AstraReconCpu", {"algorithm": "CGLS", "n_iterations": 9}), {"iterations": 9}),
        (("CcpiCglsRecon", {"n_iterations": 5}), {"method": "cgls", "iterations": 5}),
        (recon(), {"circle": 0.95}),
        (recon(ratio=0.8), {"circle": 0.8}),
    ],
)
def test_algorithms_filters_and_circles(tmp_path: Path, step: Step, ours: dict[str, Any]) -> None:
    found = converted(tmp_path, FLAT, step)[-1][1]
    assert ours.items() <= found.items()


def test_savus_circle_is_off_where_it_pads(tmp_path: Path) -> None:
    for pad in (True, 1.51):
        found = converted(tmp_path, FLAT, recon(outer_pad=pad))[-1][1]
        assert (found["truncation"], found["circle"]) == ("edge", None)
    found = converted(tmp_path, FLAT, recon(outer_pad=False))[-1][1]
    assert ("truncation" in found, found["circle"]) == (False, 0.95)
    # Savu pads for filtered back-projection only.
    found = converted(tmp_path, FLAT, recon(outer_pad=True, algorithm="sirt"))[-1][1]
    assert ("truncation" in found, found["circle"]) == (False, 0.95)
    assert "'outer_pad' cannot be used" in refused(tmp_path, FLAT, recon(outer_pad="much"))


def test_the_logarithm_inside_paganins_filter(tmp_path: Path) -> None:
    found = converted(tmp_path, FLAT, PAGANIN, recon(log=False))
    assert [name for name, _ in found] == [
        "xct.normalize",
        "xct.retrieve_phase",
        "xct.minus_log",
        "xct.reconstruct",
    ]
    assert found[1][1] == {"delta_beta": 100.0, "distance_m": 0.1, "energy_kev": 27.0}
    path = savu(tmp_path / "a.nxs", [LOADER, FLAT, PAGANIN, recon(log=False)])
    assert content(path)["stages"][0]["ingest"]["pixel_size"] == "1.625 um"
    assert "its volume is 100/2 times this one" in comments(convert(path))
    assert "takes a second logarithm" in refused(tmp_path, FLAT, PAGANIN, RECON)
    assert "nothing before took one" in refused(tmp_path, FLAT, recon(log=False))


@pytest.mark.parametrize("plugin", ["Sino360To180", "Convert360180Sinogram"])
def test_full_circles_are_unfolded(tmp_path: Path, plugin: str) -> None:
    found = converted(tmp_path, FLAT, (plugin, {"center": 0.0}), RECON, scan="a")
    assert [name for name, _ in found][:3] == ["xct.normalize", "xct.find_overlap", "xct.unfold"]
    assert found[2][1] == {"overlap": "xct/a/overlap"}
    # Unfolding knows the axis: what was typed belongs to rows that were joined elsewhere.
    assert found[-1][1] == {"filter": "ramp", "circle": 0.95}
    stages = content(tmp_path / "a.nxs", scan="a")["stages"]
    assert [stage.get("into") for stage in stages[1:]] == [
        "xct/a/corrected",
        "xct/a/overlap",
        "xct/a/volume/bin1",
    ]
    assert stages[2]["from"] == stages[3]["from"] == "xct/a/corrected"
    both = converted(tmp_path, FLAT, ("Centering360", {}), (plugin, {}), RECON)
    assert [name for name, _ in both].count("xct.find_overlap") == 1


def test_a_preview_of_the_loader_is_a_crop(tmp_path: Path) -> None:
    loader = (LOADER[0], {"preview": [":", "100:200", "0:end:1:1"]})
    path = savu(tmp_path / "a.nxs", [loader, FLAT, LENS])
    assert content(path)["stages"][0]["ingest"]["crop"] == {"z": [100, 200]}
    path = savu(tmp_path / "a.nxs", [(LOADER[0], {"preview": ["0:end:2", ":", ":"]}), FLAT])
    with pytest.raises(SourceError, match=r"its preview '0:end:2' of angle"):
        convert(path)


def test_flats_and_darks_in_other_files(tmp_path: Path) -> None:
    loader = (LOADER[0], {"flat": ["/data/flats.nxs", "entry/data", 2.0], "dark": [None, None, 1]})
    path = savu(tmp_path / "a.nxs", [loader, FLAT])
    ingest = content(path)["stages"][0]["ingest"]
    assert ingest["flats"] == "/data/flats.nxs"
    assert "darks" not in ingest
    assert "not converted: flats are multiplied by 2" in comments(convert(path))


def test_every_step_without_counterpart_is_named_at_once(tmp_path: Path) -> None:
    steps = [FLAT, ("RavenFilter", {}), ("MedianFilter", {}), ("MyOwnPlugin", {}), RECON]
    told = refused(tmp_path, *steps)
    assert "3 steps of the list cannot be converted" in told
    assert "3 RavenFilter: xct.remove_rings, in its place" in told
    assert "4 MedianFilter: xct.remove_zingers, in its place" in told
    assert "5 MyOwnPlugin: nothing known" in told
    assert "--skip 3 --skip 4 --skip 5" in told
    found = converted(tmp_path, *steps, skip=["RavenFilter", "4", "MyOwnPlugin"])
    assert [name for name, _ in found] == ["xct.normalize", "xct.minus_log", "xct.reconstruct"]


def test_stripes_by_methods_that_are_like_ours_but_not_the_same(tmp_path: Path) -> None:
    told = refused(
        tmp_path, FLAT, ("RingRemovalWaveletfft", {}), ("RingRemovalRegularization", {}), RECON
    )
    assert "3 RingRemovalWaveletfft: xct.remove_rings: {method: wavelet-fourier}" in told
    assert "4 RingRemovalRegularization: xct.remove_rings: {method: regularized}" in told


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (recon(algorithm="ospml_quad"), "its algorithm 'ospml_quad'"),
        (recon(filter_name="parzen"), "its filter 'parzen'"),
        (("AstraReconGpu", {"algorithm": "SART_CUDA"}), "its algorithm 'SART'"),
        (("CcpiCglsRecon", {"resolution": 2}), "its resolution 2"),
        (("DistortionCorrection", {"file_path": "c.txt"}), "its coefficients are in c.txt"),
    ],
)
def test_what_a_plug_in_can_do_and_we_cannot(tmp_path: Path, step: Step, message: str) -> None:
    assert message in refused(tmp_path, FLAT, step)


@pytest.mark.parametrize("name", sorted(INSTEAD))
def test_what_to_use_instead_is_said_for_no_plug_in_that_converts(name: str) -> None:
    assert name not in PLUGINS


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (("RemoveAllRings", {"snr": "many"}), "'snr' cannot be used"),
        (("RemoveAllRings", {"snr": True}), "expected: a number"),
        (("RemoveAllRings", {"snr": 10**400}), "a number that is finite"),
        (("RemoveAllRings", {"snr": "2.0;3.0;4.0"}), "is a row of values to try"),
        (("DistortionCorrection", {"polynomial_coeffs": [1, "x"]}), "a number"),
        (("DistortionCorrection", {"polynomial_coeffs": [1.0]}), "all three"),
        (recon(log="yes"), "true or false"),
        (recon(algorithm=3), "a text"),
        (recon(n_iterations=2.5), "a whole number"),
        (recon(centre_of_rotation={"1": 2.0}), "one number, or VoCentering"),
        (("VoCentering", {"search_area": [1]}), "2 numbers"),
        (("VoCentering", {"preview": 3}), "slices as text"),
    ],
)
def test_values_of_the_wrong_type(tmp_path: Path, step: Step, message: str) -> None:
    told = refused(tmp_path, FLAT, step)
    assert message in told
    assert step[0] in told
    assert len(told) < 1000


def test_lists_that_branch_or_run_in_circles(tmp_path: Path) -> None:
    fork = ("RemoveAllRings", RINGS[1] | {"in_datasets": ["other"], "out_datasets": ["other"]})
    told = refused(tmp_path, FLAT, fork)
    assert "does not work on what the step before it gave" in told
    assert "in_datasets=['other']" in told
    renamed = ("RemoveAllRings", RINGS[1] | {"in_datasets": ["tomo"], "out_datasets": ["clean"]})
    after = ("PaganinFilter", PAGANIN[1] | {"in_datasets": ["clean"]})
    assert len(converted(tmp_path, FLAT, renamed, after)) == 4
    assert len(converted(tmp_path, FLAT, renamed, after, skip=["RemoveAllRings"])) == 3
    path = savu(tmp_path / "b.nxs", [LOADER, FLAT])
    with h5py.File(path, "r+") as file:
        file.create_group("entry/iterate_plugin_groups/1_to_2")
    with pytest.raises(SourceError, match="runs some plug-ins several times over"):
        convert(path)


def test_what_to_skip_must_be_there(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER, FLAT, RINGS])
    with pytest.raises(ArgumentError) as error:
        convert(path, skip=["RemoveAlRings"])
    assert "there is no step 'RemoveAlRings' to skip" in str(error.value)
    assert "did you mean 'RemoveAllRings'?" in str(error.value)
    with pytest.raises(SourceError, match="has no step that does anything"):
        convert(path, skip=["2", "3"])


def test_names_of_scan_and_store(tmp_path: Path) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER, FLAT])
    found = content(path, source="raw data/scan (1).nxs")
    assert found["stages"][0]["ingest"]["into"] == "xct/scan-1/scan"
    assert found["store"] == "scan-1.zarr"
    with pytest.raises(ArgumentError, match="cannot be the name of a scan"):
        convert(path, scan="../x")


@settings(max_examples=30)
@given(text=st.text(max_size=300), name=st.text(max_size=40))
def test_text_of_a_list_stays_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    loader = (
        "NxtomoLoader",
        {"data_path": text, "angles": text, "flat": [f"f{name}", text, 1], name: text},
    )
    path = tmp_path_factory.mktemp("list") / "a.nxs"
    try:
        made = convert(savu(path, [loader, FLAT, RINGS, RECON]), source=f"s{name}", scan="a")
    except SourceError:
        return
    found = yaml.safe_load(made)
    assert verbs(found) == verbs(content(savu(path, [LOADER, FLAT, RINGS, RECON]), scan="a"))
    assert set(found) == {"zeoarray", "store", "stages"}
    ingest = found["stages"][0]["ingest"]
    assert ingest["source"] == f"s{name}"
    assert set(ingest) <= {"source", "into", "flats"}
    assert all(c.isprintable() or c == "\n" for c in made)


def test_savers_become_a_command_to_run_at_the_end(tmp_path: Path) -> None:
    told = said(tmp_path, FLAT, RECON, ("TiffSaver", {"pattern": "VOLUME_XZ", "prefix": None}))
    command = "zeoarray export scan.zarr xct/scan/volume/bin1 slices --tiff --dtype float32"
    assert command in told
    assert "VOLUME_XZ" not in told
    image = ("ImageSaver", {"num_bit": 16, "min": -0.001, "max": 0.002, "format": "tif"})
    told = said(tmp_path, FLAT, RECON, image)
    assert "slices --tiff Savu wrote 16 bits from -0.001 to 0.002 per pixel" in told
    assert "volume.h5 --hdf5" in said(tmp_path, FLAT, RECON, ("Hdf5Saver", {}))


def test_at_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = savu(tmp_path / "a.nxs", [LOADER, FLAT, ("RavenFilter", {}), RECON])
    with pytest.raises(SystemExit) as stop:
        main(["convert", str(path)])
    assert stop.value.code == 1
    assert "3 RavenFilter: xct.remove_rings, in its place" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["convert", str(path), "--skip", "RavenFilter", "--scan", "b", "--store", "c.zarr"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == convert(path, skip=["3"], scan="b", store="c.zarr")


def test_a_width_of_rings_that_cannot_be_chosen_here_is_told(tmp_path: Path) -> None:
    step = ("RingRemovalFiltering", {"sigma": 5, "size": 21})
    assert "not converted: sigma=5" in said(tmp_path, FLAT, step)
    assert "sigma" not in said(tmp_path, FLAT, (step[0], {"sigma": 3, "size": 21}))

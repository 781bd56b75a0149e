"""A mapping in YAML: every kind of data, and each thing that can be wrong with it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from zeoarray import schema
from zeoarray.errors import (
    ArgumentError,
    LinkError,
    MissingMetadataError,
    SourceError,
)
from zeoarray.ingest import mapping
from zeoarray.ingest.parts import arrays, plain_yaml
from zeoarray.ingest.reader import Options

FRAMES = np.arange(3 * 4 * 5 * 6, dtype="i4").reshape(3, 4, 5, 6)
THETA = np.array([0.0, 60.0, 120.0])
STAGE = np.array([-0.3, -0.1, 0.1, 0.3])

XRDCT = """
zeoarray: 1
kind: xrdct
data: {path: e/frames, dims: [angle, u, det_y, det_x]}
angle: {path: e/theta, units: deg}
u: {path: e/stage, units: mm}
z: {value: 0.35, units: mm}
"""

XCT = """
zeoarray: 1
kind: xct
data: {path: e/projections, dims: [angle, z, u]}
angle: {path: e/all_angles, units: rad}
image_key: {path: e/key}
constants: {pixel_size: 2 um, energy: 20 keV, rotation_sense: -1}
"""


def file(path: Path, **more: Any) -> Path:
    given: dict[str, Any] = {
        "e/frames": FRAMES,
        "e/theta": THETA,
        "e/stage": STAGE,
        "e/i0": np.arange(12.0),
        "e/projections": FRAMES[0].astype("u2"),
        "e/all_angles": np.deg2rad([0.0, 10.0, 20.0, 30.0]),
        "e/key": np.array([2, 0, 1, 0]),
        **more,
    }
    with h5py.File(path, "w") as target:
        for name, value in given.items():
            target[name] = value
    return path


def read(folder: Path, text: str, data: dict[str, Any] | None = None, **options: Any) -> Any:
    layout = folder / "layout.yaml"
    layout.write_text(text.lstrip("\n"), encoding="utf-8")
    # HDF5 does not write anew a file that a dataset still has open.
    path = folder / "a.h5"
    while path.exists():
        path = path.with_stem(path.stem + "a")
    file(path, **(data or {}))
    return mapping.READER.read(path, Options(mapping=layout, **options))


# --- diffraction frames -------------------------------------------------------------------------


def test_frames_of_a_grid_become_a_list(tmp_path: Path) -> None:
    text = XRDCT + "monitor: {path: e/i0}\nconstants: {beam_size: 25 um, energy: 71 keV}\n"
    ds = read(tmp_path, text)
    schema.validate(ds, schema.SCAN_XRDCT, by="test")
    np.testing.assert_array_equal(ds["counts"], FRAMES.reshape(12, 5, 6))
    np.testing.assert_array_equal(ds["angle"], np.repeat(THETA, 4))
    np.testing.assert_allclose(ds["u"], np.tile(STAGE, 3) * 1000)
    np.testing.assert_array_equal(ds["z"], np.full(12, 350.0))
    np.testing.assert_array_equal(ds["monitor"], np.arange(12))
    assert float(ds["resolution"]) == 25.0
    assert float(ds["energy"]) == 71.0
    assert ds.attrs["reader"] == "mapping"
    assert ds.attrs["source"] == [str(tmp_path / "a.h5"), str(tmp_path / "layout.yaml")]


def test_nothing_is_read_at_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: arrays.HDF5Array, key: object) -> None:
        raise AssertionError(f"{self.dataset} was read")

    monkeypatch.setattr(arrays.HDF5Array, "_read", refuse)
    ds = pickle.loads(pickle.dumps(read(tmp_path, XRDCT)))
    read(tmp_path, XCT)
    with pytest.raises(AssertionError, match="e/frames was read"):
        ds["counts"].load()


def test_a_list_of_frames_with_a_position_each(tmp_path: Path) -> None:
    text = XRDCT.replace("[angle, u, det_y, det_x]", "[frame, det_y, det_x]")
    data = {
        "e/frames": FRAMES.reshape(12, 5, 6),
        "e/theta": np.arange(12.0),
        "e/stage": np.arange(12.0),
    }
    ds = read(tmp_path, text, data, ignore=(1, 3))
    keep = [0, 2, *range(4, 12)]
    np.testing.assert_array_equal(ds["angle"], np.arange(12.0)[keep])
    np.testing.assert_array_equal(ds["counts"], FRAMES.reshape(12, 5, 6)[keep])


def test_a_single_frame(tmp_path: Path) -> None:
    text = "zeoarray: 1\nkind: xrdct\ndata: {path: e/frames, dims: [det_y, det_x]}\n"
    ds = read(tmp_path, text, {"e/frames": FRAMES[0, 0]})
    np.testing.assert_array_equal(ds["counts"], FRAMES[:1, 0])
    assert "the mapping states no angle: it is 0" in ds.attrs["notes"]


def test_the_units_of_the_file_serve_where_the_mapping_states_none(tmp_path: Path) -> None:
    text = XRDCT.replace(", units: mm}\nz", "}\nz")
    with pytest.raises(SourceError, match="e/stage has no units") as caught:
        read(tmp_path, text)
    assert "u: {path: e/stage, units: um} in the mapping" in str(caught.value)
    layout = tmp_path / "layout.yaml"
    with h5py.File(tmp_path / "a.h5", "a") as target:
        target["e/stage"].attrs["units"] = "mm"
    ds = mapping.read(tmp_path / "a.h5", Options(mapping=layout))
    np.testing.assert_allclose(ds["u"][:4], STAGE * 1000)


def test_a_dim_without_positions(tmp_path: Path) -> None:
    text = XRDCT.replace("u: {path: e/stage, units: mm}\n", "")
    with pytest.raises(MissingMetadataError, match="'u' is a dim of the data"):
        read(tmp_path, text)


def test_positions_that_match_no_dim(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="the values of 'u' do not match the frames") as caught:
        read(tmp_path, XRDCT, {"e/stage": np.arange(5.0)})
    assert "12 (one for each frame), 1, or 4 (along u)" in str(caught.value)


# --- tomography ---------------------------------------------------------------------------------


def test_an_image_key_sorts_the_frames(tmp_path: Path) -> None:
    ds = read(tmp_path, XCT)
    schema.validate(ds, schema.SCAN_XCT, by="test")
    values = FRAMES[0].astype("u2")
    np.testing.assert_array_equal(ds["counts"], values[[1, 3]])
    np.testing.assert_array_equal(ds["flat"], values[[2]])
    np.testing.assert_array_equal(ds["dark"], values[[0]])
    np.testing.assert_allclose(ds["angle"], [10, 30])
    assert float(ds["resolution"]) == 2.0
    assert int(ds["rotation_sense"]) == -1


def test_dims_in_another_order_and_other_keys(tmp_path: Path) -> None:
    text = XCT.replace("[angle, z, u]", "[u, angle, z]").replace(
        "{path: e/key}", "{path: e/key, projection: 7, flat: 8, dark: 9}"
    )
    data = {
        "e/projections": FRAMES[0].transpose(2, 0, 1),
        "e/key": np.array([9.0, 7.0, 8.0, 7.0]),
    }
    ds = read(tmp_path, text, data)
    np.testing.assert_array_equal(ds["counts"], FRAMES[0][[1, 3]])
    np.testing.assert_array_equal(ds["flat"], FRAMES[0][[2]])


def test_flats_and_darks_of_their_own(tmp_path: Path) -> None:
    text = XCT.replace("image_key: {path: e/key}", "flats: {path: e/flat}\ndarks: {path: e/dark}")
    data = {"e/flat": FRAMES[1], "e/dark": FRAMES[2, 0]}
    ds = read(tmp_path, text, data, crop={"z": (1, 3)})
    np.testing.assert_array_equal(ds["flat"], FRAMES[1][:, 1:3])
    np.testing.assert_array_equal(ds["dark"], FRAMES[2, :1, 1:3])
    assert ds.sizes["angle"] == 4
    with pytest.raises(SourceError, match="the flat frames do not match the projections"):
        read(tmp_path, text, {**data, "e/flat": FRAMES[1][:, :2]})


def test_angles_of_the_projections_alone(tmp_path: Path) -> None:
    ds = read(tmp_path, XCT, {"e/all_angles": np.deg2rad([5.0, 6.0])}, ignore=(1,))
    np.testing.assert_allclose(ds["angle"], [6])
    np.testing.assert_array_equal(read(tmp_path, XCT, angles=(1.0, 2.0))["angle"], [1, 2])
    with pytest.raises(SourceError, match="e/all_angles does not match the frames"):
        read(tmp_path, XCT, {"e/all_angles": np.zeros(3)})


def test_a_wrong_image_key(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="e/key does not match the frames"):
        read(tmp_path, XCT, {"e/key": np.zeros(3)})
    with pytest.raises(SourceError, match="calls no frame a projection"):
        read(tmp_path, XCT, {"e/key": np.ones(4)})


def test_a_frame_to_ignore_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="frames to ignore that do not exist"):
        read(tmp_path, XCT, ignore=(4,))


def test_the_users_options_go_before_the_constants(tmp_path: Path) -> None:
    assert float(read(tmp_path, XCT, pixel_size=3.0)["resolution"]) == 3.0


# --- integrated data, volumes, patterns -----------------------------------------------------------

SINOGRAM = """
zeoarray: 1
kind: sinogram
data: {path: e/data, dims: [u, angle, q]}
sigma: {path: e/sigma}
angle: {path: e/theta, units: deg}
u: {path: e/stage, units: mm}
q: {path: e/q, units: 1/nm}
"""


def test_a_sinogram(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((4, 3, 7)).astype("f4")
    data = {"e/data": values, "e/sigma": values, "e/q": np.arange(10.0, 17.0)}
    ds = read(tmp_path, SINOGRAM, data, crop={"q": (0, 3)})
    schema.validate(ds, schema.SINOGRAM, by="test")
    np.testing.assert_array_equal(ds["intensity"][0], values.transpose(1, 0, 2)[..., :3])
    np.testing.assert_array_equal(ds["variance"][0], values.transpose(1, 0, 2)[..., :3] ** 2)
    np.testing.assert_allclose(ds["q"], [1.0, 1.1, 1.2])
    with pytest.raises(SourceError, match="e/sigma does not match the data"):
        read(tmp_path, SINOGRAM, {**data, "e/sigma": values[..., :-1]})
    with pytest.raises(SourceError, match="q does not match the data"):
        read(tmp_path, SINOGRAM, {**data, "e/q": np.arange(1.0, 7.0)})
    with pytest.raises(SourceError, match="e/q does not ascend"):
        read(tmp_path, SINOGRAM, {**data, "e/q": np.arange(7.0)[::-1]})


def test_two_theta_needs_a_wavelength(tmp_path: Path) -> None:
    text = SINOGRAM.replace("q: {path: e/q, units: 1/nm}", "two_theta: {path: e/q, units: deg}")
    data = {"e/data": np.ones((4, 3, 7)), "e/sigma": np.ones((4, 3, 7)), "e/q": np.arange(1.0, 8.0)}
    with pytest.raises(MissingMetadataError, match="wavelength is needed"):
        read(tmp_path, text, data)
    ds = read(tmp_path, text, data, energy=71.0)
    np.testing.assert_allclose(ds["two_theta"], np.arange(1, 8))
    assert read(tmp_path, text, data, partial=True)["intensity"].dims[-1] == "two_theta"


def test_a_volume_in_every_unit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((3, 4, 5)).astype("f4")
    text = """
zeoarray: 1
kind: volume
data: {path: e/volume, dims: [x, z, y], units: UNIT}
constants: {pixel_size: 2 um}
"""
    for unit, factor in (("1/cm", 1.0), ("1/mm", 10.0), ("1/px", 1 / 2e-4)):
        ds = read(tmp_path, text.replace("UNIT", unit), {"e/volume": values})
        schema.validate(ds, schema.VOLUME_XCT, by="test")
        wanted = values.transpose(1, 2, 0) * np.float32(factor)
        np.testing.assert_allclose(ds["attenuation"], wanted, rtol=1e-6)
    with pytest.raises(SourceError, match="does not say the units of the volume"):
        read(tmp_path, text.replace(", units: UNIT", ""), {"e/volume": values})
    with pytest.raises(SourceError, match="holds no attenuation"):
        read(tmp_path, text.replace("UNIT", "1/cm"), {"e/volume": FRAMES[0]})


def test_a_powder_pattern(tmp_path: Path) -> None:
    text = """
zeoarray: 1
kind: powder
data: {path: e/data, dims: [".", q]}
variance: {path: e/data}
q: {path: e/q, units: 1/angstrom}
"""
    data = {"e/data": np.ones((1, 4)), "e/q": np.arange(1.0, 5.0)}
    ds = read(tmp_path, text, data)
    schema.validate(ds, schema.POWDER, by="test")
    assert ds["intensity"].shape == ds["variance"].shape == (4,)
    with pytest.raises(SourceError, match="is not of length 1"):
        read(tmp_path, text, {**data, "e/data": np.ones((2, 4))})
    with pytest.raises(SourceError, match="does not have the dims of the mapping"):
        read(tmp_path, text, {**data, "e/data": np.ones(4)})
    with pytest.raises(MissingMetadataError, match="neither q nor two_theta"):
        read(tmp_path, text.replace("q: {path: e/q, units: 1/angstrom}\n", ""), data)


# --- what is wrong with a mapping -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message", "then"),
    [
        ("angle: {", "angel: {", "line 4: there is no key 'angel'", "did you mean 'angle'"),
        ("data: {path", "data: {paht", "line 3: there is no key 'data.paht'", "mean 'path'"),
        ("kind: xrdct", "kind: xrd", "line 2: kind: Input should be 'xct', 'xrdct'", "'xrd'"),
        ("kind: xrdct\n", "", "the key 'kind' is missing", "kind"),
        ("zeoarray: 1", "zeoarray: 2", "is not a mapping of this version", "zeoarray: 1"),
        ("zeoarray: 1\n", "", "is not a mapping of this version", "no version"),
        ("e/theta, units: deg", "e/theta, value: 3", "line 4: angle: give either path or", "e/th"),
        ("0.35, units: mm", "0.35", "line 6: z: a value needs its units", "0.35"),
        ("[angle, u,", "[angle, x,", "line 3: these cannot be the dims of 'xrdct'", "frame, or"),
        ("det_y, det_x", "det_x, det_y", "line 3: these cannot be the dims", "det_y, det_x"),
        ("[angle, u,", "[frame, u,", "line 3: these cannot be the dims of 'xrdct'", "frame, u"),
        ("e/theta", "e/thetta", "has no dataset 'e/thetta'", "did you mean 'e/theta'"),
        ("units: deg", "units: mm", "angle is in 'mm'", "'deg'"),
        ("units: deg", "units: degs", "angle is in 'degs'", "'deg'"),
        ("e/stage", "e", "has no dataset 'e'", None),
    ],
)
def test_a_mapping_that_is_wrong(
    tmp_path: Path, old: str, new: str, message: str, then: str | None
) -> None:
    assert old in XRDCT
    with pytest.raises(SourceError, match=message) as caught:
        read(tmp_path, XRDCT.replace(old, new))
    assert then is None or then in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("constants: {enrgy: 71 keV}", "line 7: there is no constant 'enrgy'"),
        ("constants: {energy: 71}", "line 7: energy: the value needs a number with a unit"),
        ("constants:\n  energy: 71 mm\n", "line 8: energy: 'mm' is a length"),
        ("constants: {u_sense: 2}", "line 7: u_sense: Input should be -1 or 1"),
        ("image_key: {path: e/key}", "line 7: 'image_key' means nothing for 'xrdct'"),
        ("u: {value: 1, units: mm}", "line 7: the key 'u' stands twice"),
        ("monitor: !!python/object:os.system {}", "line 7: tags are refused"),
        ("monitor: !path e/i0", "line 7: tags are refused"),
        ("monitor: &a {path: e/i0}\nexposure: *a", "line 8: aliases are refused"),
        ("monitor: [", "this is not YAML"),
        ("? [1, 2]\n: 3", "line 7: a key must be plain"),
    ],
)
def test_a_line_that_is_wrong(tmp_path: Path, more: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(tmp_path, XRDCT + more + "\n")


@pytest.mark.parametrize(("one", "other"), [("image_key: {path: e/key}", "flats: {path: e/flat}")])
def test_keys_that_exclude_each_other(tmp_path: Path, one: str, other: str) -> None:
    with pytest.raises(SourceError, match="'image_key' and 'flats' exclude each other"):
        read(tmp_path, XCT + other + "\n")
    text = SINOGRAM + "variance: {path: e/data}\n"
    with pytest.raises(SourceError, match="'variance' and 'sigma' exclude each other"):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n- 2\n", "holds no keys"),
        (b"", "holds no keys"),
        (b"\xff\xfe\x81", "cannot be read as text"),
        (b"a: 1\n" * 300_000, "is no file that a person wrote"),
        (b"a: \x01\n", "is not YAML"),
    ],
)
def test_a_file_that_is_no_mapping(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        plain_yaml.read(tmp_path / "a.yaml")
    with pytest.raises(SourceError, match="does not exist"):
        plain_yaml.read(tmp_path / "gone.yaml")


def test_a_mapping_is_needed_and_recognises_nothing(tmp_path: Path) -> None:
    path = file(tmp_path / "a.h5")
    assert not mapping.READER.recognise(path)
    with pytest.raises(ArgumentError, match="needs a mapping"):
        mapping.read(path, Options())


def test_positions_that_are_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no numbers"):
        read(tmp_path, XRDCT, {"e/theta": np.array([b"a", b"b", b"c"])})
    with pytest.raises(SourceError, match="no finite numbers"):
        read(tmp_path, XRDCT, {"e/theta": np.array([0, np.nan, 1])})


def test_data_behind_a_dangling_link(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="linked data cannot be reached"):
        read(tmp_path, XRDCT, {"e/frames": h5py.ExternalLink("gone.h5", "frames")})


def test_a_crop_of_what_cannot_be_cropped(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'crop' means nothing to a mapping of 'xrdct'"):
        read(tmp_path, XRDCT, crop={"det_y": (0, 2)})

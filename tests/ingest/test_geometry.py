"""Geometry and masks: every version of .poni, DAWN's calibrations, pyFAI rebuilt from coords."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fabio.edfimage
import h5py
import numpy as np
import pyFAI
import pytest
import tifffile
import xarray as xr
from pyFAI.detectors import detector_factory
from pyFAI.integrator.azimuthal import AzimuthalIntegrator

from zeoarray import schema, units
from zeoarray.errors import ArgumentError, SchemaError, SourceError
from zeoarray.ingest import geometry
from zeoarray.ingest.parts import masks, nxdetector
from zeoarray.ingest.reader import Options

NUMBERS = {"Distance": 0.3, "Poni1": 0.02, "Poni2": 0.03, "Rot1": 0.01, "Rot2": -0.02, "Rot3": 0.5}
SHAPE = (195, 487)  # A Pilatus 100k: rows and columns differ, so that a wrong axis shows.
WAVELENGTH = 1.75e-11


def poni(path: Path, text: str = "", **more: object) -> Path:
    stated = {"Detector": "Pilatus100k", **NUMBERS, "Wavelength": WAVELENGTH, **more}
    lines = [f"{key}: {value}" for key, value in stated.items() if value is not None]
    path.write_text("# a comment: 1\n" + text + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def with_config(**config: object) -> dict[str, str]:
    return {"Detector_config": json.dumps(config)}


def frames(shape: tuple[int, int] = SHAPE, **coords: float) -> xr.Dataset:
    counts = np.zeros((1, *shape), "i4")
    ds = xr.Dataset({"counts": (("frame", "det_y", "det_x"), counts)})
    return ds.assign_coords({n: ((), v) for n, v in coords.items()}).assign_attrs(notes=["first"])


def corners(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = shape[0] - 1.0, shape[1] - 1.0
    return np.array([0, 0, rows, rows, 3.0]), np.array([0, columns, 0, columns, 5.0])


def same(one: AzimuthalIntegrator, other: AzimuthalIntegrator, shape: tuple[int, int]) -> None:
    """The two put every corner of the image at the same place, and so at the same q and chi."""
    at = corners(shape)
    for ai in (one, other):
        ai.detector.shape = shape
    for a, b in zip(one.calc_pos_zyx(None, *at), other.calc_pos_zyx(None, *at), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(one.qFunction(*at), other.qFunction(*at))


# --- .poni --------------------------------------------------------------------------------------

VERSIONS: dict[str, dict[str, object]] = {
    "1": {"PixelSize1": 1.72e-4, "PixelSize2": 1.72e-4},
    "1, a generic detector": {"Detector": "Detector", "PixelSize1": 1e-4, "PixelSize2": 2e-4},
    "2": {"poni_version": 2, **with_config()},
    "2, a generic detector": {
        "poni_version": 2,
        "Detector": "Detector",
        **with_config(pixel1=1e-4, pixel2=2e-4, max_shape=list(SHAPE)),
    },
    "2.1": {"poni_version": 2.1, **with_config(orientation=3)},
    "2.1, turned": {"poni_version": 2.1, **with_config(orientation=2)},
    "2.1, generic and turned": {
        "poni_version": 2.1,
        "Detector": "Detector",
        **with_config(pixel1=1e-4, pixel2=2e-4, max_shape=list(SHAPE), orientation=1),
    },
}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_gives_pyfais_integrator(tmp_path: Path, version: str) -> None:
    path = poni(tmp_path / "a.poni", **VERSIONS[version])
    ds = geometry.attach(frames(), Options(poni=path))
    schema.validate(
        ds.assign_coords(angle=("frame", [0.0])), schema.Schema("geometry", schema.GEOMETRY), by="t"
    )
    same(geometry.integrator(ds), pyFAI.load(str(path)), SHAPE)


def test_the_last_calibration_of_a_file_counts(tmp_path: Path) -> None:
    first = "Detector: Pilatus100k\nDistance: 0.1\nPoni1: 0\nPoni2: 0\nRot1: 0\nRot2: 0\nRot3: 0\n"
    path = poni(tmp_path / "a.poni", text=first, **VERSIONS["1"])
    ds = geometry.attach(frames(), Options(poni=path))
    assert float(ds["distance"]) == 0.3
    assert ds["distance"].attrs == {"units": "m", "long_name": schema.DISTANCE.doc}
    assert "a.poni holds 2 calibrations; the last is taken" in ds.attrs["notes"]
    same(geometry.integrator(ds), pyFAI.load(str(path)), SHAPE)


def test_json_as_pyfai_writes_it(tmp_path: Path) -> None:
    content = {
        "poni_version": 2.1,
        "detector": "Pilatus100k",
        "detector_config": {"orientation": 3},
        "dist": 0.3,
        **{k.lower(): v for k, v in NUMBERS.items() if k != "Distance"},
        "wavelength": WAVELENGTH,
    }
    for name, inner in (("a", content), ("b", {"version": 5, "poni": content})):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(inner), encoding="utf-8")
        ds = geometry.attach(frames(), Options(poni=path))
        reference = pyFAI.load(str(poni(tmp_path / "c.poni", **VERSIONS["2.1"])))
        same(geometry.integrator(ds), reference, SHAPE)
        assert int(ds["orientation"]) == 3


def test_version_3_with_a_thick_sensor(tmp_path: Path) -> None:
    config = with_config(orientation=3, sensor={"material": "Si", "thickness": 3.2e-4})
    path = poni(tmp_path / "a.poni", poni_version=3, Parallax=True, **config)
    ds = geometry.attach(frames(), Options(poni=path))
    assert bool(ds["sensor_parallax"])
    ours, reference = geometry.integrator(ds), pyFAI.load(str(path))
    assert ours.parallax is not None
    np.testing.assert_array_equal(ours.qArray(SHAPE), reference.qArray(SHAPE))
    plain = geometry.integrator(ds.assign_coords(sensor_parallax=0))
    assert not np.array_equal(ours.qArray(SHAPE), plain.qArray(SHAPE))


@pytest.mark.parametrize("name", ["Pilatus2MCdTe", "Eiger4M", "Perkin", "FReLoN", "ImXPadS10"])
def test_detectors_by_name(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    path = poni(tmp_path / "a.poni", Detector=name, poni_version=2, **with_config())
    shape = tuple(detector_factory(name).shape)
    ds = geometry.attach(frames(shape), Options(poni=path))
    ours = geometry.integrator(ds)
    assert type(ours.detector) is type(detector_factory(name))
    same(ours, pyFAI.load(str(path)), shape)
    assert "Left-over" not in capfd.readouterr().err


def test_the_coords_survive_a_file(tmp_path: Path) -> None:
    ds = geometry.attach(frames(), Options(poni=poni(tmp_path / "a.poni", **VERSIONS["2.1"])))
    again = xr.Dataset.from_dict(ds.to_dict())
    same(geometry.integrator(again), geometry.integrator(ds), SHAPE)


# --- orientation --------------------------------------------------------------------------------


def test_an_orientation_that_is_not_stated_is_pyfais_default_and_said(tmp_path: Path) -> None:
    path = poni(tmp_path / "a.poni", **VERSIONS["2"])
    ds = geometry.attach(frames(), Options(poni=path))
    assert int(ds["orientation"]) == 3
    assert any("pyFAI's default 3 is taken" in note for note in ds.attrs["notes"])


@pytest.mark.parametrize("orientation", [1, 2, 3, 4])
def test_an_orientation_given_goes_where_the_file_states_none(
    tmp_path: Path, orientation: int
) -> None:
    path = poni(tmp_path / "a.poni", **VERSIONS["2"])
    ds = geometry.attach(frames(), Options(poni=path, orientation=orientation))
    assert int(ds["orientation"]) == orientation
    turned = poni(tmp_path / "b.poni", poni_version=2.1, **with_config(orientation=orientation))
    same(geometry.integrator(ds), pyFAI.load(str(turned)), SHAPE)
    assert ds.attrs["notes"] == ["first"]


def test_contradictory_orientations_raise(tmp_path: Path) -> None:
    path = poni(tmp_path / "a.poni", **VERSIONS["2.1, turned"])
    with pytest.raises(ArgumentError, match="the orientation 4 contradicts") as caught:
        geometry.attach(frames(), Options(poni=path, orientation=4))
    assert "expected: 2, as the geometry was calibrated" in str(caught.value)
    ds = geometry.attach(frames(), Options(poni=path, orientation=2))
    assert int(ds["orientation"]) == 2


def test_an_orientation_alone_is_kept() -> None:
    assert int(geometry.attach(frames(), Options(orientation=4))["orientation"]) == 4


def test_without_options_nothing_changes() -> None:
    ds = frames()
    assert geometry.attach(ds, Options()) is ds


# --- wavelength and distance ----------------------------------------------------------------------


def test_the_wavelength_is_the_geometrys_and_gives_the_energy(tmp_path: Path) -> None:
    ds = geometry.attach(frames(), Options(poni=poni(tmp_path / "a.poni")))
    assert float(ds["wavelength"]) == pytest.approx(0.175)
    assert float(ds["energy"]) == pytest.approx(units.wavelength_of(0.175))


def test_a_scan_that_disagrees_is_noted(tmp_path: Path) -> None:
    path = poni(tmp_path / "a.poni")
    ds = geometry.attach(frames(wavelength=0.18, energy=68.9, distance=0.31), Options(poni=path))
    assert float(ds["wavelength"]) == pytest.approx(0.175)
    assert float(ds["energy"]) == 68.9
    assert float(ds["distance"]) == 0.3
    said = "\n".join(ds.attrs["notes"])
    assert "the scan's wavelength is 0.18 angstrom, the geometry's 0.175 angstrom" in said
    assert "the scan's distance is 0.31 m, the geometry's 0.3 m" in said


@pytest.mark.parametrize("given", [{"wavelength": 0.18}, {"energy": 60.0}, {"distance": 0.4}])
def test_an_option_that_contradicts_the_geometry_raises(
    tmp_path: Path, given: dict[str, float]
) -> None:
    with pytest.raises(ArgumentError, match=r"that was given contradicts .*a\.poni"):
        geometry.attach(frames(), Options(poni=poni(tmp_path / "a.poni"), **given))


def test_a_geometry_without_a_wavelength(tmp_path: Path) -> None:
    path = poni(tmp_path / "a.poni", Wavelength=None)
    ds = geometry.attach(frames(), Options(poni=path))
    assert any("states no wavelength" in note for note in ds.attrs["notes"])
    with pytest.raises(SchemaError, match="the frames have no geometry: 'wavelength'") as caught:
        geometry.integrator(ds)
    assert "wavelength='... angstrom'" in str(caught.value)
    known = geometry.attach(frames(wavelength=0.175), Options(poni=path))
    assert geometry.integrator(known).wavelength == pytest.approx(1.75e-11)


def test_frames_without_a_geometry() -> None:
    with pytest.raises(SchemaError, match="the frames have no geometry: 'distance'"):
        geometry.integrator(frames())


# --- what is wrong with a .poni -------------------------------------------------------------------


def test_the_geometry_of_another_detector(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is the geometry of another detector") as caught:
        geometry.attach(frames((10, 12)), Options(poni=poni(tmp_path / "a.poni")))
    assert "(195, 487)" in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"Distance": None}, "no number 'distance'"),
        ({"Rot2": "much"}, "no number 'rot2'"),
        ({"Poni1": "nan"}, "no number 'poni1'"),
        ({"Distance": -0.3}, "the distance is -0.3 m"),
        ({"Wavelength": 0.175}, "the wavelength is 1.75e"),
        ({"Detector": "Pilatus2000M"}, "knows no detector 'Pilatus2000M'"),
        ({"Detector": "Detector"}, "does not state the size of a pixel"),
        ({"Detector": "/etc/passwd"}, "described in a further file"),
        ({"SplineFile": "frelon.spline"}, "described in a further file"),
        (
            {"poni_version": 2, "Detector": "NexusDetector", **with_config(filename="a.h5")},
            "described in a further file",
        ),
        ({"poni_version": 2, "Detector_config": "{pixel1: 3"}, "Detector_config is not JSON"),
        ({"poni_version": 2, "Detector_config": "[1]"}, "Detector_config is not a table"),
        ({"poni_version": 2.1, **with_config(orientation=7)}, "the orientation is 7"),
        ({"poni_version": 9, **with_config(orientation=3)}, "cannot be read by pyFAI"),
    ],
)
def test_a_wrong_poni(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        geometry.read_geometry(poni(tmp_path / "a.poni", **more))


def test_the_nearest_detector_is_offered(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did you mean 'pilatus100k'"):
        geometry.read_geometry(poni(tmp_path / "a.poni", Detector="Pilatus100kk"))


def test_a_file_that_is_no_geometry(tmp_path: Path) -> None:
    (tmp_path / "a.poni").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SourceError, match="cannot be read"):
        geometry.read_geometry(tmp_path / "a.poni")
    with pytest.raises(SourceError, match="does not exist"):
        geometry.read_geometry(tmp_path / "gone.poni")
    (tmp_path / "a.poni").write_text("these are words\n", encoding="utf-8")
    with pytest.raises(SourceError, match="no number 'distance'"):
        geometry.read_geometry(tmp_path / "a.poni")


# --- DAWN's calibrations --------------------------------------------------------------------------


def rotation(axis: str, degrees: float) -> np.ndarray:
    s, c = np.sin(np.deg2rad(degrees)), np.cos(np.deg2rad(degrees))
    return {
        "x": np.array([[1, 0, 0], [0, c, -s], [0, s, c]]),
        "y": np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]),
        "z": np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]),
    }[axis]


TURN = rotation("y", 12) @ rotation("x", -7) @ rotation("z", 25)
"""From the detector's axes to the laboratory's."""


def put(file: h5py.File, name: str, value: Any, unit: str | None = None, **attrs: Any) -> None:
    file[name] = value
    file[name].attrs.update(attrs | ({"units": unit} if unit else {}))


def calibration(path: Path, *, centre_unit: str = "pixels", **leave_out: bool) -> Path:
    """A calibration of DAWN 1: beam centre, distance along the beam, and a matrix."""
    per = 0.172 if centre_unit == "mm" else 1.0
    with h5py.File(path, "w") as file:
        at = "entry/instrument/detector"
        put(file, f"{at}/x_pixel_size", [0.172], "mm")
        put(file, f"{at}/y_pixel_size", [0.172], "mm")
        put(file, f"{at}/distance", [300.0], "mm")
        put(file, f"{at}/beam_center_x", [240.5 * per], centre_unit)
        put(file, f"{at}/beam_center_y", [50.25 * per], centre_unit)
        put(file, f"{at}/x_pixel_number", [SHAPE[1]], "pixels")
        put(file, f"{at}/y_pixel_number", [SHAPE[0]], "pixels")
        put(file, f"{at}/detector_orientation", TURN.T.ravel())
        put(file, "entry/calibration_sample/beam/incident_wavelength", [0.175], "Angstrom")
        for name in leave_out:
            del file[f"{at}/{name}"]
    return path


def two_theta(row: np.ndarray, column: np.ndarray) -> np.ndarray:
    """By DAWN's definition: from the beam centre, columns and rows oppose the detector's x, y."""
    step = np.stack([-(column + 0.5 - 240.5) * 0.172, -(row + 0.5 - 50.25) * 0.172, 0 * row])
    place = TURN @ step + np.array([[0], [0], [300.0]])
    return np.arccos(place[2] / np.linalg.norm(place, axis=0))


@pytest.mark.parametrize("centre_unit", ["pixels", "mm"])
def test_a_calibration_of_dawn_puts_pixels_where_dawn_does(
    tmp_path: Path, centre_unit: str
) -> None:
    path = calibration(tmp_path / "a.nxs", centre_unit=centre_unit)
    ds = geometry.attach(frames(), Options(poni=path))
    ai = geometry.integrator(ds)
    at = corners(SHAPE)
    np.testing.assert_allclose(ai.tth(*at), two_theta(*at), atol=1e-12)
    # The first row is up and the first column to the left, seen along the beam.
    up, right = (ai.calc_pos_zyx(None, *at)[i] for i in (1, 2))
    assert int(ds["orientation"]) == 2
    assert up[0] > up[2]
    assert right[1] > right[0]
    assert float(ds["wavelength"]) == 0.175


def test_a_calibration_of_dawn_states_its_orientation(tmp_path: Path) -> None:
    path = calibration(tmp_path / "a.nxs")
    with pytest.raises(ArgumentError, match="the orientation 3 contradicts"):
        geometry.attach(frames(), Options(poni=path, orientation=3))


def test_a_calibration_without_matrix_or_size(tmp_path: Path) -> None:
    path = calibration(tmp_path / "a.nxs", detector_orientation=True, x_pixel_number=True)
    ai = geometry.integrator(geometry.attach(frames(), Options(poni=path)))
    assert ai.rot1 == pytest.approx(0)
    assert np.rad2deg(ai.tth(np.array([49.75]), np.array([240.0])))[0] == pytest.approx(0, abs=1e-6)


def transformed(path: Path) -> Path:
    """The same detector as `calibration` in NeXus' terms: steps of a pixel, moved and turned."""
    with h5py.File(path, "w") as file:
        at = "entry/instrument/detector"
        module, moves = f"{at}/detector_module", f"{at}/transformations"
        for name, nx_class in ((at, "NXdetector"), (module, "NXdetector_module")):
            file.require_group(name).attrs["NX_class"] = nx_class
        put(file, f"{module}/data_size", np.array(SHAPE))
        chain = {"depends_on": f"/{moves}/origin_offset"}
        put(file, f"{module}/fast_pixel_direction", 0.172, "mm", vector=[-1.0, 0, 0], **chain)
        put(file, f"{module}/slow_pixel_direction", 0.172, "mm", vector=[0, -1.0, 0], **chain)
        offset = np.array([240.5 * 0.172, 50.25 * 0.172, 0])
        length = float(np.linalg.norm(offset))
        move = {"transformation_type": "translation", "vector": offset / length}
        put(file, f"{moves}/origin_offset", length, "mm", depends_on="euler_c", **move)
        turns = (("euler_c", 25, [0, 0, 1.0], "./euler_b"), ("euler_b", -7, [1.0, 0, 0], "euler_a"),
                 ("euler_a", 12, [0, 1.0, 0], "det_z"))  # fmt: skip
        for name, angle, vector, following in turns:
            put(file, f"{moves}/{name}", float(angle), "deg", vector=vector,
                transformation_type="rotation", depends_on=following)  # fmt: skip
        put(file, f"{moves}/det_z", 300.0, "mm", vector=[0, 0, 1.0],
            transformation_type="translation", depends_on=".")  # fmt: skip
        put(file, "entry/instrument/monochromator/energy", 70.85, "keV")
    return path


def test_a_chain_of_transformations_says_the_same(tmp_path: Path) -> None:
    one = geometry.attach(frames(), Options(poni=calibration(tmp_path / "a.nxs")))
    other = geometry.attach(frames(), Options(poni=transformed(tmp_path / "b.nxs")))
    at = corners(SHAPE)
    places = [geometry.integrator(ds).calc_pos_zyx(None, *at) for ds in (one, other)]
    np.testing.assert_allclose(places[0], places[1], atol=1e-12)
    assert float(other["energy"]) == pytest.approx(70.85)


def test_an_image_mirrored_in_space_has_orientation_1() -> None:
    placed = nxdetector.Placed(
        np.array([-0.02, 0.01, 0.3]), np.array([1e-4, 0, 0]), np.array([0, -1e-4, 0]), (50, 60)
    )
    at = nxdetector.to_poni(placed, (50, 60), path=Path("a.nxs"))
    assert at.orientation == 1
    detector = detector_factory(
        "Detector", {"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": (50, 60), "orientation": 1}
    )
    ai = AzimuthalIntegrator(
        at.distance, at.poni1, at.poni2, at.rot1, at.rot2, at.rot3, detector=detector
    )
    row, column = corners((50, 60))
    place = placed.corner[:, None] + np.outer(placed.column, column + 0.5)
    place = place + np.outer(placed.row, row + 0.5)
    z, y, x = ai.calc_pos_zyx(None, row, column)
    np.testing.assert_allclose(np.stack([-x, y, z]), place, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distance": None}, "has no entry/instrument/detector/distance"),
        ({"distance": ([0.0], "mm")}, "distance is 0"),
        ({"distance": ([300.0], "deg")}, "is not a length"),
        ({"beam_center_x": ([3.0], "deg")}, "neither in pixels nor a length"),
        ({"detector_orientation": (np.ones(9), None)}, "is not a rotation"),
        ({"beam_center_x": None}, "does not hold one calibrated detector"),
    ],
)
def test_a_wrong_calibration(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = calibration(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        for name, value in change.items():
            del file[f"entry/instrument/detector/{name}"]
            if value is not None:
                put(file, f"entry/instrument/detector/{name}", *value)
    with pytest.raises(SourceError, match=message):
        geometry.read_geometry(path, SHAPE)


def test_a_chain_that_breaks_or_circles(tmp_path: Path) -> None:
    path = transformed(tmp_path / "a.nxs")
    turn = "entry/instrument/detector/transformations/euler_a"
    for following, message in (("gone", "depends on"), ("euler_c", "go in a circle")):
        with h5py.File(path, "a") as file:
            file[turn].attrs["depends_on"] = following
        with pytest.raises(SourceError, match=message):
            geometry.read_geometry(path)
    with h5py.File(path, "a") as file:
        file[turn].attrs["transformation_type"] = "wish"
    with pytest.raises(SourceError, match="does not say how it moves the detector"):
        geometry.read_geometry(path)


def test_of_several_detectors_one_is_named(tmp_path: Path) -> None:
    path = calibration(tmp_path / "a.nxs")
    with h5py.File(path, "a") as file:
        file.copy("entry/instrument/detector", "entry/instrument/other")
    with pytest.raises(SourceError, match="does not hold one calibrated detector"):
        geometry.read_geometry(path)
    named = geometry.read_geometry(Path(f"{path}::entry/instrument/other"))
    assert named.distance < 0.3


# --- masks ----------------------------------------------------------------------------------------

BAD = np.zeros(SHAPE, bool)
BAD[3, 7:20] = True


def write_mask(path: Path, values: np.ndarray = BAD) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".edf":
        fabio.edfimage.EdfImage(data=values.astype("u1")).write(str(path))
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values.astype("u1") * 255)
    else:
        with h5py.File(path, "w") as file:
            file["entry/mask/mask"] = values.astype("i1")
    return path


@pytest.mark.parametrize("suffix", [".npy", ".edf", ".tif", ".h5", ".nxs"])
def test_every_kind_of_mask(tmp_path: Path, suffix: str) -> None:
    path = write_mask(tmp_path / f"mask{suffix}")
    ds = geometry.attach(frames(), Options(mask=path))
    assert ds["mask"].dims == ("det_y", "det_x")
    assert ds["mask"].dtype == bool
    np.testing.assert_array_equal(ds["mask"], BAD)
    assert ds["mask"].attrs["long_name"] == "1 where a detector pixel is bad"
    assert ds.attrs["source"] == [str(path)]


def test_a_mask_is_named_in_a_file_of_several(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        file["entry/other_mask"] = ~BAD
    with pytest.raises(SourceError, match="not clear which dataset is the mask"):
        masks.read_mask(path, notes=[])
    read = masks.read_mask(Path(f"{path}::entry/mask/mask"), notes=[])
    np.testing.assert_array_equal(read, BAD)
    with pytest.raises(SourceError, match="has no dataset 'entry/mask/msk'"):
        masks.read_mask(Path(f"{path}::entry/mask/msk"), notes=[])


@pytest.mark.parametrize(("version", "inverted"), [("1.0", True), ("1.3", False), (None, False)])
def test_early_masks_of_dawn_count_good_pixels(
    tmp_path: Path, version: str | None, inverted: bool
) -> None:
    path = write_mask(tmp_path / "a.nxs", ~BAD if inverted else BAD)
    if version is not None:
        with h5py.File(path, "a") as file:
            file["entry"].attrs["Version"] = version
    notes: list[str] = []
    np.testing.assert_array_equal(masks.read_mask(path, notes=notes), BAD)
    assert bool(notes) is inverted


def test_a_mask_of_another_shape(tmp_path: Path) -> None:
    path = write_mask(tmp_path / "a.npy", BAD.T)
    with pytest.raises(SourceError, match="does not fit the frames") as caught:
        geometry.attach(frames(), Options(mask=path))
    assert "transposed?" in str(caught.value)


def test_a_mask_that_leaves_little_or_nothing(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="leaves no pixel"):
        masks.read_mask(write_mask(tmp_path / "a.npy", np.ones(SHAPE)), notes=[])
    notes: list[str] = []
    masks.read_mask(write_mask(tmp_path / "b.npy", ~BAD), notes=notes)
    assert "is 1 a bad pixel in it?" in notes[0]


def test_what_is_no_mask(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        masks.read_mask(tmp_path / "gone.npy", notes=[])
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(SourceError, match="cannot be read"):
        masks.read_mask(tmp_path / "a.npy", notes=[])
    np.save(tmp_path / "a.npy", np.array([{"pickled": 1}], object), allow_pickle=True)
    with pytest.raises(SourceError, match="cannot be read"):
        masks.read_mask(tmp_path / "a.npy", notes=[])
    (tmp_path / "a.txt").write_text("0 1", encoding="utf-8")
    with pytest.raises(SourceError, match="is not a mask that can be read"):
        masks.read_mask(tmp_path / "a.txt", notes=[])
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4)))
    with pytest.raises(SourceError, match="is not one image"):
        masks.read_mask(tmp_path / "a.npy", notes=[])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.zeros(SHAPE)
    with pytest.raises(SourceError, match="not clear which dataset is the mask"):
        masks.read_mask(tmp_path / "a.h5", notes=[])


# --- real files -----------------------------------------------------------------------------------


@pytest.mark.real
def test_ceo2_has_pyfais_q_at_the_corners(real: Path) -> None:
    folder = real / "ceo2_pilatus"
    shape = (1679, 1475)
    ds = geometry.attach(
        frames(shape), Options(poni=folder / "CeO2.poni", mask=folder / "mask.edf")
    )
    same(geometry.integrator(ds), pyFAI.load(str(folder / "CeO2.poni")), shape)
    assert float(ds["distance"]) == 0.543892076611
    assert float(ds["energy"]) == pytest.approx(71.0, abs=1e-3)
    assert "CeO2.poni holds 3 calibrations; the last is taken" in ds.attrs["notes"]
    np.testing.assert_array_equal(ds["mask"], fabio.open(str(folder / "mask.edf")).data != 0)
    assert int(ds["mask"].sum()) == 261152


@pytest.mark.real
def test_a_real_calibration_of_dawn(real: Path) -> None:
    path = real / "i18_pencil_beam" / "LaB6_calibration_output.nxs"
    shape = (2083, 4150)
    read = geometry.read_geometry(path)
    assert read.shape == shape
    assert read.wavelength == pytest.approx(0.7293188)
    ds = xr.Dataset(coords={"det_y": np.arange(shape[0]), "det_x": np.arange(shape[1])})
    ai = geometry.integrator(geometry.attach(ds, Options(poni=path)))
    row, column = corners(shape)
    with h5py.File(path, "r", locking=False) as file:
        at = file["entry/instrument/detector"]
        turn = at["detector_orientation"][()].reshape(3, 3).T
        centre = at["beam_center_x"][0], at["beam_center_y"][0]
        distance, pixel = at["distance"][0], at["x_pixel_size"][0]
    step = np.stack([-(column + 0.5 - centre[0]), -(row + 0.5 - centre[1]), 0 * row]) * pixel
    place = turn @ step + np.array([[0], [0], [distance]])
    expected = np.arccos(place[2] / np.linalg.norm(place, axis=0))
    np.testing.assert_allclose(ai.tth(row, column), expected, atol=1e-12)

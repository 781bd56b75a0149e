"""Options that would be ignored are refused, whoever reads the scan and wherever they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
import xarray as xr

from tests.ingest import files
from zeoarray.errors import ArgumentError
from zeoarray.ingest import mapping, scan
from zeoarray.ingest.reader import FACTS, Options

MASK = {"mask": "mask.npy"}
LAYOUT = """
zeoarray: 1
kind: {kind}
data: {{path: e/data, dims: [{dims}]}}
{more}
"""


def image(folder: Path) -> Path:
    tifffile.imwrite(folder / "a.tif", np.ones((5, 7), "u2"))
    return folder / "a.tif"


def pattern(folder: Path) -> Path:
    np.savetxt(folder / "a.xy", np.stack([np.arange(5.0), np.ones(5)], axis=1))
    return folder / "a.xy"


def savu(folder: Path) -> Path:
    with h5py.File(folder / "a.h5", "w") as file:
        file["4-TomopyRecon-tomo/data"] = np.zeros((3, 4, 5), "f4")
    return folder / "a.h5"


def dawn(folder: Path) -> Path:
    with h5py.File(folder / "a.nxs", "w") as file:
        file["processed/result/data"] = np.ones((1, 1, 6))
        files.put(file, "processed/result/q", np.arange(1.0, 7.0), "1/angstrom")
    return folder / "a.nxs"


def opened(source: Path, options: dict[str, Any], **more: Any) -> xr.Dataset:
    facts = {"pixel_size": 2.6, "beam_size": 25.0, "wavelength": 1.0, "energy": None}
    return scan.open_scan(source, {**facts, **options}, chunked=False, **more)


@pytest.mark.parametrize(
    ("make", "options", "option", "who"),
    [
        (lambda t: files.nxtomo(t / "a.nxs"), {"range": (0, 1)}, "range", "the reader 'nxtomo'"),
        (lambda t: files.nxtomo(t / "a.nxs"), MASK, "mask", "the reader 'nxtomo'"),
        (lambda t: files.exchange(t / "a.h5"), {"poni": "a.poni"}, "poni", "the reader 'exchange'"),
        (lambda t: files.diad_xct(t), {"orientation": 2}, "orientation", "the reader 'diad-xct'"),
        (
            lambda t: files.diad_xrdct(t / "a.nxs"),
            {"crop": {"z": (0, 1)}},
            "crop",
            "the reader 'diad-xrdct'",
        ),
        (
            lambda t: files.diad_xrdct(t / "a.nxs"),
            {"flats": "flat.tif"},
            "flats",
            "the reader 'diad-xrdct'",
        ),
        (lambda t: files.pencil(t / "a.nxs"), {"darks": "a.tif"}, "darks", "the reader 'pencil'"),
        (lambda t: files.pencil(t / "a.nxs"), {"ignore": (1,)}, "ignore", "a sinogram"),
        (pattern, {"angles": (1.0,)}, "angles", "the reader 'powder'"),
        (savu, {"ignore": (1,)}, "ignore", "the reader 'savu'"),
        (dawn, MASK, "mask", "the reader 'dawn'"),
        (dawn, {"angles": (1.0,)}, "angles", "a single pattern"),
        (image, {"dataset": "a"}, "dataset", "the reader 'images'"),
    ],
)
def test_an_option_that_means_nothing_to_the_reader(
    tmp_path: Path,
    make: Callable[[Path], Path],
    options: dict[str, Any],
    option: str,
    who: str,
) -> None:
    with pytest.raises(ArgumentError, match=f"the option {option!r} means nothing to {who}"):
        opened(make(tmp_path), options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pixel_size": 1.0, **MASK}, "'mask' means nothing to projections of images"),
        ({"beam_size": 1.0, "flats": "a.tif"}, "'flats' means nothing to diffraction frames"),
        ({"range": (0, 1), "angles": (1.0,)}, "'angles' means nothing to slices of a volume"),
    ],
)
def test_images_take_what_they_are_taken_for(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArgumentError, match=said):
        scan.open_scan(image(tmp_path), options)


def mapped(folder: Path, kind: str, dims: str, more: str, **options: Any) -> xr.Dataset:
    shape = tuple(range(3, 3 + len(dims.split(","))))
    with h5py.File(folder / "a.h5", "w") as file:
        file["e/data"] = np.ones(shape, "f4")
        file["e/q"] = np.arange(1.0, 1.0 + shape[-1])
    (folder / "a.yaml").write_text(LAYOUT.format(kind=kind, dims=dims, more=more).lstrip())
    return scan.open_scan(folder / "a.h5", {"mapping": folder / "a.yaml", **options}, chunked=False)


@pytest.mark.parametrize(
    ("kind", "dims", "more", "options"),
    [
        ("xct", "angle, z, u", "", MASK),
        ("xrdct", "frame, det_y, det_x", "", {"angles": (1.0,)}),
        ("powder", "q", "q: {path: e/q, units: 1/angstrom}", {"ignore": (1,)}),
        ("volume", "z, y, x", "constants: {orientation: 2}", {}),
    ],
)
def test_a_mapping_takes_what_its_kind_of_data_can_use(
    tmp_path: Path, kind: str, dims: str, more: str, options: dict[str, Any]
) -> None:
    option = next(iter(options), "orientation")
    with pytest.raises(ArgumentError, match=f"{option!r} means nothing to a mapping of {kind!r}"):
        mapped(tmp_path, kind, dims, more, **options)


def test_the_orientation_in_a_mapping_is_that_of_the_frames(tmp_path: Path) -> None:
    more = "constants: {orientation: 2, beam_size: 25 um}"
    dims = "frame, det_y, det_x"
    assert int(mapped(tmp_path, "xrdct", dims, more)["orientation"]) == 2
    (tmp_path / "a.poni").write_text(
        "poni_version: 2.1\nDetector: Detector\n"
        'Detector_config: {"pixel1": 1e-4, "pixel2": 1e-4, "max_shape": [4, 5], "orientation": 3}\n'
        "Distance: 0.3\nPoni1: 0\nPoni2: 0\nRot1: 0\nRot2: 0\nRot3: 0\nWavelength: 1e-10\n"
    )
    with pytest.raises(ArgumentError, match="the orientation 2 contradicts"):
        mapped(tmp_path, "xrdct", dims, more, poni=tmp_path / "a.poni")


def test_the_message_names_all_of_them_and_what_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError) as caught:
        opened(files.nxtomo(tmp_path / "a.nxs"), {"range": (0, 1), **MASK})
    for text in (
        "mask=mask.npy, range=(0.0, 1.0)",
        "angle_lines, angles, crop, darks, dataset, flats, ignore; and for any scan",
        "link_root",
        "leave it out, here and in the sidecar",
    ):
        assert text in str(caught.value)


def test_an_option_of_the_sidecar_counts_the_same(tmp_path: Path) -> None:
    sidecar = tmp_path / "a.yaml"
    sidecar.write_text("pixel_size: 2.6 um\nmask: mask.npy\n")
    with pytest.raises(ArgumentError, match="'mask' means nothing to the reader 'nxtomo'"):
        scan.open_scan(files.nxtomo(tmp_path / "a.nxs"), sidecar=sidecar)


def test_facts_and_defaults_may_always_be_given(tmp_path: Path) -> None:
    facts = {
        "energy": 19.0, "exposure": 0.1, "distance": 0.3, "rotation_sense": -1, "u_sense": -1,
        "z_sense": -1, "pixel_size": 2.6, "beam_size": 25.0, "link_root": {"/a": "/b"},
    }  # fmt: skip
    nothing = {"mask": None, "poni": None, "range": None}
    ds = scan.open_scan(files.nxtomo(tmp_path / "a.nxs"), {**facts, **nothing})
    assert float(ds["energy"]) == 19.0


def test_a_mapping_and_another_reader_exclude_each_other(tmp_path: Path) -> None:
    source = files.nxtomo(tmp_path / "a.nxs")
    with pytest.raises(ArgumentError, match="a mapping is read by the reader 'mapping'"):
        scan.open_scan(source, {"mapping": tmp_path / "a.yaml"}, reader="nxtomo")


def test_lines_of_no_angle_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="angle_lines chooses lines of an angle file"):
        scan.open_scan(image(tmp_path), {"pixel_size": 1.0, "angle_lines": (0, 1)})


@pytest.mark.parametrize("reader", [*scan.READERS, mapping.READER], ids=lambda r: r.name)
def test_what_a_reader_takes_are_options(reader: scan.Reader) -> None:
    assert reader.takes <= set(Options.model_fields)
    assert not reader.takes & FACTS

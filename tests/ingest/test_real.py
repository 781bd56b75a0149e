"""Every real file that holds its frames goes through a store unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr

import zeoarray
from zeoarray import store
from zeoarray.errors import SourceError
from zeoarray.ingest.into import into_store
from zeoarray.ingest.scan import open_scan

pytestmark = pytest.mark.real

WHOLE: dict[str, dict[str, object]] = {
    "diad_xct/k11-18014.nxs": {"pixel_size": "54 um"},
    "i13_xct/tiffs/raw_*.tiff": {"pixel_size": "2.6 um", "angles": "i13_xct/angles.txt",
                                 "angle_lines": (10, 101), "flats": "i13_xct/flat_00001.tiff",
                                 "darks": "i13_xct/dark_00001.tiff"},
    "i18_pencil_beam/mm.nxs": {"beam_size": "5 um"},
    "i18_pencil_beam/stxm_single_sino.nxs": {"beam_size": "5 um"},
    "i18_pencil_beam/xrd_test.nxs": {"beam_size": "5 um"},
    "dawn/i22-363061_processed.nxs": {"beam_size": "100 um"},
    "dawn/dioptas_lambda_proc.nxs": {"beam_size": "100 um", "wavelength": "0.3 angstrom",
                                      "angles": tuple(range(50))},
    "ceo2_pilatus/CeO2.cbf": {"beam_size": "100 um", "poni": "ceo2_pilatus/CeO2.poni",
                              "mask": "ceo2_pilatus/mask.edf"},
    "powder/2Theta.asc": {},
    "powder/MB120718Si3.ras": {},
    "powder/1410696_summed_mythen3.xye": {"wavelength": "0.826 angstrom"},
}  # fmt: skip
DANGLING = ("i13_xct/24888.nxs", "i13_xct/24737_processed.nxs")


def options_of(real: Path, given: dict[str, object]) -> dict[str, object]:
    files = ("angles", "flats", "darks", "poni", "mask")
    return {k: str(real / v) if k in files and isinstance(v, str) else v for k, v in given.items()}


@pytest.mark.parametrize("name", WHOLE)
def test_a_real_file_goes_through_a_store_unchanged(name: str, real: Path, tmp_path: Path) -> None:
    options = options_of(real, WHOLE[name])
    into_store(real / name, tmp_path / "a.zarr", "a/b", options)
    back = zeoarray.open(tmp_path / "a.zarr")["a/b"].to_dataset().load()
    original = open_scan(real / name, options).load()
    xr.testing.assert_equal(back, original)
    for variable in original.variables:
        assert back[variable].dtype.kind == original[variable].dtype.kind or (
            original[variable].dtype.kind in "UO"
        )
        assert back[variable].attrs.get("units") == original[variable].attrs.get("units")
    assert store.verify(tmp_path / "a.zarr") == []


@pytest.mark.parametrize("name", DANGLING)
def test_a_real_file_without_its_frames_opens_and_is_not_ingested(
    name: str, real: Path, tmp_path: Path
) -> None:
    ds = open_scan(real / name, {"partial": True})
    assert ds.attrs["missing"]
    with pytest.raises(SourceError, match="cannot be reached") as caught:
        into_store(real / name, tmp_path / "a.zarr", "a/b", {"pixel_size": "1 um"})
    assert "--link-root" in str(caught.value)
    assert not (tmp_path / "a.zarr").exists()

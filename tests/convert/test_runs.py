"""A converted list runs, and gives the slice that is known."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from tests import ellipses
from tests.convert.lists import FLAT, LOADER, Step, savu
from tests.ingest.files import nxtomo
from zeoarray import pipeline, store
from zeoarray.convert import convert

COLUMNS, ROWS, ANGLES, HALF = 96, 4, 180, 40.0
CENTER = 50.0
"""Index of u where the axis is, pixel centres at integers; the middle is 47.5."""
PIXEL_CM = 2.6e-4


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """An NXtomo of ellipses that no symmetry leaves alone; the axis is off the middle."""
    angle = np.arange(ANGLES) * np.pi / ANGLES
    lines = ellipses.project(ellipses.LOPSIDED, angle, COLUMNS, HALF, CENTER) * 0.02
    rows = np.repeat(20000 * np.exp(-lines)[:, None, :] + 100, ROWS, axis=1)
    flat, dark = np.full((2, ROWS, COLUMNS), 20100.0), np.full((2, ROWS, COLUMNS), 100.0)
    data = np.concatenate([dark, flat, rows]).round().astype("u2")
    keys = [2, 2, 1, 1, *[0] * ANGLES]
    degrees = np.r_[np.zeros(4), np.rad2deg(angle)].tolist()
    return nxtomo(tmp_path / "scan.nxs", keys=keys, angles=degrees, data=data)


def ran(tmp_path: Path, scan: Path, *steps: Step) -> np.ndarray:
    """The first slice that the list gives, per pixel."""
    path = savu(tmp_path / "list.nxs", [LOADER, FLAT, *steps])
    made = tmp_path / "pipeline.yaml"
    made.write_text(convert(path, source=scan, store=tmp_path / "a.zarr"), encoding="utf-8")
    read = pipeline.read(made)
    pipeline.check(read)
    pipeline.run(read)
    volume = store.open_node(tmp_path / "a.zarr", "xct/scan/volume/bin1", chunked=False)
    return volume["attenuation"].values[0] * PIXEL_CM


# Of 96 columns the axis is found to a fiftieth of a pixel, and not believed to a quarter.
@pytest.mark.filterwarnings("ignore::zeoarray.xct.AxisWarning")
@pytest.mark.parametrize(
    "steps",
    [
        [("TomopyRecon", {"algorithm": "fbp", "centre_of_rotation": CENTER + 0.5})],
        [
            (
                "AstraReconCpu",
                {"algorithm": "CGLS", "centre_of_rotation": CENTER, "n_iterations": 12},
            )
        ],
        [("TomopyRecon", {"algorithm": "gridrec", "centre_of_rotation": CENTER, "outer_pad": 1.5})],
        [
            ("VoCentering", {"preview": [":", "mid:mid+2", ":"], "step": 0.5}),
            ("AstraReconGpu", {"algorithm": "FBP_CUDA", "centre_of_rotation": 0.0}),
        ],
    ],
    ids=["rays", "cgls", "gridrec", "measured"],
)
def test_a_list_gives_the_slice(tmp_path: Path, scan: Path, steps: list[Step]) -> None:
    found = ran(tmp_path, scan, *steps)
    truth = ellipses.sample(ellipses.LOPSIDED, (COLUMNS, COLUMNS), HALF) * 0.02
    inside = np.hypot(*np.mgrid[-47.5:48, -47.5:48]) < 38
    error = np.sqrt(np.mean((found - truth)[inside] ** 2))
    # It is 0.024; about a centre that is half a pixel off, 0.059.
    assert error < 0.04 * np.ptp(truth)
    at = np.ix_(range(40, 56), range(40, 56))
    assert found[at].mean() == pytest.approx(truth[at].mean(), rel=0.01)


def test_the_papers_list_fits_a_scan_of_its_size(tmp_path: Path, real: Path) -> None:
    projections, detector = 4000, "entry1/tomo_entry/instrument/detector"
    keys = np.r_[np.full(5, 2), np.full(5, 1), np.zeros(projections)]
    path = nxtomo(tmp_path / "big.nxs", keys=keys, angles=np.linspace(0, 180, keys.size).tolist())
    with h5py.File(path, "r+") as file:
        del file[f"{detector}/data"]
        # Of its full size, without a byte of frames.
        file[detector].create_dataset("data", (keys.size, 2160, 2560), "u2", chunks=(1, 2160, 2560))
    made = tmp_path / "pipeline.yaml"
    list_ = real / "process_lists" / "savu_process_list_xct.nxs"
    made.write_text(convert(list_, source=path, store=tmp_path / "a.zarr"), encoding="utf-8")
    template = pipeline.check(pipeline.read(made))[-1].template
    assert template is not None
    # The list leaves out 25 pixels at each edge.
    assert dict(template["attenuation"].sizes) == {"z": 2110, "y": 2510, "x": 2510}

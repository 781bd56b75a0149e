"""What several test modules need."""

from __future__ import annotations

import fcntl
import os
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

from zeoarray import pipeline
from zeoarray.kernels.axis_line import AxisWarning
from zeoarray.twin import generate

# Shared machines are slow at times, and a change must not fail for another's rare example: with
# CI set the examples are always the same, elsewhere new ones are tried.
settings.register_profile("zeoarray", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("zeoarray")

REAL = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real measured files, where it lies beside the project."""
    if not REAL.is_dir():
        if os.environ.get("ZEO_REQUIRE_ALL"):
            pytest.fail("ZEO_REQUIRE_ALL is set and the real files are not beside the project")
        pytest.skip("the real measured files are not beside the project (../shared/data)")
    return REAL


_LENS = {"detector": "[216, 256]", "center_from_top": "132.4", "center_from_left": "118.8"}
DEMO = {
    "stages.22.ingest.source": "[demo/files/k11-43322.nxs, demo/files/k11-43323.nxs]",
    "stages.22.ingest.poni": "demo/files/diad-100um.poni",
    "stages.22.ingest.mask": "demo/files/diad-100um-mask.edf",
    "stages.22.ingest.beam_size": "100 um",
    **{f"xct.correct_distortion.{name}": value for name, value in _LENS.items()},
    # The fifth camera, DIAD's, has no lens here.
    **{f"stages.{n}.with.{name}": v for n in (2, 8, 12, 16) for name, v in _LENS.items()},
    "xct.remove_rings.la_size": "15",
    "xct.remove_rings.sm_size": "5",
}
"""What pipelines/demo.yaml needs on the tiny twin, whose cameras are binned by 10 and 20."""


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make demo` leaves it, of the tiny twin: demo/files and demo/zn13x.zarr."""
    root = tmp_path_factory.getbasetemp()
    # Of several workers one makes it, in the folder that they share.
    folder = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "as_make_demo"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            generate(folder / "demo/files", preset="tiny", seed=1)
            here = Path.cwd()
            os.chdir(folder)
            try:
                file = Path(__file__).parents[1] / "pipelines/demo.yaml"
                with warnings.catch_warnings():
                    # The sample has 46 columns of the coarsest scan: too few to be sure.
                    warnings.simplefilter("ignore", AxisWarning)
                    pipeline.run(pipeline.read(file, given=DEMO))
            finally:
                os.chdir(here)
            (folder / "done").touch()
    return folder

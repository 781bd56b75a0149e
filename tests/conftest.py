"""What several test modules need."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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

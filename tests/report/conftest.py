"""The page of a store with one node of each kind, drawn once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report import stores
from zeoarray import report


@pytest.fixture(scope="session")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report.write(stores.full(tmp_path_factory.mktemp("full") / "a.zarr"))

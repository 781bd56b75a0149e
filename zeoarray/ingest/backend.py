"""The xarray entry point: ``xr.open_dataset("169068.nxs", engine="zeoarray")``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import xarray as xr
from xarray.backends import BackendEntrypoint

from zeoarray.ingest.scan import open_scan


class ZeoarrayBackend(BackendEntrypoint):
    """Opens the files of synchrotron facilities as labelled, lazily indexed datasets."""

    description = "Open tomography and diffraction files of synchrotrons with zeoarray"
    url = "https://arxiv.org/abs/2409.07322"
    open_dataset_parameters = (
        "filename_or_obj",
        "drop_variables",
        "options",
        "sidecar",
        "reader",
        "join",
    )

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: str | PathLike[str],
        *,
        drop_variables: str | Iterable[str] | None = None,
        options: Mapping[str, Any] | None = None,
        sidecar: str | None = None,
        reader: str | None = None,
        join: str | None = None,
    ) -> xr.Dataset:
        """Open one file; `options`, `sidecar`, `reader`, `join` are those of `open_scan`."""
        ds = open_scan(
            Path(filename_or_obj),
            options,
            sidecar=sidecar,
            reader=reader,
            join=join,
            chunked=False,
        )
        if drop_variables is None:
            return ds
        dropped = [drop_variables] if isinstance(drop_variables, str) else list(drop_variables)
        return ds.drop_vars(dropped)

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Leave the choice to the user: ``.nxs`` and ``.h5`` are HDF5 to other engines too."""
        return False

"""Floor 2b: the only writer of zarr."""

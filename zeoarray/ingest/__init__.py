"""Floor 3: files of facilities, one small reader a format, and their way into a store.

How a file becomes a dataset:

- `scan.open_scan` opens any of them: it gathers the options, asks `scan.READERS` who knows the
  file, refuses options that would be ignored, and attaches the geometry of a detector.
- `reader` says what a `Reader` is and what a user can tell one (`Options`).
- `concat` joins several files along a dim.
- `backend` lets ``xr.open_dataset(..., engine="zeoarray")`` do the same.

Where it goes:

- `into.into_store` writes a scan into a node of a store; `reference` opens stores whose frames
  stayed in the original files.

The readers, each with `recognise` and `read`, and what they read:

- tomography: `nexus` (NXtomo anywhere), `diad` (DIAD's linked files), `exchange` (APS Data
  Exchange), `stack` (image files of any kind);
- diffraction frames: `diad`, `pencil` (NXxrd and NXstxm), `stack`;
- results of others: `dawn` (integrated data), `savu` (reconstructions), `powder` (text files);
- anything else in HDF5: `mapping`, by a YAML file of the user.

`geometry` reads and checks detector geometries and masks, and gives pyFAI's integrator back.
What they are all built from is in `parts`.
"""

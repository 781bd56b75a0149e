"""What readers are built from. A part knows no reader; a reader is a few places and these parts.

Access to files, lazily:

- `views` (what lazy arrays share; axes permuted, values scaled), `arrays` (datasets of HDF5),
  `images` (TIFF, EDF, CBF);
- `hdf5` (opening, following links, small values), `discover` (NeXus classes wherever they sit).

Taking account of one scan:

- `finder` (`Account`: options, notes and files used; `Finder`: quantities in an open file by the
  names they may have).

Pieces of a scan:

- `angles` (as the user gives them), `projections` (matched to the projections), `motors`
  (positions, and the axis each belongs to), `clock` (when frames began);
- `flats` (frames of other files), `masks`, `setting` (energy, distance, exposure, beam size);
- `labels` (units, senses, radial axes, crops, frames left out: what all say in the same words).

Scans put together from them: `tomo` (projections), `raster` (diffraction frames), `gaps` (layers
of one raster).

For one reader or module, too long to stand in it: `layout`, `mapped` and `plain_yaml` (mapping),
`rigaku` and `xye` (powder), `poni` and `nxdetector` (geometry).
"""

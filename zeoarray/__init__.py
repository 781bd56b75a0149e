"""Labelled, distributed, out-of-core arrays for synchrotron tomography and diffraction."""

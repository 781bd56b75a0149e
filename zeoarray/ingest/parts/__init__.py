"""What readers are built from: access to HDF5 and images, and the pieces that scans share."""

"""Floor 3: readers of facility files, one small file per format."""

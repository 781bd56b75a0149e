"""The digital twin: files of the facilities own formats, whose truth is known."""

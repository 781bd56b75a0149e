"""The digital twin: files of the facilities' own formats, whose truth is known."""

from zeoarray.twin.make import generate

__all__ = ["generate"]

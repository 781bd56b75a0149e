"""Training data: matched patches of any sources, in splits that cannot see each other.

`place` chooses where patches are cut and which split each is in, `extract` cuts them from any
volume, `statistics` says what to normalise by, `check` proves that no two splits share a part of
space, `loader` gives batches, and `stitch` puts predictions back into a volume.
"""

from zeoarray.patches.check import Check, Leak, check
from zeoarray.patches.datasheet import datasheet
from zeoarray.patches.extract import extract
from zeoarray.patches.loader import Augmentation, Live, Loader, loader
from zeoarray.patches.place import place
from zeoarray.patches.statistics import statistics
from zeoarray.patches.stitch import stitch

__all__ = [
    "Augmentation",
    "Check",
    "Leak",
    "Live",
    "Loader",
    "check",
    "datasheet",
    "extract",
    "loader",
    "place",
    "statistics",
    "stitch",
]

"""The verbs that pipelines call, by name: the package of one is imported when it is asked for.

All of them take seconds to import, and most pipelines call those of one.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from zeoarray import step
from zeoarray.step import Step

PACKAGES = ("patches", "quality", "volume", "xct", "xrdct")


def find(name: str) -> Step:
    """Return the step or measure called `name`.

    Raises
    ------
    UnknownNameError
        With the nearest name there is.

    Examples
    --------
    >>> find("xct.minus_log").kind
    'step'
    """
    _import(name)
    if name not in step.STEPS:
        every()  # what is nearest may be in any
    return step.find(name)


def node_names(name: str) -> tuple[str, ...]:
    """Parameters of a verb that are nodes; none where there is no such verb."""
    _import(name)
    return tuple(step.STEPS[name].nodes) if name in step.STEPS else ()


def every() -> Mapping[str, Step]:
    """All verbs by name: the package's, and those that a user has registered."""
    for package in PACKAGES:
        importlib.import_module(f"zeoarray.{package}")
    return step.STEPS


def _import(name: str) -> None:
    package = name.partition(".")[0]
    if package in PACKAGES:
        importlib.import_module(f"zeoarray.{package}")

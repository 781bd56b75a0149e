"""Floor 4: pipelines. A YAML file of stages becomes checked, planned and run blocks.

A stage reads one node, applies steps, and writes one node; see `Pipeline` for the form of the file.
"""

from __future__ import annotations

from zeoarray.pipeline.checks import check
from zeoarray.pipeline.document import Pipeline, read
from zeoarray.pipeline.plans import Plan, plan
from zeoarray.pipeline.pruning import prune
from zeoarray.pipeline.stages import run
from zeoarray.pipeline.timing import Timed, time_stages

__all__ = ["Pipeline", "Plan", "Timed", "check", "plan", "prune", "read", "run", "time_stages"]

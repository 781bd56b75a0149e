"""The run log of a store: a line for each run and each stage that it made."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import Any

from zeoarray.pipeline.document import Pipeline
from zeoarray.store import durable, places, record


class Log:
    """Appends to ``<store>.ledger/log.jsonl``; what is there is never changed."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.path = places.beside(places.root_of(pipeline.store)) / "log.jsonl"
        self._line(
            "begin",
            pipeline=str(pipeline.document.path),
            content=pipeline.document.content,
            host=platform.node(),
            pid=os.getpid(),
            versions=record.versions(),
        )

    def stage(self, node: str, seconds: float) -> None:
        """Note a node that was made."""
        self._line("made", node=node, seconds=round(seconds, 3))

    def end(self, made: list[str]) -> None:
        """Note that the run came to its end."""
        self._line("end", made=made)

    def _line(self, what: str, **told: Any) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        text = json.dumps({"time": now, "what": what, **told}, default=str)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(text + "\n")
        except OSError as error:
            raise durable.failed(self.path, error) from error

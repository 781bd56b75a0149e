"""How good a scan or a volume is, and how far it agrees with another."""

from __future__ import annotations

from zeoarray.quality.compare import compare

__all__ = ["compare"]

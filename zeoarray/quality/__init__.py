"""How good a scan or a volume is, and how far it agrees with another."""

from __future__ import annotations

from zeoarray.quality.compare import compare
from zeoarray.quality.summary import summary

__all__ = ["compare", "summary"]

"""From an answer to what is published."""

from exporter.series.extraction import extract
from exporter.series.store import Owner, State, Store

__all__ = ["Owner", "State", "Store", "extract"]

"""The exporter's own metrics and log lines of polls."""

from exporter.telemetry.metrics import Telemetry
from exporter.telemetry.reporter import Reporter

__all__ = ["Reporter", "Telemetry"]

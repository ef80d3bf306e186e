"""The configuration: YAML with positions (`nodes`), frozen types (`schema`), and all problems at once (`load`)."""

from exporter.config.load import Loaded, load
from exporter.config.query import Query
from exporter.config.schema import Config
from exporter.config.source import Source
from exporter.config.web import load_web

__all__ = ["Config", "Loaded", "Query", "Source", "load", "load_web"]

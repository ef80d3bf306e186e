"""The web server, and the pages that it shows."""

from exporter.web.server import ListenAddress, ListenError, WebServer
from exporter.web.web_config import WebConfiguration

__all__ = ["ListenAddress", "ListenError", "WebConfiguration", "WebServer"]

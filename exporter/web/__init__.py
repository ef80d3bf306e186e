"""The web server, and the pages that it shows."""

from exporter.model.listen_address import ListenAddress
from exporter.web.server import ListenError, WebServer

__all__ = ["ListenAddress", "ListenError", "WebServer"]

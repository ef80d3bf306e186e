"""The web server, and the pages that it shows."""

from exporter.model.listen_address import ListenAddress
from exporter.web.server import ListenError, WebServer
from exporter.web.web_config import WebConfiguration

__all__ = ["ListenAddress", "ListenError", "WebConfiguration", "WebServer"]

"""What the command line decides about a running exporter."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from exporter.model.config_files import ConfigFiles
from exporter.model.listen_address import ListenAddress
from exporter.polling.shard import NOT_SPLIT, Shard


class Options(Struct, frozen=True):
    """The flags of the exporter, each checked. `route_prefix` has no slash at its end; of the root it is empty."""

    config_file: ConfigFiles
    listen_addresses: tuple[ListenAddress, ...]
    telemetry_path: str = "/metrics"
    web_config_file: Path | None = None
    log_level: str = "info"
    log_format: str = "logfmt"
    enable_lifecycle: bool = False
    auto_reload: bool = False
    route_prefix: str = ""
    shard: Shard = NOT_SPLIT
    reload_on_hangup: bool = True
    systemd_socket: bool = False

"""TLS settings of connections to an upstream."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import certifi

from exporter.model.file_watch import FileState, file_states
from exporter.model.system_errors import os_problem, tls_problem

_MIN_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """Prometheus' `tls_config`: what is trusted, and who we are."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False
    min_version: Literal["TLS12", "TLS13"] = "TLS12"

    def file_states(self) -> Mapping[Path, FileState]:
        """What changes when a file is written or replaced."""
        return file_states(file for file in (self.ca_file, self.cert_file, self.key_file) if file is not None)

    def context(self) -> ssl.SSLContext:
        """The context for connections. Raises `OSError` for files that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
            if self.ca_file is None and not _system_has_authorities():
                context.load_verify_locations(certifi.where())
            if self.cert_file is not None:
                context.load_cert_chain(
                    self.cert_file, self.key_file, password=b""
                )  # an encrypted key is not asked for
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ", ".join(str(file) for file in (self.ca_file, self.cert_file, self.key_file) if file)
            problem = tls_problem(error) if isinstance(error, ssl.SSLError) else os_problem(error)
            raise OSError(f"cannot use {files}: {problem}") from None
        context.minimum_version = _MIN_VERSIONS[self.min_version]
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _system_has_authorities() -> bool:
    """Whether OpenSSL's default places hold certificates; slim images and some Pythons have none."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))

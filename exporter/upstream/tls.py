"""TLS of connections to an upstream, after its `tls_config`."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import certifi

from exporter.config.credentials import TLSConfig
from exporter.model.background import begin_once, within
from exporter.model.certificates import set_verification
from exporter.model.file_read import MAX_PEM_BYTES, READ_SECONDS, read_file
from exporter.model.file_watch import FileState, file_states
from exporter.model.system_errors import os_problem, tls_problem

# Those in use, by all that they were made of. The system's authorities take 0.1 s to read, and a megabyte.
_contexts: Final[WeakValueDictionary[Hashable, ssl.SSLContext]] = WeakValueDictionary()
_MIN_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


def tls_file_states(config: TLSConfig) -> Mapping[Path, FileState]:
    """What changes when one of its files is written or replaced."""
    return file_states(_files(config))


async def look_at_tls_files(config: TLSConfig) -> Mapping[Path, FileState]:
    """The same, for the event loop: a mount may hang. There is never more than one thread that looks at the files, for
    all who wait for them. Raises `OSError` for an answer that does not come in time."""
    files = tuple(_files(config))
    if not files:
        return {}
    try:
        return await within(READ_SECONDS, begin_once(files, lambda: file_states(files), "TLS files"))
    except TimeoutError:
        raise OSError(errno.ETIMEDOUT, f"no answer within {READ_SECONDS:g} s") from None


def ssl_context(config: TLSConfig) -> ssl.SSLContext:
    """The context for connections; the same for all who need an equal one, while anybody has it. Raises `OSError` for
    files that cannot be used."""
    known = _made_of(config)
    context = _contexts.get(known)
    if context is None:
        context = _contexts[known] = _new_context(config)
    return context


def _made_of(config: TLSConfig) -> Hashable:
    """All that a context depends on, with the states of the files."""
    system = ssl.get_default_verify_paths() if config.ca_file is None else None
    files = [*_files(config), *(Path(name) for name in (system or ())[:2] if name is not None)]
    options = (config.min_version, config.insecure_skip_verify, config.x509_strict)
    return config.ca_file, config.cert_file, config.key_file, options, system, tuple(file_states(files).items())


def _new_context(config: TLSConfig) -> ssl.SSLContext:
    try:
        for file in _files(config):
            read_file(file, MAX_PEM_BYTES)  # OpenSSL, which reads them below, would wait for a pipe for ever
        context = ssl.create_default_context(cafile=None if config.ca_file is None else str(config.ca_file))
        if config.ca_file is None and not _system_has_authorities():
            context.load_verify_locations(certifi.where())
        if config.cert_file is not None:  # an encrypted key is not asked for
            context.load_cert_chain(config.cert_file, config.key_file, password=b"")
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        files = ", ".join(map(str, _files(config)))
        problem = tls_problem(error) if isinstance(error, ssl.SSLError) else os_problem(error)
        raise OSError(f"cannot use {files}: {problem}") from None
    set_verification(context, strict=config.x509_strict)
    context.minimum_version = _MIN_VERSIONS[config.min_version]
    if config.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _files(config: TLSConfig) -> list[Path]:
    return [file for file in (config.ca_file, config.cert_file, config.key_file) if file is not None]


def _system_has_authorities() -> bool:
    """Whether OpenSSL's default places hold certificates; slim images and some Pythons have none."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))

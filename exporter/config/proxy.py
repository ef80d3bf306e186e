"""Which proxy stands before a host: Prometheus' keys `proxy_url`, `no_proxy`, `proxy_from_environment` and
`proxy_connect_header`, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, TypeAlias

from msgspec import Struct
from pydantic import AfterValidator

from exporter.config.scalars import check_url
from exporter.model.secret import Secret


def _proxy_url(value: str) -> str:
    if "@" in value:
        remedy = 'write proxy_connect_header: {Proxy-Authorization: ["Basic ${PROXY_CREDENTIALS}"]}'
        raise ValueError(f"a URL must not carry a user or a password; {remedy}")
    return check_url(value)


ProxyUrl: TypeAlias = Annotated[str, AfterValidator(_proxy_url)]


class ProxySettings(Struct, frozen=True):
    """The four keys, checked together. `connect_header` is for the proxy alone."""

    url: str | None = None
    no_proxy: str = ""
    from_environment: bool = False
    connect_header: Mapping[str, tuple[Secret, ...]] = {}

    def __post_init__(self) -> None:
        """Raises `ValueError` for keys that contradict each other, or that need another."""
        if self.from_environment and (self.url is not None or self.no_proxy):
            raise ValueError("has proxy_from_environment as well as proxy_url or no_proxy; keep one")
        if self.no_proxy and self.url is None:
            raise ValueError("has no_proxy but no proxy_url; add it")
        if self.connect_header and not self.is_set:
            raise ValueError("has proxy_connect_header but no proxy_url; add it")

    @property
    def is_set(self) -> bool:
        """Whether there may be a proxy."""
        return self.url is not None or self.from_environment

"""Which proxy a request goes through: `proxy_url` and `no_proxy`, or the environment's, by the rules of Go's programs.

Source: https://pkg.go.dev/golang.org/x/net/http/httpproxy
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeAlias
from urllib.parse import unquote

import httpcore
import httpx

from exporter.model.errors import Reason, UpstreamFailure

Headers: TypeAlias = Sequence[tuple[str, str]]
Choice: TypeAlias = Callable[[httpcore.URL], httpcore.Proxy | None]
"""The proxy for a URL. Raises `UpstreamFailure` (connect) where it cannot be used."""
_PORTS: Final = {"http": 80, "https": 443}


def proxy_choice(
    proxy_url: str | None,
    headers: Headers = (),
    *,
    no_proxy: str = "",
    from_environment: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Choice:
    """What chooses; `headers` are for the proxy alone. Raises `ValueError` for a `proxy_url` that is not HTTP."""
    if from_environment:
        return _of_environment(dict(environ), headers)
    if proxy_url is None:
        return lambda _: None
    proxy = _proxy(proxy_url, headers)
    if not no_proxy:
        return lambda _: proxy
    exceptions = _Exceptions(no_proxy)
    return lambda url: None if exceptions.hold_for(url) else proxy


def _of_environment(environ: Mapping[str, str], headers: Headers) -> Choice:
    def variable(name: str) -> str:
        return environ.get(name) or environ.get(name.lower(), "")

    exceptions = _Exceptions(variable("NO_PROXY"))

    def choose(url: httpcore.URL) -> httpcore.Proxy | None:
        name = f"{url.scheme.decode().upper()}_PROXY"
        text = variable(name)
        if not text or exceptions.hold_for(url):
            return None
        try:
            return _proxy(text if "://" in text else f"http://{text}", headers)
        except (ValueError, httpx.InvalidURL):
            detail = f"the environment's {name} is not a proxy's URL, such as http://host:3128"
            raise UpstreamFailure(Reason.CONNECT, detail) from None

    return choose


def _proxy(proxy_url: str, headers: Headers) -> httpcore.Proxy:
    """The proxy, and what only it is told. Raises `ValueError` for one that is not http or https."""
    proxy = httpx.URL(proxy_url)
    if proxy.scheme not in ("http", "https") or not proxy.host:
        raise ValueError("a proxy's URL begins with http:// or https://")
    url = httpcore.URL(scheme=proxy.raw_scheme, host=proxy.raw_host, port=proxy.port, target=b"/")
    user, _, password = proxy.userinfo.decode().partition(":")
    return httpcore.Proxy(
        url=url, auth=(unquote(user).encode(), unquote(password).encode()) if user else None, headers=list(headers)
    )


_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class _Exceptions:
    """The hosts that are reached without the proxy, this machine always among them."""

    def __init__(self, no_proxy: str) -> None:
        self._words = [word.strip().lower() for word in no_proxy.split(",") if word.strip()]

    def hold_for(self, url: httpcore.URL) -> bool:
        """Whether there is no proxy for it."""
        host = url.host.decode().strip("[]").removesuffix(".").lower()
        port = url.port or _PORTS.get(url.scheme.decode(), 0)
        address = _address(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return True
        return any(_covers(word, host, address, port) for word in self._words)


def _covers(word: str, host: str, address: _Address | None, port: int) -> bool:
    """Whether a word of `no_proxy` means that host: `*`, a network, an address or a domain, these two with a port."""
    if word == "*":
        return True
    if "/" in word:
        with suppress(ValueError):
            return address is not None and address in ipaddress.ip_network(word, strict=False)
        return False
    name, wanted = _split_port(word)
    if wanted not in (None, port):
        return False
    excepted = _address(name)
    return address == excepted if excepted is not None else _is_under(host, name)


def _address(host: str) -> _Address | None:
    with suppress(ValueError):
        return ipaddress.ip_address(host.strip("[]"))
    return None


def _split_port(word: str) -> tuple[str, int | None]:
    """Host and port of `host:port`, `[address]:port` or either alone."""
    host, _, port = word.rpartition(":")
    if host and port.isdecimal() and (":" not in host or host.endswith("]")):
        return host, int(port)
    return word, None


def _is_under(host: str, name: str) -> bool:
    """Whether a host has that domain; `.domain` and `*.domain` are for what is under it alone."""
    domain = name.removeprefix("*").removesuffix(".")
    if not domain.strip("."):
        return False
    if domain.startswith("."):
        return host.endswith(domain)
    return host == domain or host.endswith(f".{domain}")

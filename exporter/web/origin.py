"""Which requests come from another site than ours: a browser sends them for whoever wrote the page it shows.

A request that changes something is judged as Go's `http.CrossOriginProtection` judges it: by `Sec-Fetch-Site`, which
browsers set where they trust the connection, else by `Origin`. Programs send neither. A page for people is not shown
inside of another site, nor under a name that a stranger could own: his name may lead to this machine (DNS rebinding).
Nor does a browser change anything under such a name, whose pages are all one site for it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Awaitable, Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from exporter.web.messages import Answer, Application, Request

_READS: Final = ("GET", "HEAD", "OPTIONS")
_PAGES: Final = ("/", "/config")
# What no registry sells, so that no stranger has a name there (RFC 6761, 6762, 8375, 9476; ICANN's .internal)
_NOBODYS: Final = ("localhost", "local", "internal", "test", "invalid", "home.arpa", "svc", "lan", "alt")
_PROXY_FIELDS: Final = (b"forwarded", b"x-forwarded-host", b"x-forwarded-for", b"via")
_CROSS_SITE: Final = "Requests from pages of other sites are refused.\n"
_FOREIGN_NAME: Final = (
    "Nothing is shown or changed under this host name, which a stranger could have given to this machine.\n"
    "Use its address or the machine's own name, listen on the name (--web.listen-address=NAME:PORT),\n"
    "or have the proxy send X-Forwarded-For.\n"
)


def own_names(listen_hosts: Collection[str | None]) -> frozenset[str]:
    """The names of this machine: where it listens, and how it calls itself."""
    return frozenset(name.lower() for name in (*listen_hosts, socket.gethostname()) if name)


def same_site(application: Application, names: frozenset[str] | None) -> Application:
    """The application for all but other sites' requests. `names` are ours; None if TLS proves the name already."""

    def answer(request: Request) -> Answer | Awaitable[Answer]:
        if request.method not in _READS:
            if _is_cross_origin(request):
                return _forbid(_CROSS_SITE)
            if names is not None and _is_browsers(request) and _has_foreign_name(request, names):
                return _forbid(_FOREIGN_NAME)
        elif request.path in _PAGES:
            if _is_embedded(request):
                return _forbid(_CROSS_SITE)
            if names is not None and _has_foreign_name(request, names):
                return _forbid(_FOREIGN_NAME)
        return application(request)

    return answer


def _forbid(text: str) -> Answer:
    return Answer.of(text.encode(), status=HTTPStatus.FORBIDDEN)


def _is_cross_origin(request: Request) -> bool:
    site = request.field(b"sec-fetch-site")
    if site:
        return site not in ("same-origin", "none")
    origin = request.field(b"origin")
    if not origin:
        return False
    hosts = (request.field(b"host"), request.field(b"x-forwarded-host"))
    return _host_of(origin) not in [host.strip().lower() for host in hosts if host]


def _is_browsers(request: Request) -> bool:
    """Whether a browser sent it, which names the origin of all but reads."""
    return bool(request.field(b"origin") or request.field(b"sec-fetch-site"))


def _host_of(origin: str) -> str | None:
    """Host and port of an origin; None if it has none, as `null`."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _is_embedded(request: Request) -> bool:
    """Whether a page of another site asks, and not a person who follows a link there."""
    if request.field(b"sec-fetch-site") in ("", "same-origin", "none"):
        return False
    mode, destination = request.field(b"sec-fetch-mode"), request.field(b"sec-fetch-dest")
    return (mode, destination) != ("navigate", "document")


def _has_foreign_name(request: Request, names: frozenset[str]) -> bool:
    """Whether the name in `Host` is neither ours nor nobody's. What a proxy passes on is known by its fields."""
    host = request.field(b"host").strip().lower()
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    name = name.rstrip(".")
    if "." not in name or name in names or _is_machines(name) or _is_address(name):
        return False
    if any(name.endswith(f".{each}") for each in _NOBODYS):
        return False
    return not any(request.field(each) for each in _PROXY_FIELDS)


def _is_machines(name: str) -> bool:
    """Whether it is how the machine calls itself, in whichever domain: many know no more than their first label."""
    first, own = (each.lower().partition(".")[0] for each in (name, socket.gethostname()))
    return first == own != "localhost"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]").partition("%")[0])
    except ValueError:
        return False
    return True

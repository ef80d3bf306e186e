"""Which proxy a request goes through: the rules of Go's programs, so that one `no_proxy` fits all."""

from __future__ import annotations

from collections.abc import Mapping

import httpcore
import pytest

from exporter.model.errors import Reason, UpstreamFailure
from exporter.upstream.proxies import Choice, proxy_choice

PROXY = "http://proxy.test:3128"


def goes_through(choice: Choice, url: str) -> str | None:
    """The proxy's host and port for that URL."""
    proxy = choice(httpcore.URL(url))
    return None if proxy is None else f"{proxy.url.host.decode()}:{proxy.url.port}"


@pytest.mark.parametrize("url", ["https://api.test/", "http://api.test/", "https://localhost/", "https://127.0.0.1/"])
def test_a_proxy_without_exceptions_is_for_everything(url: str) -> None:
    """`proxy_url` alone has no exceptions, as in Prometheus: not even this machine is one."""
    assert goes_through(proxy_choice(PROXY), url) == "proxy.test:3128"
    assert goes_through(proxy_choice(None), url) is None


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("api.test", "https://api.test/", True),
        ("api.test", "https://API.TEST/", True),
        ("api.test", "https://api.test./", True),
        ("api.test", "https://eu.api.test/", True),
        ("api.test", "https://myapi.test/", False),
        (".api.test", "https://eu.api.test/", True),
        (".api.test", "https://api.test/", False),
        ("*.api.test", "https://eu.api.test/", True),
        ("*.api.test", "https://api.test/", False),
        ("API.test.", "https://api.test/", True),
        (" a.test , api.test ", "https://api.test/", True),
        ("a.test,,api.test,", "https://api.test/", True),
        ("*", "https://api.test/", True),
        ("a.test,*", "https://api.test/", True),
        ("api.test:8443", "https://api.test:8443/", True),
        ("api.test:8443", "https://api.test/", False),
        ("api.test:443", "https://api.test/", True),
        ("api.test:80", "http://api.test/", True),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.0.0.0/8", "https://api.test/", False),
        ("10.1.2.3/8", "https://10.9.9.9/", True),
        ("192.0.2.1", "https://192.0.2.1/", True),
        ("192.0.2.1:8443", "https://192.0.2.1:8443/", True),
        ("192.0.2.1:8443", "https://192.0.2.1/", False),
        ("2001:db8::/32", "https://[2001:db8::1]/", True),
        ("2001:db8::1", "https://[2001:db8::1]/", True),
        ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/", True),
        ("[2001:db8::1]", "https://[2001:db8::1]/", True),
        ("2001:db8::1", "https://[2001:db8::2]/", False),
        ("other.test", "https://localhost:8443/", True),
        ("other.test", "https://127.0.0.1/", True),
        ("other.test", "https://127.9.9.9/", True),
        ("other.test", "https://[::1]/", True),
        ("other.test", "https://mylocalhost/", False),
        (".", "https://api.test/", False),
        ("*.", "https://api.test/", False),
        ("not/a/network", "https://api.test/", False),
        ("http://api.test", "https://api.test/", False),
    ],
)
def test_exceptions(no_proxy: str, url: str, direct: bool) -> None:
    """Names with all below them, addresses, networks, ports; with exceptions, this machine is always one."""
    choice = proxy_choice(PROXY, no_proxy=no_proxy)
    assert goes_through(choice, url) == (None if direct else "proxy.test:3128")
    environ = {"HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "NO_PROXY": no_proxy}
    of_environment = proxy_choice(None, from_environment=True, environ=environ)
    assert goes_through(of_environment, url) == (None if direct else "proxy.test:3128")


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, None),
        ({"HTTPS_PROXY": PROXY}, "proxy.test:3128"),
        ({"https_proxy": PROXY}, "proxy.test:3128"),
        ({"HTTPS_PROXY": PROXY, "https_proxy": "http://other.test"}, "proxy.test:3128"),
        ({"HTTPS_PROXY": "proxy.test:3128"}, "proxy.test:3128"),
        ({"HTTPS_PROXY": ""}, None),
        ({"HTTP_PROXY": PROXY}, None),
        ({"ALL_PROXY": PROXY}, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "api.test"}, None),
    ],
)
def test_the_environment(environ: Mapping[str, str], found: str | None) -> None:
    """`HTTPS_PROXY` for https and `HTTP_PROXY` for http, in large or small letters, with or without a scheme."""
    choice = proxy_choice(None, from_environment=True, environ=environ)
    assert goes_through(choice, "https://api.test/") == found
    swapped = {name.replace("HTTPS", "HTTP").replace("https", "http"): text for name, text in environ.items()}
    if "HTTP_PROXY" not in environ:
        assert goes_through(proxy_choice(None, from_environment=True, environ=swapped), "http://api.test/") == found


def test_a_user_in_the_environment_is_for_the_proxy() -> None:
    """Unlike in the configuration, a password may stand in the environment's URL, percent-encoded."""
    environ = {"HTTPS_PROXY": "http://al%40ice:p%3Ass%C3%BC@proxy.test:3128"}
    proxy = proxy_choice(None, [("X-More", "1")], from_environment=True, environ=environ)(httpcore.URL("https://a/"))
    assert proxy is not None
    assert dict(proxy.headers) == {b"Proxy-Authorization": b"Basic YWxAaWNlOnA6c3PDvA==", b"X-More": b"1"}


@pytest.mark.parametrize("text", ["socks5://proxy.test:1080", "http://", "http://proxy.test:port"])
def test_a_proxy_of_the_environment_that_cannot_be_used_is_told(text: str) -> None:
    """The poll fails with the variable's name, and without its value, which may hold a password."""
    choice = proxy_choice(None, from_environment=True, environ={"HTTPS_PROXY": text})
    with pytest.raises(UpstreamFailure, match="the environment's HTTPS_PROXY is not a proxy's URL") as failed:
        choice(httpcore.URL("https://api.test/"))
    assert failed.value.reason is Reason.CONNECT
    assert "proxy.test" not in failed.value.detail

"""What goes wrong: context managers that break a place of the upstream, and mend it at their end."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import trustme

from tests.faults.experiment import Fault, Place
from tests.support.upstream import Behaviour, Call, Route, Upstream, black_hole, oauth_error, redirect

MakeBehaviour = Callable[[Place], Behaviour]


def api(behaviour: Behaviour) -> Fault:
    """The API does this with every request."""
    return lambda place: _behaving(place.api, behaviour)


def api_of(make: MakeBehaviour) -> Fault:
    """The same, made for the place."""
    return lambda place: _behaving(place.api, make(place))


def api_once(behaviour: Behaviour) -> Fault:
    """The API does this with one request."""

    @contextmanager
    def fault(place: Place) -> Iterator[None]:
        place.api.once(behaviour)
        yield

    return fault


def token(behaviour: Behaviour) -> Fault:
    """The token endpoint does this with every request."""
    return lambda place: _behaving(place.token, behaviour)


def token_of(make: MakeBehaviour) -> Fault:
    """The same, made for the place."""
    return lambda place: _behaving(place.token, make(place))


@contextmanager
def _behaving(route: Route, behaviour: Behaviour) -> Iterator[None]:
    sound = route.behaviour
    route.always(behaviour)
    try:
        yield
    finally:
        route.always(sound)


def then_closed(behaviour: Behaviour) -> Behaviour:
    """The connection is closed after the answer, without a word in the answer."""

    async def closing(call: Call) -> None:
        await behaviour(call)
        call.closing = True

    return closing


@contextmanager
def refusing(place: Place) -> Iterator[None]:
    """Nobody listens."""
    with _deaf(place):
        yield


@contextmanager
def full_queue(place: Place) -> Iterator[None]:
    """Connections are neither taken nor refused."""
    with _deaf(place), black_hole(place.upstream.port):
        yield


@contextmanager
def hanging_handshake(place: Place) -> Iterator[None]:
    """Connections are taken; the handshake never comes."""
    with _deaf(place), socket.create_server(("127.0.0.1", place.upstream.port)):
        yield


@contextmanager
def _deaf(place: Place) -> Iterator[None]:
    place.upstream.stop_listening()
    place.upstream.close_connections()
    try:
        yield
    finally:
        place.upstream.listen()


def redirecting(code: int) -> Fault:
    """The API sends its clients to another server, in clear text."""

    @contextmanager
    def fault(place: Place) -> Iterator[None]:
        with Upstream() as elsewhere, _behaving(place.api, redirect(code, elsewhere.api_url)):
            place.notes["elsewhere"] = elsewhere
            yield

    return fault


@contextmanager
def client_refused(place: Place) -> Iterator[None]:
    """The token endpoint does not know the client, until its secret is changed."""
    with _behaving(place.token, oauth_error("invalid_client", code=401)):
        yield
    place.notes["mended_at"] = time.monotonic()
    place.secret_file.write_text(f"{place.canary}-changed")


def certificate(present: Callable[[Place], None]) -> Fault:
    """The server presents another certificate."""

    @contextmanager
    def fault(place: Place) -> Iterator[None]:
        present(place)
        place.upstream.close_connections()
        try:
            yield
        finally:
            place.authority.issue_cert("127.0.0.1").configure_cert(place.tls)

    return fault


def expired(place: Place) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    place.authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(place.tls)


def of_another_host(place: Place) -> None:
    place.authority.issue_cert("elsewhere.example").configure_cert(place.tls)


def of_an_unknown_authority(place: Place) -> None:
    trustme.CA().issue_cert("127.0.0.1").configure_cert(place.tls)


def self_signed(place: Place) -> None:
    own = trustme.CA()
    with own.cert_pem.tempfile() as cert, own.private_key_pem.tempfile() as key:
        place.tls.load_cert_chain(cert, key)


@contextmanager
def only_old_versions(place: Place) -> Iterator[None]:
    """The server speaks TLS 1.1 at most."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what is tested
        place.tls.set_ciphers("ALL:@SECLEVEL=0")
        place.tls.minimum_version, place.tls.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    place.upstream.close_connections()
    try:
        yield
    finally:
        place.tls.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED

"""The ways to prove who asks: where their secrets come from, and what they are without a key."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from exporter.config.credentials import Authorization, BasicAuth, OAuth2
from exporter.model.secret import Secret

CONTEXT = {"folder": Path("/etc/exporter")}
TOKEN_URL = "https://sts.example/token"


def oauth2(**keys: Any) -> OAuth2:
    return OAuth2.model_validate({"token_url": TOKEN_URL, **keys}, context=CONTEXT)


def test_oauth2_has_defaults() -> None:
    """An endpoint, an id and a secret are enough."""
    made = oauth2(client_id="id", client_secret="s3cret")
    assert (made.timeout, made.auth_style, made.revoke_on_exit) == (timedelta(seconds=30), "header", False)


def test_a_secret_is_in_the_text_or_in_a_file_beside_the_configuration() -> None:
    """Each way has the same two keys."""
    bearer, basic = Authorization.model_validate, BasicAuth.model_validate
    here = (bearer({"credentials": "s3cret"}), basic({"username": "a", "password": "s3cret"}))
    assert [way.secret for way in here] == [Secret(inline="s3cret")] * 2
    there = (
        bearer({"credentials_file": "key"}, context=CONTEXT),
        basic({"username": "a", "password_file": "key"}, context=CONTEXT),
    )
    assert [way.secret for way in there] == [Secret(file=Path("/etc/exporter/key"))] * 2
    made = oauth2(client_id_file="id", client_secret_file="/key")
    assert (made.id_secret, made.key_secret) == (Secret(file=Path("/etc/exporter/id")), Secret(file=Path("/key")))


def test_a_certificate_proves_the_client_without_a_secret() -> None:
    """With `tls_client_auth` (RFC 8705 §2.1) the token endpoint gets the client's id alone."""
    tls = {"cert_file": "client.pem", "key_file": "client-key.pem"}
    made = oauth2(client_id="id", auth_style="tls_client_auth", tls_config=tls)
    assert (made.has_secret, made.id_secret.reveal()) == (False, "id")

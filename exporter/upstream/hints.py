"""What is likely the matter when a Choreo account does not answer: the step of the portal's guide that is missing.

The failures are what OAuth 2.0 and API gateways usually give, not what the service promises: causes are likely ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from exporter.config.source import Source
from exporter.model.errors import Failure, Reason, TokenFailure

_PORTAL: Final = "the Developer Portal (devportal.choreo.dev/choreosystem)"
WRONG_HANDLE: Final = (
    "the organization's handle is wrong: copy it again from the console, Settings → Copy Handle (it is not the UUID)"
)
WRONG_ID: Final = "the organization's UUID is wrong (it is not the handle); without CHOREO_ORG_ID init finds it"
_NOT_SUBSCRIBED: Final = (
    f"the application is not subscribed: in {_PORTAL} open the application, Subscriptions, and add the Insights API"
)
_NO_MEMBERSHIP: Final = (
    f"you are not a member of the Choreo System organization: in {_PORTAL} choose Request Access under Applications"
)
_WRONG_KEYS: Final = (
    f"the consumer key or the secret is wrong: in {_PORTAL} open the application, Production Keys → OAuth 2.0 Tokens,"
    " and copy both again (not the sandbox keys)"
)
_NO_SCOPE: Final = "the access token lacks a scope, which a subscription does not add; name it in oauth2.scopes"
_SCOPE_WORDS: Final = ("insufficient_scope", "900910")  # RFC 6750 §3.1, and WSO2's gateways
_NETWORK: Final = "this machine cannot reach it: check the name, the firewall and whether a proxy is needed"
_UNKNOWN_AUTHORITY: Final = (
    "the certificate is of an authority that this machine does not know, of a company or of a proxy that decrypts TLS:"
    " give the authority's certificate in tls_config: {ca_file: FILE}"
)
_CLOCK: Final = "the certificate is out of date, or the clock of this machine is wrong"
_BY_WORDS: Final = {
    "(407)": "the proxy wants a user and a password: set proxy_connect_header: {Proxy-Authorization: [...]}",
    "issuer certificate": _UNKNOWN_AUTHORITY,
    "self-signed": _UNKNOWN_AUTHORITY,
    "certificate has expired": _CLOCK,
    "not yet valid": _CLOCK,
    "mismatch": "the certificate is for another name: check the URL, or set tls_config: {server_name: NAME}",
}
"""By words of a failure's detail: the proxy's status, and OpenSSL's texts (X509_verify_cert_error_string(3))."""
_UNREACHED: Final = frozenset({Reason.DNS, Reason.CONNECT, Reason.TLS, Reason.TIMEOUT, Reason.RESET})
_WRONG_URL: Final = frozenset({Reason.REDIRECT, Reason.CONTENT_TYPE, Reason.JSON, Reason.HTTP_4XX, Reason.PROTOCOL})


def likely_causes(failure: Failure, source: Source) -> tuple[str, ...]:
    """What is likely wrong, the likeliest first; nothing for what only time or the service can mend, and of sources
    that are not Choreo's only what is so with every API."""
    if failure.reason in _UNREACHED:
        return (next((cause for words, cause in _BY_WORDS.items() if words in failure.detail), _NETWORK),)
    if failure.reason is Reason.FORBIDDEN and any(word in failure.detail for word in _SCOPE_WORDS):
        return (_NO_SCOPE,)
    if source.schema_ != "choreo":
        return ()
    if isinstance(failure, TokenFailure):
        return _causes_at_the_token_endpoint(failure)
    if failure.reason is Reason.FORBIDDEN:
        return (_NOT_SUBSCRIBED, _NO_MEMBERSHIP)
    if failure.reason is Reason.UNAUTHORIZED:
        return (_NOT_SUBSCRIBED, "the access token is for another environment: take the Production keys")
    if failure.reason is Reason.GRAPHQL:
        return (WRONG_ID, WRONG_HANDLE)
    if failure.reason in _WRONG_URL:
        return ("the URL is not the Insights API's",)
    return ()


def log_fields(causes: Sequence[str]) -> dict[str, str]:
    """The causes as a field of a log line; none where there are none."""
    return {"likely": "; or ".join(causes)} if causes else {}


def _causes_at_the_token_endpoint(failure: TokenFailure) -> tuple[str, ...]:
    if failure.reason is Reason.INVALID_CLIENT:
        return (_WRONG_KEYS,)
    if failure.reason is Reason.OAUTH_ERROR:
        return (WRONG_HANDLE, f"the scope is refused, because {_NOT_SUBSCRIBED}")
    return ("the URL is not the token endpoint's", WRONG_HANDLE) if failure.reason in _WRONG_URL else ()

"""Access tokens of the simulated token endpoint, and client authentication as RFC 6749 §2.3.1 has it."""

import base64
import binascii
import hashlib
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

from msgspec import Struct

from exporter.simulator.settings import Settings

SCOPE = "apim:api_manage"
KEPT_TOKENS = 100_000


class Token(Struct, frozen=True):
    """An access token; `number` is what logs and journals may show."""

    number: int
    text: str
    org_handle: str
    scope: str
    expires_time: float


@dataclass(frozen=True, slots=True)
class OAuthError(Exception):
    """An error answer of RFC 6749 §5.2."""

    error: str
    description: str
    status: int = 400


def credentials(authorization: str, form: Mapping[str, str]) -> tuple[str, str]:
    """Client id and secret from the Basic header, each part form-decoded, or from the body.

    Raises OAuthError if there are none, both, or if the header cannot be read.
    """
    in_body = "client_secret" in form
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() == "basic":
        if in_body:
            raise OAuthError("invalid_request", "The client must not authenticate in two ways at once.")
        try:
            pair = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        except (binascii.Error, UnicodeDecodeError):
            raise OAuthError("invalid_client", "The Basic credentials cannot be decoded.", 401) from None
        user, colon, password = pair.partition(":")
        if not colon:
            raise OAuthError("invalid_client", "The Basic credentials have no colon.", 401)
        return unquote_plus(user), unquote_plus(password)
    if in_body and "client_id" in form:
        return form["client_id"], form["client_secret"]
    raise OAuthError("invalid_client", "Client authentication is missing.", 401)


class Tokens:
    """Issues, finds and revokes access tokens. Thread-safe."""

    def __init__(self, settings: Settings, now: Callable[[], float], org_handles: tuple[str, ...]) -> None:
        self._settings = settings
        self._now = now
        self._org_handles = org_handles
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._issued = 0

    @property
    def issued(self) -> int:
        """How many different tokens were handed out."""
        return self._issued

    def check_client(self, authorization: str, form: Mapping[str, str]) -> None:
        """Raises OAuthError invalid_client unless the client proves to be the configured one."""
        client_id, client_secret = credentials(authorization, form)
        known = secrets.compare_digest(client_id.encode(), self._settings.client_id.encode())
        proven = secrets.compare_digest(client_secret.encode(), self._settings.client_secret.encode())
        if not (known and proven):
            raise OAuthError("invalid_client", "Unknown client or wrong secret.", 401)

    def issue(self, form: Mapping[str, str]) -> Token:
        """An access token for the form's organization and scope; raises OAuthError for a bad form.

        An absent orgHandle is an invalid_request, an unknown one an invalid_scope.
        """
        grant = form.get("grant_type")
        if not grant:
            raise OAuthError("invalid_request", "grant_type is missing.")
        if grant != "client_credentials":
            raise OAuthError("unsupported_grant_type", "Only client_credentials is supported.")
        org_handle = form.get("orgHandle")
        if not org_handle:
            raise OAuthError("invalid_request", "orgHandle is missing.")
        scope = form.get("scope", "")
        if any(part != SCOPE for part in scope.split()):
            raise OAuthError("invalid_scope", f"Only {SCOPE} can be asked for.")
        if org_handle not in self._org_handles:
            raise OAuthError("invalid_scope", "The organization is not known to this client.")
        with self._lock:
            return self._reusable(org_handle, scope) or self._new(org_handle, scope)

    def _reusable(self, org_handle: str, scope: str) -> Token | None:
        if not self._settings.same_token:
            return None
        now = self._now()
        alive = (t for t in self._tokens.values() if t.expires_time > now)
        return next((t for t in alive if (t.org_handle, t.scope) == (org_handle, scope)), None)

    def _new(self, org_handle: str, scope: str) -> Token:
        self._issued += 1
        mark = hashlib.sha256(f"{self._settings.seed}/{self._issued}/{secrets.token_hex(8)}".encode()).hexdigest()[:16]
        expires_time = self._now() + self._settings.token_lifetime_seconds
        token = Token(self._issued, f"simulated-token-{self._issued:06d}-{mark}", org_handle, scope, expires_time)
        self._tokens[token.text] = token
        if len(self._tokens) > KEPT_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        return token

    def remaining_seconds(self, token: Token) -> float:
        """`expires_in` of a token: whole seconds where its life is counted in whole seconds, else milliseconds."""
        remaining = max(0.0, token.expires_time - self._now())
        if float(self._settings.token_lifetime_seconds).is_integer() and remaining >= 1:
            return int(remaining + 0.001)
        return round(remaining, 3)

    def number(self, text: str) -> int | None:
        """The number of a token that was ever issued, dead or alive."""
        with self._lock:
            token = self._tokens.get(text)
        if token is not None:
            return token.number
        prefix, _, rest = text.rpartition("simulated-token-")
        digits = rest.partition("-")[0]
        return int(digits) if not prefix and digits.isdecimal() and int(digits) <= self._issued else None

    def valid(self, text: str) -> Token | None:
        """The token if it was issued, is not expired and not revoked."""
        with self._lock:
            token = self._tokens.get(text)
        return token if token is not None and token.expires_time > self._now() else None

    def revoke(self, text: str) -> None:
        """Forgets a token; unknown ones are no error (RFC 7009 §2.2)."""
        with self._lock:
            self._tokens.pop(text, None)

    def revoke_all(self) -> int:
        """Forgets every token and returns how many there were."""
        with self._lock:
            count = len(self._tokens)
            self._tokens.clear()
            return count

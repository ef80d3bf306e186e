"""The endpoints as one ASGI application: token, revocation, GraphQL, and the simulator's own under `/-/`."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from typing import Any

from exporter.simulator.asking import Asking
from exporter.simulator.execution import Execution
from exporter.simulator.faults import Faults
from exporter.simulator.journal import Exchange, Journal, without_secrets
from exporter.simulator.model import Model
from exporter.simulator.settings import Settings
from exporter.simulator.tokens import SCOPE, OAuthError, Token, Tokens
from exporter.simulator.wire import (
    ClientGone,
    HttpAnswer,
    HttpError,
    HttpRequest,
    Receive,
    Scope,
    Send,
    form,
    json_object,
    read,
    write,
)

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path, not a secret
REVOCATION_PATH = "/oauth2/revoke"
GRAPHQL_PATH = "/93tu/insights/1.0.0/query-api"
KINDS = {TOKEN_PATH: "token", REVOCATION_PATH: "revoke", GRAPHQL_PATH: "graphql"}
METHODS = {"/-/journal": ("GET",), "/-/faults": ("GET", "POST"), "/-/model": ("GET",)}
NO_STORE = {"cache-control": "no-store", "pragma": "no-cache"}
LIMIT_SECONDS = 60.0
HANG, HANG_LOOK_SECONDS = "hang", 0.05


def oauth_answer(error: OAuthError) -> HttpAnswer:
    """The error answer of RFC 6749 §5.2."""
    challenge = {"www-authenticate": 'Basic realm="simulated"'} if error.status == 401 else {}
    body = {"error": error.error, "error_description": error.description}
    return HttpAnswer(error.status, body, {**NO_STORE, **challenge})


def unauthorized(description: str) -> HttpAnswer:
    """The answer to an access token that is absent, expired or revoked (RFC 6750 §3.1)."""
    challenge = f'Bearer realm="simulated", error="invalid_token", error_description="{description}"'
    body = {"code": "900901", "message": "Invalid Credentials", "description": description}
    return HttpAnswer(401, body, {"www-authenticate": challenge})


def unavailable() -> HttpAnswer:
    """The answer while a fault makes an endpoint unavailable."""
    return HttpAnswer(503, {"message": "Service Unavailable"})


class Endpoints:
    """The ASGI application."""

    def __init__(
        self,
        settings: Settings,
        now: Callable[[], float],
        model: Model,
        tokens: Tokens,
        faults: Faults,
        journal: Journal,
    ) -> None:
        self._settings = settings
        self._now = now
        self._model = model
        self._tokens = tokens
        self._faults = faults
        self._journal = journal
        self._recent: deque[float] = deque()
        self._execution = Execution(settings.max_aliases)
        # A long count must not keep the token endpoint waiting; one thread, since counting is bound to the processor.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="simulator-counting")

    def close(self) -> None:
        """Ends the counting thread after what it is doing."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request and records it."""
        kind = KINDS.get(scope["path"], "other")
        exchange = self._journal.opened(kind)
        try:
            request = await read(scope, receive)
            answer = await self._answer(request, exchange, receive)
        except HttpError as error:
            answer = error.answer
        except ClientGone:
            self._journal.close(exchange)
            return
        except BaseException:
            self._journal.close(exchange)
            raise
        # Recorded before it is sent: who has the answer finds it in the journal.
        exchange.status = answer.status
        self._journal.close(exchange)
        await write(send, answer)

    async def _answer(self, request: HttpRequest, exchange: Exchange, receive: Receive) -> HttpAnswer:
        """The answer to a request, by its path."""
        allowed = METHODS.get(request.path, ("POST",) if request.path in KINDS else ())
        if not allowed:
            return HttpAnswer(404, {"message": "Not Found"})
        if request.method not in allowed:
            return HttpAnswer(405, {"message": "Method Not Allowed"}, {"allow": ", ".join(allowed)})
        if exchange.kind == "graphql":
            return await self._graphql(request, exchange, receive)
        if exchange.kind in ("token", "revoke"):
            return await self._oauth(request, exchange, receive)
        return self._own(request)

    async def _wait_while_hanging(self, receive: Receive, hangs: Callable[[], bool]) -> None:
        """Returns when the endpoint hangs no more; raises ClientGone when the client has had enough of it."""
        while hangs():
            try:
                async with asyncio.timeout(HANG_LOOK_SECONDS):
                    if (await receive())["type"] == "http.disconnect":
                        raise ClientGone
            except TimeoutError:
                continue

    async def _oauth(self, request: HttpRequest, exchange: Exchange, receive: Receive) -> HttpAnswer:
        """The answer of the token or the revocation endpoint."""
        await self._wait_while_hanging(receive, lambda: self._faults.current.token_endpoint == HANG)
        state = self._faults.current.token_endpoint
        if state == "error503":
            return unavailable()
        try:
            if state == "refuse":
                raise OAuthError("invalid_client", "The client is refused.", 401)
            try:
                fields = form(request)
            except ValueError as error:
                raise OAuthError("invalid_request", str(error)) from None
            self._tokens.check_client(request.headers.get("authorization", ""), fields)
            return self._revoke(fields, exchange) if exchange.kind == "revoke" else self._issue(fields, exchange)
        except OAuthError as error:
            exchange.error = error.error
            return oauth_answer(error)

    def _issue(self, fields: dict[str, str], exchange: Exchange) -> HttpAnswer:
        """An access token, as RFC 6749 §5.1 has it."""
        token = self._tokens.issue(fields)
        exchange.token_number = token.number
        body = {
            "access_token": token.text,
            "token_type": "Bearer",
            "expires_in": self._tokens.remaining_seconds(token),
            "scope": token.scope,
        }
        return HttpAnswer(200, body, NO_STORE)

    def _revoke(self, fields: dict[str, str], exchange: Exchange) -> HttpAnswer:
        """Revocation, as RFC 7009 §2.2 has it: also of unknown tokens it is a success."""
        if not fields.get("token"):
            raise OAuthError("invalid_request", "token is missing.")
        exchange.token_number = self._tokens.number(fields["token"])
        self._tokens.revoke(fields["token"])
        return HttpAnswer(200, None, NO_STORE)

    async def _graphql(self, request: HttpRequest, exchange: Exchange, receive: Receive) -> HttpAnswer:
        """The answer to an operation."""
        if self._settings.latency_seconds:
            await asyncio.sleep(self._settings.latency_seconds)
        await self._wait_while_hanging(receive, lambda: self._faults.current.api == HANG)
        state = self._faults.current.api
        if state == "error503":
            return unavailable()
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        credential = bearer.strip() if scheme.lower() == "bearer" else scheme
        on_prem = credential == self._settings.on_prem_key
        token = self._tokens.valid(credential)
        exchange.token_number = self._tokens.number(credential)
        if state == "401" or (token is None and not on_prem):
            return unauthorized("The access token is expired, revoked or unknown.")
        if not on_prem and not (self._settings.subscribed and token is not None and token.scope == SCOPE):
            return HttpAnswer(403, {"code": "900908", "message": "Resource forbidden"})
        wait_seconds = self._over_limit()
        if wait_seconds:
            body = {"code": "900800", "message": "Message throttled out"}
            return HttpAnswer(429, body, {"retry-after": str(ceil(wait_seconds))})
        return await self._execute(request, exchange, token)

    def _over_limit(self) -> float:
        """Seconds until the next request is within the limit; 0 if this one is, which then counts."""
        if not self._settings.limit:
            return 0.0
        now = self._now()
        while self._recent and self._recent[0] <= now - LIMIT_SECONDS:
            self._recent.popleft()
        if len(self._recent) >= self._settings.limit:
            return self._recent[0] + LIMIT_SECONDS - now
        self._recent.append(now)
        return 0.0

    async def _execute(self, request: HttpRequest, exchange: Exchange, token: Token | None) -> HttpAnswer:
        """The answer to an operation of a caller who may ask."""
        if request.media_type != "application/json":
            return HttpAnswer(415, {"errors": [{"message": "The body must be application/json."}]})
        try:
            body = json_object(request)
            text, variables, name = body.get("query"), body.get("variables") or {}, body.get("operationName")
            if not isinstance(text, str) or not isinstance(variables, dict) or not isinstance(name, (str, type(None))):
                raise ValueError("query must be a text, variables an object, operationName a text.")
        except ValueError as error:
            return HttpAnswer(400, {"errors": [{"message": str(error)}]})
        exchange.variables = without_secrets(variables, (self._settings.on_prem_key, self._settings.client_secret))
        answer, fields = await asyncio.get_running_loop().run_in_executor(
            self._executor, self._execution.answer, self._asking(token), text, variables, name
        )
        exchange.operations = dict(fields)
        if "errors" in answer.body:
            exchange.error = answer.body["errors"][0]["message"]
        return HttpAnswer(answer.status, answer.body)

    def _asking(self, token: Token | None) -> Asking:
        """Who asks, at this moment; without a token it is the holder of the on-premise key."""
        handle = self._model.organizations[0].handle if token is None else token.org_handle
        everything = token is not None and self._settings.sees_all_organizations
        now_ms = round(self._now() * 1000)
        return Asking(
            self._model, self._settings, self._faults.current, now_ms, None if everything else handle, token is None
        )

    def _own(self, request: HttpRequest) -> HttpAnswer:
        """The simulator's own endpoints: journal, faults, and the ids that a configuration needs."""
        if request.path == "/-/journal":
            return HttpAnswer(200, self._journal.as_json())
        if request.path == "/-/model":
            return HttpAnswer(200, {"organizations": [summary(o) for o in self._model.organizations]})
        if request.method == "POST":
            try:
                changes = json_object(request)
                if changes.pop("clear", False):
                    self._faults.clear()
                if changes.pop("revoke_tokens", False):
                    self._tokens.revoke_all()
                if changes:
                    self._faults.set(**changes)
            except ValueError as error:
                return HttpAnswer(400, {"message": str(error)})
        return HttpAnswer(200, {"current": self._faults.as_json(), "history": self._faults.history()})


def summary(organization: Any) -> dict[str, Any]:
    """What a configuration needs to know of an organization."""
    return {
        "handle": organization.handle,
        "uuid": organization.uuid,
        "name": organization.name,
        "tenants": list(organization.tenants),
        "environments": [{"id": e.id, "name": e.name, "type": e.type} for e in organization.environments],
        "projects": list(organization.project_ids),
    }

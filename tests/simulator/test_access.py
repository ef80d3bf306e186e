"""Getting into the simulated API: tokens, their errors, their end; limits, faults, and the record of it all."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from exporter.simulator import Settings, Simulator
from tests.support.processes import PATIENCE_SECONDS, eventually, get

NOON = datetime(2026, 3, 18, 12, tzinfo=UTC).timestamp()
FORM = {"grant_type": "client_credentials", "orgHandle": "acme", "scope": "apim:api_manage"}
CLIENT = ("demo-key", "demo-secret")
ORGANIZATIONS = "{ listOrganizations { handle } }"


class Clock:
    """A wall clock that stands where it is put."""

    time = NOON

    def __call__(self) -> float:
        return self.time


class Visitor:
    """A client of a simulator of its own, with the clock that both live by."""

    def __init__(self, simulator: Simulator, clock: Clock) -> None:
        self.simulator = simulator
        self.clock = clock
        self.client = httpx.Client(timeout=PATIENCE_SECONDS)
        organization = simulator.model.organizations[0]
        self.data = {
            "orgId": organization.uuid,
            "environmentId": organization.environment("Production").id,
            "tenant": "carbon.super",
        }

    def token_answer(self, auth: tuple[str, str] | None = CLIENT, **changes: str | None) -> httpx.Response:
        """The token endpoint's answer to the form with some changes; None leaves a field out."""
        form = {name: value for name, value in {**FORM, **changes}.items() if value is not None}
        return self.client.post(self.simulator.token_url, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT)

    def token(self, scope: str | None = FORM["scope"]) -> str:
        """An access token."""
        return str(self.token_answer(scope=scope).json()["access_token"])

    def ask(self, token: str, text: str = ORGANIZATIONS, **variables: Any) -> httpx.Response:
        """The API's answer to a document."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.client.post(self.simulator.url, json={"query": text, "variables": variables}, headers=headers)

    def own(self, path: str, **changes: Any) -> httpx.Response:
        """The answer of one of the simulator's own endpoints."""
        url = f"{self.simulator.base_url}/-/{path}"
        return self.client.post(url, json=changes) if changes else self.client.get(url)


Visit = Callable[..., Visitor]


@pytest.fixture
def visit() -> Iterator[Visit]:
    opened: list[Visitor] = []

    def visitor(**options: Any) -> Visitor:
        clock = Clock()
        simulator = Simulator(Settings(**{"rate": 0.5, **options}), now=clock).start()
        opened.append(Visitor(simulator, clock))
        return opened[-1]

    yield visitor
    for visitor_ in opened:
        visitor_.client.close()
        visitor_.simulator.stop()


@pytest.fixture(scope="module")
def plain() -> Iterator[Visitor]:
    """A visitor for tests that change nothing but their own tokens."""
    clock = Clock()
    with Simulator(Settings(rate=0.5), now=clock) as simulator:
        visitor = Visitor(simulator, clock)
        yield visitor
        visitor.client.close()


def test_a_token_opens_the_api(plain: Visitor) -> None:
    """Client credentials give a token with its life in seconds, which the API takes; nobody stores the answer."""
    answer = plain.token_answer()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    body = answer.json()
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 3600, "apim:api_manage")
    assert plain.ask(body["access_token"]).json() == {"data": {"listOrganizations": [{"handle": "acme"}]}}


def test_credentials_in_the_body_and_form_encoded_in_the_header(visit: Visit) -> None:
    """Both ways of RFC 6749 work; in the header, each part is form-encoded first."""
    visitor = visit(client_id="key with:colon", client_secret="s%2F+é")
    in_header = visitor.token_answer(("key+with%3Acolon", "s%252F%2B%C3%A9"))
    assert in_header.status_code == 200
    in_body = visitor.token_answer(None, client_id="key with:colon", client_secret="s%2F+é")
    assert in_body.status_code == 200
    assert visitor.token_answer(("key with:colon", "s%2F+é")).json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    ("auth", "changes", "status", "error"),
    [
        (("demo-key", "wrong"), {}, 401, "invalid_client"),
        (("wrong", "demo-secret"), {}, 401, "invalid_client"),
        (None, {}, 401, "invalid_client"),
        (CLIENT, {"client_id": "demo-key", "client_secret": "demo-secret"}, 400, "invalid_request"),
        (CLIENT, {"grant_type": "password"}, 400, "unsupported_grant_type"),
        (CLIENT, {"grant_type": None}, 400, "invalid_request"),
        (CLIENT, {"scope": "apim:other"}, 400, "invalid_scope"),
        (CLIENT, {"orgHandle": "nobody"}, 400, "invalid_scope"),
        (CLIENT, {"orgHandle": None}, 400, "invalid_request"),
    ],
)
def test_token_errors(
    plain: Visitor, auth: tuple[str, str] | None, changes: dict[str, str | None], status: int, error: str
) -> None:
    """What is wrong with a token request is said in the words of RFC 6749 §5.2."""
    answer = plain.token_answer(auth, **changes)
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_a_token_expires(visit: Visit) -> None:
    """A token works to the end of its life and not longer; short lives have fractions."""
    visitor = visit(token_lifetime_seconds=0.5)
    body = visitor.token_answer().json()
    assert body["expires_in"] == 0.5
    visitor.clock.time += 0.4
    assert visitor.ask(body["access_token"]).status_code == 200
    visitor.clock.time += 0.1
    refused = visitor.ask(body["access_token"])
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]


def test_the_same_token_again(visit: Visit) -> None:
    """By option the same token comes again with its remaining life, until it has none."""
    visitor = visit(same_token=True, token_lifetime_seconds=100.0)
    first = visitor.token_answer().json()
    visitor.clock.time += 40
    second = visitor.token_answer().json()
    assert second["access_token"] == first["access_token"]
    assert second["expires_in"] == 60
    visitor.clock.time += 61
    assert visitor.token() != first["access_token"]


def test_revocation(plain: Visitor) -> None:
    """A revoked token is refused; to revoke an unknown one is no error; a stranger cannot revoke."""
    token, other = plain.token(), plain.token()
    url = plain.simulator.revocation_url
    assert plain.client.post(url, data={"token": token}).status_code == 401
    assert plain.ask(token).status_code == 200
    assert plain.client.post(url, data={"token": token}, auth=CLIENT).status_code == 200
    assert plain.ask(token).status_code == 401
    assert plain.ask(other).status_code == 200
    assert plain.client.post(url, data={"token": "unknown"}, auth=CLIENT).status_code == 200
    assert plain.client.post(url, data={}, auth=CLIENT).json()["error"] == "invalid_request"


def test_all_tokens_at_once(visit: Visit) -> None:
    """All tokens can be made invalid at once, from Python and over HTTP."""
    visitor = visit()
    tokens = [visitor.token() for _ in range(3)]
    assert visitor.simulator.revoke_all_tokens() == 3
    assert {visitor.ask(token).status_code for token in tokens} == {401}
    last = visitor.token()
    assert visitor.own("faults", revoke_tokens=True).status_code == 200
    assert visitor.ask(last).status_code == 401


def test_who_may_not(plain: Visitor, visit: Visit) -> None:
    """No token and a made-up one are 401; a token without the scope, or without subscription, is 403."""
    assert plain.ask("").status_code == 401
    assert plain.ask("simulated-token-000001-0000").status_code == 401
    assert plain.ask(plain.token(scope=None)).status_code == 403
    unsubscribed = visit(subscribed=False)
    assert unsubscribed.ask(unsubscribed.token()).status_code == 403


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"query": "{ listOrganizations "}, "Syntax Error"),
        ({"query": "{ listOrganisations { id } }"}, "Did you mean"),
        ({"query": "query ($o: OrgFilter!) { listEnvironments(org: $o) { id } }"}, "$o"),
        ({"query": "query A { __typename } query B { __typename }"}, "operationName"),
        ({"query": 1}, "query"),
        ([], "object"),
    ],
)
def test_documents_that_cannot_be_executed(plain: Visitor, body: Any, message: str) -> None:
    """What cannot be executed is refused with 400 and an error in words."""
    headers = {"Authorization": f"Bearer {plain.token()}"}
    answer = plain.client.post(plain.simulator.url, json=body, headers=headers)
    assert answer.status_code == 400
    assert message in answer.json()["errors"][0]["message"]
    assert answer.headers["content-type"] == "application/json"


def test_other_methods_paths_and_types(plain: Visitor) -> None:
    """Only POST, only JSON, only the known paths."""
    headers = {"Authorization": f"Bearer {plain.token()}"}
    assert plain.client.get(plain.simulator.url).status_code == 405
    assert plain.client.get(plain.simulator.base_url + "/nowhere").status_code == 404
    assert plain.client.post(plain.simulator.url, content=b"x", headers=headers).status_code == 415


TOTAL = "query ($f: TimeFilter!, $d: DataFilter!) { getTotalTraffic(filter: $f, dataFilter: $d) }"
RANGE = {"from": "2026-03-18T11:59:00Z", "to": "2026-03-18T12:00:00.000Z"}


def test_late_data_fills_up(visit: Visit) -> None:
    """The last minute is short when it is asked for at once, and complete two minutes later, as the model has it."""
    visitor = visit(rate=2.0, delay_seconds=120.0)
    token = visitor.token()

    def total() -> int:
        return int(visitor.ask(token, TOTAL, f=RANGE, d=visitor.data).json()["data"]["getTotalTraffic"])

    model, environment = visitor.simulator.model, visitor.data["environmentId"]
    short = total()
    visitor.clock.time += 121
    complete = len(list(model.requests(environment, "carbon.super", NOON - 60, NOON)))
    assert short < total() == complete


def test_five_ids_at_most(visit: Visit) -> None:
    """Lists of ids have a limit, which is a setting."""
    text = (
        "query ($f: TimeFilter!, $d: DataFilter!, $ids: [String]) {"
        " getAPIUsageOverTime(timeFilter: $f, dataFilter: $d, apiUsageOvertimeFilter: {apiIds: $ids}) { apiId } }"
    )
    for most in (5, 2):
        visitor = visit(max_ids=most)
        ids = [api.id for api in visitor.simulator.model.organizations[0].apis()]
        token = visitor.token()
        fitting = visitor.ask(token, text, f=RANGE, d=visitor.data, ids=ids[:most]).json()
        assert "errors" not in fitting
        assert {row["apiId"] for row in fitting["data"]["getAPIUsageOverTime"]} <= set(ids[:most])
        too_many = visitor.ask(token, text, f=RANGE, d=visitor.data, ids=ids[: most + 1]).json()
        assert f"at most {most}" in too_many["errors"][0]["message"]
        assert too_many["data"] == {"getAPIUsageOverTime": None}


def test_aliases_and_refused_operations(visit: Visit) -> None:
    """More root fields than allowed are refused as a whole; a refused operation alone, beside the others."""
    visitor = visit(max_aliases=2, refused_operations=("getTotalTraffic",))
    token = visitor.token()
    three = visitor.ask(
        token,
        "{ ...F c: listOrganizations { id } } fragment F on Query {"
        " a: listOrganizations { id } b: listOrganizations { id } }",
    )
    assert three.status_code == 400
    assert "At most 2" in three.json()["errors"][0]["message"]
    both = "query ($f: TimeFilter!, $d: DataFilter!) { listOrganizations { handle }" + TOTAL.partition("{")[2]
    answer = visitor.ask(token, both, f=RANGE, d=visitor.data).json()
    assert answer["data"] == {"listOrganizations": [{"handle": "acme"}], "getTotalTraffic": None}
    assert answer["errors"][0]["path"] == ["getTotalTraffic"]


def test_the_limit_of_requests_per_minute(visit: Visit) -> None:
    """Beyond the limit it is 429 with the seconds to wait, and after those it goes on."""
    visitor = visit(limit=3)
    token = visitor.token()
    assert [visitor.ask(token).status_code for _ in range(4)] == [200, 200, 200, 429]
    wait = int(visitor.ask(token).headers["retry-after"])
    assert wait == 60
    visitor.clock.time += wait
    assert visitor.ask(token).status_code == 200


def test_buckets_without_traffic(visit: Visit) -> None:
    """Buckets without traffic are left out, or zeros by option."""
    text = (
        "query ($f: TimeFilter!, $d: DataFilter!) {"
        " getSuccessSummary(filter: $f, dataFilter: $d) { summary { requestCount } } }"
    )
    left_out, zeros = (
        visitor.ask(visitor.token(), text, f=RANGE, d=visitor.data).json()["data"]["getSuccessSummary"]["summary"]
        for visitor in (visit(rate=0.0), visit(rate=0.0, zero_rows=True))
    )
    assert left_out == []
    assert zeros == [{"requestCount": 0}]


def test_a_token_that_sees_every_organization(visit: Visit) -> None:
    """By option a token sees them all; a removed one it does not see any more, nor a removed API."""
    visitor = visit(sees_all_organizations=True)
    token = visitor.token()
    assert len(visitor.ask(token).json()["data"]["listOrganizations"]) == 2
    visitor.own("faults", removed_organizations=["globex"], removed_apis=["Orders API"])
    assert visitor.ask(token).json()["data"]["listOrganizations"] == [{"handle": "acme"}]
    names = visitor.ask(token, "query ($d: DataFilter!) { listAllAPI(dataFilter: $d) { name } }", d=visitor.data)
    listed = [api["name"] for api in names.json()["data"]["listAllAPI"]]
    assert len(listed) == 11
    assert "Orders API" not in listed


@pytest.mark.parametrize(("state", "status"), [("error503", 503), ("refuse", 401)])
def test_faults_of_the_token_endpoint(visit: Visit, state: str, status: int) -> None:
    """The token endpoint can fail while the API goes on, and be well again."""
    visitor = visit()
    token = visitor.token()
    visitor.simulator.faults.set(token_endpoint=state)
    assert visitor.token_answer().status_code == status
    assert visitor.ask(token).status_code == 200
    visitor.simulator.faults.clear()
    assert visitor.token_answer().status_code == 200


@pytest.mark.parametrize(("state", "status"), [("error503", 503), ("401", 401)])
def test_faults_of_the_api(visit: Visit, state: str, status: int) -> None:
    """The API can fail while tokens are still handed out."""
    visitor = visit()
    visitor.simulator.faults.set(api=state)
    assert visitor.ask(visitor.token()).status_code == status


def test_hanging(visit: Visit) -> None:
    """An endpoint that hangs answers when the fault ends; a client that goes away is recorded without a status."""
    visitor = visit()
    token = visitor.token()
    visitor.own("faults", api="hang")
    journal = visitor.simulator.journal
    address = httpx.URL(visitor.simulator.url)
    with socket.create_connection((address.host, address.port)) as leaving:
        head = f"POST {address.path} HTTP/1.1\r\nHost: x\r\nAuthorization: x\r\nContent-Length: 2\r\n\r\n"
        leaving.sendall(head.encode() + b"{}")
        eventually(lambda: journal.in_flight("graphql") == 1, "request that hangs")
    statuses: list[int] = []
    waiting = threading.Thread(target=lambda: statuses.append(visitor.ask(token).status_code))
    waiting.start()
    eventually(
        lambda: (journal.count("graphql"), journal.in_flight("graphql")) == (1, 1), "one that left, one that waits"
    )
    assert statuses == []
    visitor.simulator.faults.clear()
    waiting.join(PATIENCE_SECONDS)
    assert statuses == [200]
    assert [entry.status for entry in journal.entries("graphql")] == [0, 200]


def test_faults_over_http(visit: Visit) -> None:
    """Faults are switched with one POST, which also tells the history; a bad one changes nothing."""
    visitor = visit()
    changed = visitor.own("faults", error_ratio=0.2, only_apis=["Orders API"]).json()
    assert changed["current"]["error_ratio"] == 0.2
    assert changed["history"][0]["from"] == NOON
    refused = visitor.own("faults", error_ratio=7)
    assert refused.status_code == 400
    assert "error_ratio" in refused.json()["message"]
    assert visitor.own("faults").json() == changed
    assert visitor.own("faults", clear=True).json()["current"]["error_ratio"] == 0.0


def test_the_journal(visit: Visit) -> None:
    """Every request is recorded with what was asked and how it ended, tokens by number, nothing secret."""
    visitor = visit()
    token = visitor.token()
    text = (
        "query ($key: String!, $f: TimeFilter!) { a: listOrganizations { id } b: listOrganizations { id }"
        " getSuccessAPIsUsageByApplicationsWithOnPremKey(onPremKey: $key, timeFilter: $f) { count } }"
    )
    key = visitor.simulator.settings.on_prem_key
    assert visitor.ask(token, text, key=key, f=RANGE).status_code == 200
    visitor.ask("not-a-token")
    journal = visitor.simulator.journal
    issued, asked, refused = journal.entries()
    assert (issued.kind, issued.status, issued.token_number) == ("token", 200, 1)
    assert (asked.kind, asked.status, asked.token_number, asked.time) == ("graphql", 200, 1, NOON)
    assert asked.operations == {"listOrganizations": 2, "getSuccessAPIsUsageByApplicationsWithOnPremKey": 1}
    assert asked.variables == {"key": "<secret>", "f": RANGE}
    assert asked.in_flight == journal.max_in_flight("graphql") == 1
    assert (refused.status, refused.token_number) == (401, None)
    shown = visitor.own("journal").text
    assert '"listOrganizations": 2' in shown
    for secret in (token, key, "demo-secret", "not-a-token"):
        assert secret not in shown
    journal.clear()
    assert journal.entries() == []
    assert journal.count("graphql") == 0


def test_requests_at_once_are_counted(visit: Visit) -> None:
    """The journal tells how many requests were under way at once."""
    visitor = visit()
    token = visitor.token()
    visitor.own("faults", api="hang")
    threads = [threading.Thread(target=visitor.ask, args=(token,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: visitor.simulator.journal.in_flight("graphql") == 4, "four requests at once")
    visitor.simulator.faults.clear()
    for thread in threads:
        thread.join()
    assert visitor.simulator.journal.max_in_flight("graphql") == 4
    assert visitor.simulator.journal.in_flight("graphql") == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_ends_cleanly(number: signal.Signals) -> None:
    """As a process of its own it serves until SIGTERM or SIGINT and then exits with 0, silently."""
    program = (
        "from exporter.simulator import Settings, serve\n"
        "serve(Settings(), ready=lambda simulator: print(simulator.base_url, flush=True))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert get(f"{address}/-/model").json()["organizations"][0]["handle"] == "acme"
        process.send_signal(number)
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, errors) == (0, "")


def test_settings_alone_are_cheap() -> None:
    """Whoever needs only the settings does not wait for graphql-core and uvicorn."""
    program = (
        "import sys; from exporter.simulator import Settings; "
        "print([name for name in ('graphql', 'uvicorn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

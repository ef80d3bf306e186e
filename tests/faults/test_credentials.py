"""Rows of servers that say our own credentials back, and of credentials that are shown by mistake."""

from __future__ import annotations

import base64
import json
import random
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, quote_plus

import pytest

from tests.faults.configuration import written
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, Snapshot, eventually, finished
from tests.support.upstream import Behaviour, Call, Upstream, answer, grants, reply

SOURCES: Final = ("oauth", "params", "basic", "bearer")
_CHANCE: Final = random.Random(7)
# Where credentials come from in the configuration of this test: from the environment, and from files.
VARIABLES: Final = (
    "ID",
    "SECRET",
    "PARAM",
    "URL",
    "PATH_PART",
    "HEADER",
    "USER",
    "PASSWORD",
    "VALUE",
    "VARIABLE",
    "TEXT",
)
FILES: Final = ("file_param", "file_url_param", "file_bearer", "file_secret", "file_value")


@pytest.fixture
def credentials(canary: str, tmp_path: Path) -> Mapping[str, str]:
    """A credential for each place: with letters that each encoding writes otherwise."""
    found = {name: f'{canary}/{name}+"x"' for name in (*VARIABLES, *FILES)}
    found["HEADER"] = found["file_bearer"] = f"{canary}/header"
    for name in FILES:
        (tmp_path / name).write_text(found[name] + "\n")
    return found


def sources(upstream: Upstream) -> list[dict[str, Any]]:
    """Sources that between them have a credential in every place that there is."""

    def url(name: str) -> str:
        return upstream.origin + upstream.api_route(f"/{name}").path

    def oauth2(**more: Any) -> dict[str, Any]:
        return {"token_url": upstream.token_url, "client_id": "${ID}", **more}

    found: list[dict[str, Any]] = [
        {
            "name": "oauth",
            "url": url("oauth") + "?key=${URL}&plain=literal",
            "oauth2": oauth2(
                client_secret="${SECRET}",
                endpoint_params={"one": "${PARAM}", "two": {"file": "file_param"}, "three": {"secret": "${TEXT}"}},
            ),
            "http_headers": {"X-Api-Key": "${HEADER}"},
            "secret_values": {"one": {"env": "VALUE"}, "two": {"file": "file_value"}},
        },
        {
            "name": "params",
            "url": url("params"),
            "oauth2": oauth2(client_secret_file="file_secret", auth_style="params"),
            "params": {"key": {"file": "file_url_param"}, "version": ["1", "2"]},
            "secret_values": {"one": {"env": "VALUE"}, "two": {"file": "file_value"}},
        },
        {
            "name": "basic",
            "url": url("basic"),
            "basic_auth": {"username": "${USER}", "password": "${PASSWORD}"},
            "secret_values": {"one": {"env": "VALUE"}, "two": {"file": "file_value"}},
        },
        {
            "name": "bearer",
            "url": url("bearer"),
            "authorization": {"credentials_file": "file_bearer"},
            "secret_values": {"one": {"env": "VALUE"}, "two": {"file": "file_value"}},
        },
    ]
    return [{**one, "labels": {"of": one["name"]}} for one in found]


QUERY: Final = {
    "name": "rows",
    "interval": "1s",
    "timeout": "1s",
    "document": "query rows($a: String, $b: String, $c: String) { rows(a: $a, b: $b, c: $c) { id value } }",
    "variables": {"a": "{{ source.one }}", "b": "{{ source.two }}", "c": "${VARIABLE}"},
    "rows": "rows",
    "metrics": [{"name": "rows", "help": "Rows.", "value": "value", "labels": {"id": "id"}}],
}


def said(call: Call, credentials: Mapping[str, str]) -> list[str]:
    """What the server can know, in each form: some of it, another part each time."""
    sent, body = call.request.headers.get("authorization", ""), call.request.body
    texts = [*credentials.values(), *list(call.upstream.granted)[-4:], sent.partition(" ")[2], call.request.path]
    if not body.startswith(b"{"):
        texts += [value for name, value in call.request.form.items() if name not in ("grant_type", "client_id")]
    found: dict[str, None] = {}
    for text in texts:
        raw = text.encode()
        forms = (text, quote(text, safe=""), quote_plus(text), json.dumps(text), base64.b64encode(raw).decode())
        found |= dict.fromkeys((*forms, text[: len(text) * 3 // 4], base64.b64encode(b"Bearer " + raw).decode()))
    return _CHANCE.sample(list(found), 40)


def errors(texts: list[str]) -> list[dict[str, Any]]:
    return [
        {"message": f"{'x' * position} not {text}", "path": [text, 1], "extensions": {"code": text, text: text}}
        for position, text in enumerate(texts)
    ]


def says(place: str, credentials: Mapping[str, str]) -> Behaviour:
    """A server that says credentials back in that place."""

    async def behaviour(call: Call) -> None:
        texts = said(call, credentials)
        headers = {
            "www-authenticate": f'Bearer realm="{texts[0]}", error_description="{"".join(texts[:9])}"',
            "x-key": texts[0],
        }
        headers = {name: text.replace("\n", "") for name, text in headers.items()}
        rows = [{"id": text, "value": 1} for text in texts]
        match place:
            case "errors":
                made = answer({"data": None, "errors": errors(texts)})
            case "one error":
                made = answer({"errors": [{"message": " ".join(reversed(texts)), "path": texts}]})
            case "partial":
                made = answer({"data": {"rows": rows}, "errors": errors(texts)})
            case "rows":
                made = answer(
                    {"data": {"rows": [{"id": f"{n} {row['id']}", "value": 1} for n, row in enumerate(rows)]}}
                )
            case "keys":
                made = answer(
                    {"data": {"rows": [{"id": "a", "value": 1, **dict.fromkeys(texts, 1)}], **dict.fromkeys(texts)}}
                )
            case "escapes":
                body = json.dumps(
                    {"data": {"rows": [{"id": f"{n}-ESCAPED-{n}", "value": 1} for n in range(len(texts))]}}
                )
                for number, text in enumerate(texts):
                    body = body.replace(
                        f'-ESCAPED-{number}"', "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'
                    )
                made = reply(body.encode())
            case "page":
                made = reply("".join(texts).encode(), content_type="text/html", headers=headers)
            case _:
                made = answer(
                    {
                        "errors": errors(texts),
                        "error": texts[0],
                        "message": texts[1],
                        "error_description": "".join(texts),
                    },
                    code=int(place),
                    headers=headers,
                )
        await made(call)

    return behaviour


PLACES: Final = (
    "errors",
    "one error",
    "partial",
    "rows",
    "keys",
    "escapes",
    "page",
    "400",
    "401",
    "403",
    "422",
    "429",
    "500",
)


def leaks(text: str, canary: str) -> Iterator[str]:
    """What of a credential stands in a text, in whatever form."""
    yield from re.findall(f".{{0,40}}{canary[:12]}.{{0,40}}", text)
    for before in range(3):
        core = base64.b64encode(bytes(before) + canary.encode()).decode()[4:16]
        yield from re.findall(f".{{0,40}}{re.escape(core)}.{{0,40}}", text)


def environ(credentials: Mapping[str, str]) -> dict[str, str]:
    return {name: text + "\n" for name, text in credentials.items() if name in VARIABLES}


def polls(exporter: Exporter) -> list[float]:
    page = Snapshot(exporter.page())
    return [page.total(f"{OWN}polls_total", source=name) for name in SOURCES]


def _await_polls(exporter: Exporter, count: int) -> None:
    """Waits for so many polls of each source."""
    before = polls(exporter)
    eventually(lambda: all(now >= old + count for now, old in zip(polls(exporter), before, strict=True)), "polls", 60)


@pytest.mark.timeout(300)
def test_row_93_credentials_said_back(
    start: Start, upstream: Upstream, credentials: Mapping[str, str], canary: str
) -> None:
    """Whatever the API says back of our credentials, wherever and in whatever form: no page, metric or log line has it.
    Tokens are among them that were granted after the start, and some that are not in use any more."""
    upstream.token.always(grants(lifetime_seconds=2))
    for name in SOURCES:
        upstream.api_route(f"/{name}").always(says("rows", credentials))
    exporter = start(sources(upstream), [{**QUERY, "sources": list(SOURCES)}], environ=environ(credentials))
    exporter.wait_until_ready()
    eventually(lambda: len(exporter.samples("rows")) > 25, "rows")
    for place in PLACES:
        for name in SOURCES:
            upstream.api_route(f"/{name}").always(says(place, credentials))
        _await_polls(exporter, 2)
        for shown in (*exporter.everything_shown(), exporter.log):
            assert not list(leaks(shown, canary)), place
    upstream.token.always(says("400", credentials))
    eventually(lambda: exporter.value(f"{OWN}token_renewals_total", result="error"), "failed renewal")
    upstream.token.always(says("page", credentials))
    _await_polls(exporter, 1)
    for shown in (*exporter.everything_shown(), exporter.log):
        assert not list(leaks(shown, canary)), "the token endpoint"
    assert len(exporter.log.splitlines()) > len(PLACES)


@pytest.mark.parametrize("place", ["partial", "escapes", "400"])
def test_row_93_credentials_said_back_to_a_command(
    place: str, upstream: Upstream, credentials: Mapping[str, str], canary: str, tmp_path: Path
) -> None:
    """`query`, `query --save` and `verify --record` print and keep no credential, whatever the API says back. What they
    keep is for its user's eyes alone, and a link is not followed to where it leads."""
    config = written(tmp_path / "config.yaml", sources(upstream), [{**QUERY, "interval": "1m", "timeout": "20s"}])
    for name in SOURCES:
        upstream.api_route(f"/{name}").always(says(place, credentials))
    saved = tmp_path / "saved.json"
    for command in (
        ("query", "rows", f"--save={saved}"),
        ("verify", "--watch=0s", "--max-aliases=0", f"--record={saved}"),
    ):
        run = finished(*command, f"--config.file={config}", environ=environ(credentials))
        assert "rows" in run.stdout, run.stderr
        assert not list(leaks(run.stdout + run.stderr, canary))
        assert saved.exists() is (place != "400")  # of a refusal there is nothing to keep
        if saved.exists():
            assert not list(leaks(saved.read_text(), canary))
            assert stat.S_IMODE(saved.stat().st_mode) == 0o600


def test_a_saved_answer_follows_no_link(upstream: Upstream, credentials: Mapping[str, str], tmp_path: Path) -> None:
    """Answers are not written to where somebody's link leads; the command says so, and the other file stays."""
    config = written(tmp_path / "config.yaml", sources(upstream), [{**QUERY, "interval": "1m"}])
    upstream.api_route("/oauth").always(answer({"data": {"rows": [{"id": "a", "value": 1}]}}))
    precious, link = tmp_path / "precious", tmp_path / "link.json"
    precious.write_text("as it was")
    link.symlink_to(precious)
    run = finished("query", "rows", f"--config.file={config}", f"--save={link}", environ=environ(credentials))
    assert (run.returncode, precious.read_text()) == (1, "as it was")
    assert f"{link}: is a link" in run.stderr


def test_what_came_from_a_variable_or_a_file_is_not_shown(
    start: Start, upstream: Upstream, credentials: Mapping[str, str], canary: str
) -> None:
    """/config and the status page say `<secret>` for parameters and for the query of a URL, and the sound API got them
    all, without the line ends."""
    for name in SOURCES:
        upstream.api_route(f"/{name}").always(answer({"data": {"rows": [{"id": "a", "value": 1}]}}))
    exporter = start(
        sources(upstream), [{**QUERY, "sources": list(SOURCES)}], environ=environ(credentials)
    ).wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == len(SOURCES), "good start")
    shown = "\n".join(exporter.everything_shown())
    assert not list(leaks(shown, canary))
    assert "key=<secret>" in shown
    assert "one: <secret>" in shown
    form = next(request.form for request in upstream.token.journal if "one" in request.form)
    assert [form[name] for name in ("one", "two", "three")] == [
        credentials[name] for name in ("PARAM", "file_param", "TEXT")
    ]

"""One exporter, many faults at once: each case has a query of its own, which works, fails, and works again.

The exporter is a process with a configuration; the judge sees its pages, its log and the journal of the upstream.
All cases begin together; each ends when it has shown what its row promises, and has recovered.
"""

from __future__ import annotations

import http.client
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme

from tests.faults.configuration import source
from tests.faults.invariants import OWN, breaches
from tests.faults.rows import ROWS
from tests.support.processes import Exporter, Snapshot, eventually
from tests.support.upstream import (
    Behaviour,
    Call,
    Request,
    Route,
    Upstream,
    answer,
    grants,
    server_context,
    status,
)

_SCRAPERS: Final = 10
_SCRAPE_PAUSE_SECONDS: Final = 1.0
_LOOK_PAUSE_SECONDS: Final = 0.7
_UNDER_WAY: Final = 2  # polls that may still fail when a fault ends: one under way, one that ended since the last look
_ON_ITS_WAY_SECONDS: Final = 2.0  # at most, on a busy machine, from the exporter to the journal


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take: short in every run of the tests, as in real life in the long one."""

    interval_seconds: float
    timeout_seconds: float
    rounds: int
    patience_seconds: float


QUICK: Final = Pace(4, 4, 1, 80)
FULL: Final = Pace(12, 12, 4, 240)


@dataclass(slots=True)
class Place:
    """Where a fault happens: the parts of the upstream that one case has for itself."""

    upstream: Upstream
    api: Route
    token: Route
    pace: Pace
    canary: str
    """Part of every secret and token, and of nothing else."""
    authority: trustme.CA
    tls: Any = None
    """The `ssl.SSLContext` of the upstream, if it has one."""
    secret_file: Path = Path()
    notes: dict[str, Any] = field(default_factory=dict)


Fault = Callable[[Place], AbstractContextManager[object]]
Sign = Callable[["Evidence"], None]


@dataclass(frozen=True, slots=True)
class Case:
    """One way in which a row's fault comes about."""

    row: int
    variant: str
    fault: Fault
    sign: Sign
    """Fails by assertion as long as the fault does not show as it should."""
    alone: bool = False
    """Whether it has a source of its own, with its own token; else it shares one with the other cases."""
    server: str = "shared"
    """`own` for an upstream of its own, `tls` for one with TLS; both are alone."""
    lifetime_intervals: float | None = None
    """How long tokens live, in intervals; else an hour."""
    token_requests: int = 1
    """How many are allowed, besides the renewals that short-lived tokens need."""
    recovers: bool = True
    sound: Mapping[str, Any] = field(default_factory=lambda: {"value": 1})
    """The data of the good answer."""
    selection: str = "{ value }"
    oauth2: Mapping[str, Any] = field(default_factory=dict)
    aftermath: Sign | None = None
    """Fails by assertion if the time after the fault was not as promised."""
    query: Mapping[str, Any] = field(default_factory=dict)
    metric: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of its query, of its metric and, if it is alone, of its source."""
        return f"row_{self.row:02}_{self.variant}"

    @property
    def source_name(self) -> str:
        return self.name if self.alone or self.server != "shared" else "shared"


@dataclass(slots=True)
class Evidence:
    """What is known of a case while its fault lasts."""

    case: Case
    place: Place
    before: Snapshot
    now: Snapshot
    begun_at: float

    def grown(self, name: str, **labels: str) -> float:
        """By how much a metric of the case's query or source has grown since the fault began."""
        return self.total(name, **labels) - self.before.total(OWN + name, **self._labels(name), **labels)

    def total(self, name: str, **labels: str) -> float:
        """A metric of the case's query or source."""
        return self.now.total(OWN + name, **self._labels(name), **labels)

    @property
    def series(self) -> list[tuple[dict[str, str], float]]:
        """What the case's query publishes, without the source's label."""
        found = self.now.samples(self.case.name)
        return [({name: text for name, text in labels.items() if name != "of"}, value) for labels, value in found]

    @property
    def kept(self) -> bool:
        """Whether the query still publishes what it did before the fault."""
        return self.now.samples(self.case.name) == self.before.samples(self.case.name)

    @property
    def requests(self) -> list[Request]:
        """The API's requests since the fault began."""
        return [request for request in self.place.api.journal if request.at >= self.begun_at]

    @property
    def token_requests(self) -> list[Request]:
        return [request for request in self.place.token.journal if request.at >= self.begun_at]

    def _labels(self, name: str) -> dict[str, str]:
        of_source = name.startswith(("token_", "upstream_"))
        return {"source": self.case.source_name} if of_source else {"query": self.case.name}


class Trial:
    """A case under way."""

    def __init__(self, case: Case, place: Place) -> None:
        self.case = case
        self.place = place
        self.complaint = "the fault was never begun"
        self.done = False
        self._fault = ExitStack()
        self._evidence: Evidence | None = None
        self._shown = False
        self._failures = 0.0

    def begin(self, before: Snapshot) -> None:
        self._fault.enter_context(self.case.fault(self.place))
        self._evidence = Evidence(self.case, self.place, before, before, time.monotonic())

    def look(self, now: Snapshot) -> None:
        """Goes on as far as the page allows."""
        assert self._evidence is not None
        self._evidence.now = now
        try:
            if not self._shown:
                self.case.sign(self._evidence)
                self._shown = True
                self._failures = self._evidence.grown("poll_failures_total")
                self._fault.close()
            if self.case.recovers:
                self._check_recovery(now)
        except AssertionError as error:
            when = "after the fault" if self._shown else "while the fault lasts"
            self.complaint = f"{self.case.name}, {when}: {error}"
            return
        self.complaint = ""
        self.done = True

    def end(self) -> None:
        self._fault.close()

    def _check_recovery(self, now: Snapshot) -> None:
        assert now.total(f"{OWN}query_up", query=self.case.name) == 1, "the query is not up again"
        assert self._evidence is not None
        before = self._evidence.before.samples(self.case.name)
        assert now.samples(self.case.name) == before, "the series are not those of the good answer"
        if self.case.source_name == "shared":  # others may have to wait for a token first
            later = self._evidence.grown("poll_failures_total") - self._failures
            assert later <= _UNDER_WAY, f"{later:g} polls failed after the fault's end"
        if self.case.aftermath is not None:
            self.case.aftermath(self._evidence)


class Experiment:
    """A run of many cases. `trials` and what the invariants need are there once it has ended."""

    def __init__(self, cases: Sequence[Case], folder: Path, pace: Pace) -> None:
        self.canary = f"canary{secrets.token_hex(12)}"
        self.trials: list[Trial] = []
        self.scrapes: list[tuple[int, float]] = []
        self._breaches: list[str] = []
        self._duration_seconds = 0.0
        self._last = Snapshot("")
        self._cases = cases
        self._folder = folder
        self._pace = pace

    def run(self) -> Experiment:
        """The experiment, when it is over."""
        begun_at = time.monotonic()
        with ExitStack() as stack:
            authority = trustme.CA()
            authority.cert_pem.write_to_path(str(self._folder / "ca.pem"))
            upstream = stack.enter_context(Upstream(token_prefix=f"{self.canary}-"))
            self.trials = [Trial(case, self._place(case, upstream, authority, stack)) for case in self._cases]
            config = self._folder / "config.yaml"
            config.write_text(json.dumps(self._config(upstream)))
            environ = {"CANARY_SECRET": self.canary, "SSL_CERT_FILE": str(self._folder / "ca.pem")}
            exporter = stack.enter_context(
                Exporter(config, self._folder / "log", "--log.level=debug", environ=environ)
            ).wait_until_ready()
            self._wait_until_all_is_well(exporter)
            scraping = stack.enter_context(_Scrapers(exporter.port))
            self._run_trials(exporter)
            self.scrapes = scraping.stopped()
            self._breaches = breaches(exporter, self.canary)
            self._last = Snapshot(exporter.page())
            self._duration_seconds = time.monotonic() - begun_at
        return self

    def check(self, row: int) -> None:
        """Fails unless every case of the row went as promised, and nothing else suffered."""
        trials = [trial for trial in self.trials if trial.case.row == row]
        assert trials, f"no case of row {row} in this experiment"
        for trial in trials:
            assert not trial.complaint, f"{ROWS[row].fault}: {trial.complaint}"
            self._check_tokens(trial)
        self._check_neighbours()

    def check_scrapes(self) -> None:
        """Fails unless every scrape was answered with 200, and all but one in a hundred within five seconds."""
        assert len(self.scrapes) > _SCRAPERS
        assert {code for code, _ in self.scrapes} == {200}
        seconds = sorted(seconds for _, seconds in self.scrapes)
        assert seconds[int(len(seconds) * 0.99)] < 5

    def _place(self, case: Case, shared: Upstream, authority: trustme.CA, stack: ExitStack) -> Place:
        secret_file = self._folder / f"{case.name}.secret"
        secret_file.write_text(self.canary)
        if case.server == "shared":
            api, token = (
                (shared.api_route(f"/{case.name}/graphql"), shared.token_route(f"/{case.name}/token"))
                if case.alone
                else (shared.operation(case.name), shared.token)
            )
            place = Place(shared, api, token, self._pace, self.canary, authority, None, secret_file)
        else:
            tls = server_context(authority, "127.0.0.1") if case.server == "tls" else None
            own = stack.enter_context(Upstream(tls=tls, token_prefix=f"{self.canary}-"))
            place = Place(own, own.api, own.token, self._pace, self.canary, authority, tls, secret_file)
        place.api.always(who_is_known(answer({"data": case.sound})))
        if case.lifetime_intervals is not None:
            place.token.always(grants(lifetime_seconds=case.lifetime_intervals * self._pace.interval_seconds))
        return place

    def _config(self, upstream: Upstream) -> dict[str, Any]:
        secret = {"client_secret": "${CANARY_SECRET}"}
        apart = (upstream.origin + upstream.api_route("/apart").path, upstream.origin + upstream.token_route("/t").path)
        sources = [
            source("shared", upstream.api_url, upstream.token_url, secret),
            source("apart", *apart, secret),
        ]
        sources[0]["concurrency"] = 500
        queries = [self._query("sound", ["shared", "apart"], "{ value }", {}, {})]
        for trial in self.trials:
            case, place = trial.case, trial.place
            if case.source_name == case.name:
                urls = (place.upstream.origin + place.api.path, place.upstream.origin + place.token.path)
                own = source(case.name, *urls, {"client_secret_file": str(place.secret_file)})
                tls = {"ca_file": str(self._folder / "ca.pem")} if place.tls is not None else {}
                own["tls_config"] = tls
                own["oauth2"] |= {"tls_config": tls, **case.oauth2}
                sources.append(own)
            queries.append(self._query(case.name, [case.source_name], case.selection, case.query, case.metric))
        return {"sources": sources, "queries": queries}

    def _query(
        self, name: str, sources: list[str], selection: str, query: Mapping[str, Any], metric: Mapping[str, Any]
    ) -> dict[str, Any]:
        metrics = [{"name": name, "help": "What the case publishes.", "value": "value", **metric}]
        times = {"interval": f"{self._pace.interval_seconds:g}s", "timeout": f"{self._pace.timeout_seconds:g}s"}
        return {
            "name": name,
            "sources": sources,
            "document": f"query {name} {selection}",
            "metrics": metrics,
            **times,
            **query,
        }

    def _wait_until_all_is_well(self, exporter: Exporter) -> None:
        def all_up() -> bool:
            up = exporter.samples(f"{OWN}query_up")
            return len(up) == len(self.trials) + 2 and all(value == 1 for _, value in up)

        down = [labels for labels, value in exporter.samples(f"{OWN}query_up") if value != 1]
        eventually(all_up, f"good start; down are {down}", self._pace.patience_seconds)

    def _run_trials(self, exporter: Exporter) -> None:
        before = Snapshot(exporter.page())
        for trial in self.trials:
            trial.begin(before)
        until = time.monotonic() + self._pace.patience_seconds
        try:
            while time.monotonic() < until and not all(trial.done for trial in self.trials):
                time.sleep(_LOOK_PAUSE_SECONDS)
                now = Snapshot(exporter.page())
                for trial in self.trials:
                    if not trial.done:
                        trial.look(now)
        finally:
            for trial in self.trials:
                trial.end()

    def _check_neighbours(self) -> None:
        """The invariants that hold whatever the fault is."""
        assert not self._breaches, self._breaches
        assert self._last.total(f"{OWN}poll_failures_total", query="sound") == 0, "a query failed that had no fault"
        assert self._last.total(f"{OWN}query_up", query="sound") == 2

    def _check_tokens(self, trial: Trial) -> None:
        place = trial.place
        made = len(place.token.journal)
        allowed = trial.case.token_requests
        if trial.case.lifetime_intervals is not None:  # renewed when half of their life is over
            allowed += int(self._duration_seconds / (trial.case.lifetime_intervals * self._pace.interval_seconds / 2))
        assert made <= allowed, f"{trial.case.name}: {made} token requests, where {allowed} are allowed"
        for request in place.api.journal:
            ends_at = place.upstream.granted.get(request.bearer, 0.0)
            assert ends_at > request.at - _ON_ITS_WAY_SECONDS, f"{trial.case.name}: the API was asked with a dead token"


def who_is_known(then: Behaviour) -> Behaviour:
    """The answer for who shows a granted token that has not expired; else 401."""

    async def behaviour(call: Call) -> None:
        known = call.upstream.granted.get(call.request.bearer, 0.0) > call.upstream.monotonic()
        await (then if known else status(401))(call)

    return behaviour


class _Scrapers:
    """Ten clients that scrape all the time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self._seen: list[tuple[int, float]] = []
        self._threads = [threading.Thread(target=self._scrape, name="scraper", daemon=True) for _ in range(_SCRAPERS)]

    def __enter__(self) -> _Scrapers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stopped()

    def stopped(self) -> list[tuple[int, float]]:
        """Status and seconds of every scrape; status 0 where there was no answer."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        return self._seen

    def _scrape(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.wait(_SCRAPE_PAUSE_SECONDS):
            begun_at = time.monotonic()
            try:
                connection.request("GET", "/metrics", headers={"accept-encoding": "gzip"})
                answered = connection.getresponse()
                answered.read()
                code = answered.status
            except (OSError, http.client.HTTPException):
                code = 0
                connection.close()
            self._seen.append((code, time.monotonic() - begun_at))
        connection.close()

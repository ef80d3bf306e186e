"""Counters that are a function of time: what Prometheus adds up equals the model, whatever happens to the process."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import httpx
import pytest

from exporter.simulator import Settings, Simulator
from tests.conftest import StartInsights
from tests.support.configurations import ENVIRONMENTS, choreo_environ, choreo_source
from tests.support.processes import Exporter, Prometheus, eventually, free_port, get, http_client
from tests.support.standstill import access_token

PERIOD_SECONDS: Final = 10
INTERVAL_SECONDS: Final = 3
SCRAPE_SECONDS: Final = 1  # a sample has the time at which its scrape began, and a poll can end before it is answered
DELAY_SECONDS: Final = 12
# Polls jump over the ends of periods, as three is no part of ten; scraped each second, as an end stands for a while.
COUNTER: Final = """
  - name: counted
    interval: 3s
    for_each: {environment: environments}
    window: {length: 5s, delay: 12s, align: 1s}
    period: 10s
    document: |
      query ($period: TimeFilter!, $data: DataFilter!) { total: getTotalTraffic(filter: $period, dataFilter: $data) }
    variables:
      period: {from: "{{ period.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ environment.id }}"}
    metrics:
      - {name: choreo_requests_total, type: counter, help: Requests., value: total}
"""
# Every tenth request is counted ten and a half seconds late: within the delay of the window, and so much later than
# an adder asks that no busy machine lets it see one.
LATE: Final = Settings(
    apis=2, applications=1, rate=200, daily_rhythm=False, delay_seconds=1, late_share=0.1, late_by_seconds=9.5
)


class Replica:
    """An exporter that is killed and started again at the same address."""

    def __init__(self, config: Path, environ: dict[str, str]) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.killed_at: list[float] = []
        self._config, self._environ = config, environ
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self) -> None:
        """Starts it; it need not serve yet on return."""
        log, flag = self._config.with_name(f"log of {self.address}"), f"--web.listen-address={self.address}"
        self._exporter = self._running.enter_context(Exporter(self._config, log, flag, environ=self._environ))

    def serves(self) -> bool:
        """Whether it is up."""
        try:
            return get(f"http://{self.address}/-/healthy").status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """Ends it as a machine that loses its power would."""
        self._exporter.popen.kill()
        self.killed_at.append(time.time())
        self._running.close()


class BucketAdder:
    """What other exporters do: asks each second for the newest bucket of a second, and adds it up in memory, but not
    while the replica that it stands beside is down. `added` is everything that it ever added, as if Prometheus had
    missed nothing of it."""

    def __init__(self, insights: Simulator, environment_id: str, beside: Replica) -> None:
        self.added = 0
        self._insights, self._environment_id, self._beside = insights, environment_id, beside
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._began = int(time.time())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._ended = int(time.time())

    def lost(self, made: Made) -> float:
        """The share that it did not add, once it is stopped, of all buckets that it could have asked for."""
        return 1 - self.added / made.between(self._began - 1, self._ended - 1)

    def _run(self) -> None:
        organization = self._insights.model.organizations[0]
        data = {"orgId": organization.uuid, "environmentId": self._environment_id, "tenant": "carbon.super"}
        document = "query ($f: TimeFilter!, $d: DataFilter!) { getTotalTraffic(filter: $f, dataFilter: $d) }"
        with http_client(headers={"authorization": f"Bearer {access_token(self._insights)}"}) as http:
            second = self._began
            while not self._stopped.wait(max(second + 1 - time.time(), 0)):
                second = max(second + 1, int(time.time()))  # never the same again, should it wake a little early
                end = second - 1  # what is later than a second is lost to it
                if self._beside.serves():
                    variables = {"f": {"from": iso(end - 1), "to": iso(end)}, "d": data}
                    answer = http.post(self._insights.url, json={"query": document, "variables": variables}).json()
                    self.added += answer["data"]["getTotalTraffic"]


def iso(seconds: float) -> str:
    """ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


@dataclass(frozen=True)
class Sample:
    """What Prometheus has of one scrape, and until which second it counts; `of_period` is the number of its period."""

    at: float
    value: int
    end: int

    @property
    def of_period(self) -> int:
        """A period's full total, at its end, is still its own."""
        return (self.end - 1) // PERIOD_SECONDS


class Made:
    """How many requests were made, second by second."""

    def __init__(self, insights: Simulator, environment_id: str, start: int, end: int) -> None:
        requests = insights.model.requests(environment_id, "carbon.super", start, end)
        self._of_second = Counter(request.time_ms // 1000 for request in requests)

    def between(self, start: int, end: int) -> int:
        """From start to before end."""
        return sum(self._of_second[second] for second in range(start, end))

    def shown(self, at: float, value: float) -> Sample:
        """The sample of a counter that is a function of time: what was made from the start of a period to a moment of
        the last seconds. Fails where it is anything else."""
        latest = int(at + SCRAPE_SECONDS) - DELAY_SECONDS
        for end in range(latest, latest - 20, -1):
            if self.between((end - 1) // PERIOD_SECONDS * PERIOD_SECONDS, end) == value:
                return Sample(at, int(value), end)
        raise AssertionError(f"{value} at {at} is not what was made from the start of a period")


@dataclass(frozen=True)
class Sum:
    """What Prometheus adds up, what was made meanwhile, and what of that is not in any sample."""

    total: int
    made: int
    missing: int


def sum_of(samples: list[Sample], made: Made, killed_at: list[float]) -> Sum:
    """The sum that functions of Prometheus make of a counter with resets. Fails where the end of a period is not among
    the samples although the replica was up and scraped all the time that it stood."""
    total = missing = 0
    for before, after in pairwise(samples):
        reset = after.value < before.value
        total += after.value if reset else after.value - before.value
        if before.of_period != after.of_period:
            unseen = made.between(before.end, after.of_period * PERIOD_SECONDS)
            was_down = any(before.at <= at <= after.at for at in killed_at)
            assert unseen == 0 or was_down or after.at - before.at > INTERVAL_SECONDS, (before, after)
            missing += unseen + (0 if reset else before.value)  # down for so long that the new total is the larger
    return Sum(total, made.between(samples[0].end, samples[-1].end), missing)


def scraped(prometheus: Prometheus, selector: str) -> list[tuple[float, float]]:
    """All samples of one series, each with its time."""
    answer = get(f"{prometheus.url}/api/v1/query", params={"query": f"{selector}[10m]"}).json()
    (series,) = answer["data"]["result"]
    return [(at, float(value)) for at, value in series["values"]]


@pytest.mark.parametrize(
    ("kills", "periods"),
    [
        pytest.param(5, 2, marks=pytest.mark.timeout(300)),
        pytest.param(52, 10, marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ],
)
def test_kills_lose_nothing_but_what_fell_into_the_end_of_a_period(
    kills: int, periods: int, start_insights: StartInsights, tmp_path: Path
) -> None:
    """Two replicas are killed at random moments, and data comes late: what Prometheus adds up is what was made, less
    what was made between a replica's last scrape and the end of a period at which it was down. Every sample, of either,
    is the same function of time. An adder of buckets that is killed as often as the first loses more."""
    insights = start_insights(LATE)
    environment_id = insights.model.organizations[0].environments[0].id
    config = tmp_path / "config.yaml"
    config.write_text(choreo_source() + ENVIRONMENTS + COUNTER)
    replicas = [Replica(config, choreo_environ(insights)) for _ in range(2)]
    targets = {"static_configs": [{"targets": [replica.address for replica in replicas]}]}
    chance = random.Random(7)
    with ExitStack() as started:
        for replica in replicas:
            started.enter_context(replica)
        prometheus = started.enter_context(Prometheus(tmp_path, "", scrape=targets))
        counters = [
            f'choreo_requests_total{{instance="{replica.address}",environment_id="{environment_id}"}}'
            for replica in replicas
        ]
        eventually(lambda: all(map(prometheus.query, counters)), "scrapes of both", 60)
        began = int(time.time())
        adder = started.enter_context(BucketAdder(insights, environment_id, replicas[0]))
        while kills > 0 or time.time() - began < (periods + 1) * PERIOD_SECONDS:
            time.sleep(chance.uniform(0.2, 3))  # the random moment
            victim = chance.choice(replicas)
            if kills > 0 and victim.serves():
                victim.kill()
                victim.start()
                kills -= 1
        eventually(lambda: all(map(prometheus.query, counters)), "scrapes of both, again", 60)
        made = Made(insights, environment_id, began - 120, int(time.time()))
        sums = []
        for replica, counter in zip(replicas, counters, strict=True):
            samples = [made.shown(at, value) for at, value in scraped(prometheus, counter)]
            sums.append(sum_of(samples, made, replica.killed_at))
            assert sums[-1].total == sums[-1].made - sums[-1].missing
            assert samples[-1].of_period - samples[0].of_period >= periods
            seconds = samples[-1].at - samples[0].at
            over = f"increase({counter}[{seconds * 1000 + 500:.0f}ms])"
            ((_, increase),) = prometheus.query(over, samples[-1].at + 0.25)
            # increase() goes on to the edges of its range, by an interval of a second or two at most
            assert sums[-1].total <= increase + 1e-6 <= sums[-1].total * (1 + 4 / seconds)
    # a tenth is late; what it loses more depends on what it is killed beside
    assert adder.lost(made) > 0.05, sums

"""Several exporters share the polling of one configuration, and a real Prometheus joins them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter.simulator import Simulator
from tests.choreo.test_names_and_pages import LOOKUPS, RESOURCES, SLOWEST
from tests.faults.configuration import query, source_of, written
from tests.support.configurations import APIS, ENVIRONMENTS, choreo_environ, choreo_source, fan_out
from tests.support.processes import Exporter, Prometheus, eventually
from tests.support.upstream import Upstream

SHARDS = 4
OWN = re.compile(r"insights_exporter_|process_|python_")
QUERIES = re.sub(  # windows that do not move while the test looks at two exporters, one after the other
    r"align: 1m", "align: 1d", ENVIRONMENTS + fan_out(40, "10s") + APIS + RESOURCES + SLOWEST + LOOKUPS
)
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


def polled_series(exporter: Exporter) -> Series:
    """What it publishes, without its own metrics."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exporter.page())
        for sample in family.samples
        if not OWN.match(sample.name)
    }


def all_up(exporter: Exporter) -> bool:
    """Whether the last poll of every query succeeded."""
    return {value for _, value in exporter.samples("insights_exporter_query_up")} == {1.0}


def test_the_union_of_the_shards_is_the_whole(insights: Simulator, stack: ExitStack, tmp_path: Path) -> None:
    """Four shards publish together what one exporter publishes alone, with the same names, zeros and values; Prometheus
    has no series twice, and each shard polls a part."""
    config = tmp_path / "config.yaml"
    config.write_text(choreo_source() + QUERIES)
    started = [
        stack.enter_context(Exporter(config, tmp_path / f"{number}.log", *flags, environ=choreo_environ(insights)))
        for number, flags in enumerate([(), *((f"--shard={index}", f"--shards={SHARDS}") for index in range(SHARDS))])
    ]
    for exporter in started:
        exporter.wait_until_ready()
    alone, *shards = started

    def agree() -> bool:
        whole, parts = polled_series(alone), [polled_series(shard) for shard in shards]
        counts = Counter(series for part in parts for series in part)
        return whole == {series: part[series] for part in parts for series in part} and set(counts.values()) == {1}

    eventually(agree, "agreement", 60)
    whole = polled_series(alone)
    assert len(whole) > 100
    for index, shard in enumerate(shards):
        assert 0 < len(polled_series(shard)) < len(whole) / 2
        assert shard.value("insights_exporter_shard") == index
        assert shard.value("insights_exporter_shards") == SHARDS
        eventually(partial(all_up, shard), "success")
    addresses = [f"127.0.0.1:{shard.port}" for shard in shards]
    scrape = {"static_configs": [{"targets": addresses}]}
    prometheus = stack.enter_context(Prometheus(tmp_path, addresses[0], scrape=scrape))
    names = Counter(name for name, _ in whole)
    every = f'{{__name__=~"{"|".join(names)}"}}'
    eventually(lambda: len(prometheus.query(every)) == len(whole), "all series in Prometheus")
    once = {f"count(count without (instance) ({name}))": count for name, count in names.items()}
    eventually(lambda: all(prometheus.query(expr) == [({}, once[expr])] for expr in once), "each series once")


def test_sources_are_split_too(upstream: Upstream, stack: ExitStack, tmp_path: Path) -> None:
    """Each source's query is polled by one shard; the others fetch no token for it, and say nothing of it."""
    names = [f"s{number}" for number in range(12)]
    config = written(
        tmp_path / "config.yaml", [source_of(upstream, name, client_id=name) for name in names], [query("value", "30d")]
    )
    shards = [
        stack.enter_context(
            Exporter(
                config,
                tmp_path / f"{index}.log",
                f"--shard={index}",
                "--shards=3",
                environ={"CANARY_SECRET": "correct-horse-battery"},
            )
        ).wait_until_ready()
        for index in range(3)
    ]
    assert len(upstream.token.journal) == len(names)
    assert len(upstream.api.journal) == len(names)
    for metric in ("value", "insights_exporter_query_up", "insights_exporter_token_valid"):
        label = "of" if metric == "value" else "source"
        assert sorted(found[label] for shard in shards for found, _ in shard.samples(metric)) == sorted(names), metric

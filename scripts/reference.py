"""Writes what says the same as the code, for readers and editors: `make docs`.

    exporter/config/config.schema.json   the JSON Schema of the configuration
    docs/configuration.md                the tables of keys, between `<!-- keys of … -->` and `<!-- end of keys -->`
    docs/metrics.md                      the exporter's own metrics and those of the catalogue

With `--check` it writes nothing, and ends with 1, naming them, if files are not what it would write.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import yaml
from config_reference import Key, json_schema, keys, sections
from generated import written

from exporter.config.include import catalogue_names
from exporter.config.load import load
from exporter.model.samples import Family
from exporter.plan.plan import Plan
from exporter.plan.planner import plan
from exporter.polling.polling import Polling
from exporter.polling.shard import Shard
from exporter.telemetry.metrics import Telemetry, WebFigures
from exporter.telemetry.reload_status import ReloadStatus
from exporter.telemetry.reporter import Reporter

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
SCHEMA: Final = ROOT / "exporter" / "config" / "config.schema.json"
CATALOGUE: Final = ROOT / "exporter" / "choreo" / "catalogue"
TABLE: Final = re.compile(r"(?<=<!-- keys of )(\w+)( -->\n).*?(?=<!-- end of keys -->)", re.DOTALL)
SOURCE: Final = """
sources:
  - name: choreo
    url: https://localhost
    schema: choreo
    labels: {organization: acme}
    values: {org_id: acme}
    secret_values: {on_prem_key: {env: NONE}}
"""

HEAD: Final = "| key | type | meaning | default | example |\n| --- | --- | --- | --- | --- |\n"

METRICS: Final = """\
# Metrics

<!-- Written by scripts/reference.py (`make docs`); change the texts in the code, or those there. -->

## The exporter's own

Their names begin with `insights_exporter_`. The labels `source` and `query` are names of the configuration; `reason`
has a fixed set of values ([troubleshooting](troubleshooting.md)). There are also the usual `process_…` and `python_…`.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
{own}

`query_up` is 0 before the first poll and after stale figures were dropped. A new target counts from its first poll. A
query without targets has the value of the query whose rows are its targets.

Some metrics exist only with a setting: `token_…` for sources with `oauth2`, `rate_limit_demand_ratio` with
`rate_limit`, `query_pack_size` for queries with `pack`, `query_window_…` with `window`, `query_period_…` with `period`,
`web_config_…` with `--web.config.file`, `shard` and `shards` with `--shards`.

## Those of Choreo Insights

By group of `include` ([configuration](configuration.md)). Every series also has the labels of its source, such as
`organization`. [The operations](choreo-operations.md) lists the API's operation for each metric.

In OpenMetrics each counter also has the [start of its period](configuration.md#when-a-counter-began), such as
`choreo_requests_created`.
"""
GROUP: Final = """
### `{name}`

| metric | type | labels | meaning |
| --- | --- | --- | --- |
{rows}
"""


def key_row(key: Key) -> str:
    """A key as a row of a table."""
    default = "required" if key.required else f"`{key.default}`" if key.default else ""
    return f"| `{key.name}` | {key.type} | {key.meaning.removesuffix('.')} | {default} | `{key.example}` |\n"


def configuration(text: str) -> str:
    """The reference with its tables made anew."""

    by_name = {section.__name__: section for section in sections()}

    def table(match: re.Match[str]) -> str:
        rows = "".join(key_row(key) for key in keys(by_name[match[1]]))
        return f"{match[1]}{match[2]}\n{HEAD}{rows}\n"

    return TABLE.sub(table, text)


def metric_row(name: str, kind: str, labels: Iterable[str], text: str) -> str:
    """A metric as a row of a table."""
    return f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |"


def catalogue_plan() -> Plan:
    """The plan of all that is shipped."""
    file = ROOT / "build" / "catalogue.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"{SOURCE}\ninclude: [{', '.join(catalogue_names())}]\n", "utf-8")
    return plan(load(file, {}))


def own_rows(whole: Plan) -> Iterator[str]:
    """The exporter's own metrics, as telemetry names them, those of special set-ups too."""
    reporter, status = Reporter(), ReloadStatus()
    polling, web = Polling(whole, reporter, Shard(0, 2)), WebFigures({}, lambda: 0, status)
    for metric in Telemetry(polling, reporter.counts, status, web, task_count=lambda: 1).collect():
        family = metric.family
        yield metric_row(family.name, family.type, family.label_names, family.help)


def group_rows(name: str, whole: Plan) -> Iterator[str]:
    """The metrics that the queries of a group publish."""
    text = (CATALOGUE / f"{name.removeprefix('choreo/')}.yaml").read_text("utf-8")
    written = {query["name"] for query in yaml.safe_load(text)["queries"]}
    families: dict[str, Family] = {
        metric.family.name: metric.family
        for query in whole.queries
        if query.name in written
        for metric in query.metrics
    }
    for family in families.values():
        labels = (label for label in family.label_names if label != "organization")
        yield metric_row(family.name, family.type, labels, family.help)


def metrics() -> str:
    """The reference of all metrics."""
    whole = catalogue_plan()
    groups = (
        GROUP.format(name=name, rows="\n".join(rows))
        for name in catalogue_names()
        if (rows := list(group_rows(name, whole)))
    )
    return METRICS.format(own="\n".join(own_rows(whole))) + "".join(groups)


def texts() -> dict[Path, str | None]:
    """What the files are to say."""
    reference = DOCS / "configuration.md"
    return {
        SCHEMA: json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
        reference: configuration(reference.read_text("utf-8")),
        DOCS / "metrics.md": metrics(),
    }


if __name__ == "__main__":
    sys.exit(written(texts(), "make docs"))

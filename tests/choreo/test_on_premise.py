"""What needs an on-premise key: as an argument beside everything else, and as the only credential."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.support.configurations import ROOT, choreo_environ, choreo_source
from tests.support.processes import Exporter, eventually

EXAMPLE = ROOT / "docs" / "examples" / "choreo-on-premise" / "config.yaml"
WITH_KEY = choreo_source("secret_values: {on_prem_key: {env: CHOREO_ON_PREM_KEY}}").removesuffix("queries:")


def publishes_the_successes(exporter: Exporter, insights: Simulator) -> None:
    """Waits until window and counter are the model's successful requests to on-premise environments."""
    organization = insights.model.organizations[0]
    on_premises = organization.environment("On-Premises")

    def counted(start: float, end: float) -> Counter[tuple[str, str, str]]:
        return Counter(
            (tenant, request.api.name, request.application.id)
            for tenant in organization.tenants
            for request in insights.model.requests(on_premises.id, tenant, start, end)
            if not request.failed
        )

    def shown(name: str) -> dict[tuple[str, str, str], float]:
        samples = exporter.samples(name, organization=organization.handle)
        return {(labels["tenant"], labels["api"], labels["application_id"]): value for labels, value in samples}

    def agrees() -> bool:
        end = exporter.value("insights_exporter_query_window_end_timestamp_seconds", query="on_premise_usage") or 0.0
        midnight = (end - 1) // 86_400 * 86_400
        window = shown("choreo_window_on_premise_successful_requests")
        total = shown("choreo_on_premise_successful_requests_total")
        return bool(window) and window == counted(end - 300, end) and total == counted(midnight, end)

    eventually(agrees, "agreement with the model")


def test_the_key_as_an_argument(insights: Simulator, start_exporter: StartExporter) -> None:
    """One line of `include` and a secret value publish what needs the key, and the key stays secret."""
    exporter = start_exporter(insights, "include: [choreo/on_premise]\n", source=WITH_KEY).wait_until_ready()
    publishes_the_successes(exporter, insights)
    assert insights.settings.on_prem_key not in exporter.log + exporter.page()


def test_the_key_as_the_only_credential(insights: Simulator, tmp_path: Path) -> None:
    """Without an application, the key as the Authorization header publishes the same; no token is asked for."""
    with Exporter(EXAMPLE, tmp_path / "log", environ=choreo_environ(insights)) as exporter:
        publishes_the_successes(exporter.wait_until_ready(), insights)
        assert not [entry for entry in insights.journal.entries() if entry.kind == "token"]
        assert insights.settings.on_prem_key not in exporter.log + exporter.page()


def test_a_wrong_key_is_a_failed_query(insights: Simulator, start_exporter: StartExporter, tmp_path: Path) -> None:
    """A key that Choreo does not take leaves the query down, the reason counted, and is itself not shown."""
    (tmp_path / "key").write_text("not-the-demo-key")
    source = WITH_KEY.replace("{env: CHOREO_ON_PREM_KEY}", "{file: key}")
    exporter = start_exporter(insights, "include: [choreo/on_premise]\n", source=source).wait_until_ready()
    assert exporter.value("insights_exporter_query_up", query="on_premise_usage") == 0
    assert (exporter.value("insights_exporter_poll_failures_total", reason="graphql") or 0) >= 1, exporter.page()
    assert "not-the-demo-key" not in exporter.log + exporter.page()

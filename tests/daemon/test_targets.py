"""Many APIs of one kind, named by files: the running program, over real sockets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.processes import Exporter, eventually
from tests.support.upstream import Call, Upstream, answer, status

CONFIG = """
sources:
  - name: shop
    file_sd_configs: [{files: [targets/*.json]}]
    authorization: {credentials_file: "{{ target.__secret }}"}
queries:
  - name: open
    interval: 20s
    document: "{ value }"
    metrics: [{name: shop_open, help: Open orders., value: value}]
"""


def knows(token: str, value: int) -> object:
    async def behaviour(call: Call) -> None:
        good = call.request.bearer == token
        await (answer({"data": {"value": value}}) if good else status(403))(call)

    return behaviour


@pytest.fixture
def shops() -> Iterator[dict[str, Upstream]]:
    with ExitStack() as stack:
        found = {name: stack.enter_context(Upstream()) for name in ("bern", "zug")}
        for number, (name, upstream) in enumerate(found.items(), 1):
            upstream.api.always(knows(f"token-of-{name}", number))  # type: ignore[arg-type]
        yield found


def targets(shops: dict[str, Upstream], *names: str) -> str:
    return json.dumps(
        [{"targets": [shops[name].api_url], "labels": {"shop": name, "__secret": f"{name}.token"}} for name in names]
    )


def test_targets_come_and_go_with_their_file(tmp_path: Path, shops: dict[str, Upstream]) -> None:
    """Each target has its own credentials and label. A changed file is followed without a flag; a faulty one changes
    nothing, and says so, as does a folder that cannot be reached."""
    for name in shops:
        (tmp_path / f"{name}.token").write_text(f"token-of-{name}\n")
    folder = tmp_path / "targets"
    folder.mkdir()
    file = folder / "shops.json"
    file.write_text(targets(shops, "bern"))
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG)
    with Exporter(config, tmp_path / "log") as exporter:
        exporter.wait_until_ready()

        def published() -> dict[str, float]:
            return {labels["shop"]: value for labels, value in exporter.samples("shop_open")}

        eventually(lambda: published() == {"bern": 1}, f"one shop; the log is: {exporter.log}")
        token = (tmp_path / "zug.token").rename(tmp_path / "later")
        file.write_text(targets(shops, "bern", "zug"))
        eventually(lambda: "zug.token" in exporter.log, "the token that is not there yet in the log")
        token.rename(tmp_path / "zug.token")
        eventually(lambda: published() == {"bern": 1, "zug": 2}, "both shops")
        eventually(lambda: exporter.value("insights_exporter_query_up", source="shop-zug") == 1, "its own metrics")
        hidden = folder.rename(tmp_path / "hidden")
        folder.symlink_to("x" * 300)  # what is there cannot be reached, for root neither
        eventually(lambda: "no file has that name" in exporter.log, "the folder that cannot be reached in the log")
        assert published() == {"bern": 1, "zug": 2}
        folder.unlink()
        hidden.rename(folder)
        file.write_text("[{")
        eventually(lambda: "shops.json" in exporter.log, "the faulty file in the log")
        assert published() == {"bern": 1, "zug": 2}
        file.unlink()
        (folder / "other.json").write_text(targets(shops, "zug"))
        eventually(lambda: published() == {"zug": 2}, "the shop that is left")
        assert exporter.value("insights_exporter_poll_failures_total") is None

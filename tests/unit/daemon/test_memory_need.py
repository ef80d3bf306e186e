"""Limits that do not fit into the memory are told before they are met."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.config.load import load
from exporter.daemon.memory_need import memory_limit, memory_warnings

MIB = 2**20
CONFIG = """\
sources:
  - {name: acme, url: "https://api.example/graphql", max_body_size: 8MiB}
  - {name: other, url: "https://api.example/graphql"}
queries:
  - {name: orders, document: "{ open }", metrics: [{name: shop_open_orders, help: Orders., value: open}]}
"""


def told(folder: Path, text: str, limit_bytes: int | None) -> list[str]:
    file = folder / "c.yaml"
    file.write_text(text)
    return [str(problem).removeprefix(f"{file}:") for problem in memory_warnings(load(file, {}), limit_bytes)]


def test_the_defaults_fit_into_what_the_manifests_give(tmp_path: Path) -> None:
    """256 MiB are enough for all series and the largest answer that are allowed unless more is written."""
    assert told(tmp_path, CONFIG, 256 * MIB) == []
    assert told(tmp_path, CONFIG, None) == []


def test_limits_that_do_not_fit_are_told_with_their_sum(tmp_path: Path) -> None:
    """Larger answers, more series or less memory: what may be needed, and what there is."""
    remedy = "; write smaller ones, or raise the limit"
    assert told(tmp_path, CONFIG.replace("8MiB", "32MiB"), 256 * MIB) == [
        "1: max_series: max_series (200000) and an answer of max_body_size (32 MiB) may take 421 MiB together,"
        f" and the limit of memory is 256 MiB{remedy}"
    ]
    assert told(tmp_path, f"{CONFIG}max_series: 400000\n", 256 * MIB) == [
        "6: max_series: max_series (400000) and an answer of max_body_size (8 MiB) may take 320 MiB together,"
        f" and the limit of memory is 256 MiB{remedy}"
    ]
    assert len(told(tmp_path, CONFIG, 128 * MIB)) == 1
    assert told(tmp_path, f"{CONFIG}max_series: 1000\n", 160 * MIB) == []


@pytest.mark.parametrize(
    ("file", "text", "limit"),
    [
        ("memory.max", "268435456\n", 256 * MIB),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "268435456\n", 256 * MIB),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
        ("another", "1\n", None),
    ],
)
def test_the_limit_is_that_of_the_container(file: str, text: str, limit: int | None, tmp_path: Path) -> None:
    """As control groups of both versions say it."""
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(text)
    assert memory_limit(tmp_path) == limit


@pytest.mark.parametrize(
    ("own", "files", "limit"),
    [
        ("0::/system.slice/exporter.service\n", {"system.slice/exporter.service/memory.max": "300"}, 300),
        ("0::/a/b\n", {"a/memory.max": "200", "a/b/memory.max": "max", "memory.max": "900"}, 200),
        ("0::/a/b\n", {"a/memory.max": "200", "a/b/memory.max": "100"}, 100),
        ("0::/a\n", {"another/memory.max": "100"}, None),
        ("0::/\n", {"memory.max": "700"}, 700),
        ("0::/../../a\n", {"memory.max": "700"}, 700),
        ("4:cpu,memory:/docker/x\n0::/\n", {"memory/docker/x/memory.limit_in_bytes": "400"}, 400),
        ("4:memory:/docker/x\n", {"memory/memory.limit_in_bytes": "500"}, 500),
        ("4:cpu:/x\n0::/y\n", {"memory/x/memory.limit_in_bytes": "1", "unified/y/memory.max": "600"}, 600),
        ("nonsense", {"memory.max": "700"}, 700),
    ],
)
def test_the_limit_is_that_of_the_own_group_and_of_those_around(
    own: str, files: dict[str, str], limit: int | None, tmp_path: Path
) -> None:
    """As under systemd's MemoryMax, or in a container that sees the groups of its host."""
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert memory_limit(tmp_path, tmp_path / "own") == limit

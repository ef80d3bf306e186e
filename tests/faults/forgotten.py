"""Row 104 in a network of its own: a firewall forgets kept connections, without a word to either end.

`unshare --net python -m tests.faults.forgotten FOLDER`, by root or with `--map-root-user`. It ends with 1 and the
reason where more than one poll failed, or where none succeeded afterwards.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.configuration import query, source_of, written
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, Snapshot, eventually
from tests.support.upstream import Upstream

INTERVAL = "5s"
QUERIES = [f"query_{number}" for number in range(5)]


def main(folder: Path) -> None:
    """Runs the row. Raises `AssertionError`."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with Upstream() as upstream:
        config = written(
            folder / "config.yaml",
            [source_of(upstream)],
            [query(name, INTERVAL, timeout="2s" if name == QUERIES[0] else "5s") for name in QUERIES],
        )
        with Exporter(config, folder / "log", environ={"CANARY_SECRET": "canary"}) as exporter:
            exporter.wait_until_ready()
            eventually(lambda: exporter.value(f"{OWN}query_up") == len(QUERIES), "good start")
            _forget(upstream)
            before = _polls(exporter)
            eventually(
                lambda: all(made > before[name] + 3 for name, made in _polls(exporter).items()), "polls of every query"
            )
            eventually(lambda: exporter.value(f"{OWN}query_up") == len(QUERIES), "recovery")
            for name in QUERIES:
                failed = exporter.value(f"{OWN}poll_failures_total", query=name) or 0
                assert failed <= 1, f"{failed:g} polls of {name} failed: {exporter.log}"


def _polls(exporter: Exporter) -> dict[str, float]:
    page = Snapshot(exporter.page())
    return {name: page.total(f"{OWN}polls_total", query=name) for name in QUERIES}


def _forget(upstream: Upstream) -> None:
    """Drops what is sent over each connection that there is now, in both directions."""
    port = f"{upstream.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    clients = [int(remote.partition(":")[2], 16) for _, local, remote, state, *_ in lines
               if local.endswith(f":{port}") and state == "01"]  # fmt: skip
    assert clients, "no connection to forget"
    for client in clients:
        for side, other in (("--sport", "--dport"), ("--dport", "--sport")):
            ports = [side, str(client), other, str(upstream.port)]
            subprocess.run(["iptables", "-A", "INPUT", "-p", "tcp", *ports, "-j", "DROP"], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

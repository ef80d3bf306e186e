"""A file becomes a configuration: variables, defaults, relative paths, and all faults at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from exporter.config.load import Loaded, load
from exporter.model.errors import ConfigError
from exporter.model.secret import Secret

QUERIES = """
queries:
  - name: calls
    document: "{ calls }"
    metrics: [{name: calls, help: Calls., value: calls}]
"""


def loaded(folder: Path, source: str, environ: dict[str, str] | None = None, queries: str = QUERIES) -> Loaded:
    file = folder / "c.yaml"
    file.write_text(f"sources:\n  - name: acme\n    url: https://api.example/graphql\n{source}{queries}", "utf-8")
    return load(file, environ or {})


def test_defaults_are_those_of_the_reference(tmp_path: Path) -> None:
    """What is not written is as documented: every minute, ten seconds, ten calls at once, 32 MiB."""
    config = loaded(tmp_path, "").config
    query, source = config.queries[0], config.sources[0]
    assert (query.interval, query.timeout_seconds, query.stale_after_seconds) == (timedelta(minutes=1), 10.0, 600.0)
    assert (query.max_calls, query.max_series, config.max_series) == (1000, 20_000, 200_000)
    assert (source.concurrency, source.max_body_size) == (10, 8 * 2**20)


def test_variables_are_replaced_inside_scalars(tmp_path: Path) -> None:
    """`${NAME}`, a default, and a literal `${` written `$${`; the values cannot change the YAML around them."""
    environ = {"A": "x: [y", "EMPTY": ""}
    found = loaded(
        tmp_path, '    values: {a: "<${A}>", b: "${B:-}", c: "${EMPTY:-d}", d: "$${A}", e: "${A}${A}"}\n', environ
    )
    assert found.config.sources[0].values == {"a": "<x: [y>", "b": "", "c": "d", "d": "${A}", "e": "x: [yx: [y"}
    assert not found.unmet
    assert not found.problems


def test_a_value_from_the_environment_is_not_replaced_again(tmp_path: Path) -> None:
    """A secret that happens to contain `${X}` is used as it is."""
    found = loaded(tmp_path, '    authorization: {credentials: "${A}"}\n', {"A": "${B}", "B": "no"})
    authorization = found.config.sources[0].authorization
    assert authorization is not None
    assert authorization.secret.reveal() == "${B}"


def test_unset_variables_are_told_and_nothing_else_is_said_of_them(tmp_path: Path) -> None:
    """A check on a machine without the variables warns about these, and not about the keys that need them."""
    found = loaded(tmp_path, '    proxy_url: "${PROXY}"\n    concurrency: "${CALLS}"\n')
    assert not found.problems
    assert [problem.key for problem in found.unmet] == ["sources[0].proxy_url", "sources[0].concurrency"]
    assert "PROXY is unset" in found.unmet[0].wrong


def test_numbers_can_come_from_the_environment(tmp_path: Path) -> None:
    """A count or a switch is read from text, as variables are text."""
    source = '    concurrency: "${N}"\n    tls_config: {insecure_skip_verify: "${SKIP}"}\n'
    found = loaded(tmp_path, source, {"N": "3", "SKIP": "true"})
    assert found.config.sources[0].concurrency == 3
    assert found.config.sources[0].tls_config.insecure_skip_verify is True


def test_relative_files_stand_beside_the_configuration(tmp_path: Path) -> None:
    """As in Prometheus, files are looked for from the configuration's folder, wherever the program runs."""
    source = (
        "    basic_auth: {username: a, password_file: pw}\n"
        "    secret_values: {key: {file: keys/k}, abs: {file: /run/k}, env: {env: KEY}}\n"
    )
    found = loaded(tmp_path, source).config.sources[0]
    assert found.basic_auth is not None
    assert found.basic_auth.secret == Secret(file=tmp_path / "pw")
    assert found.secret_values == {
        "key": Secret(file=tmp_path / "keys/k"), "abs": Secret(file=Path("/run/k")), "env": Secret(env="KEY")
    }  # fmt: skip


def test_secrets_are_not_shown_in_a_printed_configuration(tmp_path: Path) -> None:
    """Neither a repr nor a dump of the configuration shows a secret."""
    source = (
        "    oauth2: {token_url: https://sts.example/, client_id: a, client_secret: hunter2}\n"
        "    http_headers: {X-Key: hunter2}\n"
    )
    config = loaded(tmp_path, source).config
    assert "hunter2" not in repr(config)
    assert "hunter2" not in config.sources[0].model_dump_json()
    assert "<secret>" in config.sources[0].model_dump_json()


@pytest.mark.parametrize("source", ["    authorization: {credentials: [hunter2]}\n", "    basic_auth: hunter2\n",
                                    "    http_headers: {X-Key: {hunter2: hunter2}}\n",
                                    "    url2: hunter2\n",
                                    '    authorization: {credentials: "${hunter2!}"}\n',
                                    "    concurrency: hunter2\n    proxy_url: hunter2\n"])  # fmt: skip
def test_no_fault_quotes_a_value(tmp_path: Path, source: str) -> None:
    """A secret at a wrong place does not get into the log with the error about it."""
    found = loaded(tmp_path, source)
    assert found.problems
    assert "hunter2" not in "".join(map(str, found.problems))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """A missing file, a folder without files, and a file in another encoding are told apart."""
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory; name a file"):
        load(tmp_path / "none.yaml", {})
    with pytest.raises(
        ConfigError, match=r"the folder has no file whose name ends in \.yaml or \.yml; write one there"
    ):
        load(tmp_path, {})
    (tmp_path / "latin.yaml").write_bytes(b"# \xe4")
    with pytest.raises(ConfigError, match=r"not UTF-8 \(byte 2\); save it as UTF-8"):
        load(tmp_path / "latin.yaml", {})


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """Files that Windows editors save can be read."""
    file = tmp_path / "c.yaml"
    file.write_text("sources: [{name: a, url: https://a.example/}]" + QUERIES, "utf-8-sig")
    assert not load(file, {}).problems


def test_missing_sections_are_said(tmp_path: Path) -> None:
    """An unfinished file is told what it lacks."""
    file = tmp_path / "c.yaml"
    file.write_text("max_series: 5\n")
    assert [str(problem) for problem in load(file, {}).problems] == [
        f"{file}:1: the section sources is missing; add sources:",
        f"{file}:1: the section queries is missing; add queries:, or include: with queries that are ready",
    ]

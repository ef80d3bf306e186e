"""Secrets are used, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.model.errors import Reason, SecretUnreadable
from exporter.model.secret import Secret

HIDDEN = "hunter2-hunter2"


def test_a_secret_is_never_printed() -> None:
    """A forgotten f-string, a repr or a format leaks nothing."""
    secret = Secret(inline=HIDDEN)
    assert f"{secret}" == "<secret>"
    assert HIDDEN not in f"{secret!r} {secret!s} {[secret]} {secret:}"
    assert secret.reveal() == HIDDEN


def test_a_secret_file_is_read_again_at_each_use(tmp_path: Path) -> None:
    """A rotated secret file works without a restart; its line end is not part of the secret."""
    file = tmp_path / "secret"
    secret = Secret(file=file)
    file.write_text("first\n")
    assert secret.reveal() == "first"
    file.write_text("second\r\n")
    assert secret.reveal() == "second"


def test_a_secret_comes_from_the_environment_at_each_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """`{env: NAME}` is read when it is used."""
    secret = Secret(env="INSIGHTS_TEST_SECRET")
    monkeypatch.setenv("INSIGHTS_TEST_SECRET", HIDDEN)
    assert secret.reveal() == HIDDEN
    monkeypatch.setenv("INSIGHTS_TEST_SECRET", "")
    with pytest.raises(SecretUnreadable, match="INSIGHTS_TEST_SECRET is unset or empty") as failure:
        secret.reveal()
    assert failure.value.reason is Reason.SECRET


def test_a_secret_file_that_is_missing_or_empty_is_said_by_its_path(tmp_path: Path) -> None:
    """The message names the file and what is wrong with it, not its content."""
    file = tmp_path / "secret"
    with pytest.raises(SecretUnreadable, match=rf"cannot read {file}: No such file"):
        Secret(file=file).reveal()
    file.write_text(" \n")
    with pytest.raises(SecretUnreadable, match=rf"{file} is empty"):
        Secret(file=file).reveal()
    file.write_bytes(b"\xff\xfe" + HIDDEN.encode())
    with pytest.raises(SecretUnreadable, match=rf"cannot read {file}: not UTF-8") as failure:
        Secret(file=file).reveal()
    assert HIDDEN not in failure.value.detail


@pytest.mark.parametrize("text", ["hunter2\n", "hunter2\r\n", "\ufeffhunter2", "\ufeffhunter2\n\n"])
def test_what_editors_and_shells_leave_is_no_part_of_a_secret(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line end or a byte-order mark around a secret is not sent, wherever the secret comes from."""
    file = tmp_path / "secret"
    file.write_text(text, encoding="utf-8", newline="")
    monkeypatch.setenv("INSIGHTS_TEST_SECRET", text)
    for secret in (Secret(file=file), Secret(env="INSIGHTS_TEST_SECRET"), Secret(inline=text)):
        assert secret.reveal() == "hunter2"


def test_a_secret_with_a_nul_is_refused_in_words(tmp_path: Path) -> None:
    """A file that is no text is not sent as a secret; the message does not quote it."""
    file = tmp_path / "secret"
    file.write_bytes(b"hunter2\0")
    with pytest.raises(SecretUnreadable, match=rf"{file} is no text: it has a NUL character") as failure:
        Secret(file=file).reveal()
    assert "hunter2" not in failure.value.detail


def test_a_secret_of_the_environment_that_is_not_utf_8_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no text are refused before anything is sent."""
    monkeypatch.setenv("INSIGHTS_TEST_SECRET", "hunter2\udcff")
    with pytest.raises(SecretUnreadable, match="INSIGHTS_TEST_SECRET is not UTF-8"):
        Secret(env="INSIGHTS_TEST_SECRET").reveal()


def test_a_secret_without_a_source_is_a_failure() -> None:
    """Nothing is never used as a secret."""
    with pytest.raises(SecretUnreadable):
        Secret().reveal()

"""Errors of the system and of TLS: in words, without codes and places of a library's source."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from pathlib import Path

import pytest

from exporter.model.system_errors import os_problem, tls_problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)",
            "certificate verify failed: self-signed certificate",
        ),
        ("[X509] PEM lib (_ssl.c:3900)", "PEM lib"),
        ("bad [record] mac", "bad [record] mac"),
        ("", "the connection was closed during the TLS handshake"),
    ],
)
def test_what_openssl_says_is_left_without_its_codes(text: str, problem: str) -> None:
    """The first code and the last place go; where nothing is said, what happened is."""
    assert tls_problem(ssl.SSLError(1, text)) == problem


def test_an_error_of_openssl_is_read_as_it_comes(tmp_path: Path) -> None:
    """A file that is no certificate is named by what is wrong with it."""
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    with pytest.raises(ssl.SSLError) as failed:
        ssl.create_default_context(cafile=str(file))
    problem = tls_problem(failed.value)
    assert problem
    assert "_ssl.c" not in problem
    assert "[" not in problem


def test_an_error_of_the_system_is_in_its_own_words(tmp_path: Path) -> None:
    """Neither the number nor the file is in it: whoever asked knows the file."""
    with pytest.raises(OSError, match="x") as failed:
        (tmp_path / "x").read_text()
    assert os_problem(failed.value) == os.strerror(errno.ENOENT)


def test_the_words_are_looked_for_in_what_an_error_was_raised_from() -> None:
    """A library's own error says little; the one below it, or the first of several, says what happened."""
    refused = OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 1)")
    caused, met = ValueError("outer"), ValueError("while another was handled")
    caused.__cause__, met.__context__ = refused, refused
    group = ExceptionGroup("both", [refused, OSError(errno.ENOENT, "no file")])
    words = os.strerror(errno.ECONNREFUSED)
    assert [os_problem(error) for error in (caused, met, group)] == [words, words, words]


def test_a_cause_is_asked_before_what_was_handled_meanwhile() -> None:
    """What an error was raised from explains it better than what it interrupted."""
    error = ValueError("outer")
    error.__context__, error.__cause__ = OSError(errno.ENOENT, "no file"), OSError(errno.EACCES, "denied")
    assert os_problem(error) == os.strerror(errno.EACCES)


def test_an_error_of_the_resolver_keeps_its_words() -> None:
    """Its numbers are none of the system's, so that they are not looked up there."""
    error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert os_problem(error) == "Name or service not known"
    assert os_problem(OSError(None, "words alone")) == "words alone"
    assert os_problem(OSError(0, "Error")) == "Error"
    assert os_problem(OSError(errno.EPERM, "no")) == os.strerror(errno.EPERM)


@pytest.mark.parametrize("error", [None, ValueError("x"), OSError("without a number")])
def test_where_nothing_is_known_that_is_said(error: BaseException | None) -> None:
    """A message never ends in nothing."""
    assert os_problem(error) == "no more is known"

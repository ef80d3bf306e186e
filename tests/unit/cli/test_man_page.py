"""The manual page insights-exporter(1)."""

from __future__ import annotations

import shutil
import subprocess

import click
import pytest

from exporter.cli.main import command
from exporter.cli.man_page import man_page
from tests.support.configurations import ROOT


def test_the_page_is_that_of_the_commands() -> None:
    """What comes with the package describes every command and every flag that there is."""
    text = (ROOT / "docs" / "insights-exporter.1").read_text("utf-8")
    assert text == man_page(command, "insights-exporter"), "stale; run make docs"
    for name in ("backfill", "generate files", "token revoke", "verify"):
        assert f'.SS "insights\\-exporter {name} ' in text


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_reads_the_page_without_a_warning() -> None:
    """It can be shown by man(1), also in ASCII."""
    run = subprocess.run(
        ["groff", "-man", "-Tascii", "-ww", "-z", str(ROOT / "docs" / "insights-exporter.1")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_what_roff_would_obey_is_text() -> None:
    """A dot or an apostrophe at the beginning of a line, a backslash and a hyphen are shown as they are."""

    @click.group(help="Reads a-b.\n\n.hidden")
    @click.option("--path", help=r"'quoted' C:\new")
    def program() -> None: ...

    text = man_page(program, "a-b")
    assert "\n\\&'quoted' C:\\enew" in text
    assert "a\\-b" in text
    assert ".hidden" not in text.splitlines()

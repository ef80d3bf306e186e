"""The flags as the running exporter has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.cli.main import command
from exporter.daemon.options import Options
from exporter.model.listen_address import ListenAddress
from exporter.polling.shard import NOT_SPLIT


def test_a_flag_that_is_not_given_is_what_it_is_without_the_command_line() -> None:
    """Every flag but those of `--shard` and `--config.check` is an option of its name, with the same default."""
    given = dict(command.make_context("insights-exporter", []).params)
    assert (given.pop("check"), given.pop("shard_index"), given.pop("shard_count")) == (False, None, 1)
    assert Options(**given) == Options(Path("config.yaml"), (ListenAddress(None, 10093),))
    assert Options(**given).shard == NOT_SPLIT


def test_options_do_not_change() -> None:
    """What was decided at the start holds until the end."""
    options = Options(Path("config.yaml"), ())
    with pytest.raises(AttributeError, match="immutable"):
        options.telemetry_path = "/other"  # type: ignore[misc]

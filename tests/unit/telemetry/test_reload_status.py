"""How the loadings of a configuration went."""

from __future__ import annotations

import time

from exporter.telemetry.reload_status import ReloadStatus


def test_the_first_loading_has_gone_well() -> None:
    """Who asks before any reload hears of the start."""
    before = time.time()
    status = ReloadStatus()
    assert status.successful
    assert before <= status.time == status.success_time <= time.time()


def test_a_bad_loading_leaves_the_time_of_the_last_good_one() -> None:
    """A failed reload says so with its own time; the time of success stays until one goes well again."""
    status = ReloadStatus()
    began_time = status.success_time
    status.note(successful=False)
    failed_time = status.time
    assert (status.successful, status.success_time) == (False, began_time)
    assert failed_time >= began_time
    status.note(successful=True)
    assert status.successful
    assert status.time == status.success_time >= failed_time
    assert status.time > began_time

"""A pytest plugin for CI, where a test that is skipped has failed: `pytest -p tests.support.no_skips`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    skip = call.excinfo
    if skip is not None and isinstance(skip.value, pytest.skip.Exception):
        failure = pytest.fail.Exception(f"skipped on CI: {skip.value.msg}", pytrace=False)
        call.excinfo = pytest.ExceptionInfo.from_exception(failure.with_traceback(skip.tb))
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple):
        _path, _line, reason = report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped on CI: {reason.removeprefix('Skipped: ')}"
    return report

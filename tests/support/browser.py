"""A real browser: Debian's Chromium, driven as a person would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from playwright.sync_api import Page, expect, sync_playwright

from tests.support.processes import PATIENCE_SECONDS, program

DESKTOP: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 375, "height": 740}
_FLAGS: Final = ("--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage")

expect.set_options(timeout=PATIENCE_SECONDS * 1000)


@contextmanager
def browser_page(**context: Any) -> Iterator[tuple[Page, list[str]]]:
    """A page of a fresh browser with these settings, and what goes wrong in it: errors, and requests to others."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=[*_FLAGS])
        try:
            page = browser.new_page(**{"viewport": DESKTOP, **context})
            page.set_default_timeout(PATIENCE_SECONDS * 1000)
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
            yield page, faults
        finally:
            browser.close()


def width_beyond_the_screen(page: Page) -> int:
    """How many pixels one has to scroll sideways."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))

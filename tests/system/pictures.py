"""Takes the pictures of the status page for the docs, in a real browser: `make pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from tests.support.browser import browser_page
from tests.support.configurations import ROOT
from tests.support.processes import eventually, get
from tests.support.scenes import SCENES

FOLDER: Final = ROOT / "docs" / "pictures"
SHOTS: Final = (
    ("status.png", "well", 1280, "light"),
    ("status-failing.png", "failing", 1280, "dark"),
    ("status-paused.png", "paused", 810, "light"),
    ("status-phone.png", "failing", 390, "dark"),
)


def main() -> None:
    """Writes every picture: what is seen without scrolling."""
    for name, scene, width, scheme in SHOTS:
        with (
            tempfile.TemporaryDirectory() as folder,
            SCENES[scene](Path(folder)) as url,
            browser_page(viewport={"width": width, "height": 700}, color_scheme=scheme) as (page, _),
        ):
            eventually(lambda: _has_charts(url), "charts of the last polls", 120)
            page.goto(f"{url}/")
            page.screenshot(path=FOLDER / name)
        print(FOLDER / name)


def _has_charts(url: str) -> bool:
    """Whether most queries have been polled more than once, so that their last polls are drawn."""
    page = get(f"{url}/").text
    return page.count("<svg") >= page.count('<tbody id="query-') / 2


if __name__ == "__main__":
    main()

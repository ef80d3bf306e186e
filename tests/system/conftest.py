"""What the tests of whole systems share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.containers import BASE, IMAGE, Containers, containers_at


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """This project's image, on a stand-in for Python's."""
    with containers_at(tmp_path_factory.mktemp("containers")) as made:
        made.import_python(BASE)
        made.build(IMAGE)
        yield made

"""Lets coverage guide the fuzz tests: `make fuzz SECONDS=600`.

    python -m tests.fuzz.run NAME [options of libFuzzer]

NAME is the test's, without `test_`. Needs atheris, which scripts/fuzz.sh installs in an environment of its own.
"""

from __future__ import annotations

import sys

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["exporter"]):
    from tests.fuzz import test_fuzz


def main() -> None:
    name, *options = sys.argv[1:]
    fuzz_one_input = getattr(test_fuzz, f"test_{name}").hypothesis.fuzz_one_input

    def one_input(data: bytes) -> None:
        fuzz_one_input(data)

    atheris.Setup([sys.argv[0], *options], one_input)
    with test_fuzz.serving():
        atheris.Fuzz()


if __name__ == "__main__":
    main()

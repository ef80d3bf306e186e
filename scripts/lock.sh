#!/bin/sh
# Writes the lock files from pyproject.toml: every version with the hashes of all its files, for every system
# and Python from 3.11. Versions that are locked stay unless pyproject.toml rules them out; --upgrade takes the newest.
set -eu
cd "$(dirname "$0")/.."

tools=$(sh scripts/tool.sh uv 0.13.9)

compile() {
  "$tools/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock' "$@" >/dev/null
}

build_requires=$("$tools/python" -c \
  'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")')

compile "$@" -o requirements.lock pyproject.toml
printf '%s\n' "$build_requires" | compile "$@" -c requirements.lock -o requirements-build.lock -
compile "$@" -c requirements.lock -c requirements-build.lock -o requirements-dev.lock --group dev

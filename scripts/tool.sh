#!/bin/sh
# Prints the folder of a Python tool's programs: an environment of its own, so that no tool is a dependency of the
# project. Usage: tool.sh PACKAGE VERSION
set -eu
cd "$(dirname "$0")/.."

folder=.cache/$1-$2
if [ ! -f "$folder/ready" ]; then
  rm -rf "$folder"
  "$(sh scripts/python.sh)" -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$1==$2" >&2
  : >"$folder/ready"
fi
echo "$folder/bin"

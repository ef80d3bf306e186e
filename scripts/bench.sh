#!/bin/sh
# Runs the bench with its arguments, after installing the programs that it compares with: `python -m bench`.
set -eu
cd "$(dirname "$0")/.."

missing=
for pair in nginx:nginx wrk:wrk prometheus-pushgateway:prometheus-pushgateway \
  prometheus-node-exporter:prometheus-node-exporter util-linux:taskset; do
  PATH=$PATH:/usr/sbin:/sbin command -v "${pair#*:}" >/dev/null || missing="$missing ${pair%%:*}"
done
# shellcheck disable=SC2086  # one argument a package
[ -z "$missing" ] || sh scripts/install-packages.sh $missing

# The exporter as users install it: the development tools would be a part of its start and of its memory.
rm -rf build/installed
.venv/bin/python -m venv build/installed
build/installed/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock -r requirements-build.lock
build/installed/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation .
exec .venv/bin/python -m bench "$@"

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
exec .venv/bin/python -m bench "$@"

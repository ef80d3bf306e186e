#!/bin/sh
# Looks up known weaknesses of every locked package; one that cannot be looked up is a failure too. Arguments go to pip-audit, such as --vulnerability-service osv.
set -eu
cd "$(dirname "$0")/.."

tools=$(sh scripts/tool.sh pip-audit 2.10.1)
for lock in requirements.lock requirements-build.lock requirements-dev.lock; do
  echo "$lock"
  "$tools/pip-audit" --strict --disable-pip --require-hashes --progress-spinner off --requirement "$lock" "$@"
done

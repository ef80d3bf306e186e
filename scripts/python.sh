#!/bin/sh
# Prints the Python to use: $PYTHON, or the first of python3, python3.14 … python3.11 that is 3.11 or later.
set -eu

if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.14 python3.13 python3.12 python3.11; fi
for candidate in "$@"; do
  if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
    command -v "$candidate"
    exit 0
  fi
done
echo "Python 3.11 or later is needed, and ${PYTHON:-python3} is not: install one, or name it: make … PYTHON=/path/to/python3" >&2
exit 1

#!/bin/sh
# Makes .venv as the lock files say. Usage: setup.sh [--check] runtime|dev
#
#   runtime   what the exporter needs
#   dev       that, what the tests need, and the system programs of debian-packages.txt
#   --check   change nothing; the exit code says whether .venv is as it should be
#
# Stamps inside .venv hold what it was made from, by content, so that a checkout or `touch` costs nothing.
set -eu
cd "$(dirname "$0")/.."

check=
if [ "${1:-}" = --check ]; then
  check=1
  shift
fi
case ${1:-} in
  runtime | dev) level=$1 ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

# What each stamp has to hold. The path is part of it: a virtual environment cannot be moved.
runtime_inputs() { pwd; cat requirements.lock requirements-build.lock; }
dev_inputs() { runtime_inputs; cat requirements-dev.lock; }
project_inputs() { cat pyproject.toml; grep '^__version__' exporter/__init__.py; }
is_current() { [ -f ".venv/$1.stamp" ] && "$1_inputs" | cmp -s - ".venv/$1.stamp"; }
stamp() { "$1_inputs" >".venv/$1.stamp"; }

# pip of the virtual environment. The project itself is built with the locked hatchling, so without isolation.
pip_install() { .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check "$@"; }

make_venv() {
  python=$(sh scripts/python.sh)
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    package=python3-venv
    [ "$(command -v python3)" = "$python" ] || package=$(basename "$python")-venv
    sh scripts/install-packages.sh "$package"
  fi
  echo "Setting up .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
}

missing_packages() {
  while read -r package program; do
    case $package in
      '' | '#'*) ;;
      *) PATH=$PATH:/usr/sbin:/sbin command -v "$program" >/dev/null || echo "$package" ;;
    esac
  done <scripts/debian-packages.txt | sort -u
}

# True if .venv works, and is of the version of $PYTHON if that is given.
venv_works() {
  version='import sys; print(sys.version_info[:2])'
  found=$(.venv/bin/python -c "$version" 2>/dev/null) || return 1
  [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -c "$version" 2>/dev/null)" = "$found" ]
}
venv_is_current() { is_current "$level" && venv_works; }

if [ -n "$check" ]; then
  venv_is_current && is_current project
  exit
fi

if ! venv_is_current; then
  # Only the tests' packages can be added to what is there; any other change begins anew, so that nothing old stays.
  if [ "$level" = runtime ] || [ -f .venv/dev.stamp ] || ! is_current runtime || ! venv_works; then
    make_venv
  fi
  case $level in
    runtime) pip_install --require-hashes -r requirements.lock -r requirements-build.lock ;;
    dev) pip_install --require-hashes -r requirements.lock -r requirements-build.lock -r requirements-dev.lock ;;
  esac
  stamp runtime
  [ "$level" = runtime ] || stamp dev
fi

if ! is_current project; then
  pip_install --no-deps --no-build-isolation --editable .
  stamp project
fi

if [ "$level" = dev ]; then
  packages=$(missing_packages)
  # shellcheck disable=SC2086  # one argument a package
  [ -z "$packages" ] || sh scripts/install-packages.sh $packages || echo "Tests that need them are skipped."
fi

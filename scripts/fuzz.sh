#!/bin/sh
# Fuzzes each of the four readers for a quarter of the given seconds, guided by coverage. What it finds is in
# .cache/fuzz/; a crash is printed with the case that caused it, and ends the run with an error.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-600}

atheris_version=3.0.0
environment=.cache/atheris-$atheris_version
if [ ! -x "$environment/bin/python" ]; then
  .venv/bin/python -m venv "$environment"
  "$environment/bin/python" -m pip install --quiet --disable-pip-version-check "atheris==$atheris_version"
  site=$("$environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  .venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$site/development.pth"
fi

for name in answers_of_an_api answers_of_a_token_endpoint configuration_files requests_to_the_web_server; do
  corpus=.cache/fuzz/$name
  mkdir -p "$corpus"
  echo "fuzzing $name for $((seconds / 4)) s"
  "$environment/bin/python" -m tests.fuzz.run "$name" -max_total_time=$((seconds / 4)) -max_len=4096 \
    -print_final_stats=1 -verbosity=0 -artifact_prefix="$corpus-" "$corpus"
done

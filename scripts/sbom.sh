#!/bin/sh
# Writes insights-exporter.cdx.json beside the wheel in a folder: what a user gets on this system, with licences and who
# needs what, as a CycloneDX bill of materials, the same each time. Usage: sbom.sh [FOLDER]
set -eu
cd "$(dirname "$0")/.."

folder=${1:-dist}
tools=$(sh scripts/tool.sh cyclonedx-bom 7.3.0)
installed=$(mktemp -d)
trap 'rm -rf "$installed"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
"$tools/python" -m venv --without-pip "$installed"
pip_install() { "$tools/python" -m pip --python "$installed/bin/python" install --quiet --disable-pip-version-check "$@"; }
pip_install --require-hashes --requirement requirements.lock
pip_install --no-deps "$folder"/*.whl
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' exporter/__init__.py)
sed "s/^dynamic = .*/version = \"$version\"/" pyproject.toml >"$installed/pyproject.toml"
"$tools/cyclonedx-py" environment --pyproject "$installed/pyproject.toml" --mc-type application --output-reproducible \
  --output-format JSON --output-file "$folder/insights-exporter.cdx.json" "$installed/bin/python"
echo "$folder/insights-exporter.cdx.json"

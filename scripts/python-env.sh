#!/usr/bin/env bash
# Makes target/python, the environment of the Python tests, from its hash-pinned lock file.
set -euo pipefail
cd "$(dirname "$0")/.."

lock=tests/python/requirements.lock
venv=target/python
stamp=$venv/.lock
if [ -f "$stamp" ] && cmp --silent "$lock" "$stamp"; then
    exit 0
fi
rm -rf "$venv"
python3.11 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary :all: --requirement "$lock"
cp "$lock" "$stamp"

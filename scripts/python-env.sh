#!/usr/bin/env bash
# Makes a Python environment from a hash-pinned lock file: python-env.sh LOCK FOLDER [PIP OPTION...]
set -euo pipefail
cd "$(dirname "$0")/.."

lock=$1
venv=$2
shift 2
stamp=$venv/.lock
if [ -f "$stamp" ] && cmp --silent "$lock" "$stamp"; then
    exit 0
fi
rm -rf "$venv"
python3.11 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary :all: "$@" --requirement "$lock"
cp "$lock" "$stamp"

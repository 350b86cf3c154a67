#!/usr/bin/env bash
# Everything that must hold before a change lands. Installs what it needs besides Rust and Python.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/lint.sh

echo "== what the tests need of the system"
# A token in software, for keys that never leave it.
if ! dpkg --status softhsm2 >/dev/null 2>&1; then
    apt-get update --quiet --quiet
    apt-get install --yes --quiet --quiet softhsm2 >/dev/null
fi

echo "== build"
cargo build --quiet --workspace --all-targets
echo "== unit, property and end-to-end tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --no-fail-fast
else
    cargo test --quiet --workspace --no-fail-fast
fi

echo "== the scanner's parsers under a fuzzer, for some seconds each"
scripts/fuzz.sh 5

echo "== the scanner over hostile and benign samples"
scripts/scan-matrix.sh --alone

echo "== Python tests"
scripts/python-env.sh tests/python/requirements.lock target/python
PYTHONPATH=python/src exec target/python/bin/python -m pytest --quiet tests/python python/tests

#!/usr/bin/env bash
# Everything that must hold before a change lands. Installs what it needs besides Rust and Python.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/lint.sh

echo "== build"
cargo build --quiet --workspace --all-targets
echo "== unit, property and end-to-end tests"
cargo nextest run --workspace --no-fail-fast

echo "== Python tests"
scripts/python-env.sh
exec target/python/bin/python -m pytest --quiet tests/python python/tests

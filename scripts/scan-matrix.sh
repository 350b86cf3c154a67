#!/usr/bin/env bash
# Generates the scanner's samples and prints the confusion matrix of Custody and its peers.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/python-env.sh tests/scan/requirements.lock target/scan/python
scripts/python-env.sh tests/scan/peers.lock target/scan/peers
PYTHONPATH=tests/scan target/scan/python/bin/python -m samples target/scan/samples
"${CARGO:-cargo}" build --quiet --workspace --bin custody
exec target/scan/python/bin/python tests/scan/matrix.py --samples target/scan/samples --custody target/debug/custody \
    --peers target/scan/peers/bin/python --json target/scan/matrix.json

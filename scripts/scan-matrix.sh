#!/usr/bin/env bash
# Generates the scanner's samples and prints the confusion matrix of Custody and its peers, then scans packages that ship models;
# `--alone`: the matrix of Custody alone, for peers and packages (230 MB) take long to download and CI must be short.
# Fails when Custody misses a hostile sample, does not call a benign one clean, or alarms on a package for no known reason.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=()
packages=false
if [ "${1:-}" != --alone ]; then
    scripts/python-env.sh tests/scan/peers.lock target/scan/peers
    peers=(--peers target/scan/peers/bin/python)
    packages=true
fi
scripts/python-env.sh tests/scan/requirements.lock target/scan/python
PYTHONPATH=tests/scan target/scan/python/bin/python -m samples target/scan/samples
# With the examples, since what tests need decides how libraries are built: without, everything would be built again.
"${CARGO:-cargo}" build --locked --quiet --workspace --bin custody --examples
status=0
target/scan/python/bin/python tests/scan/matrix.py --samples target/scan/samples --custody target/debug/custody \
    --json target/scan/matrix.json "${peers[@]}" || status=$?
if $packages; then
    echo
    target/scan/python/bin/python tests/scan/packages.py --custody target/debug/custody --folder target/scan/packages || status=$?
fi
exit "$status"

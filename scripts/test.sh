#!/usr/bin/env bash
# Everything that must hold before a change lands. Installs what it needs besides Rust and Python. How long each stage took is
# told before the last summary.
set -euo pipefail
cd "$(dirname "$0")/.."

# Where the stages and their times stand, for the last of them to tell.
export CUSTODY_STAGES=$PWD/target/stages
mkdir -p target
: >"$CUSTODY_STAGES"
stage=
began=0
# Begins a stage: its name, what it does; the one before is over.
stage() {
    [ -z "$stage" ] || printf '%6d s  %s\n' "$((SECONDS - began))" "$stage" >>"$CUSTODY_STAGES"
    stage=$1
    began=$SECONDS
    [ -z "${2:-}" ] || echo "== $2"
}

# What comes from the network comes while the compiler works. What does not come is asked for again by the stage that needs it,
# which says what is wrong.
scripts/python-env.sh tests/python/requirements.lock target/python >/dev/null 2>&1 &
scripts/python-env.sh tests/scan/requirements.lock target/scan/python >/dev/null 2>&1 &

# Installs what the tests need of the system: a browser; a client of HTTP that is not ours; a token in software, for keys that
# never leave it; what tells which writes reached the disk; what the identity provider runs by, unless it came by another way.
install_packages() {
    local needed=(chromium curl softhsm2 strace)
    command -v node >/dev/null && command -v npm >/dev/null || needed+=(nodejs npm)
    if ! dpkg --status "${needed[@]}" >/dev/null 2>&1; then
        apt-get update --quiet --quiet
        apt-get install --yes --quiet --quiet "${needed[@]}" >/dev/null
    fi
}
(install_packages && scripts/oidc-provider.sh target/oidc) >/dev/null 2>&1 &
installing=$!

stage "build" "build"
cargo build --locked --quiet --workspace --all-targets
# After the build, whose libraries the lints look at: while a large library is compiled, our crates take the other processor.
stage "format, lints, dependencies, documentation"
scripts/lint.sh
stage "packages of the system" "what the tests need of the system"
wait "$installing" || true
install_packages
stage "unit, property and end-to-end tests" "unit, property and end-to-end tests"
if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --locked --workspace --no-fail-fast
else
    cargo test --locked --quiet --workspace --no-fail-fast
fi

stage "fuzzing" "the parsers of the scanner and of our formats under a fuzzer, for some seconds each"
scripts/fuzz.sh 2

stage "packages of Python and Node"
wait
scripts/python-env.sh tests/python/requirements.lock target/python
scripts/oidc-provider.sh target/oidc
stage "the scanner's samples" "the scanner over hostile and benign samples"
scripts/scan-matrix.sh --alone

stage "Python tests" "Python tests"
# The workspaces of tests that passed, gigabytes of them, go at once.
PYTHONPATH=python/src exec target/python/bin/python -m pytest --quiet --override-ini tmp_path_retention_policy=failed \
    --numprocesses auto --dist loadfile tests/python python/tests

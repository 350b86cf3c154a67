#!/usr/bin/env bash
# Compiles a crate with the instrumentation that libFuzzer reads: instrument.sh RUSTC ARGUMENT... (cargo's
# RUSTC_WORKSPACE_WRAPPER). Flags of code generation are enough; no nightly toolchain is needed.
set -euo pipefail
exec "$@" --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares

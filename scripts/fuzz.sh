#!/usr/bin/env bash
# Fuzzes the scanner and the readers of our formats: fuzz.sh [SECONDS [TARGET...]]. Each target runs for SECONDS (10)
# from fuzz/corpus; `format_*` are the formats.
# Needs the stable toolchain and a C++ compiler. What it finds new stays in fuzz/work, a failing input in
# fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"

seconds=${1:-10}
shift || true
command -v c++ >/dev/null || { echo "fuzz.sh: no C++ compiler: apt-get install g++" >&2; exit 2; }
# Our crates are instrumented, libraries are those of every other build: with the features of all of the workspace and of
# an example, since what tests need decides how they are built.
RUSTC_WORKSPACE_WRAPPER=$PWD/../scripts/instrument.sh \
    cargo build --locked --quiet --workspace --example fuzz --features custody-fuzz/libfuzzer
binary=${CARGO_TARGET_DIR:-$PWD/../target}/debug/examples/fuzz

# Fuzzes one target and tells how it went.
fuzz() {
    local target=$1 log=work/$1.log status=ok began=$SECONDS runs start end
    mkdir -p "work/$target"
    FUZZ_TARGET=$target "$binary" "work/$target" "corpus/$target" -max_total_time="$seconds" -seed=1 \
        -max_len=8192 -rss_limit_mb=256 -timeout=5 -print_final_stats=1 -verbosity=1 \
        -artifact_prefix="artifacts/$target-" >"$log" 2>&1 || status=CRASH
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    start=$(sed -n 's/.*INITED cov: \([0-9]*\).*/\1/p' "$log" | head -1)
    end=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    printf '%-22s %-5s %9s runs  %+6d of %6d edges  %4d s\n' "$target" "$status" "${runs:-0}" \
        "$((${end:-0} - ${start:-0}))" "${end:-0}" "$((SECONDS - began))"
    [ "$status" != ok ] || return 0
    grep -m1 -A1 -E 'panicked at|ERROR: libFuzzer' "$log" || tail -3 "$log"
    sed -n 's/^.*Test unit written to /    input: fuzz\//p' "$log"
    return 1
}

targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(ls corpus)
mkdir -p artifacts work
# As many at a time as there are processors: each is a process that keeps one busy.
crashes=0
running=0
for target in "${targets[@]}"; do
    if [ "$running" -ge "$(nproc)" ]; then
        wait -n || crashes=$((crashes + 1))
        running=$((running - 1))
    fi
    fuzz "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || crashes=$((crashes + 1))
    running=$((running - 1))
done
echo "${#targets[@]} targets, $crashes crashes"
[ "$crashes" -eq 0 ]

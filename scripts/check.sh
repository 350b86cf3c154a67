#!/usr/bin/env bash
# Lints a crate and checks its documentation, and compiles nothing: check.sh RUSTC ARGUMENT... (cargo's
# RUSTC_WORKSPACE_WRAPPER, for `cargo build`). `cargo clippy` and `cargo doc` do the same, but have all libraries
# compiled for themselves, ten minutes of them; here they are those of the build.
set -euo pipefail
rustc=$1
shift
arguments=()
crate='' suffix='' folder='' kind=bin test=false
while [ $# -gt 0 ]; do
    case $1 in
        --crate-name) crate=$2 ;;
        --crate-type) kind=$2 ;;
        --out-dir) folder=$2 ;;
        --test) test=true ;;
        extra-filename=*) suffix=${1#*=} ;;
    esac
    case $1 in
        # What is only looked at has no code to give on.
        --emit=*) arguments+=(--emit=dep-info,metadata) ;;
        *=*.rlib) if [ -s "${1#*=}" ]; then arguments+=("$1"); else arguments+=("${1%.rlib}.rmeta"); fi ;;
        *) arguments+=("$1") ;;
    esac
    shift
done
# Cargo asks the compiler about itself.
[ -n "$folder" ] || exec "$rustc" "${arguments[@]}"

clippy-driver "$rustc" "${arguments[@]}" --deny warnings
# Cargo looks for these when it asks whether anything has changed. It would put an empty program in the place of the real
# one, so programs are looked at each time.
case $kind/$test in
    lib/false) touch "$folder/lib$crate$suffix.rlib" ;;
    */true) touch "$folder/$crate$suffix" ;;
esac
! $test || exit 0
# `rustdoc` knows the same arguments, but writes pages.
described=()
for argument in "${arguments[@]}"; do
    case $argument in
        --emit=*) ;;
        "$folder") described+=("${CARGO_TARGET_DIR:-target}/doc") ;;
        *) described+=("$argument") ;;
    esac
done
# Of a program all of it is described, for nothing in it is public; cargo does the same.
[ "$kind" = lib ] || described+=(--document-private-items --allow rustdoc::private_intra_doc_links)
exec rustdoc "${described[@]}"

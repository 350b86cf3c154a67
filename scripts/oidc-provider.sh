#!/usr/bin/env bash
# Installs the identity provider that tests sign in by, of npm, into a folder. Every package has its hash in the lock file; none
# runs a program of its own when it is installed.
#
#   scripts/oidc-provider.sh target/oidc
set -euo pipefail
folder=$1
source=$(cd "$(dirname "$0")/../tests/oidc" && pwd)
mkdir -p "$folder"
if ! cmp --silent "$source/package-lock.json" "$folder/installed"; then
    cp "$source/package.json" "$source/package-lock.json" "$folder/"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
    cp "$source/package-lock.json" "$folder/installed"
fi
cp "$source/provider.mjs" "$folder/"

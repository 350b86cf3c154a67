#!/usr/bin/env bash
# Runs the example from an empty workspace, and says in plain words what happened.
set -euo pipefail
cd "$(dirname "$0")"
custody="${1:?usage: demo.sh PROGRAM}"
export CUSTODY_KEY_FILE="${CUSTODY_KEY_FILE:-$HOME/.config/custody/keys/employment-demo.key}"

say() { printf '\n== %s\n' "$*"; }

if [ ! -e .custody/workspace.json ]; then
    say "A workspace: an encrypted store and a ledger in .custody, the key outside of it"
    rm -f "$CUSTODY_KEY_FILE"
    "$custody" init
    "$custody" policy apply policies
fi

say "The pipeline: collect, check, prepare, train in the sandbox, evaluate, decide, register"
"$custody" run

say "A stricter gate on the same model: it is refused, with the measured figure"
"$custody" run strict-register || [ $? -eq 1 ]

say "What the model was made from"
"$custody" trace employment/model@1

say "Does everything hold? Bytes, signatures, provenance, contract, gate, ledger"
"$custody" verify employment/model@1

say "A reader of the workspace may not take the data out; the refusal is in the ledger"
"$custody" --as rex get employment/raw@1 --to /tmp/never || [ $? -ne 0 ]

say "The newest entries of the ledger"
"$custody" ledger log --limit 12

say "Three commands to try next, in $(pwd), with CUSTODY_KEY_FILE=$CUSTODY_KEY_FILE"
printf '  %s\n' \
    "$custody run                                # all reused, decided and logged again" \
    "$custody reproduce employment/model@1       # the same bytes, bit for bit" \
    "$custody ledger export ledger-copy          # for a verifier that is not ours"

#!/usr/bin/env bash
# Serves a workspace on this machine to a data scientist, an approver and an auditor; the example is run from elsewhere, waits at
# its gate, and is registered once it is approved: team.sh PROGRAM. Ends with Ctrl-C; at once where CUSTODY_TEAM_ONCE is set.
set -euo pipefail
cd "$(dirname "$0")"
custody="${1:?usage: team.sh PROGRAM}"
here=$PWD
place=$(mktemp -d "${TMPDIR:-/tmp}/custody-team.XXXXXX")
server=
trap 'code=$?; [ -z "$server" ] || { kill "$server" && wait "$server" || true; }; rm -rf "$place"; exit $code' EXIT
export CUSTODY_KEY_FILE=$place/workspace.key
# The commands of people work with the server, and not with a workspace that somebody has here.
unset CUSTODY_SERVER CUSTODY_TOKEN CUSTODY_SERVER_ROOT

say() { printf '\n== %s\n' "$*"; }
# Reads a field of a JSON document.
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }
# Runs a command as a person, in the project's folder, at the server.
as() {
    local token=$1_token
    shift
    (cd "$place/project" && CUSTODY_SERVER=$address CUSTODY_SERVER_ROOT=$place/root.pem CUSTODY_TOKEN=${!token} "$custody" "$@")
}

say "A workspace, served over TLS 1.3 on this machine"
mkdir "$place/server" "$place/project"
cd "$place/server"
"$custody" init >/dev/null
mkdir policies
cat >policies/team.cedar <<'POLICY'
@id("models-are-less-sensitive")
@because("what a model of employment learned of its rows was looked at; its pipeline says so")
permit (principal in Role::"data_scientist", action == Action::"declassify", resource)
when { resource.project == "employment" };
POLICY
"$custody" policy apply policies >/dev/null
"$custody" account add ada --role data_scientist --for model-development >/dev/null
"$custody" account add olga --role approver >/dev/null
"$custody" account add grace --role auditor >/dev/null
"$custody" --json serve --listen 127.0.0.1:0 >"$place/serving.json" 2>"$place/server.log" &
server=$!
for _ in $(seq 100); do
    [ ! -s "$place/serving.json" ] || break
    kill -0 "$server" || { cat "$place/server.log" >&2; exit 1; }
    sleep 0.1
done
address=$(field address <"$place/serving.json")
fingerprint=$(field fingerprint <"$place/serving.json")
field root <"$place/serving.json" >"$place/root.pem"
echo "$address, root of its certificate $fingerprint"

say "Three people, who were invited and set a password and an authenticator"
secret() { head -c 20 /dev/urandom | base32; }
password() { head -c 18 /dev/urandom | base64; }
people=""
for name in ada olga grace; do
    invitation=$("$custody" --json account invite "$name" | field code)
    word=$(password) key=$(secret)
    token=$(python3 "$here/enrol.py" "$address" "$place/root.pem" "$name" "$invitation" "$word" "$key")
    printf -v "${name}_token" %s "$token"
    people+="  $name: password $word, authenticator $key"$'\n'
done
"$custody" account ls

say "Ada runs the example from elsewhere; its gate asks for an approval (exit code 6)"
cp -r "$here/custody.yaml" "$here/requirements.lock" "$here/data" "$here"/*.py "$place/project" 2>/dev/null || true
sed -i '0,/^    gate:/s//    gate:\n      approvals: 1/' "$place/project/custody.yaml"
as ada run || [ $? -eq 6 ]

say "She cannot approve it herself"
as ada approve employment/release@1 --reason "I like it" || [ $? -eq 3 ]

say "Olga looks at the decision, and approves it"
as olga show employment/release@1
as olga approve employment/release@1 --reason "figures and groups looked at, ticket 4711"

say "Ada runs it again: what was done is reused, and the model is registered"
as ada run

say "Grace, who sees the evidence and not the data, verifies the model"
as grace verify employment/model@1
as grace get employment/raw@1 --to never || [ $? -ne 0 ]
as grace ledger log --limit 8

say "The server goes on at $address"
echo "who may what: ada runs pipelines, olga approves, grace audits; in another terminal:"
echo "  custody login $address --fingerprint $fingerprint --user olga"
echo "or in a browser: $address/, whose certificate is below the root $place/root.pem; sign in with"
printf '%s' "$people"
if [ -z "${CUSTODY_TEAM_ONCE:-}" ]; then
    echo "Ctrl-C ends it, and removes all of it"
    wait "$server" || true
fi

#!/usr/bin/env bash
# Makes the signatures in this folder anew with the reference signer: generate.sh PYTHON
# PYTHON is an interpreter of an environment with `model-signing==1.1.1` and `pyOpenSSL`.
# The private keys are not kept. Needs OpenSSL 3.
set -euo pipefail
python=$(realpath -s "$1")
cd "$(dirname "$0")"
keys=$(mktemp -d)
trap 'rm -rf "$keys"' EXIT
rm -rf model ./*.sig ./*.pub root.pem signed-at

mkdir -p model/sub model/a
printf 'weights' > model/model.bin
printf '{}' > model/sub/config.json
printf 'x' > model/a.b
printf 'y' > model/a/b
seq 1 60 > model/table.csv

cat > "$keys/openssl.cnf" <<'CONFIGURATION'
[req]
distinguished_name = name
[name]
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
[middle]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = codeSigning
subjectAltName = email:trainer@example.org
CONFIGURATION
certify() { # NAME ISSUER DAYS
    openssl req -new -key "$keys/$1.key" -subj "/O=Example, Inc./CN=$1" -config "$keys/openssl.cnf" \
        -out "$keys/$1.csr"
    openssl x509 -req -in "$keys/$1.csr" -CA "$keys/$2.pem" -CAkey "$keys/$2.key" -CAcreateserial -days "$3" \
        -extfile "$keys/openssl.cnf" -extensions "$4" -out "$keys/$1.pem"
}
openssl genrsa -out "$keys/root.key" 3072
openssl req -x509 -new -key "$keys/root.key" -subj /CN=root -days 30 -config "$keys/openssl.cnf" -extensions root \
    -out "$keys/root.pem"
openssl ecparam -name secp384r1 -genkey -noout -out "$keys/middle.key"
certify middle root 20 middle
cp "$keys/root.pem" root.pem

sign() { # METHOD SIGNATURE ARGUMENT...
    "$python" -m model_signing sign "$1" "${model:-model}" --signature "$2" "${@:3}"
}
for curve in p256:prime256v1 p384:secp384r1 p521:secp521r1; do
    name=${curve%%:*}
    openssl ecparam -name "${curve##*:}" -genkey -noout -out "$keys/$name.sec1"
    openssl pkcs8 -topk8 -nocrypt -in "$keys/$name.sec1" -out "$keys/$name.key"
    openssl pkey -in "$keys/$name.key" -pubout -out "$name.pub"
    certify "$name" middle 1 leaf
    sign key "$name.sig" --private_key "$keys/$name.key"
    sign certificate "$name-certificate.sig" --private_key "$keys/$name.key" \
        --signing_certificate "$keys/$name.pem" --certificate_chain "$keys/middle.pem"
    for kind in shards blake3 blake2; do
        "$python" - "$kind" "$keys/$name.key" "$name-$kind.sig" <<'PYTHON'
import sys

import model_signing

kind, key, signature = sys.argv[1:]
hashing = model_signing.hashing.Config()
if kind == "shards":
    hashing.use_shard_serialization(shard_size=100)
else:
    hashing.use_file_serialization(hashing_algorithm=kind)
signing = model_signing.signing.Config().use_elliptic_key_signer(private_key=key)
signing.set_hashing_config(hashing).sign("model", signature)
PYTHON
    done
done
model=model/table.csv sign key one-file.sig --private_key "$keys/p256.key"
sign key leaves-out.sig --private_key "$keys/p256.key" --ignore-paths model/a.b
date -u +%Y-%m-%dT%H:%M:%SZ > signed-at

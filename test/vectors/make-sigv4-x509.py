#!/usr/bin/env python3
"""Writes sigv4-x509.json, a second opinion on SigV4-X509 that shares no code with Holdfast.

    make-sigv4-x509.py            writes the file beside this script
    make-sigv4-x509.py --print    prints what it would write

Written from AWS's page on the signing process and from nothing else, with Python's hashlib and json and the
openssl command: https://docs.aws.amazon.com/rolesanywhere/latest/userguide/authentication-sign-process.html

Its input is below and in the folder sigv4-x509: keys and certificates that were made for this and protect
nothing. They are made anew if the folder is not there. An ECDSA signature is random; one that the file already
has is kept while openssl says that it verifies, so that a second run changes nothing.
"""

import base64
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PEM = HERE / "sigv4-x509"
OUTPUT = HERE / "sigv4-x509.json"

ACCOUNT = "111122223333"


def arns(partition, region):
    anchor = f"arn:{partition}:rolesanywhere:{region}:{ACCOUNT}"
    return {
        "trustAnchorArn": f"{anchor}:trust-anchor/3f2b0c9e-8d1a-4c55-9a57-0e6f3f6f7c11",
        "profileArn": f"{anchor}:profile/5b9d1c62-27aa-4a4e-8d2b-f0b7d7f4a0c2",
        "roleArn": f"arn:{partition}:iam::{ACCOUNT}:role/edge/Uploader",
    }


# name, certificate, intermediates or None, host, region, body
CASES = [
    (
        "RSA-2048, a serial number of one byte, no chain",
        "rsa-2048",
        None,
        "rolesanywhere.eu-central-1.amazonaws.com",
        "eu-central-1",
        json.dumps(arns("aws", "eu-central-1")),
    ),
    (
        "RSA-2048, a chain of two, a host with a port",
        "rsa-2048",
        "intermediates",
        "127.0.0.1:8443",
        "us-east-1",
        json.dumps({**arns("aws", "us-east-1"), "durationSeconds": 900}),
    ),
    (
        "P-256, a serial number of twenty bytes, a chain of two",
        "p-256",
        "intermediates",
        "rolesanywhere-fips.us-gov-west-1.amazonaws.com",
        "us-gov-west-1",
        json.dumps(arns("aws-us-gov", "us-gov-west-1"), separators=(",", ":")),
    ),
    (
        "P-384, hashed with SHA-256 all the same, a host with a port",
        "p-384",
        None,
        "localhost:8080",
        "eu-west-3",
        json.dumps({**arns("aws", "eu-west-3"), "roleSessionName": "edge-1@example"}),
    ),
    (
        "P-521, hashed with SHA-256 all the same, a chain of two",
        "p-521",
        "intermediates",
        "rolesanywhere.cn-north-1.amazonaws.com.cn",
        "cn-north-1",
        json.dumps(arns("aws-cn", "cn-north-1")),
    ),
    (
        "P-256, a body that is empty",
        "p-256",
        None,
        "rolesanywhere.sa-east-1.amazonaws.com",
        "sa-east-1",
        "",
    ),
]
DATE = "20260102T030405Z"


def openssl(*arguments, **options):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options).stdout


def der_certificates(path):
    """The DER of each certificate of a PEM file."""
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", path.read_text(), re.S)
    return [base64.b64decode(block) for block in blocks]


def decimal_serial(path):
    text = openssl("x509", "-in", path, "-noout", "-serial", text=True)
    return str(int(text.strip().removeprefix("serial="), 16))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sign(case, key, certificate, algorithm, string_to_sign, before):
    """An RSA signature is always the same; an ECDSA signature is kept if it still verifies."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        public, signature, text = folder / "public", folder / "signature", folder / "text"
        public.write_bytes(openssl("x509", "-in", certificate, "-noout", "-pubkey"))
        text.write_bytes(string_to_sign.encode())
        if "ECDSA" in algorithm and case in before:
            signature.write_bytes(bytes.fromhex(before[case]["signature"]))
            verify = ["openssl", "dgst", "-sha256", "-verify", public, "-signature", signature, text]
            if subprocess.run(verify, capture_output=True).returncode == 0:
                return signature.read_bytes()
        return openssl("dgst", "-sha256", "-sign", key, text)


def make_case(before, name, pem, intermediates, host, region, body):
    key, certificate = PEM / f"{pem}.key.pem", PEM / f"{pem}.certificate.pem"
    kind = "RSA" if pem.startswith("rsa") else "ECDSA"
    algorithm = f"AWS4-X509-{kind}-SHA256"
    [leaf] = der_certificates(certificate)

    headers = {
        "Host": host,
        "Content-Type": "application/json",
        "X-Amz-Date": DATE,
        "X-Amz-X509": base64.b64encode(leaf).decode(),
    }
    if intermediates is not None:
        chain = der_certificates(PEM / f"{intermediates}.pem")
        headers["X-Amz-X509-Chain"] = ",".join(base64.b64encode(der).decode() for der in chain)
    canonical_headers = {header.lower(): value.strip() for header, value in headers.items()}
    canonical_headers = dict(sorted(canonical_headers.items()))

    signed_headers = ";".join(canonical_headers)
    canonical_request = (
        "POST" + "\n"
        + "/sessions" + "\n"
        + "" + "\n"
        + "".join(f"{header}:{value}\n" for header, value in canonical_headers.items()) + "\n"
        + signed_headers + "\n"
        + sha256(body.encode())
    )
    scope = f"{DATE[:8]}/{region}/rolesanywhere/aws4_request"
    string_to_sign = f"{algorithm}\n{DATE}\n{scope}\n{sha256(canonical_request.encode())}"
    signature = sign(name, key, certificate, algorithm, string_to_sign, before).hex()
    credential = f"{decimal_serial(certificate)}/{scope}"
    return {
        "name": name,
        "key": f"{PEM.name}/{key.name}",
        "certificate": f"{PEM.name}/{certificate.name}",
        "chain": None if intermediates is None else f"{PEM.name}/{intermediates}.pem",
        "host": host,
        "region": region,
        "date": "2026-01-02T03:04:05Z",
        "body": body,
        "algorithm": algorithm,
        "headers": canonical_headers,
        "stringToSign": string_to_sign,
        "signature": signature,
        "authorization": f"{algorithm} Credential={credential}, SignedHeaders={signed_headers}, Signature={signature}",
    }


def make_certificates():
    """Root, two intermediates, and an end-entity certificate for each kind of key."""
    kinds = {
        "rsa-2048": ("RSA", "rsa_keygen_bits:2048", "7"),
        "p-256": ("EC", "ec_paramgen_curve:P-256", "0x7fedcba98765432100112233445566778899aabb"),
        "p-384": ("EC", "ec_paramgen_curve:P-384", "0x00c0ffee"),
        "p-521": ("EC", "ec_paramgen_curve:P-521", "0x1f00000000000000000000000000000000000001"),
    }
    ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
    leaf = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
    PEM.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def make(name, subject, extensions, issuer, key, serial):
            (folder / "extensions").write_text(extensions)
            request, certificate = folder / "request", folder / f"{name}.crt"
            openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
            signer = (
                ["-signkey", key]
                if issuer is None
                else ["-CA", folder / f"{issuer}.crt", "-CAkey", folder / f"{issuer}.key"]
            )
            openssl("x509", "-req", "-in", request, *signer, "-set_serial", serial, "-days", 36500, "-sha256",
                    "-extfile", folder / "extensions", "-out", certificate)
            return certificate.read_bytes()

        authorities = {}
        for issuer, name in [(None, "root"), ("root", "upper"), ("upper", "lower")]:
            key = folder / f"{name}.key"
            openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
            authorities[name] = make(name, f"/CN=Vector {name} CA", ca, issuer, key, len(authorities) + 1)
        (PEM / "intermediates.pem").write_bytes(authorities["lower"] + authorities["upper"])
        for name, (algorithm, parameter, serial) in kinds.items():
            key = PEM / f"{name}.key.pem"
            openssl("genpkey", "-algorithm", algorithm, "-pkeyopt", parameter, "-out", key)
            certificate = make(name, f"/O=Vectors/CN={name}", leaf, "lower", key, serial)
            (PEM / f"{name}.certificate.pem").write_bytes(certificate)


def main():
    if not PEM.exists():
        make_certificates()
    before = {case["name"]: case for case in json.loads(OUTPUT.read_text())} if OUTPUT.exists() else {}
    text = json.dumps([make_case(before, *case) for case in CASES], indent=2) + "\n"
    if sys.argv[1:] == ["--print"]:
        sys.stdout.write(text)
    else:
        OUTPUT.write_text(text)


main()

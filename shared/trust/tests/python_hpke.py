"""An independent writer and reader of sealed batches, over the HPKE of pyca/cryptography.

Reads one JSON object from standard input and prints one.
  {"do": "seal", "key": …, "header": …, "content": hex}  ->  {"body": hex}
  {"do": "open", "secret": hex of the scalar, "body": hex}  ->  {"content": hex}
"""

import base64
import hashlib
import json
import sys

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

SUITE = Suite(KEM.P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM)


def info(line):
    return b"kintsugi batch 1\n" + line


def main():
    asked = json.load(sys.stdin)
    if asked["do"] == "seal":
        text = asked["key"]
        point = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), point)
        header = dict(asked["header"], key=hashlib.sha256(point).hexdigest()[:32])
        line = json.dumps(header).encode()
        sealed = SUITE.encrypt(bytes.fromhex(asked["content"]), key, info=info(line))
        checksum = hashlib.sha256(line + sealed).hexdigest().encode()
        body = line + b"\n" + checksum + b"\n" + sealed
        print(json.dumps({"body": body.hex()}))
        return
    line, checksum, sealed = bytes.fromhex(asked["body"]).split(b"\n", 2)
    assert hashlib.sha256(line + sealed).hexdigest().encode() == checksum
    key = ec.derive_private_key(int(asked["secret"], 16), ec.SECP384R1())
    content = SUITE.decrypt(sealed, key, info=info(line))
    print(json.dumps({"content": content.hex()}))


main()

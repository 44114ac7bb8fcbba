"""Reads a DSSE envelope with securesystemslib: dsse.py ENVELOPE KEY.pem prints what it says, or fails."""

import json
import pathlib
import sys

from cryptography.hazmat.primitives import serialization
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey


def main():
    """Verifies the envelope, and that a changed payload does not verify."""
    envelope = Envelope.from_dict(json.loads(pathlib.Path(sys.argv[1]).read_text()))
    pem = pathlib.Path(sys.argv[2]).read_bytes()
    key = SSlibKey.from_crypto(serialization.load_pem_public_key(pem))
    verified = envelope.verify([key], 1)
    statement = json.loads(envelope.payload)
    envelope.payload += b" "
    try:
        envelope.verify([key], 1)
    except VerificationError:
        pass
    else:
        raise SystemExit("a changed payload was taken")
    found = {
        "keyids": list(verified),
        "payload_type": envelope.payload_type,
        "statement": statement,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()

"""The judge of what this crate writes, and the author of what it must be able to read.

Commands, each with a folder:
  write FOLDER   python-tuf's Metadata API writes a P-384 repository with a rotated root into
                 FOLDER/metadata, and joserfc a token into FOLDER/token.jws with its key in FOLDER/key.pem.
  read FOLDER    python-tuf's client reads FOLDER/metadata and FOLDER/targets over loopback HTTP, starting
                 from FOLDER/trusted_root.json; joserfc reads FOLDER/token.jws with FOLDER/key.pem.
  jws FOLDER     joserfc reads every *.jws of FOLDER with FOLDER/key.pem, and must refuse each with one
                 letter of its claims changed.
Prints one JSON object. Any failure ends with a traceback and a non-zero exit code.
"""

import datetime
import functools
import hashlib
import http.server
import json
import pathlib
import sys
import tempfile
import threading

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jws
from joserfc.errors import BadSignatureError
from joserfc.jwk import ECKey
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import CanonicalJSONSerializer, JSONSerializer
from tuf.ngclient import Updater

# Names that a canonical form gets wrong easily: order, escapes, Unicode that is not in form NFC.
NAMES = ["a", "a!", "a b", "dir/b.bin", 'quote".txt', "e\u0301.txt", "\ufffd", "\U0001f600"]


def new_signer():
    """A fresh P-384 key as securesystemslib holds it."""
    private = ec.generate_private_key(ec.SECP384R1())
    return CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))


def sign(metadata, *signers):
    """Signs metadata with each signer and returns the bytes of the file."""
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes(JSONSerializer(compact=False))


def bin_of(path):
    """The first digit of what the bins of a path go by."""
    return hashlib.sha256(path.encode()).hexdigest()[0]


def write(folder):
    """A repository with root versions 1 and 2, the second with another set of root keys."""
    expires = datetime.datetime(2040, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    old = [new_signer() for _ in range(3)]
    new = [new_signer() for _ in range(3)]
    online = {role: new_signer() for role in ("targets", "snapshot", "timestamp")}
    # Kinds that only others write: all of them must sign, or the role does not count.
    foreign = [
        CryptoSigner.generate_ed25519(),
        CryptoSigner.generate_ecdsa(),
        CryptoSigner.generate_rsa(),
        CryptoSigner.generate_rsa(scheme="rsassa-pss-sha384"),
        CryptoSigner.generate_rsa(scheme="rsassa-pss-sha512"),
    ]
    folder = folder / "metadata"
    folder.mkdir(parents=True)

    def root(version, keys):
        signed = Root(version=version, expires=expires, consistent_snapshot=True)
        for signer in keys:
            signed.add_key(signer.public_key, "root")
        signed.roles["root"].threshold = 2
        for role, signer in online.items():
            signed.add_key(signer.public_key, role)
        return Metadata(signed)

    (folder / "1.root.json").write_bytes(sign(root(1, old), *old[:2]))
    (folder / "2.root.json").write_bytes(sign(root(2, new), *old[1:], *new[:2]))

    content = {name: f"content of {name}".encode() for name in NAMES}
    targets = Targets(version=4, expires=expires)
    for name, data in content.items():
        targets.targets[name] = TargetFile.from_data(name, data, ["sha256", "sha512"])
        targets.targets[name].unrecognized_fields["custom"] = {"note": name}
    targets.delegations = Delegations({}, roles={})
    targets.delegations.roles["shelf"] = DelegatedRole(
        "shelf", [], len(foreign), False, ["shelf/*"]
    )
    for signer in foreign:
        targets.add_key(signer.public_key, "shelf")
    bins = {f"bin-{digits}": list(digits) for digits in ("01234567", "89abcdef")}
    for name, prefixes in bins.items():
        targets.delegations.roles[name] = DelegatedRole(name, [], 1, True, None, prefixes)
        targets.add_key(online["targets"].public_key, name)
    shelf = Targets(version=2, expires=expires)
    shelf.targets["shelf/one"] = TargetFile.from_data("shelf/one", b"one", ["sha512"])
    files = {
        "4.targets.json": sign(Metadata(targets), online["targets"]),
        "2.shelf.json": sign(Metadata(shelf), *foreign),
    }
    meta = {
        "targets.json": MetaFile.from_data(4, files["4.targets.json"], ["sha256"]),
        "shelf.json": MetaFile.from_data(2, files["2.shelf.json"], ["sha256", "sha512"]),
    }
    for name, prefixes in bins.items():
        of = Targets(version=1, expires=expires)
        path = next(f"far {n}" for n in range(99) if bin_of(f"far {n}") in prefixes)
        of.targets[path] = TargetFile.from_data(path, name.encode(), ["sha256"])
        files[f"1.{name}.json"] = sign(Metadata(of), online["targets"])
        meta[f"{name}.json"] = MetaFile.from_data(1, files[f"1.{name}.json"], ["sha512"])
        bins[name] = path
    snapshot = Snapshot(version=5, expires=expires, meta=meta)
    files["5.snapshot.json"] = sign(Metadata(snapshot), online["snapshot"])
    listed = MetaFile.from_data(5, files["5.snapshot.json"], ["sha256"])
    timestamp = Timestamp(version=6, expires=expires, snapshot_meta=listed)
    files["timestamp.json"] = sign(Metadata(timestamp), online["timestamp"])
    for name, data in files.items():
        (folder / name).write_bytes(data)

    key_id = online["targets"].public_key.keyid
    key = ECKey.generate_key("P-384")
    header = {"alg": "ES384", "kid": "theirs", "typ": "test+jws"}
    claims = json.dumps({"n": 1, "text": "\u00e4"})
    token = jws.serialize_compact(header, claims, key, algorithms=["ES384"])
    (folder.parent / "token.jws").write_text(token)
    (folder.parent / "key.pem").write_bytes(key.as_pem(private=False))
    return {
        "targets": {name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
        "bins": bins,
        "targets_key_id": key_id,
        "targets_key_pem": online["targets"].public_key.keyval["public"],
    }


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and tells nobody."""

    def log_message(self, *arguments):
        pass


def serve(folder):
    """Serves a folder on a free port of the loopback interface."""
    handler = functools.partial(Handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def read(folder):
    """Reads a repository with the reference client, and each file with the Metadata API."""
    server = serve(folder)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    read_targets = {}
    with tempfile.TemporaryDirectory() as state:
        updater = Updater(
            state,
            f"{address}/metadata/",
            target_dir=state,
            target_base_url=f"{address}/targets/",
            bootstrap=(folder / "trusted_root.json").read_bytes(),
        )
        updater.refresh()
        listed = Metadata[Targets].from_file(str(pathlib.Path(state) / "targets.json"))
        for name in listed.signed.targets:
            info = updater.get_targetinfo(name)
            path = updater.download_target(info)
            read_targets[name] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        for name in json.loads((folder / "delegated.json").read_text()):
            path = updater.download_target(updater.get_targetinfo(name))
            read_targets[name] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
        root = Metadata[Root].from_file(str(pathlib.Path(state) / "root.json")).signed
    server.shutdown()
    server.server_close()

    canonical = {}
    for path in sorted((folder / "metadata").iterdir()):
        text = path.read_bytes()
        signed = json.loads(text)["signed"]
        ours = CanonicalJSONSerializer().serialize(Metadata.from_bytes(text).signed)
        assert ours == encode_canonical(signed).encode(), path.name
        canonical[path.name] = hashlib.sha256(ours).hexdigest()

    for keyid, key in root.keys.items():
        loaded = serialization.load_pem_public_key(key.keyval["public"].encode())
        assert SSlibKey.from_crypto(loaded).keyid == keyid, "key id"

    key = ECKey.import_key((folder / "key.pem").read_text())
    token = jws.deserialize_compact(
        (folder / "token.jws").read_text(), key, algorithms=["ES384"]
    )
    return {
        "root_version": root.version,
        "targets": read_targets,
        "canonical": canonical,
        "claims": json.loads(token.payload),
        "typ": token.headers()["typ"],
    }


def read_tokens(folder):
    """Reads tokens with a second JOSE library."""
    key = ECKey.import_key((folder / "key.pem").read_text())
    found = {}
    for path in sorted(folder.glob("*.jws")):
        text = path.read_text()
        token = jws.deserialize_compact(text, key, algorithms=["ES384"])
        found[path.stem] = {"header": token.headers(), "claims": json.loads(token.payload)}
        head, claims, signature = text.split(".")
        at = len(claims) // 2
        other = "A" if claims[at] != "A" else "B"
        changed = ".".join([head, claims[:at] + other + claims[at + 1 :], signature])
        try:
            jws.deserialize_compact(changed, key, algorithms=["ES384"])
        except BadSignatureError:
            continue
        raise AssertionError(f"{path.name}: a changed token was taken")
    return found


def main():
    """Runs one command."""
    command, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    commands = {"write": write, "read": read, "jws": read_tokens}
    print(json.dumps(commands[command](folder)))


if __name__ == "__main__":
    main()

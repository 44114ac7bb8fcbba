"""A signed repository that a scenario shapes at will, the server it lies on, and the client under test.

python-tuf makes and signs the metadata. A repository keeps every version that it published; the server
writes down what it was asked for.
"""

import datetime
import http.server
import json
import pathlib
import subprocess
import tempfile
import threading
import urllib.parse

from cryptography.hazmat.primitives.asymmetric import ec
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
from tuf.api.serialization.json import JSONSerializer

TOP = ("targets", "snapshot", "timestamp", "root")
MEMORY = pathlib.Path("/dev/shm")
P256 = "ecdsa-sha2-nistp256"
P384 = "ecdsa-sha2-nistp384"


def days(count):
    """So many days from now."""
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    return now + datetime.timedelta(days=count)


def new_signer(scheme):
    """A fresh key of a scheme."""
    if scheme == P384:
        private = ec.generate_private_key(ec.SECP384R1())
        return CryptoSigner(private, SSlibKey.from_crypto(private.public_key()))
    if scheme == P256:
        return CryptoSigner.generate_ecdsa()
    if scheme == "ed25519":
        return CryptoSigner.generate_ed25519()
    return CryptoSigner.generate_rsa(scheme=scheme)


class Repository:
    """Current metadata, all published files, and targets."""

    def __init__(self, scheme):
        self.scheme = scheme
        self.roles = {
            "targets": Targets(expires=days(30)),
            "snapshot": Snapshot(expires=days(30)),
            "timestamp": Timestamp(expires=days(30)),
            "root": Root(expires=days(30)),
        }
        self.signers = {role: [] for role in TOP}
        self.files = {}
        self.contents = {}
        self.states_hashes = False
        self.requests = []
        self.target_requests = []
        for role in TOP:
            self.add_key(role)
        self.publish(*TOP)

    @property
    def root(self):
        return self.roles["root"]

    @property
    def targets(self):
        return self.roles["targets"]

    @property
    def snapshot(self):
        return self.roles["snapshot"]

    @property
    def timestamp(self):
        return self.roles["timestamp"]

    def add_key(self, role, signer=None, delegator=None):
        """A further key for a role, which also signs from now on."""
        signer = signer or new_signer(self.scheme)
        of = self.roles[delegator] if delegator else self.root
        of.add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def rotate(self, role):
        """Other keys for a role."""
        self.root.roles[role].keyids.clear()
        self.signers[role].clear()
        for _ in range(self.root.roles[role].threshold):
            self.add_key(role)

    def signed(self, role):
        """The file of a role as it would be published now."""
        metadata = Metadata(self.roles[role])
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        return metadata.to_bytes(JSONSerializer())

    def publish(self, *roles):
        """Publishes roles in that order, each as its next version, and lists them."""
        for role in roles:
            versions = self.files.setdefault(role, [])
            if versions:
                self.roles[role].version += 1
            versions.append(self.signed(role))
            self.list(role)

    def list(self, role):
        """Lists the newest file of a role where clients look for it."""
        text, version = self.files[role][-1], self.roles[role].version
        listing = MetaFile(version)
        if self.states_hashes:
            listing = MetaFile.from_data(version, text, ["sha256"])
        if role == "snapshot":
            self.timestamp.snapshot_meta = listing
        elif role not in TOP or role == "targets":
            self.snapshot.meta[f"{role}.json"] = listing

    def restart(self, role):
        """Forgets every version of a role: the next one published is version 1."""
        del self.files[role]
        self.roles[role].version = 1

    def replace_last(self, role, change):
        """Changes the newest file of a role behind its signature."""
        value = json.loads(self.files[role][-1])
        change(value)
        self.files[role][-1] = json.dumps(value).encode()

    def add_target(self, path, content, role="targets", hashes=("sha256",)):
        """Lists a target and serves its content."""
        self.roles[role].targets[path] = TargetFile.from_data(path, content, list(hashes))
        self.contents[path] = content

    def delegate(self, delegator, name, paths=("*",), prefixes=None, terminating=False, expires=None):
        """Delegates to a role with a new key; makes the role where it is new."""
        if name not in self.roles:
            self.roles[name] = Targets(expires=expires or days(30))
        of = self.roles[delegator]
        of.delegations = of.delegations or Delegations({}, roles={})
        of.delegations.roles[name] = DelegatedRole(
            name, [], 1, terminating, None if prefixes else list(paths), prefixes
        )
        signers = self.signers.get(name)
        if signers:
            of.add_key(signers[0].public_key, name)
        else:
            self.add_key(name, delegator=delegator)

    def answer(self, path):
        """What the server has under a path, or nothing."""
        folder, _, name = path.partition("/")
        if folder == "metadata" and name.endswith(".json"):
            return self.metadata(name.removesuffix(".json"))
        if folder == "targets":
            before, _, last = name.rpartition("/")
            digest, _, last = last.partition(".")
            target = urllib.parse.unquote(f"{before}/{last}" if before else last)
            self.target_requests.append((target, digest))
            return self.contents.get(target)
        return None

    def metadata(self, name):
        version, role = None, name
        is_versioned = self.root.consistent_snapshot and name != "timestamp"
        if is_versioned or name.endswith(".root"):
            version, _, role = name.partition(".")
        self.requests.append(f"{role} {version}" if version else role)
        versions = self.files.get(urllib.parse.unquote(role), [])
        index = int(version) - 1 if version else len(versions) - 1
        return versions[index] if 0 <= index < len(versions) else None


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the repository of the server."""

    def do_GET(self):
        body = self.server.repository.answer(self.path.lstrip("/"))
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        if callable(body):
            # Without a length and without an end.
            self.end_headers()
            try:
                body(self.wfile)
            except OSError:
                self.server.was_left.set()
            return
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


class Client:
    """The client under test with its folders."""

    def __init__(self, program, repository):
        self.program = program
        # The client flushes what it keeps; in memory that takes no time.
        self.held = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        folder = pathlib.Path(self.held.name)
        self.kept, self.loaded = folder / "metadata", folder / "targets"
        self.kept.mkdir()
        self.loaded.mkdir()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.repository = repository
        self.server.was_left = threading.Event()
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.held.cleanup()

    def run(self, *arguments):
        """Whether the command says that it worked. It must say yes or no."""
        command = [*self.program, "--metadata-dir", str(self.kept), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode in (0, 1), done
        return done.returncode == 0

    def init(self, root):
        path = pathlib.Path(self.held.name) / "shipped.json"
        path.write_bytes(root)
        return self.run("init", str(path))

    def refresh(self):
        return self.run("--metadata-url", f"{self.url}/metadata/", "refresh")

    def download(self, target):
        return self.run(
            "--metadata-url", f"{self.url}/metadata/",
            "--target-name", target,
            "--target-base-url", f"{self.url}/targets/",
            "--target-dir", str(self.loaded),
            "download",
        )

    def file(self, role):
        """The kept file of a role."""
        path = self.kept / f"{role}.json"
        return path.read_bytes() if path.exists() else None

    def version(self, role):
        """The kept version of a role."""
        text = self.file(role)
        return text and json.loads(text)["signed"]["version"]

    def versions(self):
        """Every kept role with its version."""
        names = (path.name for path in self.kept.iterdir())
        roles = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        return {role: self.version(role) for role in roles}

    def contents(self):
        """The content of every loaded target."""
        paths = (path for path in self.loaded.rglob("*") if path.is_file())
        return sorted(path.read_bytes() for path in paths)


def played(program, scheme, scenario):
    """Plays one scenario on a repository and a client of its own."""
    repository = Repository(scheme)
    client = Client(program, repository)
    try:
        scenario(client, repository)
    finally:
        client.close()


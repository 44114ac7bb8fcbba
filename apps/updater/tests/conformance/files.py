"""Scenarios of targets and delegations."""

import hashlib
import urllib.parse

from tuf.api.metadata import Delegations, SuccinctRoles, Targets

from stage import days, new_signer
from top import UPDATED, begun

HEAD = 4  # root, timestamp, snapshot, targets


def a_target_is_loaded_and_only_when_asked_for(client, repo):
    begun(client, repo)
    repo.add_target("note.txt", b"what it says")
    repo.publish(*UPDATED)
    assert client.refresh()
    assert client.contents() == []
    assert client.download("note.txt")
    assert client.contents() == [b"what it says"]


def a_target_in_folders_with_odd_letters_is_loaded(client, repo):
    begun(client, repo)
    for path in ("a/b/c.txt", "with space+plus.txt", "\u00e4\u00f6/\U0001f600.bin", "empty"):
        repo.add_target(path, b"" if path == "empty" else path.encode())
    repo.publish(*UPDATED)
    for path in repo.contents:
        assert client.download(path), path
    assert client.contents() == sorted(repo.contents.values())


def another_content_than_the_signed_is_refused(client, repo):
    begun(client, repo)
    repo.add_target("one", b"first")
    repo.add_target("two", b"second")
    repo.publish(*UPDATED)
    assert client.download("one")
    for evil in (b"other", b"second and more", b"sec", b"sEcond"):
        repo.contents.update(one=evil, two=evil)
        client.download("one")
        assert not client.download("two")
        assert client.contents() == [b"first"]


def a_target_that_changes_is_loaded_anew_under_its_name(client, repo):
    begun(client, repo)
    kept = {}
    for turn in range(6):
        kept["same"] = b"turn %d" % turn
        repo.add_target("same", kept["same"])
        kept[f"new {turn}"] = b"new %d" % turn
        repo.add_target(f"new {turn}", kept[f"new {turn}"])
        repo.publish(*UPDATED)
        assert client.download("same") and client.download(f"new {turn}")
        assert client.contents() == sorted(kept.values())
        repo.contents["same"] = b"evil %d" % turn
        repo.publish(*UPDATED)
        client.download("same")
        assert client.contents() == sorted(kept.values())


def what_was_loaded_is_not_loaded_again(client, repo):
    begun(client, repo)
    repo.add_target("note", b"content")
    repo.publish(*UPDATED)
    assert client.download("note") and client.download("note")
    assert len(repo.target_requests) == 1


def an_endless_target_is_left_at_its_length(client, repo):
    begun(client, repo)
    repo.add_target("big", b"content")

    def body(out):
        while True:
            out.write(b"content" * 9000)

    repo.contents["big"] = body
    repo.publish(*UPDATED)
    assert not client.download("big")
    assert client.server.was_left.wait(60)
    assert client.contents() == []


def with_hashes(*names):
    def scenario(client, repo):
        begun(client, repo)
        repo.add_target("note", b"content", hashes=names)
        repo.publish(*UPDATED)
        assert client.download("note")
        assert client.contents() == [b"content"]
        stated = repo.targets.targets["note"].hashes.values()
        assert [digest in stated for _, digest in repo.target_requests] == [True]

    return scenario


def a_digest_that_nobody_knows_is_no_digest(client, repo):
    begun(client, repo)
    repo.add_target("note", b"content", hashes=["sha512"])
    hashes = repo.targets.targets["note"].hashes
    hashes["whirl"] = hashes.pop("sha512")
    repo.publish(*UPDATED)
    assert not client.download("note")
    assert client.contents() == []


def one_wrong_digest_of_two_is_enough_to_refuse(client, repo):
    begun(client, repo)
    repo.add_target("note", b"content", hashes=["sha256", "sha512"])
    repo.targets.targets["note"].hashes["sha512"] = "00" * 64
    repo.publish(*UPDATED)
    assert not client.download("note")
    assert client.contents() == []


# Delegations as `who:whom`, `!` where it terminates, `=` before the paths; then who is asked, in order.
GRAPHS = {
    "one": ("targets:A", "A"),
    "two beside": ("targets:A targets:B", "A B"),
    "one below another": ("targets:A targets:B B:C", "A B C"),
    "depth before breadth": ("targets:A targets:B A:C A:D", "A C D B"),
    "three deep": ("targets:A targets:B A:C C:D", "A C D B"),
    "the end of a branch ends the search": ("targets:A targets:B A:C! A:D", "A C"),
    "what is below the end is still asked": ("targets:A targets:B A:C! C:D", "A C D"),
    "other paths at the first level": ("targets:A=*.py targets:B A:C", "B"),
    "other paths at the second level": ("targets:A targets:B A:C=*.py C:D", "A B"),
    "a circle": ("targets:A targets:B B:C C:D D:B", "A B C D"),
    "two roads to one role": ("targets:A targets:B B:C A:C", "A C B"),
    "two roads, one for other paths": ("targets:A targets:B B:C A:C=*.py", "A B C"),
    "a role that delegates to itself": ("targets:A A:A A:B", "A B"),
}


def delegate_all(repo, words):
    for word in words.split():
        who, _, whom = word.partition(":")
        whom, _, path = whom.partition("=")
        name = whom.removesuffix("!")
        repo.delegate(who, name, paths=[path or "*"], terminating=whom.endswith("!"))
    repo.publish(*(role for role in repo.roles if role not in ("root", *UPDATED)), *UPDATED)


def graph(words, order):
    def scenario(client, repo):
        begun(client, repo)
        delegate_all(repo, words)
        assert not client.download("nowhere")
        assert repo.requests[HEAD:] == [f"{name} 1" for name in order.split()]

    return scenario


TREE = {
    "top": ("targets", "", True),
    "READ.md": ("A", "A", True),
    "parts/x/one": ("C", "B C", True),
    "parts/y/two.zip": ("D", "B D", True),
    "parts/z/three.zip": ("D", "B", False),
}


def in_tree(path):
    def scenario(client, repo):
        begun(client, repo)
        repo.delegate("targets", "A", paths=["*.doc", "*.md"])
        repo.delegate("targets", "B", paths=["parts/*/*"])
        repo.delegate("B", "C", paths=["parts/x/*"])
        repo.delegate("B", "D", paths=["parts/y/*.zip"])
        for target, (role, _, _) in TREE.items():
            repo.add_target(target, b"by " + role.encode(), role=role)
        repo.publish("A", "C", "D", "B", *UPDATED)
        _, asked, is_found = TREE[path]
        assert client.download(path) == is_found
        assert client.contents() == ([repo.contents[path]] if is_found else [])
        assert repo.requests[HEAD:] == [f"{name} 1" for name in asked.split()]

    return scenario


def succinct_hash_bins_are_followed(client, repo):
    begun(client, repo)
    signer = new_signer(repo.scheme)
    bins = SuccinctRoles([], 1, 5, "bin")
    repo.targets.delegations = Delegations({}, succinct_roles=bins)
    repo.targets.add_key(signer.public_key)
    for name in bins.get_roles():
        repo.roles[name], repo.signers[name] = Targets(expires=days(30)), [signer]
    paths = [f"dir/file {number}" for number in range(8)]
    for path in paths:
        repo.add_target(path, path.encode(), role=bins.get_role_for_target(path))
    at_home = bins.get_role_for_target("stray")
    repo.add_target("stray", b"stray", role=next(it for it in bins.get_roles() if it != at_home))
    repo.publish(*bins.get_roles(), *UPDATED)
    for path in paths:
        assert client.download(path)
    assert not client.download("stray")
    assert client.contents() == sorted(path.encode() for path in paths)
    repo.signers[bins.get_role_for_target("one more")] = [new_signer(repo.scheme)]
    repo.add_target("one more", b"one more", role=bins.get_role_for_target("one more"))
    repo.publish(bins.get_role_for_target("one more"), *UPDATED)
    assert not client.download("one more"), "another key signed its bin"


def a_set_in_a_pattern_stands_for_its_characters(client, repo):
    begun(client, repo)
    repo.delegate("targets", "numbers", paths=["[0-9]*"], terminating=True)
    repo.delegate("targets", "others", paths=["[!a-z]*"])
    repo.add_target("7.txt", b"seven", role="numbers")
    repo.add_target("8.txt", b"eight", role="others")
    repo.add_target("X.txt", b"an X", role="others")
    repo.add_target("x.txt", b"an x", role="others")
    repo.publish("numbers", "others", *UPDATED)
    assert client.download("7.txt") and client.download("X.txt")
    assert not client.download("8.txt"), "the search ends with the terminating role"
    assert not client.download("x.txt")


def hash_bins_are_asked_by_the_digest_of_the_path(client, repo):
    begun(client, repo)
    bins = ["0123456789abcdef"[at:at + 4] for at in range(0, 16, 4)]
    for digits in bins:
        repo.delegate("targets", f"bin-{digits}", prefixes=list(digits))
    paths = [f"file {number}" for number in range(8)]
    homes = {path: hashlib.sha256(path.encode()).hexdigest()[0] for path in paths}
    for path, digit in homes.items():
        name = next(f"bin-{digits}" for digits in bins if digit in digits)
        repo.add_target(path, path.encode(), role=name)
    repo.publish(*(f"bin-{digits}" for digits in bins), *UPDATED)
    for path, digit in homes.items():
        before = len(repo.requests)
        assert client.download(path)
        asked = [it for it in repo.requests[before:] if it.startswith("bin-")]
        name = next(f"bin-{digits} 1" for digits in bins if digit in digits)
        assert asked in ([name], []), "kept metadata need not be asked for again"
    assert client.contents() == sorted(path.encode() for path in paths)


def a_target_outside_the_paths_of_its_role_is_not_found(client, repo):
    begun(client, repo)
    repo.delegate("targets", "A", paths=["mine/*"])
    repo.add_target("yours/x", b"evil", role="A")
    repo.publish("A", *UPDATED)
    assert not client.download("yours/x")


def a_long_chain_of_delegations_ends_at_a_bound(client, repo):
    begun(client, repo)
    above = "targets"
    for number in range(40):
        repo.delegate(above, f"r{number}")
        above = f"r{number}"
    repo.add_target("deep", b"content", role=above)
    repo.publish(*(f"r{number}" for number in range(40)), *UPDATED)
    assert not client.download("deep")
    assert len(repo.requests[HEAD:]) == 32
    assert client.contents() == []


def a_delegated_role_signed_by_another_key_is_refused(client, repo):
    begun(client, repo)
    repo.delegate("targets", "A")
    repo.delegate("targets", "B")
    repo.add_target("note", b"evil", role="A")
    repo.signers["A"] = repo.signers["B"]
    repo.publish("A", "B", *UPDATED)
    assert not client.download("note")
    assert "A" not in client.versions()


def a_delegated_role_of_another_version_is_refused(client, repo):
    begun(client, repo)
    repo.delegate("targets", "A")
    repo.add_target("note", b"content", role="A")
    repo.publish("A", *UPDATED)
    repo.snapshot.meta["A.json"].version = 2
    repo.files["A"].append(repo.files["A"][0])
    repo.publish("snapshot", "timestamp")
    assert not client.download("note")
    assert "A" not in client.versions()


def a_delegated_role_that_expired_is_refused(client, repo):
    begun(client, repo)
    repo.delegate("targets", "A", expires=days(-1))
    repo.add_target("note", b"content", role="A")
    repo.publish("A", *UPDATED)
    assert client.refresh()
    assert not client.download("note")
    assert client.contents() == []
    assert client.versions() == {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 2}


def a_kept_delegated_role_that_expired_since(has_newer):
    def scenario(client, repo):
        begun(client, repo)
        repo.delegate("targets", "A", expires=days(-1))
        repo.add_target("note", b"content", role="A")
        repo.publish("A", *UPDATED)
        (client.kept / "A.json").write_bytes(repo.files["A"][-1])
        if has_newer:
            repo.roles["A"].expires = days(3)
            repo.publish("A", "snapshot", "timestamp")
        assert client.download("note") == has_newer
        assert client.contents() == ([b"content"] if has_newer else [])

    return scenario


def with_role_named(name):
    """Nothing of a role's name leads out of a folder or an address."""

    def scenario(client, repo):
        begun(client, repo)
        repo.delegate("targets", name)
        repo.publish(name, *UPDATED)
        assert not client.download("nowhere")
        assert f"{urllib.parse.quote(name, '')} 1" in repo.requests
        assert len(client.versions()) == 5
        assert client.versions()["targets"] == 2

    return scenario


def a_delegated_role_cannot_take_the_place_of_the_root(client, repo):
    begun(client, repo)
    repo.delegate("targets", "A")
    repo.publish("A", *UPDATED)
    signed = repo.targets.to_dict()
    signed["delegations"]["roles"][0]["name"] = "root"
    repo.targets.to_dict = lambda: signed
    repo.publish("targets", "snapshot", "timestamp")
    before = client.file("root")
    assert not client.download("nowhere")
    assert client.file("root") == before


SCENARIOS = {
    name: it
    for name, it in list(globals().items())
    if callable(it) and getattr(it, "__code__", None) and it.__code__.co_varnames[:2] == ("client", "repo")
    and name != "begun"
}
for hashes in (("sha256",), ("sha512",), ("sha256", "sha512")):
    SCENARIOS[f"a target with {' and '.join(hashes)}"] = with_hashes(*hashes)
for words, (edges, asked) in GRAPHS.items():
    SCENARIOS[f"delegations: {words}"] = graph(edges, asked)
for target in TREE:
    SCENARIOS[f"in the tree: {target}"] = in_tree(target)
for newer in (False, True):
    words = "with" if newer else "without"
    SCENARIOS[f"a kept delegated role that expired since, {words} a newer one"] = (
        a_kept_delegated_role_that_expired_since(newer)
    )
for role in ("?", "#", "/shelf", "../shelf", "a b/\u00e4%2F"):
    SCENARIOS[f"a role named {role}"] = with_role_named(role)

"""Scenarios of keys: kinds, thresholds, duplicates, rotation."""

import json

from stage import P256, P384, new_signer
from top import UPDATED, begun

KINDS = [P384, P256, "ed25519", "rsassa-pss-sha256", "rsassa-pss-sha384", "rsassa-pss-sha512"]


def too_few_signatures_of_a_snapshot_are_refused(client, repo):
    repo.root.roles["snapshot"].threshold = 3
    repo.add_key("snapshot")
    repo.add_key("snapshot")
    repo.publish("root", *UPDATED)
    begun(client, repo)
    assert client.refresh()
    repo.signers["snapshot"].pop()
    repo.publish(*UPDATED)
    assert not client.refresh()
    assert client.version("snapshot") == 2


def more_signatures_than_there_are_keys_cannot_be_had(client, repo):
    begun(client, repo)
    for _ in range(4):
        repo.add_key("snapshot")
    repo.root.roles["snapshot"].threshold = 6
    repo.publish("root", "snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("root") == 2
    assert client.version("snapshot") is None


def one_key_listed_and_signing_many_times_counts_once(client, repo):
    begun(client, repo)
    signer = repo.add_key("snapshot")
    repo.root.roles["snapshot"].keyids += [signer.public_key.keyid] * 8
    repo.root.roles["snapshot"].threshold = 6
    repo.publish("root", "snapshot", "timestamp")

    def multiply(file):
        file["signatures"] += [file["signatures"][-1]] * 8

    repo.replace_last("snapshot", multiply)
    assert not client.refresh()
    assert client.version("snapshot") is None


def one_key_under_many_ids_counts_once(client, repo):
    begun(client, repo)
    signer = repo.signers["snapshot"][0]
    for name in ("second", "third"):
        value = signer.public_key.to_dict()
        value["alias"] = name
        key = type(signer.public_key).from_dict(name * 8, value)
        repo.root.add_key(key, "snapshot")
    repo.root.roles["snapshot"].threshold = 3
    repo.publish("root", "snapshot", "timestamp")

    def multiply(file):
        one = file["signatures"][0]
        file["signatures"] += [{**one, "keyid": name * 8} for name in ("second", "third")]

    repo.replace_last("snapshot", multiply)
    assert not client.refresh()
    assert client.version("snapshot") is None


def two_signatures_under_one_id_are_refused(client, repo):
    begun(client, repo)
    repo.replace_last("snapshot", lambda file: file["signatures"].append(file["signatures"][0]))
    assert not client.refresh()
    assert client.version("snapshot") is None


def a_wrong_or_empty_signature_beside_a_good_one_does_no_harm(client, repo):
    begun(client, repo)
    old = json.loads(repo.files["timestamp"][0])["signatures"][0]
    repo.add_key("timestamp")
    repo.publish("root")
    for wrong in (old["sig"], "", "no hex"):
        repo.publish("timestamp")
        repo.replace_last("timestamp", lambda file: file["signatures"][0].update(sig=wrong))
        assert client.refresh(), wrong
        assert client.version("timestamp") == repo.timestamp.version


def a_kind_of_key_that_nobody_knows_is_passed_over(client, repo):
    begun(client, repo)
    signer = new_signer(P256)
    value = signer.public_key.to_dict()
    value["keytype"], value["scheme"] = "ml-dsa", "ml-dsa-65"
    repo.root.add_key(type(signer.public_key)("ab" * 32, "ml-dsa", "ml-dsa-65", value["keyval"]), "root")
    repo.publish("root")
    assert client.refresh()
    assert client.version("root") == 2


def of_kind(scheme):
    def scenario(client, repo):
        begun(client, repo)
        signer = repo.add_key("root", signer=new_signer(scheme))
        repo.root.roles["root"].threshold += 1
        repo.publish("root")
        assert client.refresh()
        assert client.version("root") == 2
        other = new_signer(scheme).sign(b"something else").signature
        repo.publish("root")

        def spoil(file):
            for one in file["signatures"]:
                if one["keyid"] == signer.public_key.keyid:
                    one["sig"] = other

        repo.replace_last("root", spoil)
        assert not client.refresh()
        assert client.version("root") == 2

    return scenario


# Of each root the keys, the threshold and who signs; and whether the last one is taken.
ROOTS = {
    "one key by another": ([("1", 1, "1"), ("2", 1, "21"), ("2", 1, "2")], True),
    "one key by another, strangers sign too": ([("1", 1, "314"), ("2", 1, "3214"), ("2", 1, "324")], True),
    "three of five in changing company": (
        [("01234", 3, "024"), ("01234", 3, "041"), ("01234", 3, "013"), ("01234", 3, "013")], True),
    "one of five": ([("01234", 3, "024"), ("01345", 3, "041")], True),
    "one of five, with a step between": (
        [("01234", 3, "024"), ("01345", 3, "0245"), ("01345", 3, "045")], True),
    "all five, with a step between": (
        [("01234", 3, "024"), ("56789", 3, "024567"), ("56789", 3, "567")], True),
    "threshold from one to two of three": ([("123", 1, "1"), ("123", 2, "12")], True),
    "threshold from two to one of three": ([("123", 2, "12"), ("123", 1, "12"), ("123", 1, "1")], True),
    "a second key and both needed": ([("1", 1, "1"), ("12", 2, "12")], True),
    "not signed by the old key": ([("1", 1, "1"), ("2", 1, "234")], False),
    "not signed by the new key": ([("1", 1, "1"), ("2", 1, "134")], False),
    "too few of the new five": ([("01234", 3, "024"), ("01345", 3, "024")], False),
    "too few of the old five": ([("01234", 3, "024"), ("01345", 3, "045")], False),
    "the higher threshold not reached": ([("123", 1, "1"), ("123", 2, "2")], False),
    "the old threshold not reached": ([("123", 2, "12"), ("123", 1, "1")], False),
}


def rotated_root(roots, is_taken):
    def scenario(client, repo):
        signers = [new_signer("ed25519") for _ in range(10)]
        repo.files["root"].clear()
        repo.root.version = 1
        for keys, threshold, signing in roots:
            repo.root.roles["root"].keyids.clear()
            repo.root.roles["root"].threshold = threshold
            for digit in keys:
                repo.root.add_key(signers[int(digit)].public_key, "root")
            repo.signers["root"] = [signers[int(digit)] for digit in signing]
            repo.publish("root")
        begun(client, repo)
        assert client.refresh() == is_taken
        assert client.file("root") == repo.files["root"][-1 if is_taken else -2]

    return scenario


OTHERS = {
    "one key by another": ("2", 1, "2", True),
    "strangers sign too": ("1", 1, "314", True),
    "not signed by the new key": ("2", 1, "134", False),
    "too few of the five": ("01345", 3, "024", False),
    "one signature missing": ("01345", 3, "04", False),
    "three of five": ("01234", 3, "024", True),
    "another three of five": ("01234", 3, "341", True),
    "the last three of five": ("01234", 3, "234", True),
}


def rotated_others(keys, threshold, signing, is_taken):
    def scenario(client, repo):
        signers = [new_signer("ed25519") for _ in range(6)]
        begun(client, repo)
        for role in ("timestamp", "snapshot", "targets"):
            repo.root.roles[role].keyids.clear()
            repo.root.roles[role].threshold = threshold
            for digit in keys:
                repo.root.add_key(signers[int(digit)].public_key, role)
            repo.signers[role] = [signers[int(digit)] for digit in signing]
            repo.publish("root", *UPDATED)
            assert client.refresh() == is_taken, role
            assert (client.file(role) == repo.files[role][-1]) == is_taken, role
            if not is_taken:
                return

    return scenario


SCENARIOS = {
    name: it
    for name, it in list(globals().items())
    if callable(it) and getattr(it, "__code__", None) and it.__code__.co_varnames[:2] == ("client", "repo")
    and name != "begun"
}
for kind in KINDS:
    SCENARIOS[f"a key of {kind} is verified, and its wrong signature refused"] = of_kind(kind)
for words, (steps, good) in ROOTS.items():
    SCENARIOS[f"root keys: {words}"] = rotated_root(steps, good)
for words, case in OTHERS.items():
    SCENARIOS[f"keys of other roles: {words}"] = rotated_others(*case)

"""Scenarios of the four top-level roles: requests, signatures, versions, expiry, rollback, recovery."""

import json

from stage import TOP, days
from tuf.api.metadata import MetaFile

UPDATED = ("targets", "snapshot", "timestamp")
FRESH = ["root 2", "timestamp", "snapshot 1", "targets 1"]


def begun(client, repo):
    assert client.init(repo.files["root"][0])


def kept_as_served(client, repo):
    for role in TOP:
        assert client.file(role) == repo.files[role][-1], role


def a_first_refresh_asks_for_each_role_once_and_keeps_what_came(client, repo):
    begun(client, repo)
    assert client.refresh()
    assert repo.requests == FRESH
    kept_as_served(client, repo)


def a_download_refreshes_first(client, repo):
    begun(client, repo)
    assert not client.download("not there")
    assert repo.requests == FRESH
    kept_as_served(client, repo)
    assert client.contents() == []


def a_second_refresh_loads_only_the_timestamp(client, repo):
    begun(client, repo)
    assert client.refresh() and client.refresh()
    assert repo.requests == [*FRESH, "root 2", "timestamp"]


def metadata_is_kept_byte_for_byte(client, repo):
    begun(client, repo)
    repo.files["timestamp"][-1] += b" \n"
    assert client.refresh()
    assert client.file("timestamp") == repo.files["timestamp"][-1]


def a_first_root_without_a_version_leads_nowhere(client, repo):
    repo.replace_last("root", lambda root: root["signed"].pop("version"))
    client.init(repo.files["root"][0])
    assert not client.refresh()
    assert repo.requests == []


def a_first_root_with_a_strange_signature_leads_nowhere(client, repo):
    other = json.loads(repo.files["targets"][0])["signatures"][0]["sig"]
    repo.replace_last("root", lambda root: root["signatures"][0].update(sig=other))
    client.init(repo.files["root"][0])
    assert not client.refresh()
    assert repo.requests == []


def unsigned(role, kept):
    def scenario(client, repo):
        repo.signers[role].clear()
        first = repo.files["root"][0]
        repo.publish("root", *UPDATED)
        assert client.init(first)
        assert not client.refresh()
        assert client.versions() == kept

    return scenario


def misnumbered(role, kept):
    def scenario(client, repo):
        repo.roles[role].version += 1
        first = repo.files["root"][0]
        repo.publish("root", *UPDATED)
        if role in ("snapshot", "targets"):
            # The listing names the file's address, not what it says.
            listing = repo.timestamp.snapshot_meta if role == "snapshot" else repo.snapshot.meta["targets.json"]
            listing.version = 2
            repo.files[role].append(repo.files[role][-1])
            for above in UPDATED[UPDATED.index(role) + 1:]:
                repo.files[above][-1] = repo.signed(above)
        assert client.init(first)
        assert not client.refresh()
        assert client.versions() == kept

    return scenario


def another_timestamp_of_the_same_version_changes_nothing(client, repo):
    begun(client, repo)
    assert client.refresh()
    repo.timestamp.snapshot_meta.version = 100
    repo.files["timestamp"][-1] = repo.signed("timestamp")
    assert client.refresh()
    assert repo.requests[-1] == "timestamp"
    assert json.loads(client.file("timestamp"))["signed"]["meta"]["snapshot.json"]["version"] == 1


def listed_digests_of_metadata_are_compared(client, repo):
    repo.states_hashes = True
    repo.publish(*UPDATED)
    begun(client, repo)
    assert client.refresh()
    repo.publish("targets")
    repo.snapshot.meta["targets.json"].hashes["sha256"] = "46" * 32
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert (client.version("snapshot"), client.version("targets")) == (3, 2)


def a_listed_length_of_metadata_is_compared(client, repo):
    repo.states_hashes = True
    repo.publish("targets")
    repo.snapshot.meta["targets.json"].length += 1
    repo.publish("snapshot", "timestamp")
    begun(client, repo)
    assert not client.refresh()
    assert client.version("targets") is None


def unknown_fields_are_signed_and_harmless(client, repo):
    begun(client, repo)
    assert client.refresh()
    repo.root.unrecognized_fields["house"] = {"colour": "red", "doors": 3}
    repo.root.roles["root"].unrecognized_fields["since"] = "spring"
    signer = repo.add_key("root")
    signer.public_key.unrecognized_fields["keyid_hash_algorithms"] = ["md5"]
    repo.publish("root")
    assert client.refresh()
    assert client.version("root") == 2


def missing(role, kept):
    def scenario(client, repo):
        begun(client, repo)
        assert client.refresh()
        if role == "snapshot":
            repo.timestamp.snapshot_meta.version += 1
            repo.publish("timestamp")
        else:
            repo.snapshot.meta["targets.json"].version += 1
            repo.publish("snapshot", "timestamp")
        assert not client.refresh()
        assert repo.requests[-1] == f"{role} 2"
        assert client.versions() == kept

    return scenario


def a_missing_timestamp_is_a_failure(client, repo):
    begun(client, repo)
    assert client.refresh()
    del repo.files["timestamp"]
    assert not client.refresh()
    assert repo.requests[-1] == "timestamp"


def a_snapshot_in_the_place_of_the_timestamp_is_refused(client, repo):
    begun(client, repo)
    repo.add_key("snapshot", signer=repo.signers["timestamp"][0])
    repo.snapshot.meta = {"snapshot.json": MetaFile(1)}
    repo.publish("root", "snapshot")
    repo.files["timestamp"].append(repo.files["snapshot"].pop())
    assert not client.refresh()
    assert client.versions() == {"root": 2}


def an_expired_root_is_kept_and_stops_the_rest(client, repo):
    begun(client, repo)
    assert client.refresh()
    repo.root.expires = days(-1)
    repo.publish("root", *UPDATED)
    assert not client.refresh()
    assert client.versions() == {"root": 2, "timestamp": 1, "snapshot": 1, "targets": 1}


def expired(role, kept):
    def scenario(client, repo):
        begun(client, repo)
        assert client.refresh()
        repo.roles[role].expires = days(-5)
        repo.publish(*UPDATED)
        assert not client.refresh()
        assert client.versions() == {"root": 1, **kept}

    return scenario


def a_kept_root_that_expired_since_stops_everything(client, repo):
    """The time that the suite fakes: here the client finds what it would have kept so long ago."""
    repo.root.expires = days(-1)
    repo.publish("root")
    assert client.init(repo.files["root"][0])
    (client.kept / "root.json").write_bytes(repo.files["root"][1])
    assert not client.refresh()
    assert "timestamp" not in client.versions()


def kept_metadata_that_expired_since_still_leads_to_newer(client, repo):
    for role in UPDATED:
        repo.roles[role].expires = days(-3)
    repo.publish(*UPDATED)
    begun(client, repo)
    for role in UPDATED:
        (client.kept / f"{role}.json").write_bytes(repo.files[role][-1])
        repo.roles[role].expires = days(3)
    assert not client.refresh(), "nothing newer yet"
    repo.publish(*UPDATED)
    assert client.refresh()
    assert client.versions() == {"root": 1, "timestamp": 3, "snapshot": 3, "targets": 3}


def kept_metadata_that_expired_since_still_binds(client, repo):
    repo.timestamp.expires = days(-3)
    repo.publish("timestamp", "timestamp")
    begun(client, repo)
    (client.kept / "timestamp.json").write_bytes(repo.files["timestamp"][-1])
    repo.restart("timestamp")
    repo.timestamp.expires = days(3)
    repo.publish("timestamp", "timestamp")
    assert not client.refresh()
    assert client.version("timestamp") == 3


def a_timestamp_that_goes_back_is_refused(client, repo):
    begun(client, repo)
    repo.publish("timestamp")
    assert client.refresh()
    repo.restart("timestamp")
    repo.publish("timestamp")
    assert not client.refresh()
    assert client.version("timestamp") == 2
    assert repo.requests[-1] == "timestamp"


def a_snapshot_that_goes_back(states_hashes):
    def scenario(client, repo):
        begun(client, repo)
        repo.states_hashes = states_hashes
        repo.publish("snapshot", "timestamp")
        assert client.refresh()
        repo.restart("snapshot")
        repo.publish("snapshot", "timestamp")
        assert not client.refresh()
        assert (client.version("timestamp"), client.version("snapshot")) == (2, 2)
        assert repo.requests[-1] == "timestamp"

    return scenario


def targets_that_go_back(states_hashes):
    def scenario(client, repo):
        begun(client, repo)
        repo.states_hashes = states_hashes
        repo.publish(*UPDATED)
        assert client.refresh()
        repo.restart("targets")
        repo.publish(*UPDATED)
        assert not client.refresh()
        assert (client.version("snapshot"), client.version("targets")) == (2, 2)

    return scenario


def a_snapshot_newer_than_its_listing_is_not_even_asked_for(client, repo):
    begun(client, repo)
    repo.publish("snapshot", "timestamp")
    assert client.refresh()
    repo.publish("snapshot")
    assert client.refresh()
    assert client.version("snapshot") == 2
    assert repo.requests[-1] == "timestamp"


def a_role_that_vanishes_from_the_snapshot_is_refused(client, repo):
    begun(client, repo)
    repo.delegate("targets", "shelf")
    repo.publish("shelf", *UPDATED)
    assert client.refresh()
    del repo.snapshot.meta["shelf.json"]
    repo.publish("snapshot", "timestamp")
    assert not client.refresh()
    assert client.version("snapshot") == 2


def far_targets_are_taken_back_with_a_new_snapshot_key(client, repo):
    begun(client, repo)
    repo.delegate("targets", "shelf")
    repo.publish("shelf", *["targets"] * 99, "snapshot", "timestamp")
    assert client.refresh()
    assert client.version("targets") == 100
    repo.rotate("snapshot")
    repo.restart("targets")
    del repo.snapshot.meta["shelf.json"]
    repo.publish("root", *UPDATED)
    assert client.refresh()
    assert client.version("targets") == 1


def a_far_snapshot_is_taken_back_with_new_keys(client, repo):
    begun(client, repo)
    repo.publish(*["snapshot"] * 99, "timestamp")
    assert client.refresh()
    assert client.version("snapshot") == 100
    repo.rotate("snapshot")
    repo.rotate("timestamp")
    repo.restart("snapshot")
    repo.publish("root", *UPDATED)
    assert client.refresh()
    assert client.version("snapshot") == 1


def a_far_snapshot_is_taken_back_with_a_new_snapshot_key_alone(client, repo):
    begun(client, repo)
    repo.publish(*["snapshot"] * 99, "timestamp")
    assert client.refresh()
    repo.rotate("snapshot")
    repo.restart("snapshot")
    repo.publish("root", *UPDATED)
    assert client.refresh()
    assert client.version("snapshot") == 1


def far_targets_are_taken_back_with_a_new_timestamp_key_alone(client, repo):
    begun(client, repo)
    repo.publish(*["targets"] * 99, "snapshot", "timestamp")
    assert client.refresh()
    repo.rotate("timestamp")
    repo.restart("targets")
    repo.publish("root", *UPDATED)
    assert client.refresh()
    assert client.version("targets") == 1


def what_former_online_keys_reached_is_gone_before_the_next_timestamp_is_there(client, repo):
    begun(client, repo)
    assert client.refresh()
    repo.rotate("snapshot")
    repo.publish("root")
    del repo.files["timestamp"]
    assert not client.refresh()
    assert client.versions() == {"root": 2, "targets": 1}


def a_far_timestamp_is_taken_back_with_a_new_key(client, repo):
    begun(client, repo)
    repo.publish(*["timestamp"] * 99)
    assert client.refresh()
    assert client.version("timestamp") == 100
    repo.rotate("timestamp")
    repo.restart("timestamp")
    repo.publish("root", "timestamp")
    assert client.refresh()
    assert client.version("timestamp") == 1


def endless(role):
    """A body without an end is left at a bound, whatever it begins with."""

    def scenario(client, repo):
        begun(client, repo)

        def body(out):
            while True:
                out.write(b" " * 65536)

        repo.files[role] = [repo.files[role][0], body] if role == "root" else [body]
        assert not client.refresh()
        assert client.server.was_left.wait(60)
        assert client.versions().get(role) == (1 if role == "root" else None)

    return scenario


def a_repository_without_consistent_snapshots_is_read(client, repo):
    repo.root.consistent_snapshot = False
    repo.publish("root")
    begun(client, repo)
    assert client.refresh()
    assert repo.requests[:3] == ["root 2", "root 3", "timestamp"]
    assert repo.requests[3:] == ["snapshot", "targets"]


SCENARIOS = {
    name: it
    for name, it in list(globals().items())
    if callable(it) and getattr(it, "__code__", None) and it.__code__.co_varnames[:2] == ("client", "repo")
    and name not in ("begun", "kept_as_served")
}
R, T, S = {"root": 2}, {"root": 2, "timestamp": 2}, {"root": 2, "timestamp": 2, "snapshot": 2}
for of, left in [("root", {"root": 1}), ("timestamp", R), ("snapshot", T), ("targets", S)]:
    SCENARIOS[f"a {of} without its signature is refused, what came before stays"] = unsigned(of, left)
for of, left in [("root", {"root": 1}), ("snapshot", T), ("targets", S)]:
    SCENARIOS[f"a {of} with another version than its name is refused"] = misnumbered(of, left)
SCENARIOS["a missing snapshot leaves the new timestamp"] = missing(
    "snapshot", {"root": 1, "timestamp": 2, "snapshot": 1, "targets": 1}
)
SCENARIOS["missing targets leave the new timestamp and snapshot"] = missing(
    "targets", {"root": 1, "timestamp": 2, "snapshot": 2, "targets": 1}
)
for of, left in [
    ("timestamp", {"timestamp": 1, "snapshot": 1, "targets": 1}),
    ("snapshot", {"timestamp": 2, "snapshot": 1, "targets": 1}),
    ("targets", {"timestamp": 2, "snapshot": 2, "targets": 1}),
]:
    SCENARIOS[f"an expired {of} is refused"] = expired(of, left)
for states in (False, True):
    words = "with" if states else "without"
    SCENARIOS[f"a snapshot that goes back, {words} digests"] = a_snapshot_that_goes_back(states)
    SCENARIOS[f"targets that go back, {words} digests"] = targets_that_go_back(states)
for of in TOP:
    SCENARIOS[f"an endless {of}"] = endless(of)

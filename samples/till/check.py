#!/usr/bin/env python3
"""Check that this sample is what it claims to be.

Replays the history into a temporary git repository, runs the test suite at every commit, and tries the two
journals, the health check, the bad release and a few fixes, right and wrong. Needs git and Python 3.9 or
later, nothing else. Ends with exit code 1 and one sentence at the first thing that is not as it should be.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NoReturn

HERE = Path(__file__).resolve().parent
PRODUCT = HERE / "product"
BUSY = HERE / "days" / "busy-day.jsonl"
REFUNDS = HERE / "days" / "refunds-only.jsonl"
DEVICE_SETTINGS = HERE / "device-settings.json"

MESSAGE = re.compile(r"(feat|fix|docs|test|perf|refactor)(\(\w+\))?: \S.*")
DEFECT = "    return (total_cents + count // 2) // count\n"
RIGHT_FIX = "    if count == 0:\n        return 0\n" + DEFECT
#: Fixes that only look like one, and what has to tell them apart: the suite, or the same journal once more.
WRONG_FIXES = (
    ("returns None for an empty day", "    if count == 0:\n        return None\n" + DEFECT, "journal"),
    ("returns 1 for an empty day", "    if count == 0:\n        return 1\n" + DEFECT, "journal"),
    ("divides by one more", "    return (total_cents + count // 2) // (count + 1)\n", "suite"),
    ("forgets the rounding", "    return total_cents // max(count, 1)\n", "suite"),
    ("always returns 0", "    return 0\n", "suite"),
)


def fail(sentence: str) -> NoReturn:
    """Say what is wrong and end."""
    print(f"check: {sentence}", file=sys.stderr)
    sys.exit(1)


def run(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with a small environment that nothing of the user's configuration reaches."""
    base = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }
    return subprocess.run(
        command, cwd=folder, env={**base, **environment}, capture_output=True, text=True, timeout=120, check=False
    )


def git(folder: Path, *arguments: str, **environment: str) -> str:
    """Run git and return what it prints."""
    done = run(folder, "git", "-c", "commit.gpgsign=false", "-c", "core.autocrlf=false", *arguments, **environment)
    if done.returncode != 0:
        fail(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def suite(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the product's own test suite."""
    return run(folder, sys.executable, "-m", "unittest", "discover", "-s", "tests", "-t", ".")


def till(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the product as a device does."""
    return run(folder, sys.executable, "-m", "till", *arguments, TILL_SETTINGS=str(DEVICE_SETTINGS))


def must_pass_suite(folder: Path, what: str) -> None:
    done = suite(folder)
    if done.returncode != 0:
        fail(f"the test suite fails {what}:\n{done.stderr.strip()}")
    if "Ran 0 tests" in done.stderr:
        fail(f"the test suite is empty {what}")


def load_commits(path: Path) -> list[dict[str, Any]]:
    """Read one commit, or a list of them, and check that each says what it must."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{path.name} cannot be read: {error}")
    commits: list[dict[str, Any]] = record if isinstance(record, list) else [record]
    for number, commit in enumerate(commits, start=1):
        where = f"{path.name}, commit {number}"
        if set(commit) != {"message", "author", "date", "files", "delete"}:
            fail(f"{where}: expected the keys message, author, date, files and delete")
        if not MESSAGE.fullmatch(commit["message"].split("\n")[0]):
            fail(f"{where}: the message does not begin with a type such as feat:, fix:, docs: or test:")
        if not re.fullmatch(r"[^<>]+ <[\w.]+@example\.com>", commit["author"]):
            fail(f"{where}: the author is not of the form Name <mail@example.com>")
        for target, source in commit["files"].items():
            if ".." in Path(target).parts or Path(target).is_absolute():
                fail(f"{where}: {target} leaves the repository")
            if not (HERE / source).resolve().is_relative_to(HERE) or not (HERE / source).is_file():
                fail(f"{where}: there is no file {source}")
    dates = [when(commit) for commit in commits]
    if dates != sorted(dates):
        fail(f"{path.name}: the dates do not rise")
    return commits


def when(commit: dict[str, Any]) -> datetime.datetime:
    """Return the date of a commit; 3.9 and 3.10 do not read the letter Z."""
    return datetime.datetime.fromisoformat(commit["date"].replace("Z", "+00:00"))


def apply(folder: Path, commit: dict[str, Any]) -> None:
    """Copy and delete the files of one commit."""
    for target, source in commit["files"].items():
        path = folder / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / source, path)
    for target in commit["delete"]:
        (folder / target).unlink()


def record(folder: Path, commit: dict[str, Any]) -> str:
    """Commit the tree as it is and return the id, the same on every machine."""
    name, mail = commit["author"].rstrip(">").split(" <")
    dates = {"GIT_AUTHOR_DATE": commit["date"], "GIT_COMMITTER_DATE": commit["date"]}
    git(folder, "add", "--all")
    git(
        folder,
        "-c",
        f"user.name={name}",
        "-c",
        f"user.email={mail}",
        "commit",
        "--quiet",
        "-m",
        commit["message"],
        **dates,
    )
    return git(folder, "rev-parse", "HEAD").strip()


def replay(folder: Path, commits: list[dict[str, Any]], test: bool) -> str:
    """Build the repository; return the id of its last commit."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    tip, healthy_before = "", True
    for commit in commits:
        title = commit["message"].split("\n")[0]
        apply(folder, commit)
        tip = record(folder, commit)
        if not test:
            continue
        must_pass_suite(folder, f"at {title!r}")
        healthy = till(folder, "report", str(REFUNDS)).returncode == 0
        note = "  <- the defect comes in" if healthy_before and not healthy else ""
        if healthy and not healthy_before:
            fail(f"{title!r} heals the defect; it must still be there at the end of the history")
        print(f"  {tip[:10]} {title}{note}")
        healthy_before = healthy
    if test and git(folder, "status", "--porcelain").strip():
        fail("the test suite leaves files behind that git would commit")
    return tip


def same_tree(repository: Path) -> None:
    """Compare the last commit with the folder product/."""
    tracked = set(git(repository, "ls-files").splitlines())
    present = {
        path.relative_to(PRODUCT).as_posix()
        for path in PRODUCT.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for path in sorted(present - tracked):
        fail(f"product/{path} is in no commit of history.json")
    for path in sorted(tracked - present):
        fail(f"{path} is in the history but not in product/")
    for path in sorted(tracked):
        if (repository / path).read_bytes() != (PRODUCT / path).read_bytes():
            fail(f"the last commit and product/ disagree about {path}")


def release(folder: Path) -> None:
    """Check 1.0.0: it works, and it has the defect."""
    done = till(folder, "version")
    if done.stdout != "1.0.0\n":
        fail(f"the product calls itself {done.stdout.strip()!r} instead of 1.0.0")
    done = till(folder, "health")
    if (done.returncode, done.stdout) != (0, "ok\n"):
        fail(f"the health check fails with the settings of the devices: {done.stderr.strip()}")
    done = till(folder, "report", str(BUSY))
    if done.returncode != 0 or "Average sale" not in done.stdout:
        fail(f"the report of the busy day fails: {done.stderr.strip()}")
    done = till(folder, "report", str(REFUNDS))
    last = done.stderr.strip().splitlines()[-1:]
    if done.returncode != 1 or last != ["ZeroDivisionError: integer division or modulo by zero"]:
        fail("the day with nothing but refunds and voids does not end with a ZeroDivisionError")
    if f"in average_sale\n{DEFECT.rstrip()}" not in done.stderr:
        fail("the innermost frame of the traceback is not average_sale")


def fixes(folder: Path) -> None:
    """Check that the right fix heals, and that each wrong one is told apart. Leaves the right one in place."""
    path = folder / "till" / "totals.py"
    source = path.read_text(encoding="utf-8")
    if source.count(DEFECT) != 1:
        fail("the failing line is not in till/totals.py exactly once")
    for name, text, judge in WRONG_FIXES:
        path.write_text(source.replace(DEFECT, text), encoding="utf-8")
        tested = suite(folder).returncode == 0
        if tested != (judge == "journal"):
            fail(f"the suite {'passes' if tested else 'fails'} with a fix that {name}")
        if judge == "journal" and till(folder, "report", str(REFUNDS)).returncode == 0:
            fail(f"nothing tells the fix apart that {name}")
    path.write_text(source.replace(DEFECT, RIGHT_FIX), encoding="utf-8")
    must_pass_suite(folder, "with the right fix")
    done = till(folder, "report", str(REFUNDS))
    if done.returncode != 0 or not re.search(r"^Average sale +0\.00 EUR$", done.stdout, re.MULTILINE):
        fail(f"the right fix does not heal the day with nothing but refunds and voids: {done.stderr.strip()}")


def bad_release(folder: Path, base: str) -> None:
    """Check that the bad release passes its own tests and fails on a device."""
    (commit,) = load_commits(HERE / "bad" / "commit.json")
    for path in ("till/totals.py", "CHANGELOG.md", "tests/test_totals.py"):
        if path in commit["files"] or path in commit["delete"]:
            fail(f"the bad release touches {path}, so it would undo a fix")
    listed = set(commit["files"].values())
    for file in (HERE / "bad").rglob("*"):
        name = file.relative_to(HERE).as_posix()
        if file.is_file() and name != "bad/commit.json" and "__pycache__" not in name and name not in listed:
            fail(f"{name} is not listed in bad/commit.json")
    apply(folder, commit)
    must_pass_suite(folder, f"with the bad release on top of {base}")
    if till(folder, "version").stdout != "1.1.0\n":
        fail("the bad release does not call itself 1.1.0")
    done = till(folder, "health")
    if done.returncode == 0 or "tax_number: this setting is required" not in done.stderr:
        fail(f"the bad release is healthy on a device, on top of {base}")


def main() -> None:
    commits = load_commits(HERE / "history.json")
    with tempfile.TemporaryDirectory(prefix="till-check-") as name:
        scratch = Path(name)
        print("history: replay, with the test suite at every commit")
        repository = scratch / "repository"
        tip = replay(repository, commits, test=True)
        if replay(scratch / "again", commits, test=False) != tip:
            fail("replaying the history twice gives different commits")
        same_tree(repository)
        print("1.0.0: healthy, the busy day works, the day of refunds crashes")
        release(repository)
        print("fixes: the right one heals, the wrong ones are told apart")
        healed = scratch / "healed"
        shutil.copytree(repository, healed)
        fixes(healed)
        print("1.1.0: passes its tests, fails on a device")
        bad_release(repository, "1.0.0")
        bad_release(healed, "a healed 1.0.1")
    print("all as it should be")


if __name__ == "__main__":
    main()

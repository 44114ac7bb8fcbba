"""Small steps of the delta bench that Python has at hand: unpacking, HDiffPatch, and measuring."""

import gzip
import json
import os
import sys
import tarfile
import time
import zipfile


def take(archive, member, out):
    """Writes a member of a wheel or of an npm package, or the whole tar of the latter."""
    if archive.endswith(".whl"):
        with zipfile.ZipFile(archive) as opened:
            name = next(name for name in opened.namelist() if name.endswith(member))
            content = opened.read(name)
    elif member:
        with tarfile.open(archive) as opened:
            content = opened.extractfile(member).read()
    else:
        with gzip.open(archive) as opened:
            content = opened.read()
    with open(out, "wb") as file:
        file.write(content)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def hdiffpatch(action, compression, first, second, out):
    import hdiffpatch as tool

    if action == "apply":
        result = tool.apply(read(first), read(second))
    else:
        config = {
            "lzma2": lambda: tool.Lzma2Config(level=9, window=26),
            "zstd": lambda: tool.ZStdConfig(level=22, window=27),
        }[compression]()
        # Its own check of the result is left out: the bench applies every delta anyway.
        result = tool.diff(read(first), read(second), compression=config, validate=False)
    with open(out, "wb") as file:
        file.write(result)


def measure(command):
    """Runs a command and prints what it took: seconds, and kilobytes at its peak."""
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        os.dup2(null, 1)
        os.execvp(command[0], command)
    _, status, used = os.wait4(child, 0)
    took = time.monotonic() - begun
    print(json.dumps({
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": round(took, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
        "peak_kilobytes": used.ru_maxrss,
    }))


if __name__ == "__main__":
    step, *words = sys.argv[1:]
    if step == "measure":
        measure(words)
    else:
        {"take": take, "hdiffpatch": hdiffpatch}[step](*words)

"""Get pinned wheels from PyPI without pip: requirements file and target folder are the arguments."""

import hashlib
import io
import re
import sys
import urllib.parse
import urllib.request
import zipfile

requirements, target = sys.argv[1:]
with open(requirements, encoding="utf-8") as file:
    wanted = re.findall(r"^([\w.-]+)==([\w.]+) --hash=sha256:([0-9a-f]{64})$", file.read(), re.MULTILINE)
if not wanted:
    sys.exit("no pinned packages are listed")
for name, version, digest in wanted:
    page = f"https://pypi.org/simple/{name}/"
    # The simple API in HTML (PEP 503): each link ends in the hash of its file.
    with urllib.request.urlopen(page, timeout=60) as answer:
        urls = re.findall(f'href="([^"#]+)#sha256={digest}"', answer.read().decode())
    if not urls:
        sys.exit(f"PyPI has no file of {name} {version} with the pinned hash")
    with urllib.request.urlopen(urllib.parse.urljoin(page, urls[0]), timeout=120) as answer:
        wheel = answer.read()
    if hashlib.sha256(wheel).hexdigest() != digest:
        sys.exit(f"{name} {version} does not have the pinned hash")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        archive.extractall(target)

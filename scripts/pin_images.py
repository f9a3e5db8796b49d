#!/usr/bin/python3
"""Adds to every public image in the Dockerfile and docker-compose.yml the digest that its registry names: `make pin`.

The exact tag stays, for people; the digest is what counts from then on. A registry that does not answer changes nothing: a
digest is never guessed. Run it again to follow a tag that moved.
"""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
FILES = ("Dockerfile", "docker-compose.yml")
IMAGE = re.compile(r"^(FROM |\s+image: )([a-z0-9][\w./-]*:[\w.-]+)(@sha256:[0-9a-f]{64})?", re.MULTILINE)


def digest(image: str) -> str | None:
    """Of the list of all architectures, as the registry has it now."""
    done = subprocess.run(["docker", "buildx", "imagetools", "inspect", image, "--format", "{{.Manifest.Digest}}"],
                          check=False, capture_output=True, text=True)
    said = done.stdout.strip()
    if done.returncode == 0 and re.fullmatch("sha256:[0-9a-f]{64}", said):
        return said
    print(f"pin: {image}: no digest ({(done.stderr.strip().splitlines() or ['no answer'])[-1][:200]})", file=sys.stderr)
    return None


def main() -> int:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return 0
    texts = {name: (TOP / name).read_text() for name in FILES}
    images = sorted({match[2] for text in texts.values() for match in IMAGE.finditer(text)})
    digests = {image: digest(image) for image in images}
    for name, text in texts.items():
        fresh = IMAGE.sub(lambda m: m[1] + m[2] + (f"@{digests[m[2]]}" if digests[m[2]] else m[3] or ""), text)
        if fresh != text:
            (TOP / name).write_text(fresh)
            print(f"pin: {name} names the digests of today", file=sys.stderr)
    return 0 if all(digests.values()) else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/python3
"""Gets the renderer of /docs: Swagger UI, of which the binary embeds one script and one style sheet, compressed.

It comes through pip, pinned by version and SHA-256, from a package that carries Swagger UI's own distribution files.

  docs_assets.py OUT_DIR    writes OUT_DIR/swagger-ui.js.gz and swagger-ui.css.gz; nothing if they are there
"""
from __future__ import annotations

import gzip
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "drf-spectacular-sidecar==2026.10.1"
SHA256 = "fe1d005d8ac9b5d0472f2fe5deeb2e7d6dcffaa24118044f22578b4b8c4b31f2"
FOLDER = "drf_spectacular_sidecar/static/drf_spectacular_sidecar/swagger-ui-dist/"
FILES = {"swagger-ui-bundle.js": "swagger-ui.js.gz", "swagger-ui.css": "swagger-ui.css.gz"}


def fetch(folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{PACKAGE} --hash=sha256:{SHA256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--only-binary=:all:", "--require-hashes", "--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        sys.exit(f"docs: Swagger UI could not be fetched with pip: {last}")
    return next(folder.glob("*.whl"))


def main() -> None:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = Path(sys.argv[1])
    if all((out / name).exists() for name in FILES.values()):
        return
    print(f"docs: getting Swagger UI ({PACKAGE})", file=sys.stderr, flush=True)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(fetch(Path(folder))) as wheel:
        for source, name in FILES.items():
            # No time and no name inside, so that two builds give the same bytes.
            packed = gzip.compress(wheel.read(FOLDER + source), compresslevel=9, mtime=0)
            new = out / (name + ".new")
            new.write_bytes(packed)
            new.rename(out / name)


if __name__ == "__main__":
    main()

#!/usr/bin/python3
"""Writes what is inside the static binary as a CycloneDX file: scripts/sbom.py > sbom.cdx.json, after `make static`.

A scanner sees nothing in a stripped binary, so the list comes from what built it: the linker's map names every archive
that went in, the package manager says whose file each archive is, build/deps/src/manifest names the sources that we
compiled, and the pip pin names the files of /docs. An archive that no package owns, or a package whose licence is not
known here, is an error: nothing gets in unnamed. The same input gives the same bytes.
"""
from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import docs_assets
import sources

TOP = Path(__file__).resolve().parent.parent
STATIC = TOP / "build" / "static"
CERTIFICATES = "ca-certificates"  # the package whose bundle lies in the image beside the binary

# SPDX licence of each source package that may be linked or shipped.
LICENCES = {
    "ca-certificates": "MPL-2.0",
    "civetweb": "MIT",
    "cjson": "MIT",
    "gcc": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "glibc": "LGPL-2.1-or-later",
    "hiredis": "BSD-3-Clause",
    "jitterentropy": "BSD-3-Clause",
    "libzstd": "BSD-3-Clause",
    "openssl": "Apache-2.0",
    "postgresql": "PostgreSQL",
    "zlib": "Zlib",
}
# What a person calls it, where the source package has another name.
NAMES = {"postgresql": "libpq"}

Component = dict[str, object]


def fail(sentence: str) -> NoReturn:
    sys.exit(f"sbom: {sentence}")


def tell(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        fail(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def distribution() -> str:
    """For purls: debian-13."""
    release = sources.os_release()
    return f"{release['ID']}-{release['VERSION_ID']}"


def short(source: str) -> str:
    """The source package's name without its version: postgresql-17, gcc-14."""
    return re.sub(r"-\d+$", "", source)


def licence(source: str) -> list[dict[str, object]]:
    if short(source) not in LICENCES:
        fail(f"{source} is linked in, and its licence is not named in scripts/sbom.py")
    name = LICENCES[short(source)]
    return [{"expression": name}] if " " in name else [{"license": {"id": name}}]


def component(source: str, version: str, purl: str, hashes: dict[str, str], kind: str = "library") -> Component:
    return {
        "type": kind,
        "bom-ref": purl,
        "name": NAMES.get(short(source), short(source)),
        "version": version,
        "licenses": licence(source),
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": digest} for digest in sorted(set(hashes.values()))],
        "properties": [{"name": "payflow:sha256:" + name, "value": digest} for name, digest in sorted(hashes.items())],
    }


def installed(package: str) -> tuple[str, str, str]:
    """Of a binary package: its version, its source package's name and version."""
    form = "${Version}\\t${source:Package}\\t${source:Version}\\n"
    version, source, source_version = tell("dpkg-query", "-W", "-f", form, package).splitlines()[0].split("\t")
    return version, source, source_version


def linked_archives() -> list[Path]:
    """The libraries of which the linker took something: the first part of its map, `ARCHIVE(MEMBER)` a line."""
    linker_map = STATIC / "payflow.map"
    if not linker_map.is_file():
        fail("build/static/payflow.map is missing; run `make static`")
    head = linker_map.read_text(errors="replace").split("\nDiscarded input sections", 1)[0]
    found = {Path(match[1]).resolve() for match in re.finditer(r"^(\S+\.a)\(\S+\)$", head, re.MULTILINE)}
    if not found:
        fail("the linker's map names no archive; was it made by another linker?")
    return sorted(found)


def owner(archive: Path) -> str:
    """The package that the archive is of. libpq's two helpers are taken out of a package that is not installed."""
    if (TOP / "build" / "deps" / "lib") in archive.parents:
        return "libpq-dev"
    # The linker may have gone by /lib, which is /usr/lib.
    return tell("dpkg-query", "-S", str(archive)).split(": ")[0].split(",")[0]


def libraries() -> list[Component]:
    """The distribution's archives, one component a source package."""
    found: dict[str, tuple[str, str, dict[str, str]]] = {}
    for archive in linked_archives():
        package = owner(archive)
        version, source, _ = installed(package)
        known = found.setdefault(source, (package.split(":")[0], version, {}))
        known[2][archive.name] = sha256(archive)
    architecture = tell("dpkg", "--print-architecture").strip()
    return [component(source, version,
                      f"pkg:deb/debian/{package}@{version}?arch={architecture}&distro={distribution()}&upstream={source}",
                      hashes) for source, (package, version, hashes) in found.items()]


def compiled() -> list[Component]:
    """The sources that we compiled, from the distribution's source packages."""
    manifest = sources.read_hashes(sources.MANIFEST)
    found = []
    for package in sources.PACKAGES:
        files = {name: manifest[name] for name in sources.files_of(package, manifest)}
        patches = next((name for name in files if ".debian.tar." in name), None)
        if patches is None:
            fail(f"the manifest has no Debian version of {package}")
        version = patches.removeprefix(f"{package}_").split(".debian.tar.")[0]
        found.append(component(package, version,
                               f"pkg:deb/debian/{package}@{version}?arch=source&distro=debian-{sources.DEBIAN_SUITE}", files))
    return found


def documentation() -> Component:
    """Swagger UI: its version is in its own script; the pin is of the package that carried it."""
    names = list(docs_assets.FILES.values())
    script = gzip.decompress((TOP / "build" / "deps" / "docs" / names[0]).read_bytes()).decode()
    version = re.search(r'PACKAGE_VERSION:"([^"]+)"', script)
    if version is None:
        fail("Swagger UI's script does not name its version")
    carrier, _, carrier_version = docs_assets.PACKAGE.partition("==")
    purl = f"pkg:npm/swagger-ui-dist@{version[1]}"
    return {
        "type": "library",
        "bom-ref": purl,
        "name": "swagger-ui-dist",
        "version": version[1],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "purl": purl,
        "hashes": [{"alg": "SHA-256", "content": docs_assets.SHA256}],
        "properties": [{"name": "payflow:carried-by", "value": f"pkg:pypi/{carrier}@{carrier_version}"}],
    }


def certificates(bundle: Path) -> Component:
    version, source, _ = installed(CERTIFICATES)
    return component(source, version, f"pkg:deb/debian/{CERTIFICATES}@{version}?arch=all&distro={distribution()}",
                     {bundle.name: sha256(bundle)}, "data")


def binary() -> Component:
    said = tell(str(STATIC / "payflow"), "version").splitlines()[0]  # payflow 1.0.0 (0123456789ab)
    match = re.fullmatch(r"payflow (\S+) \((\S+)\)", said)
    if match is None:
        fail(f"payflow version said {said!r}")
    version, revision = match.groups()
    return {
        "type": "application",
        "bom-ref": "payflow",
        "name": "payflow",
        "version": version,
        "purl": f"pkg:generic/payflow@{version}",
        "hashes": [{"alg": "SHA-256", "content": sha256(STATIC / "payflow")}],
        "properties": [{"name": "payflow:revision", "value": revision}],
    }


def document(bundle: Path | None) -> dict[str, object]:
    subject = binary()
    components = sorted([*libraries(), *compiled(), documentation(), *([certificates(bundle)] if bundle else [])],
                        key=lambda c: str(c["purl"]))
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    content = json.dumps([subject, components], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": subject,
        },
        "components": components,
        "dependencies": [{"ref": "payflow", "dependsOn": [c["bom-ref"] for c in components]}],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="writes the SBOM of build/static/payflow to standard output")
    parser.add_argument("--certificates", type=Path, help="the CA bundle that is shipped beside the binary")
    arguments = parser.parse_args()
    print(json.dumps(document(arguments.certificates), indent=2))


if __name__ == "__main__":
    main()

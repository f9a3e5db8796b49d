#!/usr/bin/python3
"""Gets the C sources that the distribution has only as source packages, into build/deps/src (design, decision 13).

The tarballs come through apt from the mirror this machine already uses, are checked against the signed index, then
against versions.lock: an ordinary build says what differs and goes on, RELEASE=1 insists. The distribution's patches
are applied. Where everything is there already, nothing is fetched.

  scripts/sources.py          get what is missing
  scripts/sources.py --pin    get it anew and write versions.lock
"""
from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LOCK_FILE = TOP / "versions.lock"
DEPS = TOP / "build" / "deps"
TARBALLS = DEPS / "tarballs"
SOURCES = DEPS / "src"
MANIFEST = SOURCES / "manifest"  # what was unpacked, in the form of versions.lock; written last
PACKAGES = ("civetweb", "cjson", "hiredis")
DEBIAN_SUITE = "trixie"
KEYRINGS = {
    "debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
LOCK_HEADER = """\
# What was tested: SHA-256 and name of each source tarball (the form of sha256sum). Written by `make pin`.
# An ordinary build says what differs and goes on; RELEASE=1 insists.
"""

Hashes = dict[str, str]  # file name -> SHA-256


def fail(sentence: str) -> None:
    sys.exit(f"sources: {sentence}")


def say(sentence: str) -> None:
    print(f"sources: {sentence}", file=sys.stderr, flush=True)


def read_hashes(path: Path) -> Hashes:
    lines = [line.split() for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: digest for digest, name in lines}


def write_hashes(path: Path, hashes: Hashes, header: str = "") -> None:
    path.write_text(header + "".join(f"{hashes[name]}  {name}\n" for name in sorted(hashes)))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole(hashes: Hashes) -> bool:
    """True if every one of these files is in the tarball folder, with this hash."""
    return bool(hashes) and all(
        (TARBALLS / name).is_file() and sha256(TARBALLS / name) == digest for name, digest in hashes.items()
    )


def os_release() -> dict[str, str]:
    text = Path("/etc/os-release").read_text()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in text.splitlines())}


def apt_entries() -> Iterator[tuple[str, str]]:
    """The (URI, suite) pairs of the machine's own apt sources, in both of apt's forms."""
    folder = Path("/etc/apt/sources.list.d")
    for path in sorted(folder.glob("*.sources")):
        for paragraph in path.read_text().split("\n\n"):
            pairs = (line.partition(":") for line in paragraph.splitlines() if line[:1] not in ("#", " ", "\t"))
            fields = {key.strip().lower(): value.split() for key, _, value in pairs}
            if fields.get("enabled") != ["no"]:
                for uri in fields.get("uris", []):
                    yield from ((uri, suite) for suite in fields.get("suites", []))
    for path in [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        for line in path.read_text().splitlines() if path.is_file() else []:
            words = line.split("#")[0].split()
            if words and words[0] in ("deb", "deb-src"):
                while len(words) > 1 and words[1].startswith("["):  # [option=value ...]
                    while len(words) > 1 and not words.pop(1).endswith("]"):
                        pass
                if len(words) > 3:
                    yield words[1], words[2]


def source_entries() -> tuple[set[tuple[str, str]], str, Path]:
    """The (URI, suite) pairs to take sources from, their components, and the keyring their signature is checked with.

    Debian: the mirror's own trixie, whatever release runs here. Ubuntu: its mirror has no trixie, so its own release.
    """
    release = os_release()
    system = release.get("ID", "")
    codename = release.get("VERSION_CODENAME", "")
    if system not in KEYRINGS:
        fail(f"this is {release.get('PRETTY_NAME', 'an unknown system')}; the build knows Debian 12 or newer and Ubuntu")
    names = {codename, "stable", "oldstable", "testing"}
    wanted = {""} if system == "debian" else {"", "-updates"}
    entries = set()
    for uri, suite in apt_entries():
        base, _, pocket = suite.partition("-")
        pocket = f"-{pocket}" if pocket else ""
        if base in names and pocket in wanted | {"-security"}:
            entries.add((uri, (DEBIAN_SUITE if system == "debian" else codename) + pocket))
    if not entries:
        fail(f"no apt source of {codename} was found under /etc/apt; add the distribution's own and try again")
    if not KEYRINGS[system].is_file():
        fail(f"{KEYRINGS[system]} is missing; install the distribution's archive keyring package and try again")
    return entries, "main" if system == "debian" else "main universe", KEYRINGS[system]


def apt(*arguments: str) -> subprocess.CompletedProcess[str]:
    state = DEPS / "apt"
    return subprocess.run(
        ["apt-get", "-q", "-o", f"Dir::State::Lists={state}/lists", "-o", f"Dir::Cache={state}/cache",
         "-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={state}/parts",
         "-o", "APT::Sandbox::User=", "-o", "Acquire::Retries=3", "-o", "APT::Get::Only-Source=true", *arguments],
        cwd=state / "work", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )


def fetch() -> Hashes:
    """Downloads the tarballs of all packages and returns their hashes, as the signed index has them."""
    say("fetching " + ", ".join(PACKAGES) + " from this machine's own mirror")
    state = DEPS / "apt"
    shutil.rmtree(state, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "parts", "work"):
        (state / folder).mkdir(parents=True)
    entries, components, keyring = source_entries()
    (state / "parts" / "payflow.sources").write_text("\n".join(
        f"Types: deb-src\nURIs: {uri}\nSuites: {suite}\nComponents: {components}\nSigned-By: {keyring}\n"
        for uri, suite in sorted(entries)
    ))
    update = apt("update")  # fails on a signature that does not match
    listing = apt("--print-uris", "source", *PACKAGES)
    expected = {}
    for line in listing.stdout.splitlines():
        words = line.split()
        if len(words) == 4 and words[0].startswith("'") and words[3].startswith("SHA256:") and ".tar." in words[1]:
            expected[words[1]] = words[3].removeprefix("SHA256:")
    if update.returncode != 0 or any(len(files_of(package, expected)) < 2 for package in PACKAGES):
        fail("apt could not read the mirror's source index: " + last_line(update.stderr or listing.stderr))
    # A .dsc may be missing while its tarballs are served; then apt exits non-zero. The hashes tell.
    download = apt("--download-only", "source", *PACKAGES)
    TARBALLS.mkdir(parents=True, exist_ok=True)
    for name, digest in expected.items():
        path = state / "work" / name
        if not path.is_file():
            fail(f"{name} did not arrive: " + last_line(download.stderr))
        if sha256(path) != digest:
            fail(f"{name} is not what the signed index says; nothing was unpacked")
        path.replace(TARBALLS / name)
    shutil.rmtree(state)
    return expected


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["apt-get said nothing"])[-1]


def files_of(package: str, hashes: Hashes) -> list[str]:
    return [name for name in hashes if name.startswith(f"{package}_")]


def compare(hashes: Hashes, locked: Hashes) -> None:
    if hashes == locked:
        return
    differing = sorted(name for name in hashes if locked.get(name) != hashes[name])
    gone = sorted(name for name in locked if name not in hashes)
    say("differs from versions.lock: here " + ", ".join(differing or ["nothing else"])
        + "; locked " + ", ".join(gone or ["another hash"]))
    if os.environ.get("RELEASE") == "1":
        fail("a release build uses only what versions.lock names; test the new versions, then run `make pin`")


def unpack(hashes: Hashes, checked: str) -> None:
    fresh = DEPS / "src.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for package in PACKAGES:
        target = fresh / package
        target.mkdir(parents=True)
        files = files_of(package, hashes)
        for name in sorted(files, key=lambda name: ".orig." not in name):  # upstream first
            into = ["--strip-components=1"] if ".orig." in name else []
            subprocess.run(["tar", "-xf", TARBALLS / name, "-C", target, "--no-same-owner", *into], check=True)
        series = target / "debian" / "patches" / "series"
        for line in series.read_text().splitlines() if series.is_file() else []:
            patch = line.split("#")[0].strip()
            if patch:
                with (series.parent / patch).open("rb") as content:
                    subprocess.run(["patch", "-p1", "-s", "-d", target], stdin=content, check=True)
    write_hashes(fresh / "manifest", hashes, f"# {checked}\n")
    shutil.rmtree(SOURCES, ignore_errors=True)
    fresh.rename(SOURCES)


def main() -> None:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return
    pin = sys.argv[1:] == ["--pin"]
    locked = read_hashes(LOCK_FILE) if LOCK_FILE.is_file() else {}
    DEPS.mkdir(parents=True, exist_ok=True)
    with (DEPS / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another build of this checkout may be at it
        if MANIFEST.is_file() and not pin:
            compare(read_hashes(MANIFEST), locked)
            MANIFEST.touch()
            return
        if whole(locked) and not pin:
            hashes, checked = locked, "the hashes are those of versions.lock"
        else:
            hashes, checked = fetch(), "apt checked the index's signature; the hashes are the index's"
        if pin:
            write_hashes(LOCK_FILE, hashes, LOCK_HEADER)
        else:
            compare(hashes, locked)
        unpack(hashes, checked)
        say(f"unpacked {', '.join(PACKAGES)} into build/deps/src")


if __name__ == "__main__":
    main()

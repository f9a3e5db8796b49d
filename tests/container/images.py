"""The images: PayFlow's, built from this checkout by two builders, and those that docker-compose.yml names.

Where an image registry answers, the public images are the real ones. Else stand-ins of the same names are made from
Debian's packages: the base by debootstrap, as Debian's own image is, the others from standins/Dockerfile.
"""
from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from engine import HOME, Engine, NoEngine, release_entries, sources
from servers import TOP

STANDINS = Path(__file__).parent / "standins"
COMPOSE = TOP / "docker-compose.yml"
DOCKERFILE = TOP / "Dockerfile"
PAYFLOW = "payflow:test"
PAYFLOW_AGAIN = "payflow:test-again"
EPOCH = "1700000000"


def base_name() -> str:
    return re.findall(r"^FROM (debian:\S+)", DOCKERFILE.read_text(), re.MULTILINE)[0]


def public_images() -> dict[str, str]:
    """Name without tag -> name, of every public image that the compose file uses."""
    names = set(re.findall(r"^\s+image: ([a-z][\w./-]+:[\w.-]+)", COMPOSE.read_text(), re.MULTILINE))
    return {name.split(":")[0].split("/")[-1]: name for name in names}


def pulls(engine: Engine, image: str) -> bool:
    return engine.run("pull", "--quiet", image, check=False, limit_s=300).returncode == 0


def make_base(engine: Engine, name: str) -> None:
    """What debian:trixie-slim is: a minimal system that trusts what this machine trusts."""
    root = HOME / "base"
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    entries, _, keyring = sources.source_entries()
    mirror = next((uri for uri, suite in sorted(entries) if suite == sources.DEBIAN_SUITE), None)
    if mirror is None or os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise NoEngine("no image registry answers, and stand-ins need root, debootstrap and a Debian mirror")
    done = subprocess.run(["debootstrap", "--variant=minbase", f"--keyring={keyring}", sources.DEBIAN_SUITE, root, mirror],
                          check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"debootstrap: {done.stdout[-1000:]}{done.stderr[-500:]}")
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    (root / "etc/apt/sources.list.d/debian.sources").write_text(release_entries(sources.DEBIAN_SUITE))
    # Debian's images skip dpkg's fsyncs and apt's translations too.
    (root / "etc/dpkg/dpkg.cfg.d/docker-apt-speedup").write_text("force-unsafe-io\n")
    (root / "etc/apt/apt.conf.d/docker-no-languages").write_text('Acquire::Languages "none";\n')
    authorities = root / "usr/local/share/ca-certificates"
    authorities.mkdir(parents=True, exist_ok=True)
    for certificate in Path("/usr/local/share/ca-certificates").glob("*.crt"):
        shutil.copy(certificate, authorities)
    tar = subprocess.Popen(["tar", "-C", root, "--exclude=./var/cache/apt/archives/*.deb", "--exclude=./var/lib/apt/lists/*",
                            "-c", "."], stdout=subprocess.PIPE)
    engine.run("import", "-", name, stdin=tar.stdout)
    if tar.wait() != 0:
        raise RuntimeError("tar failed")
    shutil.rmtree(root)


def network(engine: Engine) -> list[str]:
    return ["--network", "host"] if engine.ours else []


def make_standin(engine: Engine, target: str, name: str) -> None:
    engine.run("build", "--quiet", *network(engine), "--build-arg", f"BASE={base_name()}", "--target", target, "--tag", name,
               STANDINS, env={"DOCKER_BUILDKIT": "1"})


def build_payflow(engine: Engine, name: str, *arguments: str, buildkit: bool = True) -> None:
    script = [str(TOP / "scripts" / "image.sh"), *network(engine), *arguments]
    done = subprocess.run(script, check=False, capture_output=True, text=True, cwd=TOP, timeout=900,
                          env=os.environ | engine.environment | {
                              "IMAGE": name, "SOURCE_DATE_EPOCH": EPOCH, "DOCKER_BUILDKIT": "1" if buildkit else "0"})
    if done.returncode != 0:
        raise RuntimeError(f"image.sh: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


class Images:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.public = public_images()
        self.missing: list[str] = []  # public images that nobody here can have: grafana's
        base = base_name()
        self.stand_in = not pulls(engine, base)
        if self.stand_in and not engine.has(base):
            make_base(engine, base)
        with ThreadPoolExecutor(2) as pool:
            ours = pool.submit(build_payflow, engine, PAYFLOW)
            for target, name in sorted(self.public.items()):
                self.get(target, name)
            ours.result()

    def get(self, target: str, name: str) -> None:
        if not self.stand_in and pulls(self.engine, name):
            return
        if f" AS {target}\n" in (STANDINS / "Dockerfile").read_text():
            make_standin(self.engine, target, name)
        else:
            self.missing.append(name)

    def again(self) -> str:
        """The image built a second time from nothing, by the other builder where the engine still has it."""
        if self.engine.version() < 23:
            build_payflow(self.engine, PAYFLOW_AGAIN, "--no-cache", buildkit=False)
        else:
            build_payflow(self.engine, PAYFLOW_AGAIN, "--no-cache")
        return PAYFLOW_AGAIN

    def inspect(self, image: str = PAYFLOW) -> dict:
        return dict(json.loads(self.engine.tell("image", "inspect", image))[0])

    def files(self, image: str) -> dict[str, tuple[int, int, int, int, str]]:
        """Every entry of the image's file system: mode, owner, group, time, and the content's hash."""
        archive = subprocess.run(["docker", "save", image], check=True, capture_output=True,
                                 env=os.environ | self.engine.environment).stdout
        found = {}
        with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
            manifest = json.load(outer.extractfile("manifest.json"))  # type: ignore[arg-type]
            for layer in manifest[0]["Layers"]:
                with tarfile.open(fileobj=outer.extractfile(layer)) as inner:
                    for entry in inner:
                        content = inner.extractfile(entry)
                        digest = hashlib.sha256(content.read()).hexdigest() if content else entry.linkname
                        found[entry.name.strip("/")] = (entry.mode, entry.uid, entry.gid, int(entry.mtime), digest)
        return found

    def read(self, image: str, path: str) -> bytes:
        container = self.engine.tell("create", image)
        try:
            out = HOME / "read"
            self.engine.run("cp", f"{container}:{path}", out)
            return out.read_bytes()
        finally:
            self.engine.run("rm", container)

"""A container engine for the tests: the one that runs here, else dockerd started by hand and stopped at the end.

What it keeps (images, build cache) lies in build/engine, so that a second run is quick. One at a time on a machine: two
engines would fight over the firewall's chains.
"""
from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from servers import TOP, Folder, Process, wait_until

sys.path.insert(0, str(TOP / "scripts"))
import sources

HOME = TOP / "build" / "engine"
PLUGINS = ("docker-buildx", "docker-compose")
LOCK = Path("/tmp/payflow-engine.lock")


class NoEngine(Exception):
    """Why no container engine can be had here."""


class Daemon(Process):
    name = "dockerd"
    death_signal = "TERM"  # then it ends its containers too

    def __init__(self, folder: Folder) -> None:
        super().__init__(folder.make("engine"))
        self.socket = f"unix://{self.home}/docker.sock"
        self.lock = LOCK.open("w")
        self.forward = ""

    def start(self) -> None:
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.forward = firewall("-S", "FORWARD").splitlines()[0] if shutil.which("iptables") else ""
        # No bridge of its own: each of compose's networks has one, builds use the machine's network.
        self.launch(["dockerd", "--data-root", HOME / "data", "--exec-root", self.home / "exec", "--host", self.socket,
                     "--pidfile", self.home / "pid", "--bridge", "none", "--log-level", "warn"])
        self.wait_up(120)

    def is_up(self) -> bool:
        return answers({"DOCKER_HOST": self.socket})

    def stop(self, number: int | None = None, limit_s: float = 60) -> int | None:
        status = super().stop(number, limit_s)
        if self.forward.startswith("-P FORWARD "):
            firewall(*self.forward.split())  # dockerd leaves it at DROP
        self.lock.close()
        return status


def send(pid: int, number: int) -> None:
    """A signal to a container's process, from outside; it is another user's."""
    try:
        os.kill(pid, number)
    except PermissionError:
        subprocess.run(["sudo", "-n", "kill", f"-{number:d}", str(pid)], check=True)


def firewall(*arguments: str) -> str:
    return subprocess.run(["iptables", *arguments], check=True, capture_output=True, text=True).stdout


def answers(environment: dict[str, str]) -> bool:
    done = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], check=False, capture_output=True, text=True,
                          env=os.environ | environment)
    return done.returncode == 0 and bool(done.stdout.strip())


class Engine:
    """`docker` with the right socket and plugins. `ours` is the daemon, if this process started it."""

    def __init__(self, folder: Folder) -> None:
        self.ours: Daemon | None = None
        self.environment: dict[str, str] = {}
        if shutil.which("docker") is None:
            raise NoEngine("docker is not installed; `scripts/packages.sh container` brings it")
        if not answers({}):
            if os.geteuid() != 0 or shutil.which("dockerd") is None:
                raise NoEngine("no container engine runs here, and only root can start Debian's dockerd by hand")
            self.ours = Daemon(folder)
            try:
                self.ours.start()
            except (RuntimeError, TimeoutError) as error:
                self.ours.stop()
                raise NoEngine(f"dockerd can't run here: {str(error)[-300:]}") from None
            self.environment["DOCKER_HOST"] = self.ours.socket
            self.clear()
        self.add_plugins()

    def clear(self) -> None:
        """Ends what a run left that was killed; only in the engine that is ours alone."""
        left = self.tell("ps", "--all", "--quiet").split()
        if left:
            self.run("rm", "--force", "--volumes", *left)
        self.run("network", "prune", "--force")
        volumes = self.tell("volume", "ls", "--quiet").split()
        if volumes:
            self.run("volume", "rm", *volumes)

    def add_plugins(self) -> None:
        """compose and buildx, from the newer Debian release where the installed docker has none."""
        if self.run("compose", "version", check=False).returncode == 0:
            return
        config = HOME / "config"
        self.environment["DOCKER_CONFIG"] = str(config)
        target = config / "cli-plugins"
        if all((target / name).is_file() for name in PLUGINS):
            return
        target.mkdir(parents=True, exist_ok=True)
        for package in download(HOME / "plugins", PLUGINS):
            subprocess.run(["dpkg-deb", "-x", package, HOME / "plugins"], check=True)
        for name in PLUGINS:
            shutil.move(HOME / "plugins" / "usr" / "libexec" / "docker" / "cli-plugins" / name, target / name)
        shutil.rmtree(HOME / "plugins")

    def run(self, *arguments: str | Path, check: bool = True, limit_s: float = 600, **options: object) -> subprocess.CompletedProcess:
        environment = os.environ | self.environment | options.pop("env", {})  # type: ignore[operator]
        done = subprocess.run(["docker", *map(str, arguments)], check=False, capture_output=True, text=True,
                              timeout=limit_s, env=environment, cwd=TOP, **options)  # type: ignore[call-overload]
        if check and done.returncode != 0:
            raise RuntimeError(f"docker {' '.join(map(str, arguments))}: exit {done.returncode}\n{(done.stdout + done.stderr)[-3000:]}")
        return done

    def tell(self, *arguments: str | Path) -> str:
        return str(self.run(*arguments).stdout).strip()

    def has(self, image: str) -> bool:
        return self.run("image", "inspect", image, check=False).returncode == 0

    def version(self) -> int:
        return int(self.tell("version", "--format", "{{.Server.Version}}").split(".")[0])

    def stop(self) -> None:
        if self.ours is not None:
            self.ours.stop()
            wait_until("dockerd's children are gone", lambda: not list(self.ours.home.glob("docker.sock")), 30)  # type: ignore[union-attr]


def release_entries(suite: str) -> str:
    """apt's sources for a Debian release, from wherever this machine gets its own packages."""
    entries, components, keyring = sources.source_entries()
    uris = sorted({(uri, name.replace(sources.DEBIAN_SUITE, suite)) for uri, name in entries})
    return "\n".join(f"Types: deb\nURIs: {uri}\nSuites: {name}\nComponents: {components}\nSigned-By: {keyring}\n"
                     for uri, name in uris)


def download(folder: Path, packages: Sequence[str]) -> list[Path]:
    """The packages' files from the newer release, checked by apt; nothing is installed."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("lists/partial", "cache/archives/partial", "parts"):
        (folder / name).mkdir(parents=True)
    (folder / "parts" / "release.sources").write_text(release_entries(sources.DEBIAN_SUITE))
    apt = ["apt-get", "-q", "-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache",
           "-o", "Dir::Etc::SourceList=/dev/null", "-o", f"Dir::Etc::SourceParts={folder}/parts", "-o", "APT::Sandbox::User="]
    subprocess.run([*apt, "update"], check=True, capture_output=True)
    subprocess.run([*apt, "download", *packages], check=True, capture_output=True, cwd=folder)
    return sorted(folder.glob("*.deb"))

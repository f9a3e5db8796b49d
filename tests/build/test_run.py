"""`make run`: what a person does to it. Each test has a checkout of its own, of copies of the script and the binary."""
from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
START_LIMIT_S = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Checkout:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        for name in ("scripts/run.py", "build/payflow"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            source = os.environ["PAYFLOW_BINARY"] if name == "build/payflow" else TOP / name
            shutil.copy(source, folder / name)
        self.processes: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if name != "MAKELEVEL"}
        process = subprocess.Popen([self.folder / "scripts" / "run.py"], cwd=self.folder, text=True,
                                   env=environment | {"PORT": str(self.port)}, start_new_session=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    def serve(self) -> subprocess.Popen[str]:
        """Starts and waits until it serves."""
        process = self.start()
        deadline = time.monotonic() + START_LIMIT_S
        while not self.answers():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        return process

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def pay(self) -> str:
        """Makes a payment and returns its id."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/api/v1/payments",
                                         b'{"amount": 49.99, "currency": "EUR"}', {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201
            return str(json.load(answer)["id"])

    def has(self, payment_id: str) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/payments/{payment_id}", timeout=10) as answer:
            return bool(json.load(answer)["id"] == payment_id)

    def children(self) -> dict[str, list[int]]:
        """The processes that work in this checkout's directories, by name."""
        homes = {(self.folder / ".run" / name).resolve() for name in ("postgres", "redis", "payflow")}
        found: dict[str, list[int]] = {}
        for entry in Path("/proc").iterdir():
            try:
                cwd = (entry / "cwd").readlink() if entry.name.isdigit() else None
                if cwd is not None and any(cwd == home or cwd.parent == home for home in homes):
                    found.setdefault((entry / "comm").read_text().strip(), []).append(int(entry.name))
            except OSError:
                pass
        return found

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(90)
        for pids in self.children().values():
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)  # pytest's are its user's own; PostgreSQL's user must get there
    made = Checkout(tmp_path / "checkout")
    yield made
    made.end()


def interrupt(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    return output


def test_ctrl_c_stops_all_three_and_the_payments_stay(checkout: Checkout) -> None:
    process = checkout.serve()
    payment = checkout.pay()
    assert set(checkout.children()) == {"postgres", "redis-server", "payflow"}
    time.sleep(2)  # the script looks for the answer ten times a second, and greets then
    output = interrupt(process)
    assert f"curl -i localhost:{checkout.port}/api/v1/payments" in output
    assert not checkout.children()
    process = checkout.serve()
    assert checkout.has(payment)
    interrupt(process)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run it as another user")
def test_a_clone_that_only_root_can_enter_and_that_is_made_again(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in /root: PostgreSQL and Redis run as a user who reaches neither the data there nor the link to redis-server."""
    tools = checkout.folder / "build" / "tools" / "bin"
    tools.mkdir(parents=True)
    (tools / "redis-server").symlink_to("/usr/bin/redis-check-rdb")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    checkout.folder.chmod(0o700)
    process = checkout.serve()
    payment = checkout.pay()
    assert set(checkout.children()) == {"postgres", "redis-server", "payflow"}
    interrupt(process)
    # Deleted and cloned again: the data are elsewhere, and still there.
    shutil.rmtree(checkout.folder / ".run")
    process = checkout.serve()
    assert checkout.has(payment)
    interrupt(process)
    for home in (checkout.folder / ".run").iterdir():
        if home.is_symlink() and home.resolve().is_relative_to("/var/lib/payflow"):
            shutil.rmtree(home.resolve().parent, ignore_errors=True)


@pytest.mark.parametrize("victim", ["payflow", "postgres", "redis-server"])
def test_a_killed_server_ends_the_run_and_the_next_one_works(checkout: Checkout, victim: str) -> None:
    process = checkout.serve()
    payment = checkout.pay()
    os.kill(min(checkout.children()[victim]), signal.SIGKILL)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert "ended by itself (signal 9)" in output
    process = checkout.serve()
    assert checkout.has(payment)
    interrupt(process)


def test_it_works_at_once_after_everything_was_killed(checkout: Checkout) -> None:
    process = checkout.serve()
    payment = checkout.pay()
    process.kill()
    for pids in checkout.children().values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    process = checkout.serve()
    assert checkout.has(payment)
    interrupt(process)


def test_it_works_at_once_after_only_the_script_was_killed(checkout: Checkout) -> None:
    process = checkout.serve()
    payment = checkout.pay()
    process.kill()
    process.wait()
    process = checkout.serve()
    assert checkout.has(payment)
    interrupt(process)


def test_it_works_after_a_reboot_though_the_number_in_the_pid_file_is_another_process(checkout: Checkout) -> None:
    process = checkout.serve()
    payment = checkout.pay()
    process.kill()
    pid_file = (checkout.folder / ".run" / "postgres").resolve() / "data" / "postmaster.pid"
    left = pid_file.read_text().splitlines()
    for pids in checkout.children().values():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
    # Of PostgreSQL's own user: only then does PostgreSQL take the number for a running server.
    user = {"user": pwd.getpwnam("postgres").pw_uid} if os.geteuid() == 0 else {}
    other = subprocess.Popen(["sleep", "600"], **user)  # type: ignore[call-overload]
    try:
        pid_file.write_text("\n".join([str(other.pid), *left[1:]]) + "\n")
        process = checkout.serve()
        assert checkout.has(payment)
        assert other.poll() is None, "a process that is none of ours was ended"
        interrupt(process)
    finally:
        other.kill()
        other.wait()


def test_a_taken_port_is_one_clear_sentence(checkout: Checkout) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", checkout.port))
        taken.listen()
        process = checkout.start()
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert output.splitlines() == [
        f"run: port {checkout.port} is taken; stop what listens there, or choose another: PORT=3001 make run"
    ]


def test_a_second_run_of_the_same_checkout_is_refused(checkout: Checkout) -> None:
    first = checkout.serve()
    second = checkout.start()
    output, _ = second.communicate(timeout=30)
    assert second.returncode == 1
    assert len(output.splitlines()) == 1
    assert f"runs already (process {first.pid})" in output
    assert checkout.answers()
    interrupt(first)


def test_two_checkouts_run_side_by_side(checkout: Checkout, tmp_path: Path) -> None:
    other = Checkout(tmp_path / "other")
    try:
        processes = [checkout.serve(), other.serve()]
        payment = checkout.pay()
        assert checkout.has(payment)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            other.has(payment)
        for process in processes:
            interrupt(process)
    finally:
        other.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's checkouts can lie where PostgreSQL's user can't go")
def test_a_checkout_in_a_closed_home_works_too(checkout: Checkout) -> None:
    checkout.folder.parent.chmod(0o700)
    process = checkout.serve()
    payment = checkout.pay()
    data = (checkout.folder / ".run" / "postgres").resolve()
    try:
        assert checkout.folder not in data.parents
        interrupt(process)
        process = checkout.serve()
        assert checkout.has(payment)
        interrupt(process)
    finally:
        shutil.rmtree(data.parent)

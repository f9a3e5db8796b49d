#!/usr/bin/env python3
"""How long from exec to the first answer, and how much memory an idle server takes.

Usage: start.py [BINARY]   (default build/payflow; needs no database)
Prints medians and spread over ROUNDS starts at the default settings; figures depend on the machine.
"""

import os
import socket
import statistics
import subprocess
import sys
import time

ROUNDS = int(os.environ.get("ROUNDS", "21"))
QUESTION = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def first_answer(port: int, begun: float) -> float:
    """Milliseconds from `begun` until /health answered 200; asks again every 0.2 ms until something listens."""
    while time.perf_counter() - begun < 10:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(QUESTION)
                if connection.recv(4096).startswith(b"HTTP/1.1 200 "):
                    return (time.perf_counter() - begun) * 1000
        except ConnectionRefusedError:
            time.sleep(0.0002)
    raise SystemExit("no answer within 10 seconds")


def resident_mb(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    raise SystemExit("no VmRSS")


def one_round(binary: str) -> tuple[float, float]:
    port = free_port()
    env = {"PORT": str(port), "PATH": os.environ["PATH"], "LOG_LEVEL": "error"}
    begun = time.perf_counter()
    server = subprocess.Popen([binary, "serve"], env=env, stderr=subprocess.DEVNULL)
    try:
        answered_ms = first_answer(port, begun)
        time.sleep(0.3)  # threads that start behind the first answer count as well
        return answered_ms, resident_mb(server.pid)
    finally:
        server.terminate()
        server.wait(timeout=15)


def main() -> None:
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return
    binary = sys.argv[1] if len(sys.argv) > 1 else "build/payflow"
    rounds = [one_round(binary) for _ in range(ROUNDS)]
    for name, unit, values in (
        ("first answer after exec", "ms", [r[0] for r in rounds]),
        ("resident memory, idle", "MB", [r[1] for r in rounds]),
    ):
        print(f"{name}: median {statistics.median(values):.1f} {unit}, {min(values):.1f} to {max(values):.1f}")


if __name__ == "__main__":
    main()

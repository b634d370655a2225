"""What the benchmarks of whole processes have in common: the programs, and what is measured of the daemon from outside."""

import os
import pathlib
import re
import socket
import time
import urllib.request

PROJECT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", PROJECT / "target"))
DAEMON = pathlib.Path(os.environ.get("ORAREAPER", TARGET / "release/orareaper")).resolve()
SIMULATOR = pathlib.Path(os.environ.get("ORASIM", TARGET / "debug/orasim")).resolve()


def programs_are_there():
    for program, how in ((DAEMON, "cargo build --release"), (SIMULATOR, "cargo build -p orasim")):
        if not program.exists():
            raise SystemExit(f"{program} is missing: {how}")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def metrics(port):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        text = page.read().decode()

    def value(name):
        return sum(float(number) for number in re.findall(rf"^{name} ([0-9.e+-]+)$", text, re.M))

    return value


def cpu(process):
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(process):
    return int(pathlib.Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def until(what, limit, question):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            if (answer := question()) is not None:
                return answer
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit(f"{what} did not come in {limit} s")


def ended(*processes):
    for process in processes:
        if process:
            process.terminate()
            process.wait(60)

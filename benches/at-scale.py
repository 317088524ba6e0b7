#!/usr/bin/env python3
"""Outpost with much of everything: idle connections, a long queue, a very long one, many ports, cold logins, large messages.

    benches/at-scale.py HARNESS [idle] [queue] [million] [ports] [logins] [large]

HARNESS is the folder of the bench harness, whose load client makes the load (build its loadgen first).
Without names all are measured. Each prints what it measured with its settings, and starts a relay of its own
on 127.0.0.1 with a new data folder, which goes with it. Every load is bounded in count and time.
Memory is the resident set of the relay's process, from smaps_rollup, file pages of the program included.
"""
import base64
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
OUTPOST = os.path.join(TARGET, "release", "outpost")
PORT, SINK, ADMIN = 2510, 2600, 8099
PATIENCE = 60


class Relay:
    """A relay in a folder of its own, which may be stopped and started again."""

    def __init__(self, ports=str(PORT), more=""):
        self.folder = tempfile.mkdtemp(prefix="outpost-scale-")
        self.file = os.path.join(self.folder, "outpost.toml")
        with open(self.file, "w") as file:
            file.write(f"""
hostname = "relay.test"
data_dir = "{self.folder}/data"
[submission]
addresses = ["127.0.0.1"]
ports = "{ports}"
implicit_tls_ports = ""
plaintext_auth = true
connections_max = 20000
connections_per_address_max = 20000
[[delivery.route]]
recipients = "*"
smarthost = "127.0.0.1:{SINK}"
[admin]
address = "127.0.0.1:{ADMIN}"
[log]
filter = "warn"
{more}
""")
        self.port = int(ports.split("-")[0])
        self.password = None
        self.start()

    def start(self):
        """Starts it; returns the seconds until a client got 220."""
        began = time.monotonic()
        log = open(os.path.join(self.folder, "log"), "a")
        self.process = subprocess.Popen([OUTPOST, "--config", self.file], cwd=self.folder, stdout=log, stderr=log)
        while time.monotonic() - began < PATIENCE:
            if self.process.poll() is not None:
                sys.exit(open(log.name).read())
            try:
                with socket.create_connection(("127.0.0.1", self.port), 5) as client:
                    if client.recv(3) == b"220":
                        return time.monotonic() - began
            except OSError:
                pass
            time.sleep(0.002)
        sys.exit("no greeting within a minute")

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait(PATIENCE)

    def gone(self):
        self.end(signal.SIGKILL)
        shutil.rmtree(self.folder)

    def user(self, name):
        out = subprocess.run(
            [OUTPOST, "--config", self.file, "user", "add", "--name", name, "--domains", "bench.test"],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        return next(line.split()[1] for line in out.splitlines() if line.startswith("password"))

    def resident(self):
        """KiB: in all, and of it anonymous."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            rows = dict(line.split()[:2] for line in file if line.split()[0] in ("Rss:", "Anonymous:"))
        return int(rows["Rss:"]), int(rows["Anonymous:"])

    def load(self, **settings):
        command = [TOOL, "load", "--port", str(self.port), "--from", "bench@bench.test", "--rcpt", "rcpt@dest.test",
                   "--user", "bench", "--pass", self.password]
        for key, value in settings.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=900).stdout
        result = json.loads(out.strip().splitlines()[-1])
        if result["errors"]:
            sys.exit(f"the load met errors: {result['errors']}")
        return result


def sink():
    process = subprocess.Popen([TOOL, "sink", "--port", str(SINK), "--ctl", str(SINK + 99)])
    time.sleep(0.3)
    return process


def settled(relay):
    """Memory once it stands still for a second, or after ten."""
    last = relay.resident()
    for _ in range(10):
        time.sleep(1)
        now = relay.resident()
        if abs(now[0] - last[0]) < 256:
            break
        last = now
    return now


def idle():
    for count in (1000, 10000):
        relay = Relay()
        before = settled(relay)
        holder = subprocess.Popen([TOOL, "idle", "--port", str(PORT), "-n", str(count), "--hold", "6", "--max-time", "40"],
                                  stdout=subprocess.PIPE, text=True)
        met = json.loads(holder.stdout.readline())
        time.sleep(2)
        after = relay.resident()
        alive = json.loads(holder.stdout.readline())
        holder.wait()
        each = (after[0] - before[0]) / max(met["held"], 1)
        print(f"idle: {met['held']} of {count} greeted within {met['elapsed_s']:.2f} s, {each:.1f} KiB each, "
              f"{alive['alive_after_hold']} alive after 6 s; {before[0]} -> {after[0]} KiB")
        relay.gone()


def queue():
    relay = Relay()
    relay.password = relay.user("bench")
    settings = dict(c=10, per_conn=50, size=4096, max_time=200)
    relay.load(n=2000, **settings)
    before = settled(relay)
    empty = relay.load(n=5000, **settings)["msgs_per_s"]
    relay.load(n=88000, **settings)
    full = relay.load(n=5000, **settings)["msgs_per_s"]
    after = settled(relay)
    again = relay.load(n=5000, **settings)["msgs_per_s"]
    print(f"queue: 2,000 to 100,000 queued, next hop down: {(after[0] - before[0]) / 1024:.1f} MiB more "
          f"({before[0]} -> {after[0]} KiB); accept {empty:.0f} msg/s at first, {full:.0f} and {again:.0f} at the end")
    relay.end(signal.SIGKILL)
    took = relay.start()
    print(f"queue: 105,000 queued, killed: 220 again after {took * 1000:.0f} ms, {settled(relay)[0]} KiB")
    relay.end()
    took = relay.start()
    print(f"queue: the same, ended: 220 again after {took * 1000:.0f} ms, {settled(relay)[0]} KiB")
    relay.gone()


def million():
    count, lanes, users, classes = 1_000_000, 10_000, 1_000, int(os.environ.get("CLASSES", "1"))
    # A next hop that says nothing: attempts wait for it and cost nothing meanwhile.
    silent = socket.create_server(("127.0.0.1", SINK), backlog=4096)
    relay = Relay()
    relay.password = relay.user("bench")
    settings = dict(n=8000, c=10, per_conn=1, size=4096, max_time=60)

    def rate():
        return statistics.median(relay.load(**settings)["msgs_per_s"] for _ in range(5))

    relay.load(n=2000, c=10, per_conn=50, size=4096, max_time=60)
    empty, before = rate(), settled(relay)
    relay.end()
    # The bench of the queue fills the spool as it fills its own, and is killed as there.
    bench = subprocess.run(
        ["cargo", "bench", "--package", "outpost-benches", "--bench", "queue", "--no-run", "--message-format=json"],
        check=True, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    bench = next(path for line in bench.splitlines() if (path := json.loads(line).get("executable")))
    shape = [str(number) for number in (count, lanes, users, classes)]
    filler = subprocess.Popen([bench, os.path.join(relay.folder, "data"), *shape, "fill"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert any(line == "full\n" for line in filler.stdout), "it was not filled"
    filler.kill()
    filler.wait()
    took = relay.start()
    time.sleep(10)
    full, after = rate(), settled(relay)
    print(f"million: {count:,} queued for {lanes:,} next hops that do not answer by {users:,} users in {classes} classes, killed: "
          f"220 after {took * 1000:.0f} ms; {(after[0] - before[0]) / 1024:.1f} MiB more; accept, a message a connection, ten at "
          f"a time: {empty:.0f} msg/s before, {full:.0f} with them ({full / empty:.2f})")
    relay.gone()
    silent.close()


def ports():
    ports = "20000-23979"
    relay = Relay(ports)
    relay.end()
    for _ in range(3):
        took = relay.start()
        resident, anonymous = settled(relay)
        print(f"ports: 3,980 listening, components cached: 220 after {took * 1000:.0f} ms, "
              f"{resident / 1024:.1f} MiB resident, of it {anonymous / 1024:.1f} anonymous")
        relay.end()
    shutil.rmtree(relay.folder)


def login(port, name, password):
    with socket.create_connection(("127.0.0.1", port), 60) as client:
        lines = client.makefile("rb")
        lines.readline()
        client.sendall(b"EHLO bench.test\r\n")
        while lines.readline()[3:4] == b"-":
            pass
        token = base64.b64encode(f"\0{name}\0{password}".encode())
        client.sendall(b"AUTH PLAIN " + token + b"\r\n")
        return lines.readline().startswith(b"235")


def logins():
    # More than are made in the time in which the mail is measured.
    count, workers = 300, 8
    relay = Relay()
    relay.password = relay.user("bench")
    users = [(f"u{i}", relay.user(f"u{i}")) for i in range(2 * count)]
    relay.end()
    relay.start()  # nothing is remembered now
    receiver = sink()
    # One login at a time tells what one costs.
    began = time.monotonic()
    assert all(login(PORT, *user) for user in users[:20])
    one = (time.monotonic() - began) / 20
    relay.end()
    relay.start()
    print(f"logins: {one * 1000:.0f} ms for one cold login alone ({1 / one:.1f}/s)")
    for connections, some in ((10, users[:count]), (1, users[count:])):
        settings = dict(n=10**6, c=connections, per_conn=50, size=4096)
        alone = [relay.load(max_time=4, **settings)["msgs_per_s"]]
        waiting, failed, lock = list(some), [], threading.Lock()

        def work():
            while True:
                with lock:
                    if not waiting:
                        return
                    user = waiting.pop()
                if not login(PORT, *user):
                    failed.append(user)

        threads = [threading.Thread(target=work) for _ in range(workers)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        beside = relay.load(max_time=4, **settings)["msgs_per_s"]
        for thread in threads:
            thread.join()
        rate = count / (time.monotonic() - began)
        alone.append(relay.load(max_time=4, **settings)["msgs_per_s"])
        print(f"logins: {count} by {workers} clients beside mail over {connections} connections: {rate:.1f}/s, {len(failed)} failed; "
              f"mail {alone[0]:.0f} msg/s before, {beside:.0f} meanwhile, {alone[1]:.0f} after "
              f"({100 * (1 - beside / min(alone)):.0f} % lost)")
    receiver.terminate()
    relay.gone()


def large():
    relay = Relay()
    relay.password = relay.user("bench")
    receiver = sink()
    relay.load(n=200, c=4, per_conn=50, size=4096)
    before = settled(relay)
    most = [before[0]]
    done = threading.Event()

    def watch():
        while not done.wait(0.05):
            most.append(relay.resident()[0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    for size, connections in ((1_000_000, 4), (1_000_000, 100)):
        met = relay.load(n=1000, c=connections, per_conn=50, size=size, max_time=60)
        print(f"large: {size} octets, c={connections}: {met['mb_per_s']:.0f} MB/s; at most {(max(most) - before[0]) / 1024:.1f} MiB more "
              f"than {before[0]} KiB")
    done.set()
    watcher.join()
    receiver.terminate()
    relay.gone()


PARTS = {"idle": idle, "queue": queue, "million": million, "ports": ports, "logins": logins, "large": large}

if __name__ == "__main__":
    if len(sys.argv) < 2 or not set(sys.argv[2:]) <= set(PARTS):
        sys.exit(__doc__)
    TOOL = os.environ.get("SMTPBENCH", os.path.join(sys.argv[1], "loadgen/target/release/smtpbench"))
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    version = subprocess.run([OUTPOST, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"{version}, {os.cpu_count()} cores, kernel {os.uname().release}")
    for name in sys.argv[2:] or PARTS:
        PARTS[name]()
        sys.stdout.flush()

#!/usr/bin/env python3
"""What it costs mail that a hundred admins look at pages which are kept up to date.

    benches/live.py HARNESS [ROUNDS [SECONDS [ADMINS]]]

HARNESS is the folder of the bench harness, whose load client and sink are used (build its loadgen first). Six rounds of
three times thirty seconds and 100 admins when nothing is said. Mail is accepted and delivered at full speed all the time. In each round nobody
looks for a while, then all admins look at the same page of the queue, then each looks at another page: the queue with another filter, a
message, alerts. The three come in another order in each round, and what counts is the ratio within a round: rates and the relay's own time of
the processor for each message, read from the relay while mail flows. Of as many ratios the mean is told with its standard error.

The relay rests the longer the more it had to make and to send: half a minute where a hundred look at a hundred pages. What is shorter sees the rest alone.

A thousand messages for a next hop that is down stand in the queue, so that each page is full and changes. Each admin has an own login,
session and connection. Browsers are elsewhere, and cost a relay nothing but what it sends them: those who read here stand for them and take what
has come twenty times a second.
"""
import http.client
import json
import os
import re
import selectors
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
OUTPOST = os.environ.get("OUTPOST", os.path.join(TARGET, "release", "outpost"))
PORT, SINK, DEAD, ADMIN = 2520, 2620, 2621, 8098
PATIENCE = 60
KINDS = ("nobody", "same", "different")
# Seconds that somebody has looked before it is measured.
SETTLES = 1
# Messages for the next hop that is down: what a page of the API has at most, less one.
STAYS = 999


class Relay:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="outpost-live-")
        file = os.path.join(self.folder, "outpost.toml")
        with open(file, "w") as out:
            out.write(f"""
hostname = "relay.test"
data_dir = "{self.folder}/data"
[submission]
addresses = ["127.0.0.1"]
ports = "{PORT}"
implicit_tls_ports = ""
plaintext_auth = true
[[delivery.route]]
recipients = "dead.test"
smarthost = "127.0.0.1:{DEAD}"
[[delivery.route]]
recipients = "*"
smarthost = "127.0.0.1:{SINK}"
[admin]
address = "127.0.0.1:{ADMIN}"
[log]
filter = "warn"
""")
        log = os.path.join(self.folder, "log")
        with open(log, "w") as out:
            self.process = subprocess.Popen([OUTPOST, "--config", file], cwd=self.folder, stdout=out, stderr=out)
        began = time.monotonic()
        while True:
            try:
                if ask("GET", "/readyz").status == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - began > PATIENCE:
                sys.exit(open(log).read())
            time.sleep(0.05)
        self.first_password = re.search(r"user admin, password (\S+)", open(log).read()).group(1)
        token = open(os.path.join(self.folder, "data", "admin-token")).read().strip()
        self.bearer = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        user = {"name": "bench", "authorized_domains": ["bench.test"]}
        self.password = json.loads(ask("POST", "/api/v1/users", json.dumps(user), self.bearer).body)["password"]

    def processor(self):
        """Seconds of the processor so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def counted(self, metric):
        """A counter of the relay, with all its labels."""
        lines = ask("GET", "/metrics").body.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(metric + r"[{ ]", line))

    def load(self, to="rcpt@dest.test", **settings):
        """Begins to submit mail."""
        command = [TOOL, "load", "--port", str(PORT), "--from", "bench@bench.test", "--rcpt", to,
                   "--user", "bench", "--pass", self.password]
        for key, value in settings.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL)

    def admin(self, number):
        """The cookie of an admin who has logged in: the first is there from the beginning, each other one is made."""
        made = {"name": "admin", "password": self.first_password}
        if number > 0:
            admin = json.dumps({"name": f"admin{number}", "role": "operate"})
            made = json.loads(ask("POST", "/api/v1/admins", admin, self.bearer).body)
        form = urllib.parse.urlencode({"name": made["name"], "password": made["password"]})
        answer = ask("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
        assert answer.status == 303, f"{answer.status} {answer.body[:300]}"
        return answer.getheader("set-cookie").split(";")[0]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        shutil.rmtree(self.folder)


def ask(method, path, body=None, headers=None):
    connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=PATIENCE)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    answer.body = answer.read()
    connection.close()
    return answer


class Looking:
    """Admins who look, each over a connection of its own, until the end of a `with`."""

    def __init__(self, cookies, paths):
        self.octets, self.done = 0, threading.Event()
        self.selector = selectors.DefaultSelector()
        self.heads = {}
        for cookie, path in zip(cookies, paths):
            client = socket.create_connection(("127.0.0.1", ADMIN), PATIENCE)
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\n\r\n".encode())
            self.heads[client] = b""
            self.selector.register(client, selectors.EVENT_READ)
        self.reader = threading.Thread(target=self.read)

    def read(self):
        while not self.done.is_set():
            time.sleep(0.05)
            for key, _ in self.selector.select(0):
                piece = key.fileobj.recv(1 << 18)
                if not piece:
                    sys.stderr.write("the relay has ended a live view\n")
                    os._exit(1)
                self.octets += len(piece)
                head = self.heads[key.fileobj]
                if len(head) < 4096:
                    self.heads[key.fileobj] = head + piece[:4096]

    def __enter__(self):
        self.reader.start()
        began = time.monotonic()
        # Everybody has the first event before mail is measured.
        while not all(b"event:" in head for head in self.heads.values()):
            assert time.monotonic() - began < PATIENCE, [head for head in self.heads.values() if b"event:" not in head][:1]
            time.sleep(0.02)
        assert all(head.startswith(b"HTTP/1.1 200") for head in self.heads.values())
        return self

    def __exit__(self, *_):
        self.done.set()
        self.reader.join()
        for client in self.heads:
            client.close()


def queued(relay):
    answer = json.loads(ask("GET", "/api/v1/queue?limit=1000", headers=relay.bearer).body)
    return [delivery["id"] for delivery in answer["deliveries"]]


def main():
    usual = ((2, 6), (3, 30), (4, 100))
    rounds, seconds, admins = (int(sys.argv[n]) if len(sys.argv) > n else default for n, default in usual)
    version = subprocess.run([OUTPOST, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"{version}, {os.cpu_count()} cores, kernel {os.uname().release}; {admins} admins, {rounds} rounds of {seconds} s each")
    sink = subprocess.Popen([TOOL, "sink", "--port", str(SINK), "--ctl", str(SINK + 99)])
    relay = Relay()
    try:
        cookies = [relay.admin(number) for number in range(admins)]
        assert relay.load("rcpt@dead.test", n=STAYS, c=10, per_conn=50, size=4096).wait(PATIENCE) == 0
        messages = queued(relay)
        other = [page(n, messages[n]) for n in range(admins)]
        other[-1] = "/live/alerts"
        paths = {"same": ["/live/queue"] * admins, "different": other}
        load = relay.load(n=10**8, c=10, per_conn=50, size=4096, max_time=rounds * len(KINDS) * (seconds + SETTLES + PATIENCE))
        try:
            met = measured(relay, load, cookies, paths, rounds, seconds)
        finally:
            load.terminate()
            load.wait()
        for kind in KINDS[1:]:
            pairs = list(zip(met[kind], met["nobody"]))
            rates, costs = (spread([one[n] / nobody[n] for one, nobody in pairs]) for n in (0, 1))
            print(f"{kind}: {rates} of the messages/s, {costs} of the processor's time for each")
    finally:
        relay.end()
        sink.terminate()
        sink.wait()


def page(number, message):
    """Where an admin looks: at what changes all the time, or stands still, or at a message that waits."""
    kinds = (f"/live/queue?limit={number % 100 + 1}", f"/live/queue?domain=dead.test&limit={number % 100 + 1}", f"/live/messages/{message}")
    return kinds[number % len(kinds)]


def measured(relay, load, cookies, paths, rounds, seconds):
    """For each who looks, each round's messages in a second and the processor's milliseconds for each."""
    met = {kind: [] for kind in KINDS}
    time.sleep(seconds)
    print(f"{'round':>5} {'who looks':>10} {'msg/s':>7} {'CPU ms/msg':>10} {'MB/s to admins':>14}")
    for number in range(rounds):
        for kind in [KINDS[(number + at) % 3] for at in range(3)]:
            with Looking(cookies, paths.get(kind, [])) as looking:
                time.sleep(SETTLES)
                before = counts(relay, looking)
                time.sleep(seconds)
                octets, used, took, accepted, sent = (now - then for now, then in zip(counts(relay, looking), before))
            assert load.poll() is None, "the load has ended"
            assert abs(accepted - sent) < 0.1 * accepted, "what was accepted was not delivered"
            met[kind].append((accepted / took, used * 1000 / accepted))
            print(f"{number + 1:5} {kind:>10} {accepted / took:7.0f} {used * 1000 / accepted:10.4f} {octets / took / 1e6:14.2f}", flush=True)
    refused = relay.counted("outpost_reception_refused_total")
    assert refused == 0, f"{refused} transactions were refused"
    return met


def counts(relay, looking):
    """Octets that admins have got, the relay's time of the processor, the time, and messages that were accepted and were delivered."""
    accepted = relay.counted("outpost_reception_accepted_total")
    sent = relay.counted("outpost_queue_recipients_total")
    return looking.octets, relay.processor(), time.monotonic(), accepted, sent


def spread(ratios):
    mean = statistics.mean(ratios)
    error = statistics.stdev(ratios) / len(ratios) ** 0.5 if len(ratios) > 1 else float("nan")
    return f"{mean:.3f} (± {error:.3f}, median {statistics.median(ratios):.3f})"


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    TOOL = os.environ.get("SMTPBENCH", os.path.join(sys.argv[1], "loadgen/target/release/smtpbench"))
    main()

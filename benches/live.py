#!/usr/bin/env python3
"""What it costs mail that a hundred admins look at pages which are kept up to date.

    benches/live.py HARNESS [ROUNDS [SECONDS [ADMINS]]]

HARNESS is the folder of the bench harness, whose load client and sink are used (build its loadgen first). Five rounds of
ten seconds and 100 admins when nothing is said. In each round mail is accepted and delivered at full speed without
anybody who looks, while all admins look at the same page of the queue, and while each looks at another page: the queue with
another filter, a message, alerts. The three come in another order in each round, and what counts is the ratio within a round. A thousand messages
for a next hop that is down stand in the queue, so that each page is full and changes. Each admin has an own login and
session. Prints rates, the relay's own time of the processor for each message, ratios of both to nobody who looks, and what was sent to admins.
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

    def load(self, to="rcpt@dest.test", **settings):
        command = [TOOL, "load", "--port", str(PORT), "--from", "bench@bench.test", "--rcpt", to,
                   "--user", "bench", "--pass", self.password]
        for key, value in settings.items():
            command += ["--" + key.replace("_", "-"), str(value)]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=120).stdout
        result = json.loads(out.strip().splitlines()[-1])
        if result["errors"]:
            sys.exit(f"the load met errors: {result['errors']}")
        return result

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
            for key, _ in self.selector.select(0.1):
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


def settled(relay):
    """Waits until all but what stays has been delivered."""
    began = time.monotonic()
    while len(queued(relay)) > STAYS:
        assert time.monotonic() - began < PATIENCE, "the sink does not get all"
        time.sleep(0.2)


def main():
    rounds, seconds, admins = (int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((2, 5), (3, 10), (4, 100)))
    version = subprocess.run([OUTPOST, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"{version}, {os.cpu_count()} cores, kernel {os.uname().release}; {admins} admins, {rounds} rounds of {seconds} s")
    sink = subprocess.Popen([TOOL, "sink", "--port", str(SINK), "--ctl", str(SINK + 99)])
    relay = Relay()
    try:
        cookies = [relay.admin(number) for number in range(admins)]
        relay.load("rcpt@dead.test", n=STAYS, c=10, per_conn=50, size=4096, max_time=30)
        messages = queued(relay)
        other = [f"/live/messages/{messages[n]}" if n % 4 == 3 else f"/live/queue?domain=dead.test&limit={n % 100 + 1}" for n in range(admins)]
        other[-1] = "/live/alerts"
        paths = {"same": ["/live/queue"] * admins, "different": other}
        settings = dict(n=10**6, c=10, per_conn=50, size=4096)
        relay.load(**settings, max_time=seconds)
        met = {kind: [] for kind in KINDS}
        print(f"{'round':>5} {'who looks':>10} {'msg/s':>7} {'CPU ms/msg':>10} {'MB/s to admins':>14} {'load':>5}")
        for number in range(rounds):
            for kind in [KINDS[(number + at) % 3] for at in range(3)]:
                with Looking(cookies, paths.get(kind, [])) as looking:
                    octets, used, began = looking.octets, relay.processor(), time.monotonic()
                    done = relay.load(**settings, max_time=seconds)
                    used, took = relay.processor() - used, time.monotonic() - began
                    sent = (looking.octets - octets) / took / 1e6
                cost = used * 1000 / done["ok"]
                met[kind].append((done["msgs_per_s"], cost))
                print(f"{number + 1:5} {kind:>10} {done['msgs_per_s']:7.0f} {cost:10.4f} {sent:14.2f} {os.getloadavg()[0]:5.1f}", flush=True)
                settled(relay)
        for kind in KINDS[1:]:
            rates, costs = ([one[n] / nobody[n] for one, nobody in zip(met[kind], met["nobody"])] for n in (0, 1))
            print(f"{kind}: {statistics.median(rates):.3f} of the messages/s ({min(rates):.3f} to {max(rates):.3f}), "
                  f"{statistics.median(costs):.3f} of the processor's time for each ({min(costs):.3f} to {max(costs):.3f})")
    finally:
        relay.end()
        sink.terminate()
        sink.wait()


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    TOOL = os.environ.get("SMTPBENCH", os.path.join(sys.argv[1], "loadgen/target/release/smtpbench"))
    main()

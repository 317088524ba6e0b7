#!/usr/bin/env python3
"""What every page and every read of the API takes, with very many users and very much queued mail.

    benches/console.py [USERS [MESSAGES [TIMES]]]

100,000 users, 1,000,000 messages and 30 times when nothing is said. The messages are in 10,000 lanes of next hops whose
names are never found, in four classes. The benches of the directory and of the queue fill the data folder, then a relay of its own on
127.0.0.1 serves it. Each read is asked for so many times, one after the other over one connection, after two that are not
counted; pages as an admin who has logged in, the API with a token. Prints the median, the 99th percentile and the most in
milliseconds, the relay's own time of the processor for each, octets of the answer, and what the relay's memory grew by at
most. Then the queue once more, when all of it is stopped; how long filters take that match few, from the first page to the last; and at the end
what is over 200 and 500 ms. KEPT=FOLDER keeps the data folder as it was filled, and takes it from there
the next time; ONLY=EXPRESSION asks only for paths that match.
"""
import http.client
import json
import os
import re
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
PORT, SINK, DNS, ADMIN = 2510, 2600, 5300, 8099
MEDIAN_MS, P99_MS = 200, 500


def bench(name):
    """The program of a bench, built."""
    out = subprocess.run(
        ["cargo", "bench", "--package", "outpost-benches", "--bench", name, "--no-run", "--message-format=json"],
        check=True, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout
    return next(path for line in out.splitlines() if (path := json.loads(line).get("executable")))


def fill(folder, users, messages):
    data = os.path.join(folder, "data")
    os.mkdir(data, 0o700)
    print(subprocess.run([bench("directory"), data, str(users)], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    shape = [str(messages), "10000", str(users), "4"]
    filler = subprocess.Popen([bench("queue"), data, *shape, "fill"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert any(line == "full\n" for line in filler.stdout), "it was not filled"
    filler.kill()
    filler.wait()


class Relay:
    def __init__(self, folder):
        self.folder = folder
        self.log = os.path.join(folder, "log")
        file = os.path.join(folder, "outpost.toml")
        with open(file, "w") as out:
            out.write(f"""
hostname = "relay.test"
data_dir = "{folder}/data"
[submission]
addresses = ["127.0.0.1"]
ports = "{PORT}"
implicit_tls_ports = ""
[[delivery.route]]
recipients = "relay.test"
smarthost = "127.0.0.1:{SINK}"
[dns]
servers = ["127.0.0.1:{DNS}"]
[admin]
address = "127.0.0.1:{ADMIN}"
[log]
filter = "warn"
""")
        self.process = subprocess.Popen([OUTPOST, "--config", file], cwd=folder, stdout=open(self.log, "w"), stderr=subprocess.STDOUT)
        began = time.monotonic()
        while True:
            try:
                if urllib_get("/readyz") == 200:
                    break
            except OSError:
                pass
            assert self.process.poll() is None and time.monotonic() - began < 120, open(self.log).read()
            time.sleep(0.05)
        print(f"ready after {time.monotonic() - began:.1f} s")
        self.password = re.search(r"user admin, password (\S+)", open(self.log).read()).group(1)
        self.token = open(os.path.join(folder, "data", "admin-token")).read().strip()

    def resident(self):
        """KiB."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("Rss:"))

    def processor(self):
        """Seconds of the processor so far."""
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stopping(self, action):
        connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=60)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        connection.request("POST", "/api/v1/queue/" + action, "{}", headers)
        answer = connection.getresponse()
        assert answer.status in (200, 201, 204), f"{answer.status} {answer.read()[:300]}"

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def urllib_get(path):
    connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=5)
    connection.request("GET", path)
    return connection.getresponse().status


class Reader:
    """Somebody who asks for one thing after the other."""

    def __init__(self, headers):
        self.headers = headers
        self.connection = None

    def get(self, path):
        """The body, and the seconds until it was there."""
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=60)
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                began = time.monotonic()
                self.connection.request("GET", path, headers=self.headers)
                answer = self.connection.getresponse()
                body = answer.read()
                took = time.monotonic() - began
                break
            except (http.client.HTTPException, OSError):
                # A connection has an end; the next one goes on.
                self.connection = None
                if attempt == 2:
                    raise
        assert answer.status == 200, f"{path}: {answer.status} {body[:300]}"
        return body, took


def logged_in(relay):
    form = urllib.parse.urlencode({"name": "admin", "password": relay.password})
    connection = http.client.HTTPConnection("127.0.0.1", ADMIN, timeout=60)
    connection.request("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    answer = connection.getresponse()
    assert answer.status == 303, answer.status
    return Reader({"Cookie": answer.getheader("set-cookie").split(";")[0]})


def waiting(api, user):
    """A message of that user that waits for its turn, far behind; its place is looked for in vain."""
    cursor = ""
    while cursor is not None:
        page = json.loads(api.get(f"/api/v1/queue?state=waiting&user={user}" + (f"&cursor={cursor}" if cursor else ""))[0])
        if page["deliveries"]:
            return page["deliveries"][-1]["id"]
        cursor = page["cursor"]
    return None


def reads(page, api, users):
    """All that is read: who reads it, and the path."""
    queue = json.loads(api.get("/api/v1/queue?limit=100")[0])
    message, cursor = queue["deliveries"][0]["id"], queue["cursor"]
    some_user, last_user = f"user{users // 2}", f"user{users - 1}"
    far = waiting(api, some_user) or message
    users_cursor = json.loads(api.get("/api/v1/users?limit=100")[0])["cursor"]
    quoted = urllib.parse.quote
    pages = [
        "/connection", "/users", f"/users?name={last_user}", "/users?list=list7", "/users?active=false",
        f"/users?cursor={quoted(users_cursor or '')}", "/users/new", f"/users/{some_user}", f"/users/{some_user}/senders",
        f"/users/{some_user}/remove", "/lists", "/lists/list7", "/queue", f"/queue?cursor={quoted(cursor or '')}",
        f"/queue?user={some_user}", "/queue?class=2", "/queue?state=deferred", "/queue?state=held", "/queue?domain=domain77.example",
        "/queue?recipient=nobody@nowhere.example", "/queue?subject=nothing", "/queue?list=list7", f"/messages/{message}",
        f"/messages/{far}",
        "/refused", "/refused?user=nobody", f"/refused/who?address={quoted('x@d7.example')}",
        f"/refused/who?address={quoted(last_user + '@shared.example')}", f"/refused/who?address={quoted('x@nowhere.example')}",
        "/alerts", "/policies", "/statistics", "/statistics?span=year", "/statistics?list=list7", f"/statistics?user={some_user}",
        "/system", "/system/audit", "/system/admins", "/system/tokens",
    ]
    reads = [
        "/api/v1/users?limit=100", "/api/v1/users?limit=1000", f"/api/v1/users?name={last_user}", "/api/v1/users?list=list7",
        f"/api/v1/users/{some_user}", f"/api/v1/users/{some_user}/senders", "/api/v1/lists", "/api/v1/lists/list7", "/api/v1/connection",
        "/api/v1/queue", "/api/v1/queue?limit=1000", f"/api/v1/queue?cursor={quoted(cursor or '')}", f"/api/v1/queue?user={some_user}",
        "/api/v1/queue?class=3", "/api/v1/queue?state=deferred", "/api/v1/queue?state=held", "/api/v1/queue?domain=domain77.example",
        "/api/v1/queue?subject=nothing", "/api/v1/queue?list=list7", "/api/v1/queue?recipient=nobody@nowhere.example",
        f"/api/v1/messages/{message}", f"/api/v1/messages/{far}", "/api/v1/refusals", f"/api/v1/senders?address={quoted('x@d7.example')}",
        f"/api/v1/senders?address={quoted(last_user + '@shared.example')}", f"/api/v1/senders?address={quoted('x@nowhere.example')}",
        "/api/v1/alerts", "/api/v1/plugins", "/api/v1/plugins/authorized-senders", "/api/v1/statistics", "/api/v1/statistics?by=hour",
        "/api/v1/statistics?by=user", "/api/v1/statistics?by=destination", "/api/v1/statistics?by=list", "/api/v1/statistics?by=class",
        "/api/v1/system", "/api/v1/audit", "/api/v1/admins", "/api/v1/tokens", "/api/v1/openapi.json", "/metrics", "/livez", "/readyz",
    ]
    return [(page, path) for path in pages] + [(api, path) for path in reads]


def measured(relay, everything, times):
    """Reads all of it so many times; what is over the limits."""
    over = []
    print(f"{'median':>8} {'p99':>8} {'most':>8} {'CPU':>8} {'octets':>9} {'MiB more':>8}")
    for reader, path in everything:
        if only and not re.search(only, path):
            continue
        for _ in range(2):
            reader.get(path)
        before, most, done = relay.resident(), [0], threading.Event()

        def watch():
            while not done.wait(0.02):
                most[0] = max(most[0], relay.resident() - before)

        watcher = threading.Thread(target=watch)
        watcher.start()
        took, used = [], relay.processor()
        for _ in range(times):
            body, seconds = reader.get(path)
            took.append(seconds * 1000)
        done.set()
        watcher.join()
        used = (relay.processor() - used) * 1000 / times
        took.sort()
        median, p99 = statistics.median(took), took[min(len(took) - 1, int(len(took) * 0.99))]
        if median > MEDIAN_MS or p99 > P99_MS:
            over.append(path)
        print(f"{median:8.1f} {p99:8.1f} {took[-1]:8.1f} {used:8.1f} {len(body):9} {most[0] / 1024:8.1f}  {path}")
        sys.stdout.flush()
    return over


def searched(api, path):
    """Goes on from page to page; for a minute at most."""
    pages, rows, cursor, took, first, began = 0, 0, "", [], None, time.monotonic()
    while cursor is not None and time.monotonic() - began < 60:
        body, seconds = api.get(path + (f"&cursor={urllib.parse.quote(cursor)}" if cursor else ""))
        page = json.loads(body)
        took.append(seconds * 1000)
        pages, rows, cursor = pages + 1, rows + len(page["deliveries"]), page["cursor"]
        if rows and first is None:
            first = (pages, time.monotonic() - began)
    end = "the end" if cursor is None else "given up"
    at = f"the first row on page {first[0]} after {first[1]:.2f} s, " if first else ""
    print(f"{path}: {at}{rows} rows, {end} after {pages} pages and {time.monotonic() - began:.2f} s; "
          f"{took[0]:.0f} ms the first, {max(took[1:] or [0]):.0f} the longest of the others")


def main():
    users, messages, times = (int(sys.argv[n]) if len(sys.argv) > n else usual for n, usual in ((1, 100_000), (2, 1_000_000), (3, 30)))
    version = subprocess.run([OUTPOST, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    print(f"{version}, {os.cpu_count()} cores, kernel {os.uname().release}, load {os.getloadavg()[0]:.1f}; "
          f"{users:,} users, {messages:,} messages, each read {times} times")
    # A name server that says nothing: attempts wait for it and cost little meanwhile.
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", DNS))
    folder = tempfile.mkdtemp(prefix="outpost-console-")
    relay = None
    try:
        kept = os.environ.get("KEPT")
        if kept and os.path.isdir(kept):
            shutil.copytree(kept, os.path.join(folder, "data"))
        else:
            fill(folder, users, messages)
            if kept:
                shutil.copytree(os.path.join(folder, "data"), kept)
        relay = Relay(folder)
        # What a start begins with, such as a first count of the queue, is over.
        time.sleep(10)
        used = relay.processor()
        time.sleep(5)
        print(f"the relay alone takes {(relay.processor() - used) / 5 * 1000:.0f} ms of the processor a second")
        page, api = logged_in(relay), Reader({"Authorization": f"Bearer {relay.token}"})
        first = relay.resident()
        print(f"memory before: {first / 1024:.0f} MiB")
        over = measured(relay, reads(page, api, users), times)
        relay.stopping("stop")
        print("all of it stopped:")
        stopped = ["/queue", "/queue?state=stopped", f"/queue?user=user{users // 2}"]
        over += measured(relay, [(page, path) for path in stopped] + [(api, "/api/v1" + path) for path in stopped], times)
        relay.stopping("start")
        print("from the first page to the last:")
        for path in (f"user=user{users // 2}", "domain=domain77.example", "class=1", "state=deferred", "state=scheduled"):
            if not only or re.search(only, path):
                searched(api, "/api/v1/queue?limit=1000&" + path)
        last = relay.resident()
        # A listing is kept for half a minute.
        time.sleep(40)
        print(f"memory: {first / 1024:.0f} MiB before, {last / 1024:.0f} at the end, {relay.resident() / 1024:.0f} after 40 s")
        print("over the limits: " + (", ".join(over) or "none"))
    finally:
        if relay:
            relay.end()
        shutil.rmtree(folder)
        silent.close()


if __name__ == "__main__":
    only = os.environ.get("ONLY")
    main()

#!/usr/bin/env python3
"""Mixed mail to a real Postfix that is under stress, and whether all of it arrives as it was, once, and in order.

    benches/mixed.py [MINUTES] [--address 127.0.0.1] [--seed 1] [--trickle OCTETS] [--keep]

Starts a Postfix in a folder of its own with what Postfix sets itself under stress (it waits for ten seconds, for a whole
request no longer than that and what 500 octets a second add, and forgives one error), and a relay with a capacity. For so
many minutes (10) nine users of all classes send at once, each over its connection:

shares    first 2,000 messages of 50 KB, a backlog of classes 2 to 5: what each gets of the octets while all have one
mixed     then papers of 5 to 20 MB (class 3), orders (2), bursts of small newsletters (4 and 5), with 8-bit text, long lines,
          lines of dots, several recipients and times to be sent at
urgent    all the while very-high messages at random moments, in bursts, and of 24 MB, which pause the others for longer
          than Postfix waits

Mail goes over three ports of Postfix: in chunks and in clear, in chunks under TLS, by DATA. What is checked is Postfix's record:
its log, and the files that it delivers with the moment that is in their queue ids; then the trails of the relay. The exit
code is 0 when all holds. Needs Debian's postfix, openssl and root; --trickle 0 shows what Postfix does to sends that are paused in silence.
"""
import argparse
import base64
import bisect
import hashlib
import http.client
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import threading
import time

from stressed_postfix import CLEAR, DATA, PATIENCE, TLS, Arrivals, Postfix, answers, beside, free_port, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(HERE, "..", "target"))
OUTPOST = os.path.join(TARGET, "release", "outpost")
# Two megabytes a second are more than ten seconds for a very-high message of 24 MB.
CAPACITY = 2_000_000
SHARES = {2: 8, 3: 4, 4: 2, 5: 1}
BACKLOG = {2: 1060, 3: 560, 4: 260, 5: 130}
BACKLOG_OCTETS = 50_000
LARGE_URGENT = 24_000_000
# For what is queued when the time for sending is over.
DRAIN = 400
# What the moments of connections, handshakes and tasks may change in the order of very-high messages, in seconds.
TOLERANCE = 0.25
# A memory that grew with the mail would be beyond this: over a gigabyte passes.
RESIDENT_KIB_MAX = 48 * 1024
USERS = {"codes": 3, "alerts": 3, "orders": 2, "shop": 2, "papers": 3, "scans": 3, "letters": 4, "weekly": 4, "adverts": 5}


class Relay:
    """An Outpost in a folder of its own that sends everything to Postfix."""

    def __init__(self, folder, ports):
        self.file, self.data = os.path.join(folder, "outpost.toml"), os.path.join(folder, "outpost")
        self.port, self.admin = free_port(OPTIONS.address), free_port(OPTIONS.address)
        with open(self.file, "w") as file:
            file.write(f"""
hostname = "relay.test"
data_dir = "{self.data}"
[submission]
addresses = ["{OPTIONS.address}"]
ports = "{self.port}"
implicit_tls_ports = ""
plaintext_auth = true
[delivery]
capacity_bytes_per_second = {CAPACITY}
# Postfix takes 50 connections of one client, whatever the port.
per_next_hop_max = 15
pause_trickle_bytes_per_second = {OPTIONS.trickle}
# A very-high message of 24 MB takes twelve seconds, and very-high ones behind it wait for it.
very_high_objective = "15s"
[admin]
address = "{OPTIONS.address}:{self.admin}"
[log]
filter = "warn"
""")
            for domain, port in ports.items():
                file.write(f'[[delivery.route]]\nrecipients = "{domain}"\nsmarthost = "{OPTIONS.address}:{port}"\n')
        self.output = os.path.join(folder, "relay.log")
        self.process = None

    def start(self):
        with open(self.output, "w") as log:
            self.process = subprocess.Popen([OUTPOST, "--config", self.file], cwd=os.path.dirname(self.file), stdout=log, stderr=log)
        token = os.path.join(self.data, "admin-token")
        wait_until("the relay answers", lambda: os.path.exists(token) and all(answers(OPTIONS.address, port) for port in (self.port, self.admin)))
        with open(token) as file:
            self.token = file.read().strip()

    def end(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)

    def user(self, name, priority):
        out = subprocess.run([OUTPOST, "--config", self.file, "user", "add", "--name", name, "--domains", "mixed.test", "--priority",
                              str(priority), "--json"], check=True, capture_output=True, text=True).stdout
        return json.loads(out)["password"]

    def get(self, *paths):
        """What stands at each path, over one connection."""
        client = http.client.HTTPConnection(OPTIONS.address, self.admin, timeout=60)
        for path in paths:
            client.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            answer = client.getresponse()
            body = answer.read().decode()
            if answer.status != 200:
                sys.exit(f"{path}: {answer.status} {body}")
            yield body
        client.close()

    def metric(self, name):
        """The sum over all labels."""
        [text] = self.get("/metrics")
        rows = [line.rsplit(" ", 1) for line in text.splitlines() if re.match(name + r"[{ ]", line)]
        return sum(float(value) for _, value in rows)

    def resident(self):
        """KiB, file pages of the program included, and of it anonymous."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as file:
            rows = dict(line.split()[:2] for line in file if line.split()[0] in ("Rss:", "Anonymous:"))
        return int(rows["Rss:"]), int(rows["Anonymous:"])


class Machine:
    """How the machine itself does: a process that wants nothing but to wake up every 20 ms, and one that syncs 4 KB a second."""

    # Longer than this and Postfix may drop a client that did nothing wrong.
    STILL_MAX = 2.0

    def __init__(self, folder):
        self.still, self.sync = (multiprocessing.Value("d", 0.0) for _ in range(2))
        self.processes = [multiprocessing.Process(target=work, daemon=True) for work in (self.wake, lambda: self.write(folder))]
        for process in self.processes:
            process.start()

    def wake(self):
        while True:
            began = time.monotonic()
            time.sleep(0.02)
            self.still.value = max(self.still.value, time.monotonic() - began - 0.02)

    def write(self, folder):
        with open(os.path.join(folder, "sync"), "wb") as file:
            while True:
                time.sleep(1)
                began = time.monotonic()
                file.seek(0)
                file.write(b"x" * 4096)
                file.flush()
                os.fdatasync(file.fileno())
                self.sync.value = max(self.sync.value, time.monotonic() - began)

    def end(self):
        for process in self.processes:
            process.kill()
            process.join()


class Sender:
    """A client with a login; what it submits stands in one table."""

    submitted, refused, lock, last = {}, [], threading.Lock(), 0

    def __init__(self, relay, user, password):
        self.user = user
        self.random = random.Random(f"{OPTIONS.seed} {user}")
        self.client = smtplib.SMTP(OPTIONS.address, relay.port, local_hostname="client.mixed.test", timeout=60)
        self.client.login(user, password)

    def submit(self, octets, expected, domains=(CLEAR, TLS, DATA), recipients=1, fields=(), options=(), style="lines", hold=0):
        with Sender.lock:
            Sender.last += 1
            number = Sender.last
        to = [f"r{number}-{place}@{self.random.choice(domains)}" for place in range(recipients)]
        head = [f"X-Mixed: {number}", f"From: {self.user}@mixed.test", f"To: {', '.join(to)}", f"Subject: {self.user} {number}", *fields]
        content = "\r\n".join(head).encode() + b"\r\n\r\n" + self.text(octets, style)
        options = [*options, f"SIZE={len(content)}", *(["BODY=8BITMIME"] if style == "eight" else [])]
        row = {"expected": expected, "to": to, "octets": len(content), "hash": hashlib.sha256(content.replace(b"\r\n", b"\n")).digest(),
               "hold": hold, "began": time.time(), "user": self.user, "accepted": None, "id": None}
        Sender.submitted[number] = row
        steps = [lambda: self.client.mail(f"{self.user}@mixed.test", options)]
        steps += [lambda one=one: self.client.rcpt(one) for one in to] + [lambda: self.client.data(content)]
        for step in steps:
            code, text = step()
            if code != 250:
                Sender.refused.append(f"{self.user}: {code} {text.decode()}")
                del Sender.submitted[number]
                self.client.rset()
                return None
        row["accepted"] = time.time()
        row["id"] = text.decode().split()[-1]
        return row

    def text(self, octets, style):
        """Text of which no part is like another."""
        if style == "long":
            lines = [base64.b64encode(self.random.randbytes(self.random.choice((700, 735, 1500, 3000, 40_000)))) for _ in range(6)]
            return b"\r\n".join(lines) + b"\r\n"
        text = base64.encodebytes(self.random.randbytes(octets * 3 // 4 + 1))
        if style == "dots":
            # Every line begins with a dot or several, and some have nothing else.
            text = b"".join(b"." * (place % 4) + line + b".\n" * (place % 3) for place, line in enumerate(text.splitlines(True)))
        text = text.replace(b"\n", b"\r\n")
        return text.translate(bytes.maketrans(b"aeiouAEIOU", bytes(range(0xE0, 0xEA)))) if style == "eight" else text


def quantiles(values):
    """Median, 99th of a hundred and largest, in milliseconds."""
    values = sorted(values)
    at = lambda share: round(1000 * values[min(len(values) - 1, int(share * len(values)))], 1)
    return {"median_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "count": len(values)} if values else {"count": 0}


class Traffic:
    """All that is sent."""

    def __init__(self, relay, passwords, end):
        self.senders = {name: Sender(relay, name, password) for name, password in passwords.items()}
        self.end, self.shares = end, None
        self.backlog_is_in, self.failures = threading.Event(), []

    def left(self):
        return self.end - time.monotonic()

    def every(self, seconds, work, random_from, exponential=False):
        """Does it until the time is over, after such waits."""
        while True:
            wait = random_from.expovariate(1 / seconds) if exponential else seconds * random_from.uniform(0.7, 1.3)
            if self.left() < wait:
                return
            time.sleep(wait)
            work()

    def backlog(self):
        """Messages of one size in classes 2 to 5; very high keeps coming."""
        users = {2: ("orders", "shop"), 3: ("papers", "scans"), 4: ("letters", "weekly"), 5: ("adverts",)}
        rows = []

        def fill(class_):
            for place in range(BACKLOG[class_]):
                user = users[class_][place % len(users[class_])]
                rows.append(self.senders[user].submit(BACKLOG_OCTETS, class_))

        threads = [threading.Thread(target=self.guarded, args=(lambda class_=class_: fill(class_),)) for class_ in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.shares = time.time()
        self.backlog_rows = [row for row in rows if row]
        self.backlog_is_in.set()

    def urgent(self):
        codes, alerts = self.senders["codes"], self.senders["alerts"]
        ways = [dict(fields=["X-Priority: 1 (Highest)"]), dict(options=["MT-PRIORITY=6"]), dict(fields=['X-SMTPAPI: {"Priority": 1}'])]
        one = lambda: codes.submit(codes.random.randrange(2_000, 20_000), 1, domains=[codes.random.choice((CLEAR, TLS, DATA))],
                                   recipients=codes.random.choice((1, 1, 1, 1, 3)), style=codes.random.choice(("lines", "dots", "eight")),
                                   **codes.random.choice(ways))

        def burst():
            for _ in range(10):
                alerts.submit(200_000, 1, **alerts.random.choice(ways))

        large = lambda: alerts.submit(LARGE_URGENT, 1, options=["MT-PRIORITY=9"])

        def heavy():
            place = [0]

            def next_one():
                (large if place[0] % 2 == 0 else burst)()
                place[0] += 1

            self.every(30, next_one, alerts.random)

        return [lambda: self.every(2.5, one, codes.random, exponential=True), heavy]

    def mixed(self):
        def order():
            self.backlog_is_in.wait()
            sender = self.senders[next_of("orders", "shop")]
            hold = sender.random.choice((0,) * 15 + (3, 10, 30))
            sender.submit(sender.random.randrange(3_000, 60_000), 2, recipients=sender.random.choice((1, 1, 1, 2, 5)), hold=hold,
                          options=[f"HOLDFOR={hold}"] if hold else [], style=sender.random.choice(("lines", "eight", "long", "dots")))

        def paper():
            self.backlog_is_in.wait()
            sender = self.senders[next_of("papers", "scans")]
            sender.submit(sender.random.randrange(5_000_000, 20_000_000), 3, style=sender.random.choice(("lines", "lines", "dots", "eight")))

        def newsletter():
            self.backlog_is_in.wait()
            sender, class_ = (self.senders[name] for name in ("letters", "adverts")), (4, 5)
            for sender, class_ in zip(sender, class_):
                # What a message asks for makes it no less urgent than its user is, and these ask for the least.
                for _ in range(250):
                    sender.submit(sender.random.randrange(4_000, 16_000), class_, fields=["Precedence: bulk", "X-Priority: 5"],
                                  recipients=sender.random.choice((1,) * 9 + (10,)), style=sender.random.choice(("lines", "dots", "long", "eight")))

        turns = {}

        def next_of(*names):
            turns[names] = turns.get(names, 0) + 1
            return names[turns[names] % len(names)]

        return [lambda: self.every(0.4, order, self.senders["orders"].random, exponential=True),
                lambda: self.every(11, paper, self.senders["papers"].random),
                lambda: self.every(20, newsletter, self.senders["letters"].random)]

    def guarded(self, work):
        try:
            work()
        except Exception as failure:  # A thread that dies silently would leave mail unsent that is then not missed.
            self.failures.append(f"{type(failure).__name__}: {failure}")

    def send(self):
        flows = [self.backlog, *self.urgent(), *self.mixed()]
        threads = [threading.Thread(target=self.guarded, args=(flow,)) for flow in flows]
        for thread in threads:
            thread.start()
        return threads


class Report:
    """Prints what was found, and knows whether all of it is as it has to be."""

    def __init__(self):
        self.bad = 0

    def check(self, what, holds, more=""):
        self.bad += not holds
        print(f"  {'holds' if holds else 'FAILS'}  {what}{': ' + str(more) if more else ''}")


# Postfix complains of a clock that files have in other steps than it reads; it is no matter of mail.
CLOCK = re.compile("file system clock is|resetting file time stamps")
COMPLAINTS = re.compile(r"timeout after|lost connection|too many|too much|improper|pipelining|warning:|error:|fatal:|panic:|reject|"
                        r"NOQUEUE|throttl|status=(?!sent)|refused|stress")


def overtaken(rows, moment, octets_min):
    """Of very-high messages to one next hop, one of which was accepted before the other began to be submitted: how many were
    overtaken by one of so many octets, by that moment, and by how many seconds at most."""
    count, most = 0, 0.0
    for domain in (CLEAR, TLS, DATA):
        # One that waits for room at its next hop delays none to another.
        to_it = sorted((row for row in rows if row["to"][0].endswith(domain)), key=lambda row: row["began"])
        others = [row for row in to_it if row["octets"] >= octets_min]
        begins = [row["began"] for row in others]
        # From the last on: the earliest moment of all that were submitted later.
        earliest = [float("inf")] * (len(others) + 1)
        for place in range(len(others) - 1, -1, -1):
            earliest[place] = min(earliest[place + 1], others[place][moment])
        for row in to_it:
            lead = row[moment] - earliest[bisect.bisect_right(begins, row["accepted"])]
            count += lead > 0
            most = max(most, lead)
    return count, f"{most:.3f}"


def judge(report, relay, postfix, arrivals, traffic, slow, residents):
    rows = Sender.submitted
    found = {}
    for one in arrivals.found:
        found.setdefault((one["number"], one["recipient"]), []).append(one)
    expected = {(number, to) for number, row in rows.items() for to in row["to"]}
    octets = sum(one["octets"] for one in arrivals.found)
    by_class = {class_: sum(row["expected"] == class_ for row in rows.values()) for class_ in range(1, 6)}
    print(f"\nmail: {len(rows)} messages ({', '.join(f'class {class_}: {count}' for class_, count in by_class.items())}), "
          f"{len(expected)} recipients, {octets / 1e6:.0f} MB at Postfix")
    report.check("nothing was refused, every sender came to its end", not Sender.refused and not traffic.failures,
                 (Sender.refused + traffic.failures)[:3])
    missing, twice = expected - found.keys(), [key for key, ones in found.items() if len(ones) > 1]
    report.check("every recipient got every message", not missing, f"{len(missing)} missing, such as {sorted(missing)[:3]}" if missing else "")
    report.check("none of them twice, and nothing else came", not twice and not found.keys() - expected and not arrivals.odd,
                 [twice[:3], sorted(found.keys() - expected)[:3], arrivals.odd[:1]] if twice or found.keys() - expected or arrivals.odd else "")
    changed = [one["number"] for one in arrivals.found if one["number"] in rows and one["hash"] != rows[one["number"]]["hash"]]
    report.check("every content is as it was submitted, below the trace fields, by its SHA-256", not changed, changed[:3])

    print("Postfix's log")
    lines = [line for line in postfix.log() if f"[{beside(OPTIONS.address)}]" not in line]
    complaints = [line for line in lines if COMPLAINTS.search(line) and not CLOCK.search(line)]
    report.check("no timeout, lost connection, error or refusal", not complaints, "\n    ".join(["", *complaints[:5]]) if complaints else "")
    report.check("its floor is in force: a client with 300 octets a second was dropped", slow is not None, f"after {slow:.0f} s" if slow else "")
    count = lambda pattern: sum(bool(re.search(pattern, line)) for line in lines)
    print(f"         {count(r'smtpd.*: connect from')} connections, {count('TLS connection established from')} under TLS; "
          f"disconnects with BDAT {count(r'disconnect from.* bdat=')}, with DATA {count(r'disconnect from.* data=')}")
    by_hop = {domain: sum(one["recipient"].endswith(domain) for one in arrivals.found) for domain in postfix.ports}
    print(f"         recipients {by_hop}")

    print("the relay's own record")
    paths = [f"/api/v1/messages/{row['id']}" for row in rows.values()]
    attempts, failed, wrong_class, pauses, unfinished = 0, [], [], [], 0
    for row, text in zip(rows.values(), relay.get(*paths)):
        message = json.loads(text)
        row["class"] = message["class"]
        if message["class"] != row["expected"]:
            wrong_class.append((row["id"], row["expected"], message["class"]))
        unfinished += message["finished"] is None
        hops = {to.rsplit("@", 1)[1] for to in row["to"]}
        tried = [entry for entry in message["trail"] if entry["event"] == "attempted"]
        attempts += len(tried)
        bad = [entry for entry in message["trail"] if entry["event"] in ("deferred", "expired", "interrupted", "reported")]
        bad += [entry for entry in tried if entry["unknown"] or any(one["outcome"] != "delivered" for one in entry["recipients"])]
        if bad or len(tried) != len(hops):
            failed.append((row["id"], len(tried), bad[:1]))
        pauses += [entry for entry in message["trail"] if entry["event"] == "paused"]
    report.check("no attempt failed, each delivery took one", not failed and not unfinished, f"{attempts} attempts" if not failed else failed[:3])
    report.check("each message had the class that it was to have", not wrong_class, wrong_class[:3])
    paused, resumed = relay.metric("outpost_delivery_pauses_total"), relay.metric("outpost_delivery_resumes_total")
    told = sum(entry["times"] for entry in pauses)
    # What is small comes to its end by the trickle alone.
    trickled = sum(entry["end"] == "finished" for entry in pauses)
    longest = max((entry["took_microseconds"] / 1e6 for entry in pauses if entry["times"] == 1), default=0)
    report.check("sends were paused, for longer than Postfix waits, and each went on or trickled to its end",
                 paused == told == resumed and longest > 10,
                 f"{paused:.0f} pauses ({told} in trails), {resumed:.0f} of them ended in sending on, {trickled} of these by trickling to the end; the longest {longest:.1f} s, "
                 f"in all {sum(entry['took_microseconds'] for entry in pauses) / 1e6:.0f} s; {sum(entry['end'] == 'ceiling' for entry in pauses)} met the ceiling")
    [queue] = relay.get("/api/v1/queue")
    rest = relay.metric("outpost_spool_deliveries_queued")
    report.check("nothing is queued any more, here or at Postfix", not rest and not postfix.queued() and not json.loads(queue)["deliveries"],
                 f"{rest:.0f} here, {postfix.queued()} at Postfix" if rest or postfix.queued() else "")
    with open(relay.output) as file:
        warnings = [line for line in file if re.search(r"\b(WARN|ERROR)\b", line)]
    report.check("the relay warned of nothing", not warnings, "\n    ".join(["", *(line.strip() for line in warnings[:5])]) if warnings else "")
    grown = residents[-1][0] - residents[0][0]
    report.check(f"it is no more than {RESIDENT_KIB_MAX // 1024} MiB larger than after its start", grown < RESIDENT_KIB_MAX,
                 f"{residents[0][0] / 1024:.1f} MiB at first, {residents[-1][0] / 1024:.1f} at the end, {max(residents)[0] / 1024:.1f} at most; "
                 f"anonymous {residents[0][1] / 1024:.1f}, {residents[-1][1] / 1024:.1f}")

    print("very high, from the 250 that its sender read")
    for number, row in rows.items():
        ones = [one for to in row["to"] for one in found.get((number, to), [])]
        row["first"] = min((one["began"] for one in ones), default=float("inf"))
        row["received"] = max((one["delivered"] for one in ones), default=float("inf"))
    urgent = [row for row in rows.values() if row["expected"] == 1]
    alone = [row for row in urgent if row["octets"] < 100_000
             and not any(other is not row and other["began"] < row["accepted"] < other["received"] for other in urgent)]
    behind = [row for row in urgent if row["octets"] < 100_000 and row not in alone]
    print("         to its transaction at Postfix      ", quantiles([row["first"] - row["accepted"] for row in urgent]))
    print("         to the mailbox, alone, up to 20 KB ", quantiles([row["received"] - row["accepted"] for row in alone]))
    print("         the same beside other very-high    ", quantiles([row["received"] - row["accepted"] for row in behind]))
    count, most = overtaken(urgent, "first", 0)
    report.check(f"those to one next hop began in the order of acceptance, but for {TOLERANCE} s", float(most) <= TOLERANCE,
                 f"{count} after one that was accepted later, by {most} s at most")
    # What is smaller comes to its end by the trickle, while one of 24 MB before it has the capacity.
    count, most = overtaken(urgent, "received", 200_000)
    report.check(f"none of them was overtaken by one of 200 KB or more on its way, but for {TOLERANCE} s", float(most) <= TOLERANCE,
                 f"{count} delivered after one that was accepted later, by {most} s at most")
    print("shares of classes 2 to 5, of octets in complete messages while all had a backlog")
    backlog = {class_: sorted(row["received"] for row in traffic.backlog_rows if row["expected"] == class_) for class_ in SHARES}
    # A class has a backlog as long as more of its messages wait than can be under way.
    until = min(ends[-min(len(ends), 46)] for ends in backlog.values())
    sums = {class_: sum(row["octets"] for row in rows.values() if row["expected"] == class_ and traffic.shares < row["received"] <= until)
            for class_ in SHARES}
    total = sum(sums.values()) or 1
    parts = {class_: round(100 * value / total, 1) for class_, value in sums.items()}
    wanted = {class_: round(100 * weight / 15, 1) for class_, weight in SHARES.items()}
    close = all(abs(parts[class_] - wanted[class_]) <= max(2.0, 0.1 * wanted[class_]) for class_ in SHARES)
    report.check("as 8:4:2:1, within a tenth or two of a hundred", close, f"{parts} of a hundred, where {wanted} are due; "
                 f"{total / 1e6:.0f} MB in {until - traffic.shares:.0f} s")

    print("scheduled")
    held = [row for row in rows.values() if row["hold"]]
    late = [row["first"] - row["began"] - row["hold"] for row in held]
    # Seconds are whole on the wire, and its time counts from MAIL.
    report.check("none before its time", not late or min(late) >= -0.01, f"{len(late)} messages, the earliest {min(late):.2f} s after it, "
                 f"the last {max(late):.1f} s" if late else "none was sent")


def main():
    folder = tempfile.mkdtemp(prefix="outpost-mixed-")
    os.chmod(folder, 0o755)  # Postfix is several other users
    postfix = relay = None
    report, machine = Report(), Machine(folder)
    try:
        os.mkdir(os.path.join(folder, "postfix"))
        postfix = Postfix(os.path.join(folder, "postfix"), OPTIONS.address)
        postfix.start()
        relay = Relay(folder, postfix.ports)
        relay.start()
        passwords = {name: relay.user(name, priority) for name, priority in USERS.items()}
        version = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        print(f"{version(OUTPOST, '--version')}, Postfix {version('postconf', '-d', '-h', 'mail_version')}, {os.cpu_count()} cores, kernel "
              f"{os.uname().release}; {OPTIONS.minutes} minutes of mail, capacity {CAPACITY} octets/s, trickle {OPTIONS.trickle}, seed {OPTIONS.seed}")
        arrivals = Arrivals(postfix.at("mail/all/new"))
        arrivals.start()
        began = time.monotonic()
        traffic = Traffic(relay, passwords, began + 60 * OPTIONS.minutes)
        residents = [relay.resident()]
        slow = []
        control = threading.Thread(target=lambda: slow.append(postfix.dropped_after()))
        control.start()
        threads = traffic.send()
        while any(thread.is_alive() for thread in threads):
            time.sleep(1)
            residents.append(relay.resident())
            if len(residents) % 30 == 0:
                print(f"  {time.monotonic() - began:4.0f} s  {len(Sender.submitted)} submitted, {len(arrivals.found)} at recipients, "
                      f"{relay.metric('outpost_spool_deliveries_queued'):.0f} queued, {residents[-1][0] / 1024:.1f} MiB", flush=True)
        control.join()
        sent_for = time.monotonic() - began
        expected = sum(len(row["to"]) for row in Sender.submitted.values())
        try:
            wait_until("everything has arrived", lambda: len(arrivals.found) + len(arrivals.odd) >= expected
                       and not relay.metric("outpost_spool_deliveries_queued"), DRAIN)
        except TimeoutError as failure:
            report.check("everything arrived", False, failure)
        # What comes twice comes late.
        time.sleep(5)
        arrivals.over.set()
        arrivals.join()
        residents.append(relay.resident())
        print(f"sent for {sent_for:.0f} s, the last arrived after {time.monotonic() - began - 5:.0f} s")
        still, sync = machine.still.value, machine.sync.value
        report.check("the machine was there all the while", still <= Machine.STILL_MAX, f"it stood still for {still:.2f} s at most, the longest sync took "
                     f"{sync:.2f} s" + ("; what follows says little of the relay" if still > Machine.STILL_MAX else ""))
        judge(report, relay, postfix, arrivals, traffic, slow[0] if slow else None, residents)
    finally:
        machine.end()
        if relay:
            relay.end()
        if postfix:
            postfix.do("abort")
        if OPTIONS.keep:
            with open(os.path.join(folder, "rows.json"), "w") as file:
                json.dump({number: {**row, "hash": row["hash"].hex()} for number, row in Sender.submitted.items()}, file)
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print("all of it holds" if not report.bad else f"{report.bad} of it do not hold")
    return 1 if report.bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, nargs="?", default=10)
    parser.add_argument("--address", default="127.0.0.1", help="the loopback address that everything listens on")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--trickle", type=int, default=600, help="octets a second of a paused send")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and configurations")
    OPTIONS = parser.parse_args()
    if not 0 < OPTIONS.minutes <= 60:
        parser.error("minutes: more than 0, at most 60")
    sys.exit(main())

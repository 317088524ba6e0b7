#!/usr/bin/env python3
"""How soon very-high mail leaves, and how soon others stop and go on, as the next hop's own record shows.

    benches/urgency.py HARNESS [behind] [inflight]

HARNESS is the folder of the bench harness (build its loadgen first). Without names both are measured, each with a relay
of its own on 127.0.0.1 and a new data folder, which goes with it. Every load is bounded in count and time.

behind    scenario f of the harness: eight very-high messages behind a backlog of 5,000, at a sink that takes 200 a second
inflight  a hundred sends of class 3 under way at a capacity of 10 MB/s, and a very-high message of 20 KB every 100 ms:
          from its 250 to MAIL and to its last reply; from its first octet until the others stop, and from its last reply
          until they go on
"""
import importlib.machinery
import importlib.util
import json
import os
import smtplib
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
HARNESS = os.path.abspath(sys.argv[1])
loader = importlib.machinery.SourceFileLoader("scale", os.path.join(HERE, "at-scale.py"))
scale = importlib.util.module_from_spec(importlib.util.spec_from_loader("scale", loader))
loader.exec_module(scale)

CAPACITY = 10_000_000
SENDS, SEND_OCTETS = 100, 1_500_000
URGENT, URGENT_OCTETS = 80, 20_000


def quantiles(values):
    """Median, 99th of a hundred and largest, in milliseconds."""
    values = sorted(values)
    at = lambda share: round(1000 * values[min(len(values) - 1, int(share * len(values)))], 1)
    return {"median_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0), "count": len(values)}


def behind():
    relay = scale.Relay()
    password = relay.user("bench")
    command = [sys.executable, os.path.join(HARNESS, "bench.py"), "--name", "outpost", "--port", str(relay.port), "--pid",
               str(relay.process.pid), "--mail-from", "bench@bench.test", "--always-auth", "--user", "bench", "--pass", password,
               "--sink-port", str(scale.SINK), "--scenario", "f", "--backlog", "5000", "--rate", "200",
               "--urgent", "header=X-Priority: 1", "--queue-dir", relay.folder, "--out", os.path.join(relay.folder, "f.jsonl")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "SMTPBENCH": scale.TOOL}, timeout=600)
    with open(os.path.join(relay.folder, "f.jsonl")) as file:
        for line in file:
            row = json.loads(line)
            print("behind:", {key: row[key] for key in ("case", "backlog_at_send", "urgent_s", "median_s", "max_s")})
    relay.gone()


def content(number, octets, priority):
    head = f"From: bench@bench.test\r\nSubject: {number}\r\nX-Priority: {priority}\r\n\r\n"
    line = "x" * 76 + "\r\n"
    return head + line * ((octets - len(head)) // len(line))


def inflight():
    record = os.path.join(tempfile.mkdtemp(prefix="outpost-urgency-"), "record.jsonl")
    sink = subprocess.Popen([scale.OUTPOST, "sink", "--quiet", "--listen", f"127.0.0.1:{scale.SINK}", "--record", record],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    more = f"[delivery]\ncapacity_bytes_per_second = {CAPACITY}\nper_next_hop_max = {2 * SENDS}"
    relay = scale.Relay(more=more)
    password = relay.user("bench")
    client = smtplib.SMTP("127.0.0.1", relay.port, local_hostname="bench.test")
    client.login("bench", password)
    for number in range(SENDS):
        client.sendmail("bench@bench.test", f"n{number}@d.test", content(number, SEND_OCTETS, 3))
    time.sleep(1)
    accepted = {}
    for number in range(URGENT):
        began = time.time()
        client.sendmail("bench@bench.test", f"u{number}@d.test", content(number, URGENT_OCTETS, 1))
        accepted[f"u{number}@d.test"] = time.time()
        time.sleep(max(0, 0.1 - (time.time() - began)))
    time.sleep(2)
    relay.gone()
    sink.terminate()
    sink.wait()
    with open(record) as file:
        events = [json.loads(line) for line in file if line.endswith("\n")]
    os.remove(record)
    mail, names, sends = {}, {}, {}
    for event in events:
        at, connection = event["unix_us"] / 1e6, event["connection"]
        if event["event"] == "command" and event["verb"] == "mail":
            mail[connection] = at
        elif event["event"] == "command" and event["verb"] == "rcpt":
            names[connection] = event["address"].strip("<>")
        elif event["event"] == "begin":
            key = (connection, event["message"])
            sends[key] = {"name": names[connection], "mail": mail[connection], "chunks": []}
        elif event["event"] in ("chunk", "end"):
            send = sends[(connection, event["message"])]
            if event["event"] == "chunk":
                send["chunks"].append((at, event["octets"]))
            else:
                send["end"] = at
    urgent = [send for send in sends.values() if send["name"] in accepted and "end" in send]
    # Trickles are not what goes on or stops.
    lower = sorted(at for send in sends.values() if send["name"][0] == "n" for at, octets in send["chunks"] if octets > 600)
    stops, goes = [], []
    for send in urgent:
        first, last = send["chunks"][0][0], send["end"]
        meanwhile = [at for at in lower if first < at < last]
        stops.append(max(meanwhile, default=first) - first)
        goes.append(next((at for at in lower if at > last), last) - last)
    print(f"inflight: {SENDS} sends of {SEND_OCTETS} octets, {URGENT} very-high of {URGENT_OCTETS}, capacity {CAPACITY}")
    print("  accepted to MAIL      ", quantiles([send["mail"] - accepted[send["name"]] for send in urgent]))
    print("  accepted to last reply", quantiles([send["end"] - accepted[send["name"]] for send in urgent]))
    print("  others stop after     ", quantiles(stops))
    print("  others go on after    ", quantiles(goes))


PARTS = {"behind": behind, "inflight": inflight}
if __name__ == "__main__":
    scale.TOOL = os.path.join(HARNESS, "loadgen", "target", "release", "smtpbench")
    for part in sys.argv[2:] or PARTS:
        PARTS[part]()

"""A real Postfix that is under stress, in a folder of its own, and what it delivers. For mixed.py."""
import hashlib
import os
import pwd
import re
import socket
import subprocess
import sys
import threading
import time

# For a start that takes long.
PATIENCE = 60
# The domains that it takes mail for, each at a port of its own.
CLEAR, TLS, DATA = "clear.test", "tls.test", "data.test"


def free_port(address):
    with socket.socket() as listener:
        listener.bind((address, 0))
        return listener.getsockname()[1]


def wait_until(what, holds, within=PATIENCE):
    end = time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {within} s")
        time.sleep(0.05)


def beside(address):
    """The address of which Postfix's log has what is no mail of the relay."""
    return address.rsplit(".", 1)[0] + ".9"


def answers(address, port):
    try:
        with socket.create_connection((address, port), 5, source_address=(beside(address), 0)):
            return True
    except OSError:
        return False


class Postfix:
    """A mail system in a folder of its own, which takes mail for three domains, at a port each."""

    SERVICES = """
        pickup unix n - n 60 1 pickup
        cleanup unix n - n - 0 cleanup
        qmgr unix n - n 300 1 qmgr
        tlsmgr unix - - n 1000? 1 tlsmgr
        rewrite unix - - n - - trivial-rewrite
        bounce unix - - n - 0 bounce
        defer unix - - n - 0 bounce
        trace unix - - n - 0 bounce
        verify unix - - n - 1 verify
        flush unix n - n 1000? 0 flush
        proxymap unix - - n - - proxymap
        smtp unix - - n - - smtp
        relay unix - - n - - smtp
        error unix - - n - - error
        retry unix - - n - - error
        discard unix - - n - - discard
        local unix - n n - - local
        virtual unix - n n - - virtual
        anvil unix - - n - 1 anvil
        scache unix - - n - 1 scache
        postlog unix-dgram n - n - 1 postlogd"""

    def __init__(self, folder, address):
        self.folder, self.address = folder, address
        self.ports = {domain: free_port(address) for domain in (CLEAR, TLS, DATA)}
        for name in ("conf", "spool", "data", "mail"):
            os.mkdir(self.at(name))
        postfix, nobody = pwd.getpwnam("postfix").pw_uid, pwd.getpwnam("nobody").pw_uid
        os.chown(self.at("data"), postfix, -1)
        os.chown(self.at("mail"), nobody, -1)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=mx.test",
                        "-keyout", self.at("key.pem"), "-out", self.at("cert.pem")], check=True, capture_output=True)
        extras = {CLEAR: "-o smtpd_tls_security_level=none", TLS: "-o smtpd_tls_security_level=may",
                  DATA: "-o smtpd_tls_security_level=none -o smtpd_discard_ehlo_keywords=chunking"}
        listeners = "".join(f"{address}:{port} inet n - n - - smtpd {extras[domain]}\n" for domain, port in self.ports.items())
        with open(self.at("conf/master.cf"), "w") as file:
            file.write(listeners + "\n".join(line.strip() for line in self.SERVICES.strip().splitlines()) + "\n")
        default = lambda name: subprocess.run(["postconf", "-d", "-h", name], check=True, capture_output=True, text=True).stdout.strip()
        with open(self.at("conf/main.cf"), "w") as file:
            file.write(f"""
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
daemon_directory = {default("daemon_directory")}
command_directory = {default("command_directory")}
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.test
mydestination =
alias_maps =
mynetworks = 192.0.2.0/24
local_header_rewrite_clients =
smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = {CLEAR}, {TLS}, {DATA}
virtual_mailbox_maps = static:all/
virtual_mailbox_base = {folder}/mail
virtual_uid_maps = static:{nobody}
virtual_gid_maps = static:{nobody}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
message_size_limit = 60000000
disable_dns_lookups = yes
smtpd_peername_lookup = no
enable_long_queue_ids = yes
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
smtpd_tls_cert_file = {folder}/cert.pem
smtpd_tls_key_file = {folder}/key.pem
smtpd_tls_loglevel = 1
smtpd_timeout = 10s
smtpd_per_request_deadline = yes
smtpd_min_data_rate = 500
smtpd_hard_error_limit = 1
smtpd_junk_command_limit = 1
""")

    def start(self):
        started = self.do("start")
        if started.returncode != 0:
            sys.exit(f"postfix does not start: {started.stderr}")
        wait_until("Postfix listens", lambda: answers(self.address, self.ports[CLEAR]))

    def at(self, name):
        return os.path.join(self.folder, name)

    def do(self, command):
        return subprocess.run(["postfix", "-c", self.at("conf"), command], capture_output=True, text=True)

    def log(self):
        with open(self.at("maillog"), errors="replace") as file:
            return file.read().splitlines()

    def queued(self):
        folders = (os.path.join(self.at("spool"), name) for name in ("maildrop", "incoming", "active", "deferred", "hold", "corrupt"))
        return sum(len(files) for folder in folders for _, _, files in os.walk(folder))

    def dropped_after(self):
        """Seconds until it drops a client that sends 300 octets of content a second: its floor is in force."""
        with socket.create_connection((self.address, self.ports[CLEAR]), 10, source_address=(beside(self.address), 0)) as client:
            for line in ("", "EHLO slow.test", "MAIL FROM:<>", f"RCPT TO:<slow@{CLEAR}>", "DATA"):
                if line:
                    client.sendall(line.encode() + b"\r\n")
                client.recv(4096)
            client.settimeout(1)
            began = time.monotonic()
            while time.monotonic() - began < 60:
                try:
                    client.sendall(b"x" * 298 + b"\r\n")
                    if client.recv(4096):
                        return time.monotonic() - began
                except TimeoutError:
                    continue
                except OSError:
                    return time.monotonic() - began
        return None


class Arrivals(threading.Thread):
    """Reads what Postfix delivers and removes it: who it is for, what it is, when its transaction began and when it was delivered."""

    TRACE = (b"Return-Path:", b"X-Original-To:", b"Delivered-To:", b"Received:")
    # The letters of a long queue id: seconds in six, microseconds in four.
    LETTERS = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.folder, self.found, self.odd, self.over = folder, [], [], threading.Event()

    def number(self, letters):
        value = 0
        for letter in letters:
            value = value * 52 + self.LETTERS.index(letter)
        return value

    def run(self):
        while not self.over.is_set():
            if not (os.path.isdir(self.folder) and self.sweep()):
                time.sleep(0.1)

    def sweep(self):
        names = os.listdir(self.folder)
        for name in names:
            path = os.path.join(self.folder, name)
            with open(path, "rb") as file:
                text = file.read()
            os.unlink(path)
            start = text.find(b"\nX-Mixed: ") + 1
            head, content = text[:start], text[start:]
            fields = [line for line in head.splitlines() if line[:1] not in b" \t"]
            queue_id = re.search(rb"by mx\.test \(Postfix\) with \S+ id (\w+)", head)
            if not start or not all(line.startswith(self.TRACE) for line in fields) or queue_id is None:
                self.odd.append(text[:2000].decode(errors="replace"))
                continue
            queue_id = queue_id.group(1).decode()
            seconds, octets = re.match(r"(\d+)\..*M(\d+)\.", name).groups()
            self.found.append({
                "number": int(re.match(rb"X-Mixed: (\d+)\n", content).group(1)),
                "recipient": re.search(rb"^Delivered-To: (\S+)", head, re.M).group(1).decode(),
                "hash": hashlib.sha256(content).digest(),
                "octets": len(content),
                "began": self.number(queue_id[:6]) + self.number(queue_id[6:10]) / 1e6,
                "delivered": int(seconds) + int(octets) / 1e6,
            })
        return names

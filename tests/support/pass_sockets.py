"""Starts a program as a service manager with socket activation does: with sockets that listen already as
descriptors 3 and up (sd_listen_fds(3)), and as an ordinary user where root runs this.

pass_sockets.py ADDRESS:PORT,... PROGRAM ARGUMENT...
"""

import os
import socket
import sys

addresses, program, *arguments = sys.argv[1:]
# Opened now, since an ordinary user may not reach the folder that it is in.
program_file = os.open(program, os.O_RDONLY)
held = []
for address in addresses.split(","):
    host, _, port = address.rpartition(":")
    if host == "udp":
        passed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        passed.bind(("127.0.0.1", int(port)))
    else:
        passed = socket.create_server((host, int(port)))
    # Above the numbers that are given out below.
    held.append(os.dup2(passed.fileno(), 100 + len(held)))
program_file = os.dup2(program_file, 99, inheritable=False)
os.closerange(3, 99)
for number, passed in enumerate(held):
    os.dup2(passed, 3 + number)
    os.close(passed)
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
environment = dict(os.environ, LISTEN_FDS=str(len(held)), LISTEN_PID=str(os.getpid()))
os.execve(program_file, [program, *arguments], environment)

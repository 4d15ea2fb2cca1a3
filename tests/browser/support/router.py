"""Leads packets between hosts in network namespaces: `router.py DELAY`, the milliseconds that each way takes.

Each host has one interface here, `mesh`, whose packets this program reads and writes (TUN): a kernel without netem has no
other way to delay them. Commands come by standard input, one a line, and each is answered by a line when it is done:

    host ADDRESS PID    the network namespace of this process gets the interface
    cut ONE OTHER       drops what these two addresses send to each other, silently
    heal ONE OTHER      leads it again
    media FROM TO       prints `media FROM TO MS` for the next packet of RTP between them: when it came in, since 1970
"""

import collections
import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
BATCH = 64  # packets of one host that are read before others have their turn

delay = float(sys.argv[1]) / 1000
hosts = {}  # file descriptor of each address
queue = collections.deque()  # (when it is due, file descriptor, packet): all are delayed by the same time
cuts = set()
awaited = set()
libc = ctypes.CDLL(None, use_errno=True)
poller = select.epoll()


def say(*words):
    print(*words, flush=True)


def enter(namespace):
    if libc.setns(namespace, 0) != 0:
        sys.exit(f"router: {os.strerror(ctypes.get_errno())}")


def host(address, pid):
    with open("/proc/self/ns/net") as own, open(f"/proc/{pid}/ns/net") as theirs:
        enter(theirs.fileno())
        tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", b"mesh", IFF_TUN | IFF_NO_PI))
        enter(own.fileno())
    hosts[socket.inet_aton(address)] = tun
    poller.register(tun, select.EPOLLIN)


def command(words):
    name, *rest = words
    if name == "host":
        host(*rest)
    else:
        one, other = map(socket.inet_aton, rest)
        if name == "cut":
            cuts.update({(one, other), (other, one)})
        elif name == "heal":
            cuts.difference_update({(one, other), (other, one)})
        else:
            awaited.add((one, other))
    say("done")


def is_media(packet):
    """Whether it is UDP with RTP (RFC 7983), and not RTCP (RFC 5761)."""
    payload = (packet[0] & 15) * 4 + 8
    return packet[9] == 17 and len(packet) > payload + 1 and 128 <= packet[payload] < 192 and not 192 <= packet[payload + 1] < 224


def take(tun):
    now = time.monotonic()
    for _ in range(BATCH):
        try:
            packet = os.read(tun, 65536)
        except BlockingIOError:
            return
        way = packet[12:16], packet[16:20]
        target = hosts.get(way[1])
        if packet[0] >> 4 != 4 or target is None or way in cuts:
            continue
        if way in awaited and is_media(packet):
            awaited.discard(way)
            say("media", *map(socket.inet_ntoa, way), time.time() * 1000)
        queue.append((now + delay, target, packet))


def deliver():
    now = time.monotonic()
    while queue and queue[0][0] <= now:
        _, target, packet = queue.popleft()
        try:
            os.write(target, packet)
        except OSError:
            pass  # its host is gone, or reads nothing


poller.register(0, select.EPOLLIN)
rest = b""
while True:
    for ready, _ in poller.poll(max(0, queue[0][0] - time.monotonic()) if queue else -1):
        if ready != 0:
            take(ready)
            continue
        read = os.read(0, 4096)
        if not read:
            sys.exit()
        *lines, rest = (rest + read).split(b"\n")
        for line in lines:
            command(line.decode().split())
    deliver()

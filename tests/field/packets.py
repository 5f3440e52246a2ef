"""Packets by hand: probes taken apart as they arrive, and answers put together byte by byte.

Nothing here is taken from the program under test. Every answer carries the facts that a reader of it must find.
"""

import socket
import struct

ICMP, TCP, UDP, ICMP6 = 1, 6, 17, 58
NAMES = {ICMP: "icmp", ICMP6: "icmp", TCP: "tcp", UDP: "udp"}
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
RST_ACK = 0x14


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) & 1)
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def text(address):
    return socket.inet_ntop(socket.AF_INET6 if len(address) == 16 else socket.AF_INET, address)


class Probe:
    """An IP packet that arrived at a device."""

    def __init__(self, device, frame):
        self.device = device
        self.frame = frame
        data = frame[14:]
        self.version = data[0] >> 4
        if self.version == 6:
            length, self.number, self.ttl = 40 + struct.unpack("!H", data[4:6])[0], data[6], data[7]
            self.source, self.destination, self.header = text(data[8:24]), text(data[24:40]), 40
            self.ip_id = None
        else:
            length, self.number, self.ttl = struct.unpack("!H", data[2:4])[0], data[9], data[8]
            self.source, self.destination = text(data[12:16]), text(data[16:20])
            self.header = 4 * (data[0] & 15)
            self.ip_id = struct.unpack("!H", data[4:6])[0]
        self.packet = data[:length]
        self.transport = self.packet[self.header:]
        self.protocol = NAMES.get(self.number)

    def is_ours(self):
        """Whether it is a probe at all: not neighbour discovery, router solicitation or a reset by the kernel."""
        if self.protocol == "icmp":
            return self.transport[0] == (128 if self.version == 6 else 8)
        if self.protocol == "tcp":
            return not self.transport[13] & 4
        return self.protocol == "udp"

    def ports(self):
        return struct.unpack("!HH", self.transport[:4])

    def identity(self):
        """As the columns of a row name it."""
        icmp = self.protocol == "icmp"
        source, destination = (None, None) if icmp else self.ports()
        return {
            "device": self.device,
            "source": self.source,
            "destination": self.destination,
            "protocol": self.protocol,
            "ttl": self.ttl,
            "src_port": source,
            "dst_port": destination,
            "icmp_id": struct.unpack("!H", self.transport[4:6])[0] if icmp else None,
            "size": len(self.packet),
        }

    def quoted(self, ttl=1, size=None):
        """The packet as a router quotes it that got it with this TTL."""
        at = 7 if self.version == 6 else 8
        return (self.packet[:at] + bytes([ttl]) + self.packet[at + 1:])[:size]


class Answer:
    """Packets that are sent for a probe, and what is to be found in its row."""

    def __init__(self, packets, facts, after_ms=0):
        self.packets = packets
        self.facts = facts
        self.after_ms = after_ms

    def stated(self, **facts):
        """With further facts, or other ones."""
        self.facts.update(facts)
        return self

    def later(self, ms):
        """Sent so much later than the probe came."""
        self.after_ms = ms
        return self

    def through(self, change):
        """With its one packet as `change` makes it."""
        self.packets = [change(packet) for packet in self.packets]
        return self

    def never(self, reason):
        """Belongs to no probe: it is to be counted as discarded."""
        self.facts = {"discard": reason}
        return self


def ip(source, destination, number, payload, ttl=60, identification=7):
    """An IP packet of either family."""
    if ":" in source:
        start = struct.pack("!IHBB", 6 << 28, len(payload), number, ttl)
        return start + packed(source) + packed(destination) + payload
    start = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), identification, 0, ttl, number, 0)
    addresses = packed(source) + packed(destination)
    return start[:10] + struct.pack("!H", checksum(start + addresses)) + addresses + payload


def summed(source, destination, number, segment, at):
    """The segment with the checksum over it and its pseudo header at its place."""
    pseudo = b""
    if number != ICMP:
        pseudo = packed(source) + packed(destination)
        form = "!II" if ":" in source else "!HH"
        numbers = (len(segment), number) if ":" in source else (number, len(segment))
        pseudo += struct.pack(form, *numbers)
    found = checksum(pseudo + segment)
    if number == UDP:
        # 0 says that there is none.
        found = found or 0xFFFF
    return segment[:at] + struct.pack("!H", found) + segment[at + 2:]


def message(probe, responder, kind, code, rest, body):
    """An ICMP message to the source of the probe; the number of its protocol, and its bytes."""
    number = ICMP6 if probe.version == 6 else ICMP
    plain = struct.pack("!BBH", kind, code, 0) + rest + body
    return number, summed(responder, probe.source, number, plain, 2)


def error(probe, responder, kind, code, quote=None, rest=bytes(4)):
    """An ICMP error that quotes the probe."""
    number, data = message(probe, responder, kind, code, rest, quote or probe.quoted())
    facts = {"responder": responder, "icmp_type": kind, "icmp_code": code}
    return Answer([ip(responder, probe.source, number, data)], facts)


def time_exceeded(probe, responder, **options):
    return error(probe, responder, 3 if probe.version == 6 else 11, 0, **options)


def port_unreachable(probe, responder, **options):
    kind, code = (1, 4) if probe.version == 6 else (3, 3)
    return error(probe, responder, kind, code, **options)


def echo_reply(probe, responder):
    kind = 129 if probe.version == 6 else 0
    number, data = message(probe, responder, kind, 0, probe.transport[4:8], probe.transport[8:])
    facts = {"responder": responder, "icmp_type": kind, "icmp_code": 0}
    return Answer([ip(responder, probe.source, number, data)], facts)


def segment(probe, responder, flags):
    """What a host says to a segment: its acknowledgement number is the sequence number that it expects next."""
    source, destination = probe.ports()
    sequence, acknowledged = struct.unpack("!II", probe.transport[4:12])
    sent = probe.transport[13]
    mine = acknowledged if sent & 16 else 0
    plain = struct.pack("!HHIIBBHHH", destination, source, mine, (sequence + 1) & 0xFFFFFFFF, 0x50, flags, 0, 0, 0)
    data = summed(responder, probe.source, TCP, plain, 16)
    return Answer([ip(responder, probe.source, TCP, data)], {"responder": responder, "reply_tcp_flags": flags})


def datagram(probe, responder):
    """A UDP service that sends back what it got."""
    source, destination = probe.ports()
    plain = struct.pack("!HHHH", destination, source, len(probe.transport), 0) + probe.transport[8:]
    data = summed(responder, probe.source, UDP, plain, 6)
    return Answer([ip(responder, probe.source, UDP, data)], {"responder": responder, "reply_kind": "udp"})


def the_end(probe, distance, responder=None, quote=None):
    """What a host at this distance says where nothing listens: port unreachable (with this quote), echo reply, or reset."""
    responder = responder or probe.destination
    if probe.protocol == "icmp":
        return echo_reply(probe, responder)
    if probe.protocol == "tcp":
        return segment(probe, responder, RST_ACK)
    return port_unreachable(probe, responder, quote=quote or probe.quoted(max(1, probe.ttl - distance + 1)))


def extension_header(kind, following, length):
    """An IPv6 extension header of `length` bytes (a multiple of 8) in front of the header `following`."""
    if kind == FRAGMENT:
        # An atomic one (RFC 6946): all of the packet in a single fragment.
        return struct.pack("!BBHI", following, 0, 0, 0xABCD)
    start = bytes([following, length // 8 - 1])
    if kind == ROUTING:
        # Type 0 with no segment left: hosts pass over it (RFC 8200, 4.4).
        length = max(length, 24)
        return bytes([following, length // 8 - 1, 0, 0]) + bytes(length - 4)
    if length == 8:
        return start + bytes([1, 4]) + bytes(4)
    # An option for experiments that is to be skipped by who does not know it (RFC 4727).
    return start + bytes([0x1E, length - 4]) + bytes(range(1, length - 3))


def with_headers(packet, kinds, length=8):
    """An IPv6 packet with these extension headers in front of what it carries."""
    chain, following = b"", packet[6]
    for kind in reversed(kinds):
        chain = extension_header(kind, following, length) + chain
        following = kind
    size = struct.unpack("!H", packet[4:6])[0] + len(chain)
    return packet[:4] + struct.pack("!HB", size, following) + packet[7:40] + chain + packet[40:]


def with_options(packet, options):
    """An IPv4 packet with these options, a multiple of 4 bytes, in its header."""
    words = 5 + len(options) // 4
    start = bytes([0x40 | words, packet[1]]) + struct.pack("!H", struct.unpack("!H", packet[2:4])[0] + len(options))
    start += packet[4:10] + b"\0\0" + packet[12:20] + options
    return start[:10] + struct.pack("!H", checksum(start)) + start[12:] + packet[20:]


def fragments(packet, size, identification=0x1234):
    """The packet in fragments whose payload has `size` bytes (a multiple of 8) or less."""
    pieces = []
    six = packet[0] >> 4 == 6
    header = 40 if six else 20
    payload = packet[header:]
    for at in range(0, len(payload), size):
        piece = payload[at:at + size]
        more = at + size < len(payload)
        if six:
            extra = struct.pack("!BBHI", packet[6], 0, at | more, identification)
            pieces.append(packet[:4] + struct.pack("!HB", 8 + len(piece), FRAGMENT) + packet[7:40] + extra + piece)
        else:
            start = packet[:2] + struct.pack("!HHH", 20 + len(piece), identification, at // 8 | more << 13)
            start += packet[8:10] + b"\0\0" + packet[12:20]
            pieces.append(start[:10] + struct.pack("!H", checksum(start)) + start[12:] + piece)
    return pieces


def label(value, ttl=1, bottom=True, tc=0):
    """An MPLS label stack entry as bytes, and as a row shows it."""
    entry = struct.pack("!I", value << 12 | tc << 9 | bottom << 8 | ttl)
    return entry, {"label": value, "tc": tc, "bottom": bottom, "ttl": ttl}


def structure(entries, with_checksum=True):
    """An extension structure (RFC 4884) with these label stack entries (RFC 4950)."""
    stack = b"".join(entries)
    plain = b"\x20\0\0\0" + struct.pack("!HBB", 4 + len(stack), 1, 1) + stack
    if not with_checksum:
        return plain
    return plain[:2] + struct.pack("!H", checksum(plain)) + plain[4:]

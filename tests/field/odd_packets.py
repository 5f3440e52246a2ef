"""Answers that are put together in ways that some readers do not expect."""

import itertools

from hosts import Case, Host
from packets import (DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING, fragments, label, structure, the_end, time_exceeded,
                     with_headers, with_options)

SHORT = {HOP_BY_HOP: "hop-by-hop", DESTINATION: "destination", ROUTING: "routing", FRAGMENT: "fragment"}
LENGTHS = (8, 16, 24, 40, 72, 136)

# In the quote, in front of the answer.
PLACES = ((True, False), (False, True), (True, True))


class Labels(Host):
    """The router at TTL 2 says with which labels the probe came, behind `size` bytes of it.

    `words` is what the message says of the quote's length, in words of 4 bytes (ICMPv6: of 8); 0 says nothing.
    """

    def __init__(self, version, number, size, words, with_checksum, depth):
        super().__init__(version, number)
        self.size = size
        self.words = words
        self.with_checksum = with_checksum
        made = [label(16000 + 7 * at + depth, 9, at == depth - 1, at) for at in range(depth)]
        self.entries = [entry for entry, _ in made]
        self.shown = [shown for _, shown in made]

    def name(self):
        return "length %d, %s checksum" % (self.words, "with" if self.with_checksum else "without")

    def hop(self, probe):
        if probe.ttl != 2:
            return super().hop(probe)
        quote = probe.quoted().ljust(self.size, b"\0") + structure(self.entries, self.with_checksum)
        rest = bytes([self.words, 0, 0, 0] if self.version == 6 else [0, self.words, 0, 0])
        return [time_exceeded(probe, self.router(2), quote=quote, rest=rest).stated(mpls=self.shown)]

    def trace(self):
        return {**super().trace(), "anomalies": ["mpls_tunnel"]}


def labels(protocol, transport):
    """Lengths that are right, that say nothing, that count bytes for words, and that end behind the message."""
    hosts = []
    for version in (4, 6):
        word = 8 if version == 6 else 4
        lengths = [(128, words) for words in (128 // word, 0, 128, 200, 255)]
        lengths += [(size, size // word) for size in (136, 160, 512)]
        kinds = [(*length, whole, depth) for length in lengths for whole in (True, False) for depth in (1, 3)]
        hosts += [Labels(version, 1 + at, *kind) for at, kind in enumerate(kinds)]
    return Case(hosts, combinations=len(hosts))


class Unlabelled(Host):
    """Routers that quote all of a long probe and state a length, but nothing stands behind the quote."""

    def __init__(self, version, number, words):
        super().__init__(version, number)
        self.words = words

    def hop(self, probe):
        rest = bytes([self.words, 0, 0, 0] if self.version == 6 else [0, self.words, 0, 0])
        return [time_exceeded(probe, self.router(probe.ttl), rest=rest).stated(mpls=None, icmp_extensions=None)]


def no_labels(protocol, transport):
    lengths = (0, 16, 32, 128, 255)
    return Case([Unlabelled(version, 1 + at, words) for version in (4, 6) for at, words in enumerate(lengths)])


def chains():
    """Extension headers in every order that RFC 8200 allows: hop-by-hop options only first, destination options up to twice."""
    several = [DESTINATION, DESTINATION, ROUTING, FRAGMENT]
    behind = {order for count in range(5) for order in itertools.permutations(several, count)}
    for chain in sorted(behind):
        for first in ((), (HOP_BY_HOP,)):
            if first + chain:
                yield first + chain


class Headers(Host):
    """Extension headers in what is quoted, or in front of what is answered, at every TTL."""

    def __init__(self, number, chain, length, quoted, in_front):
        super().__init__(6, number)
        self.chain, self.length, self.quoted, self.in_front = chain, length, quoted, in_front

    def name(self):
        places = [place for place, there in (("quote", self.quoted), ("front", self.in_front)) if there]
        names = " ".join(SHORT[kind] for kind in self.chain)
        return "%s of %d bytes in %s" % (names, self.length, " and ".join(places))

    def put(self, packet):
        return with_headers(packet, self.chain, self.length)

    def in_quote(self, packet):
        return self.put(packet) if self.quoted else packet

    def hop(self, probe):
        return self.outside(time_exceeded(probe, self.router(probe.ttl), quote=self.in_quote(probe.quoted())))

    def end(self, probe):
        quote = self.in_quote(probe.quoted(max(1, probe.ttl - self.distance + 1)))
        return self.outside(the_end(probe, self.distance, quote=quote))

    def outside(self, answer):
        return [answer.through(self.put) if self.in_front else answer]


def headers(protocol, transport):
    """Every chain at every place; lengths go by turns."""
    kinds = itertools.product(chains(), PLACES)
    hosts = [
        Headers(1 + at, chain, LENGTHS[at % len(LENGTHS)], *place) for at, (chain, place) in enumerate(kinds)
    ]
    return Case(hosts, combinations=len(hosts))


class Unreadable(Host):
    """A router whose answers nobody can read: they are counted."""

    def __init__(self, number, change):
        super().__init__(6, number)
        self.change = change

    def name(self):
        return self.change.__name__

    def hop(self, probe):
        answers = super().hop(probe)
        if probe.ttl == 2:
            answers = [answer.through(self.change).never("any") for answer in answers]
        return answers

    def path(self):
        path = super().path()
        path[1] = None
        return path

    def trace(self):
        return {**super().trace(), "anomalies": ["silent_hop"]}


def many_headers(packet):
    return with_headers(packet, (DESTINATION,) * 60)


def cut_chain(packet):
    """The second header says that it is longer than the packet."""
    whole = with_headers(packet, (HOP_BY_HOP, DESTINATION))
    return whole[:49] + b"\xff" + whole[50:]


def cut_header(packet):
    """The packet ends within a header."""
    whole = with_headers(packet, (DESTINATION,))
    return whole[:4] + b"\0\4" + whole[6:44]


def unreadable(protocol, transport):
    changes = (many_headers, cut_chain, cut_header)
    return Case([Unreadable(1 + at, change) for at, change in enumerate(changes)], options=["--timeout", "1"])


def captured(protocol, transport):
    """What can be read and what cannot, kept byte by byte."""
    case = unreadable(protocol, transport)
    readable = [Headers(100 + at, chain, 8, False, True) for at, chain in enumerate(chains())]
    case.hosts.update({host.address: host for host in readable})
    case.keeps = True
    return case


class Fragmented(Host):
    """The target's answers, and of IPv4 the routers', come in fragments."""

    def __init__(self, version, number, size, order):
        super().__init__(version, number)
        self.size, self.order, self.count = size, order, 0

    def name(self):
        return "fragments of %d bytes, %s" % (self.size, self.order.__name__)

    def pieces(self, answer):
        self.count += 1
        identification = int(self.address.split(":" if self.version == 6 else ".")[-1], 16) << 8 | self.count
        [packet] = answer.packets
        whole = fragments(packet, self.size, identification)
        answer.packets = self.order(whole)
        return [answer.stated(repeated_fragments=len(answer.packets) - len(whole))]

    def hop(self, probe):
        answers = super().hop(probe)
        return self.pieces(answers[0]) if self.version == 4 and probe.ttl == 2 else answers

    def end(self, probe):
        [answer] = super().end(probe)
        return self.pieces(answer)


def in_order(pieces):
    return pieces


def backwards(pieces):
    return pieces[::-1]


def first_last(pieces):
    return pieces[1:] + pieces[:1]


def repeated(pieces):
    """The first comes twice."""
    return pieces[:1] + pieces


def fragmented(protocol, transport):
    kinds = list(itertools.product((1280, 704, 512, 128), (in_order, backwards, first_last, repeated)))
    hosts = [Fragmented(version, 1 + at, *kind) for version in (4, 6) for at, kind in enumerate(kinds)]
    return Case(hosts, combinations=len(hosts))


class Options(Host):
    """IPv4 options in what is quoted, or in front of what is answered."""

    def __init__(self, number, options, quoted, in_front):
        super().__init__(4, number)
        self.options, self.quoted, self.in_front = options, quoted, in_front

    def name(self):
        return "%d bytes of options%s%s" % (
            len(self.options), ", in quote" * self.quoted, ", in front" * self.in_front)

    def put(self, packet):
        return with_options(packet, self.options)

    def in_quote(self, packet):
        return self.put(packet) if self.quoted else packet

    def hop(self, probe):
        return self.outside(time_exceeded(probe, self.router(probe.ttl), quote=self.in_quote(probe.quoted())))

    def end(self, probe):
        quote = self.in_quote(probe.quoted(max(1, probe.ttl - self.distance + 1)))
        return self.outside(the_end(probe, self.distance, quote=quote))

    def outside(self, answer):
        return [answer.through(self.put) if self.in_front else answer]


def ip_options(protocol, transport):
    """No-operations, and a router alert (RFC 2113), up to the longest header."""
    alert = b"\x94\4\0\0"
    kinds = [(b"\1" * size, *place) for size in range(4, 41, 4) for place in PLACES]
    kinds += [(alert + b"\1" * size, *place) for size in (0, 8, 36) for place in PLACES]
    hosts = [Options(1 + at, *kind) for at, kind in enumerate(kinds)]
    return Case(hosts, combinations=len(hosts))


class Rising(Host):
    """Routers that quote higher and higher TTLs from TTL 2 on: one router in all these places, or one in each."""

    def __init__(self, version, number, one, transport):
        super().__init__(version, number, distance=6)
        self.one, self.quotes = one, transport == "raw"

    def name(self):
        return "one router" if self.one else "a router each"

    def responder(self, ttl):
        return self.router(3 if self.one and ttl in (3, 4) else ttl)

    def hop(self, probe):
        quote = probe.quoted(max(1, probe.ttl - 1))
        return [time_exceeded(probe, self.responder(probe.ttl), quote=quote)]

    def path(self):
        return [self.responder(ttl) for ttl in range(1, 6)] + [self.address]

    def trace(self):
        seen = self.quotes and not self.one
        return {**super().trace(), "anomalies": ["mpls_tunnel"] if seen else None}


def rising(protocol, transport):
    return Case([Rising(version, 1 + one, bool(one), transport) for version in (4, 6) for one in (0, 1)])


CASES = {
    "labels": labels,
    "no-labels": no_labels,
    "headers": headers,
    "ip-options": ip_options,
    "unreadable": unreadable,
    "captured": captured,
    "fragmented": fragmented,
    "rising": rising,
}

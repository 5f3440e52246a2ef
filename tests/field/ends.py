"""What ends a path, and what does not."""

import functools

from hosts import Case, Host
from packets import datagram, error, the_end, time_exceeded

# Destination Unreachable: every code that is assigned, but for those that ports and sizes have.
CODES = {4: [0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], 6: [0, 1, 2, 3, 5, 6, 7]}

GAP_LIMIT = 5


def codes(version, transport):
    """Also one that is not assigned; of IPv4 the kernel keeps such from ordinary sockets."""
    return CODES[version] + ([] if (version, transport) == (4, "dgram") else [42])


def unreachable(probe, responder, code):
    """An unreachable from where the probe's TTL was what it still is."""
    kind = 1 if probe.version == 6 else 3
    return error(probe, responder, kind, code)


def too_big(probe, responder, mtu):
    if probe.version == 6:
        return error(probe, responder, 2, 0, rest=mtu.to_bytes(4, "big")).stated(next_hop_mtu=mtu)
    return error(probe, responder, 3, 4, rest=mtu.to_bytes(4, "big")).stated(next_hop_mtu=mtu)


def elsewhere(version, number=9):
    return "2001:db8:99::%x" % number if version == 6 else "198.51.100.%d" % number


class OtherAddress(Host):
    """The end of the path answers from another address than was probed."""

    def __init__(self, version, number, distance, protocol):
        super().__init__(version, number, distance)
        self.protocol = protocol

    def end(self, probe):
        answer = the_end(probe, self.distance, responder=elsewhere(self.version))
        return [answer if probe.protocol == "udp" else answer.stated(evidence="rewritten")]

    def path(self):
        return super().path()[:-1] + [elsewhere(self.version)]

    def trace(self):
        # Firewalls reject datagrams so: that proves no end.
        if self.protocol == "udp":
            end = {"stop_reason": "unreachable", "reached": False, "path_length": None}
        else:
            end = {"stop_reason": "completed", "reached": True, "path_length": self.distance}
        return {**end, "anomalies": ["other_address"]}


class Service(Host):
    """A UDP service that sends back what it got, from its own address or from another one."""

    def __init__(self, version, number, elsewhere_too):
        super().__init__(version, number)
        self.responder = elsewhere(version, number) if elsewhere_too else self.address

    def name(self):
        return "a service that answers from %s" % self.responder

    def end(self, probe):
        answer = datagram(probe, self.responder)
        return [answer if self.responder == self.address else answer.stated(evidence="rewritten")]

    def path(self):
        return super().path()[:-1] + [self.responder]

    def trace(self):
        seen = ["other_address"] if self.responder != self.address else None
        return {**super().trace(), "anomalies": seen}


def services(protocol, transport):
    return Case([Service(version, 1 + other, bool(other)) for version in (4, 6) for other in (0, 1)])


def other_address(protocol, transport):
    return Case([OtherAddress(version, distance, distance, protocol) for version in (4, 6) for distance in range(2, 9)])


class Complaint(Host):
    """Just the router at one TTL says that the target cannot be reached; behind it all is well."""

    def __init__(self, version, number, at, make, what):
        super().__init__(version, number, distance=5)
        self.at, self.make, self.what = at, make, what

    def name(self):
        return "%s at TTL %d" % (self.what, self.at)

    def hop(self, probe):
        if probe.ttl == self.at:
            return [self.make(probe, self.router(probe.ttl))]
        return super().hop(probe)


class Rejection(Host):
    """The router at one TTL, or the target, rejects everything that is for the target or for behind it."""

    def __init__(self, version, number, at, code):
        super().__init__(version, number, distance=5)
        self.at, self.code = at, code

    def name(self):
        return "code %d from TTL %d on" % (self.code, self.at)

    def answer(self, probe):
        if probe.ttl < self.at:
            return self.hop(probe)
        kind = 1 if self.version == 6 else 3
        quote = probe.quoted(probe.ttl - self.at + 1)
        return [error(probe, self.router(self.at), kind, self.code, quote=quote)]

    def path(self):
        return [self.router(ttl) for ttl in range(1, self.at + 1)]

    def trace(self):
        return {"stop_reason": "unreachable", "reached": False, "path_length": None, "anomalies": None}


class TargetRejects(Host):
    """The target itself says by this code that it takes nothing."""

    def __init__(self, version, number, code):
        super().__init__(version, number, distance=5)
        self.code = code

    def name(self):
        return "code %d by the target" % self.code

    def end(self, probe):
        kind = 1 if self.version == 6 else 3
        quote = probe.quoted(max(1, probe.ttl - self.distance + 1))
        return [error(probe, self.address, kind, self.code, quote=quote)]


class ComplaintThenSilence(Complaint):
    """The same, and the target is silent: what ends the path is the gap."""

    def end(self, probe):
        return []

    def path(self):
        return super().path()[:-1] + [None] * GAP_LIMIT

    def trace(self):
        return {"stop_reason": "gap_limit", "reached": False, "path_length": None, "anomalies": None}


def complaints(protocol, transport):
    """Every code and size at every place on the way: first hop, middle, before the target."""
    hosts = []
    for version in (4, 6):
        makers = [("code %d" % code, functools.partial(unreachable, code=code)) for code in codes(version, transport)]
        makers += [("a path MTU of %d" % mtu, functools.partial(too_big, mtu=mtu)) for mtu in (1280, 1500, 9000)]
        places = [(at, make, what) for what, make in makers for at in (1, 2, 3, 4)]
        hosts += [Complaint(version, 1 + number, *place) for number, place in enumerate(places)]
    return Case(hosts, combinations=len(hosts))


def rejections(protocol, transport):
    """Every code from every place on the way, from one where the target would be, and from the target."""
    hosts = []
    for version in (4, 6):
        places = [(at, code) for code in codes(version, transport) for at in (1, 2, 4, 5)]
        hosts += [Rejection(version, 1 + number, *place) for number, place in enumerate(places)]
        hosts += [TargetRejects(version, 200 + number, code) for number, code in enumerate(codes(version, transport))]
    return Case(hosts, combinations=len(hosts))


def complaints_then_silence(protocol, transport):
    hosts = []
    for version in (4, 6):
        # With nobody answering behind it a complaint would be the end: not at the last router.
        places = [(at, code) for code in codes(version, transport) for at in (1, 2, 3)]
        for number, (at, code) in enumerate(places):
            make = functools.partial(unreachable, code=code)
            hosts.append(ComplaintThenSilence(version, 1 + number, at, make, "code %d" % code))
    return Case(hosts, options=["--timeout", "0.5"], combinations=len(hosts))


class Again(Host):
    """One router at two TTLs that do not follow each other, before new ones and the target."""

    def __init__(self, version, number, order):
        super().__init__(version, number, distance=len(order) + 1)
        self.order = order

    def name(self):
        return "routers %s" % (self.order,)

    def hop(self, probe):
        return [time_exceeded(probe, self.router(self.order[probe.ttl - 1]))]

    def path(self):
        return [self.router(at) for at in self.order] + [self.address]

    def trace(self):
        return {**super().trace(), "anomalies": ["cycle"]}


def again(protocol, transport):
    orders = [(1, 2, 1, 4, 5, 6), (1, 2, 3, 1, 5), (1, 2, 1, 2, 5, 6), (1, 2, 3, 4, 2, 3, 4, 8), (1, 2, 1, 4, 1, 6, 1, 8)]
    return Case([Again(version, 1 + at, order) for version in (4, 6) for at, order in enumerate(orders)])


class Loop(Host):
    """A packet goes round between so many routers, for ever; no target is reached."""

    def __init__(self, version, number, first, size):
        super().__init__(version, number, distance=64)
        self.first, self.size = first, size

    def name(self):
        return "a loop of %d from TTL %d" % (self.size, self.first)

    def responder(self, ttl):
        return self.router(ttl if ttl < self.first else self.first + (ttl - self.first) % self.size)

    def hop(self, probe):
        return [time_exceeded(probe, self.responder(probe.ttl))]

    def path(self):
        # Those that are new, the first that comes back, and as many behind it as the gap limit allows.
        return [self.responder(ttl) for ttl in range(1, self.first + self.size + 1 + GAP_LIMIT)]

    def trace(self):
        return {"stop_reason": "loop", "reached": False, "path_length": None, "anomalies": ["loop"]}


def loops(protocol, transport):
    kinds = [(first, size) for first in (1, 3, 5) for size in (2, 3)]
    return Case([Loop(version, 1 + at, *kind) for version in (4, 6) for at, kind in enumerate(kinds)])


class SilentRouter(Host):
    """The router at TTL 2 says nothing: the trace is open until it has been waited for."""

    def hop(self, probe):
        return [] if probe.ttl == 2 else super().hop(probe)

    def path(self):
        path = super().path()
        path[1] = None
        return path

    def end_is(self, responder):
        return self.path()[:-1] + [responder]


class SecondAnswer(SilentRouter):
    """A firewall before the target rejects every probe, but lets it pass: the target's own answer comes second."""

    def __init__(self, version, number, after_ms):
        super().__init__(version, number)
        self.after_ms = after_ms

    def name(self):
        return "%d ms later" % self.after_ms

    def firewall(self):
        return self.router(self.distance)

    def end(self, probe):
        rejected = unreachable(probe, self.firewall(), 1 if self.version == 6 else 13)
        return [rejected, the_end(probe, self.distance).later(self.after_ms)]

    def expected(self):
        return {**super().expected(), "path": self.end_is(self.firewall())}

    def trace(self):
        return {"reached": True}


def second_answer(protocol, transport):
    hosts = [SecondAnswer(version, 1 + ms, ms) for version in (4, 6) for ms in (0, 3, 30)]
    return Case(hosts, options=["--timeout", "1"])


class BothAnswers(SilentRouter):
    """Target and firewall answer each probe, so many milliseconds apart; the earlier one is the probe's reply."""

    def __init__(self, version, number, target_first, apart_ms):
        super().__init__(version, number)
        self.target_first, self.apart_ms = target_first, apart_ms

    def name(self):
        return "%s first, %d ms apart" % ("target" if self.target_first else "firewall", self.apart_ms)

    def end(self, probe):
        target = the_end(probe, self.distance)
        firewall = unreachable(probe, self.router(self.distance), 1 if self.version == 6 else 13)
        first, second = (target, firewall) if self.target_first else (firewall, target)
        return [first, second.later(self.apart_ms)]

    def expected(self):
        first = self.address if self.target_first else self.router(self.distance)
        return {**super().expected(), "path": self.end_is(first)}

    def trace(self):
        return {"reached": True}


def both_answers(protocol, transport):
    kinds = [(first, ms) for first in (True, False) for ms in (0, 1, 5)]
    hosts = [BothAnswers(version, 1 + at, *kind) for version in (4, 6) for at, kind in enumerate(kinds)]
    return Case(hosts, options=["--timeout", "1"])


CASES = {
    "other-address": other_address,
    "services": services,
    "complaints": complaints,
    "rejections": rejections,
    "complaints-then-silence": complaints_then_silence,
    "again": again,
    "loops": loops,
    "second-answer": second_answer,
    "both-answers": both_answers,
}

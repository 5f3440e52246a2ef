"""Targets and the ways to them: what is answered to a probe, and what a survey must make of it."""

from packets import packed, text, the_end, time_exceeded


def router(version, ttl, uplink=1):
    """The router at this distance behind an uplink."""
    return "2001:db8:f:%d::%x" % (uplink, ttl) if version == 6 else "172.16.%d.%d" % (uplink, ttl)


def target(version, number, net=18):
    """A target's address; targets of one `net` share their /24 or /64 if their numbers are under 256."""
    if version == 6:
        return text(packed("2001:db8:%d::" % net)[:8] + number.to_bytes(8, "big"))
    return "198.%d.%d.%d" % (net, number >> 8, number & 255)


def uplink_of(probe):
    """The uplink that the probe came by; devices end in its number."""
    return int(probe.device[-1])


class Host:
    """A target at the end of a path on which nothing is out of the ordinary."""

    def __init__(self, version, number, distance=4, net=18):
        self.version = version
        self.address = target(version, number, net)
        self.distance = distance
        self.uplink = 1

    def router(self, ttl):
        return router(self.version, ttl, self.uplink)

    def answer(self, probe):
        return self.end(probe) if probe.ttl >= self.distance else self.hop(probe)

    def hop(self, probe):
        """The answers of the router whose TTL the probe has."""
        return [time_exceeded(probe, self.router(probe.ttl))]

    def end(self, probe):
        """The answers of who is at the end of the path."""
        return [the_end(probe, self.distance)]

    def path(self):
        """Who answers from each TTL, from 1 on; null if nobody does."""
        return [self.router(ttl) for ttl in range(1, self.distance)] + [self.address]

    def trace(self):
        """The figures of the trace."""
        return {"stop_reason": "completed", "reached": True, "path_length": self.distance, "anomalies": None}

    def name(self):
        """What a failing comparison is to say of it."""
        return type(self).__name__

    def expected(self):
        return {"name": self.name(), "path": self.path(), **self.trace()}


class Case:
    """Targets that are surveyed together."""

    def __init__(self, hosts, setup=(), options=(), seed=1, **figures):
        self.hosts = {host.address: host for host in hosts}
        assert len(self.hosts) == len(hosts), "an address twice"
        # Changes at the vantage point, commands of `ip`; and options of the survey.
        self.figures = {"setup": list(setup), "options": list(options) + ["--seed", str(seed)], **figures}

    # Whether the bytes of what is sent are stated, too.
    keeps = False

    def answer(self, probe):
        host = self.hosts.get(probe.destination)
        return host.answer(probe) if host else []

    def changed(self):
        """What the case has asked for is done."""

    def plan(self):
        traces = {address: host.expected() for address, host in self.hosts.items()}
        return {"targets": list(self.hosts), "traces": traces, **self.figures}

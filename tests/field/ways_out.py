"""A vantage point with several uplinks, each of which admits only its own source addresses (BCP 38)."""

from hosts import Case, Host, router, uplink_of

GATEWAYS = {4: "10.1.%d.2", 6: "2001:db8:1:%d::2"}
SOURCES = {4: "10.1.%d.1", 6: "2001:db8:1:%d::1"}
FAMILY = {4: "-4", 6: "-6"}
WHOLE = {4: 32, 6: 128}


def via(version, uplink):
    return "via %s dev s%d" % (GATEWAYS[version] % uplink, uplink)


def route(version, to, uplink, more=""):
    return "%s route add %s %s %s" % (FAMILY[version], to, via(version, uplink), more)


class Guarded(Host):
    """A target that is reached by one uplink from one address; elsewhere, and from elsewhere, there is no answer."""

    def __init__(self, version, number, uplink, net=18, source=None, distance=4):
        super().__init__(version, number, distance, net)
        self.uplink = uplink
        self.source = source or SOURCES[version] % uplink

    def name(self):
        return "by uplink %d from %s" % (self.uplink, self.source)

    def answer(self, probe):
        if (probe.source, uplink_of(probe)) != (self.source, self.uplink):
            return []
        return super().answer(probe)


def specific_routes(protocol, transport, seed=1):
    """Neighbours in one /24 and one /64, of which every second has a route of its own; a network behind a rule besides."""
    hosts, setup = [], []
    for version in (4, 6):
        for number in range(1, 25):
            host = Guarded(version, number, 1 + number % 2)
            hosts.append(host)
            if host.uplink == 2:
                setup.append(route(version, "%s/%d" % (host.address, WHOLE[version]), 2))
        hosts += [Guarded(version, number, 2, net=19) for number in range(1, 5)]
        setup.append(route(version, "default", 2, "table 9"))
        network = "198.19.0.0/16" if version == 4 else "2001:db8:19::/64"
        setup.append("%s rule add to %s table 9" % (FAMILY[version], network))
    return Case(hosts, setup, seed=seed)


def in_another_order(protocol, transport):
    return specific_routes(protocol, transport, seed=4)


def preferred_source(protocol, transport):
    """Routes that name their source address (`src`), other than the first of the interface."""
    addresses = {4: "10.1.2.77", 6: "2001:db8:1:2::77"}
    setup = ["address add 10.1.2.77/24 dev s2", "address add 2001:db8:1:2::77/64 dev s2 nodad"]
    hosts = []
    for version, source in addresses.items():
        for number in range(1, 9):
            own = source if number % 2 else None
            host = Guarded(version, number, 2, source=own)
            hosts.append(host)
            # Of two addresses in one network the kernel would take either, unless it is told.
            more = "src %s" % host.source
            setup.append(route(version, "%s/%d" % (host.address, WHOLE[version]), 2, more))
    return Case(hosts, setup)


def all_by(uplink):
    return [Guarded(version, number, uplink) for version in (4, 6) for number in range(1, 9)]


def interface(protocol, transport):
    """Asked to leave by the interface whose default route is the worse one."""
    setup = [route(version, "default", 2, "metric 5000") for version in (4, 6)]
    return Case(all_by(2), setup, ["--interface", "s2"])


def rule(version):
    return [
        route(version, "default", 2, "table 7"),
        "%s rule add from %s table 7" % (FAMILY[version], SOURCES[version] % 2),
    ]


NAMED = [word for version in (4, 6) for word in ("--source", SOURCES[version] % 2)]


def source_rule(protocol, transport):
    """Asked to leave from an address for which a rule has a table."""
    return Case(all_by(2), rule(4) + rule(6), NAMED)


def source_table_only(protocol, transport):
    """The same, and no other default route."""
    setup = ["%s route delete default" % FAMILY[version] for version in (4, 6)]
    return Case(all_by(2), setup + rule(4) + rule(6), NAMED)


def source_of_the_other_uplink(protocol, transport):
    """Asked to leave from the second uplink's address with no rule for it: the route stays the first uplink's."""
    hosts = all_by(1)
    for host in hosts:
        host.source = SOURCES[host.version] % 2
    return Case(hosts, [], NAMED)


def rule_not_asked_for(protocol, transport):
    """A rule for the very source that the main table gives, and nobody asks for a source. The rule is followed, as by programs that
    connect. The kernel does not follow it for an ICMPv6 echo request of an ordinary socket that is given its source.
    """
    hosts, setup = [], []
    for version in (4, 6):
        uplink = 1 if (protocol, version, transport) == ("icmp", 6, "dgram") else 2
        hosts += [Guarded(version, number, uplink, source=SOURCES[version] % 1) for number in range(1, 9)]
        setup += [
            route(version, "default", 2, "table 7"),
            "%s rule add from %s table 7" % (FAMILY[version], SOURCES[version] % 1),
        ]
    return Case(hosts, setup)


def service_rule(protocol, transport):
    """A rule for the type of service of the probes."""
    setup = []
    for version in (4, 6):
        setup += [route(version, "default", 2, "table 7"), "%s rule add tos 0x10 table 7" % FAMILY[version]]
    return Case(all_by(2), setup, ["--tos", "16"])


def vrf_setup():
    setup = ["link add blue type vrf table 7", "link set blue up", "link set s2 master blue"]
    # The addresses of IPv6 leave with the change of master.
    setup.append("address replace 2001:db8:1:2::1/64 dev s2 nodad")
    setup.append("neighbour replace 10.1.2.2 lladdr 02:00:00:00:02:02 dev s2 nud permanent")
    setup.append("neighbour replace 2001:db8:1:2::2 lladdr 02:00:00:00:02:02 dev s2 nud permanent")
    return setup + [route(version, "default", 2, "table 7") for version in (4, 6)]


def vrf(protocol, transport):
    return Case(all_by(2), vrf_setup(), ["--interface", "blue"])


def vrf_member(protocol, transport):
    return Case(all_by(2), vrf_setup(), ["--interface", "s2"])


class Anywhere(Guarded):
    """A target that is reached by any uplink, from its own address; what is right is known once it was probed."""

    def __init__(self, version, number):
        super().__init__(version, number, 1)

    def name(self):
        return "by any uplink"

    def answer(self, probe):
        self.uplink = uplink_of(probe)
        self.source = SOURCES[self.version] % self.uplink
        return super().answer(probe)


def two_default_routes(protocol, transport):
    setup = []
    for version in (4, 6):
        hops = " ".join("nexthop %s" % via(version, uplink) for uplink in (1, 2))
        setup += ["%s route delete default" % FAMILY[version], "%s route add default %s" % (FAMILY[version], hops)]
    hosts = [Anywhere(version, number) for version in (4, 6) for number in range(1, 65)]
    return Case(hosts, setup, uses=["n1", "n2"])


def flows_over_two_default_routes(protocol, transport):
    """Several flows of a target leave by one way; that is warned of."""
    case = two_default_routes(protocol, transport)
    case.figures["options"] += ["--flows", "2"]
    case.figures.update(together=True, warnings=["flows"])
    return case


class RouteChange(Case):
    """One target at a time. When half of them have been probed, the next is left without answers until the default routes have
    changed to the second uplink: it alone may have left by both.
    """

    def __init__(self):
        hosts = [Guarded(version, number, 1) for version in (4, 6) for number in range(1, 13)]
        change = ["%s route replace default %s" % (FAMILY[version], via(version, 2)) for version in (4, 6)]
        super().__init__(hosts, options=["--window", "1", "--timeout", "1", "--attempts", "1"], change=change)
        self.probed = set()
        self.held = None
        self.is_changed = False

    def answer(self, probe):
        host = self.hosts[probe.destination]
        if host.address not in self.probed:
            self.probed.add(host.address)
            if self.is_changed:
                host.uplink, host.source = 2, SOURCES[host.version] % 2
            elif len(self.probed) > len(self.hosts) // 2:
                self.held = self.held or host.address
                print("change", flush=True)
        return [] if host.address == self.held else host.answer(probe)

    def changed(self):
        self.is_changed = True

    def plan(self):
        plan = super().plan()
        if self.held:
            plan["traces"][self.held] = {"name": "held up", "reached": False}
            plan["moves"] = self.held
        return plan


class Far(Guarded):
    """A target of many, at one of several distances; every sixteenth shares its routers."""

    def router(self, ttl):
        branch = int(self.address.split(":" if self.version == 6 else ".")[-1], 16) % 16
        return router(self.version, 16 * branch + ttl, self.uplink)


ROUTES = {
    4: [(1, 18, "198.18.0.0/16", 0), (2, 19, "198.19.0.0/16", 0), (2, 18, "198.18.64.0/18", 64 << 8)],
    6: [(1, 18, "2001:db8:18::/64", 0), (2, 19, "2001:db8:19::/64", 0), (2, 18, "2001:db8:18::4000/114", 64 << 8)],
}


def big(protocol, transport):
    """A thousand targets behind three routes: the default by s1, a network by s2, and a part of the default's by s2."""
    hosts, setup = [], []
    for version in (4, 6):
        for at in range(500):
            uplink, net, _, base = ROUTES[version][at % 3]
            hosts.append(Far(version, base + at + 1, uplink, net, distance=3 + at % 7))
        setup += [route(version, to, uplink) for uplink, _, to, _ in ROUTES[version][1:]]
    return Case(hosts, setup)


def absent(protocol, transport):
    """Neighbours that are not there: nothing leaves, and our own kernel says after a while that they are unreachable."""
    hosts = [Host(4, 1), Host(6, 1)]
    setup = ["ntable change name %s dev s1 retrans 100" % table for table in ("arp_cache", "ndisc_cache")]
    return Case(hosts, setup, neighbours=["10.1.1.99", "2001:db8:1:1::99"])


CASES = {
    "specific-routes": specific_routes,
    "in-another-order": in_another_order,
    "preferred-source": preferred_source,
    "interface": interface,
    "source-rule": source_rule,
    "source-table-only": source_table_only,
    "source-of-the-other-uplink": source_of_the_other_uplink,
    "rule-not-asked-for": rule_not_asked_for,
    "service-rule": service_rule,
    "flows-over-two-default-routes": flows_over_two_default_routes,
    "vrf": vrf,
    "vrf-member": vrf_member,
    "two-default-routes": two_default_routes,
    "route-change": lambda protocol, transport: RouteChange(),
    "big": big,
    "absent": absent,
}

//! Anomalies of a trace. `paths::anomalies` computes them and defines each.

use super::named::named;

named! {
    /// An anomaly that a trace's rows show.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Anomaly: "an anomaly" {
        /// An address comes back two or more TTLs later, and no new address answers after that.
        Loop = "loop",
        /// An address comes back two or more TTLs later, and the path goes on.
        Cycle = "cycle",
        /// A router forwards packets whose TTL has run out.
        ZeroTtlForwarding = "zero_ttl_forwarding",
        /// Several responders at one TTL of one flow.
        PerPacketBalancing = "per_packet_balancing",
        /// The source address or source port was translated.
        Nat = "nat",
        /// Destination, destination port, IP ID or flow label changed on the way.
        Rewriting = "rewriting",
        /// Type of service or traffic class changed on the way.
        TosRewritten = "tos_rewritten",
        /// The target answers Time Exceeded.
        TargetTimeExceeded = "target_time_exceeded",
        /// A hop that answers only some probes, before a hop that answers.
        RateLimited = "rate_limited",
        /// A hop that answers no probe, before a hop that answers.
        SilentHop = "silent_hop",
        /// An MPLS tunnel, shown by labels or by quoted TTLs.
        MplsTunnel = "mpls_tunnel",
        /// A reply that only targets send came from another address than the one probed.
        OtherAddress = "other_address",
        /// The paths of the target's flows differ. Written by the comparison of flows.
        PerFlowBalancing = "per_flow_balancing",
        /// The paths to addresses of one prefix differ. Written by the comparison of destinations.
        PerDestinationBalancing = "per_destination_balancing",
        /// A hop that was not probed but copied from another trace. Written by strategies that infer hops.
        InferredHop = "inferred_hop",
        /// A hop whose probes were all skipped. Written by the limits of the probe rate.
        SkippedHop = "skipped_hop",
    }
}

/// A set of anomalies. Iteration follows the order of [`Anomaly::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Anomalies(u32);

impl Anomalies {
    /// Adds an anomaly.
    pub fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= bit(anomaly);
    }

    /// Whether the set holds `anomaly`.
    pub fn contains(self, anomaly: Anomaly) -> bool {
        self.0 & bit(anomaly) != 0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The anomalies in order.
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL
            .into_iter()
            .filter(move |anomaly| self.contains(*anomaly))
    }
}

impl FromIterator<Anomaly> for Anomalies {
    fn from_iter<I: IntoIterator<Item = Anomaly>>(anomalies: I) -> Self {
        let mut all = Anomalies::default();
        anomalies
            .into_iter()
            .for_each(|anomaly| all.insert(anomaly));
        all
    }
}

const fn bit(anomaly: Anomaly) -> u32 {
    1 << anomaly as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_read_in_the_order_of_the_enum() {
        let set: Anomalies = [
            Anomaly::MplsTunnel,
            Anomaly::Nat,
            Anomaly::Loop,
            Anomaly::Nat,
        ]
        .into_iter()
        .collect();
        let read: Vec<_> = set.iter().map(Anomaly::as_str).collect();
        assert_eq!(read, ["loop", "nat", "mpls_tunnel"]);
        assert!(set.contains(Anomaly::Nat) && !set.contains(Anomaly::Cycle));
        assert!(!set.is_empty() && Anomalies::default().is_empty());
    }

    #[test]
    fn each_has_a_place_of_its_own() {
        let every: Anomalies = Anomaly::ALL.into_iter().collect();
        assert_eq!(every.iter().collect::<Vec<_>>(), Anomaly::ALL);
        assert!(Anomaly::ALL.is_sorted());
    }
}

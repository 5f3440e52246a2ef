//! No wrong hop: whoever answered is somebody whom the network has at that TTL for that flow.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use pathsurvey::lab::{LabNetwork, Truth, TruthFlow};
use pathsurvey::model::{HopRecord, TraceRecord, Ttl};

use super::experiment::Observed;

/// True paths, each worked out once.
pub struct Truths<'a> {
    network: &'a LabNetwork,
    known: HashMap<(IpAddr, u16, u16), Truth>,
}

impl<'a> Truths<'a> {
    pub fn new(network: &'a LabNetwork) -> Self {
        Truths {
            network,
            known: HashMap::new(),
        }
    }

    /// What every TTL of a flow shows, to beyond its end.
    pub fn of(&mut self, destination: IpAddr, src_port: u16, dst_port: u16) -> &Truth {
        let network = self.network;
        let key = (destination, src_port, dst_port);
        self.known.entry(key).or_insert_with(|| {
            network.truth_of_every_ttl(TruthFlow::udp(destination, src_port, dst_port), Ttl(32))
        })
    }

    /// The true path of a trace.
    pub fn of_trace(&mut self, run: &Observed, trace: &TraceRecord) -> &Truth {
        let src_port = run.config.source_port + trace.flow.expect("a flow").0;
        self.of(trace.destination, src_port, run.config.destination_port)
    }

    /// The true path that a row's probe took.
    pub fn of_row(&mut self, row: &HopRecord) -> &Truth {
        let (Some(src_port), Some(dst_port)) = (row.src_port, row.dst_port) else {
            panic!("a UDP probe has ports: {row:?}");
        };
        self.of(row.destination, src_port, dst_port)
    }
}

/// Checks every answered row of a survey. Answers may take longer than in truth (jitter), never less.
pub fn check(run: &Observed, truths: &mut Truths) {
    for row in &run.hops {
        check_row(row, truths);
    }
}

fn check_row(row: &HopRecord, truths: &mut Truths) {
    let (Some(reply), Some(ttl)) = (&row.reply, row.ttl) else {
        return;
    };
    let truth = truths.of_row(row);
    let hop = truth.hop(ttl).expect("a TTL within the truth");
    let rtt = Duration::from_micros(
        u64::try_from(row.rtt_us.expect("an RTT")).expect("no time goes back"),
    );
    let fits = hop.candidates().any(|candidate| {
        reply.responder == candidate.responder
            && reply.icmp_type == candidate.icmp_type()
            && reply.icmp_code == candidate.icmp_code()
            && Some(reply.kind) == candidate.kind()
            && reply.ttl == Some(candidate.reply_ttl)
            && reply.quoted.as_ref().and_then(|quoted| quoted.ttl) == candidate.quoted_ttl
            && reply.quoted.as_ref().and_then(|quoted| quoted.source) == candidate.quoted_source
            && reply.quoted.as_ref().map(|quoted| quoted.destination)
                == candidate.quoted_destination
            && reply.mpls == candidate.mpls
            && rtt.as_micros() >= candidate.rtt.as_micros()
    });
    assert!(fits, "{row:?}\nis none of\n{hop:?}");
}

//! A transport of one's own: one file against the public API of the seams, without sockets and without privilege.
//!
//! [`open`] has the signature of the `open` of every transport. In the crate it would stand in a folder of its own and take one arm
//! of the `match` in `transport::open`. The two halves share a lab network in this process, which answers in real time, and the
//! engine runs over them as it does over sockets.

#![expect(
    clippy::disallowed_methods,
    reason = "a transport reads clocks: its receive timestamps are the wall clock's"
)]

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pathsurvey::config::SurveyConfig;
use pathsurvey::engine::assembler::{Assembled, TargetRows};
use pathsurvey::engine::clock::Clock;
use pathsurvey::engine::format::ProbeFormat;
use pathsurvey::engine::live::LiveRun;
use pathsurvey::engine::report::Tally;
use pathsurvey::engine::sink::{RecordSink, SinkError};
use pathsurvey::engine::stop::Stop;
use pathsurvey::lab::{LabNetwork, TruthFlow, VirtualNetwork};
use pathsurvey::model::{HopRecord, ProbeId, Protocol, Rate, Status, Time, Ttl, UnsentReason};
use pathsurvey::survey::{Identity, parts};
use pathsurvey::targets::{Families, TargetSet, TargetSpec};
use pathsurvey::transport::{
    AddressFamilies, Arrival, Capabilities, InProcessNetwork, Origin, PacketBatch, PacketReceiver,
    PacketSender, PortBlock, ReceiveBuffer, Received, SendProgress, Transport, TransportChoice,
    TransportError, TransportOptions,
};

/// Opens the transport: two halves around `network`.
fn open(options: &TransportOptions, network: LabNetwork) -> Result<Transport, TransportError> {
    let capabilities = Capabilities {
        protocols: &[Protocol::Udp],
        families: AddressFamilies {
            ipv4: true,
            ipv6: network.vantage_v6().is_some(),
        },
        own_ip_header: true,
        quotes_with_headers: true,
        extensions: true,
        whole_packets: true,
        counts_drops: false,
    };
    let link = Arc::new(Link {
        network: Mutex::new(VirtualNetwork::new(network)),
        sent: Condvar::new(),
    });
    Ok(Transport {
        name: "in_memory",
        capabilities,
        sender: Box::new(MemorySender(link.clone())),
        receiver: Box::new(MemoryReceiver(link)),
        loopback_sender: None,
        ports: Arc::new(PortBlock::unbound(options.source_port, options.flows)?),
        buffer: ReceiveBuffer {
            kind: "memory",
            bytes: usize::MAX,
            replies: usize::MAX,
            is_larger_for_root: false,
        },
        fell_back: None,
    })
}

/// What both halves share.
struct Link {
    network: Mutex<VirtualNetwork<LabNetwork>>,
    /// Wakes the receiver: a packet was sent, and its reply may come before those that are awaited.
    sent: Condvar,
}

impl Link {
    fn network(&self) -> MutexGuard<'_, VirtualNetwork<LabNetwork>> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The network's time is the wall clock, so that the time of an arrival is its timestamp.
fn wall_clock() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time::from_nanos(since.as_nanos().try_into().unwrap())
}

struct MemorySender(Arc<Link>);

impl PacketSender for MemorySender {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<SendProgress> {
        let mut network = self.0.network();
        for (_, packet) in batch.iter_from(first) {
            network.send(packet, wall_clock());
        }
        self.0.sent.notify_one();
        Ok(SendProgress {
            taken: batch.len() - first,
            stopped: None,
        })
    }

    fn source_for(&mut self, destination: IpAddr) -> Result<IpAddr, UnsentReason> {
        InProcessNetwork::source_for(&*self.0.network(), destination)
    }
}

struct MemoryReceiver(Arc<Link>);

impl PacketReceiver for MemoryReceiver {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        let deadline = Instant::now() + timeout;
        let mut received = Received::default();
        let mut network = self.0.network();
        loop {
            while let Some((at, packet)) = network.receive(wall_clock()) {
                visit(Arrival::Packet(&packet), Some(at.as_nanos()));
                received.count += 1;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if received.count > 0 || left.is_zero() {
                return Ok(received);
            }
            let next = network.next_arrival().map(|at| at.since(wall_clock()));
            let wait = next.map_or(left, |next| next.min(left));
            let woken = self.0.sent.wait_timeout(network, wait);
            network = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn dropped(&self) -> Option<u64> {
        None
    }
}

/// Keeps the rows.
#[derive(Default)]
struct Rows(TargetRows);

impl RecordSink for Rows {
    fn write(&mut self, records: &mut Assembled, _: Time) -> Result<(), SinkError> {
        self.0.append(&mut records.take_all());
        Ok(())
    }

    fn tick(&mut self, _: Time, _: &Tally) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Runs the survey of `config` over `transport`.
fn run(
    config: &SurveyConfig,
    targets: Arc<TargetSet>,
    transport: Transport,
) -> (TargetRows, Tally) {
    let clock = Clock::start();
    let start = clock.started_at();
    let quotes_with_headers = transport.capabilities.quotes_with_headers;
    let format = ProbeFormat {
        quotes_with_headers,
        ..parts::format(config, transport.ports.base())
    };
    let run = LiveRun {
        core: parts::core(
            config,
            parts::strategy_for(config, targets, quotes_with_headers, None),
            parts::tracker(
                config,
                format,
                Identity::of_seed(start, config.seed, 0).key,
                ProbeId(0),
            ),
            start,
        ),
        assembler: parts::assembler(config),
        sender: transport.sender,
        receiver: transport.receiver,
        sink: Rows::default(),
        clock,
    };
    let end = run.run(&Stop::default(), |_| None);
    assert!(end.error.is_none(), "{:?}", end.error);
    (end.sink.0, end.tally)
}

fn lab(name: &str) -> LabNetwork {
    let path = format!("{}/labs/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    LabNetwork::from_file(path.as_ref()).unwrap()
}

/// Surveys `targets` in the example network `name`, and checks every row against the network's truth.
fn survey(name: &str, targets: &[&str]) -> (TargetRows, Tally) {
    let config = SurveyConfig {
        targets: TargetSpec {
            arguments: targets.iter().map(|text| (*text).to_owned()).collect(),
            allow_special: true,
            families: Families::Both,
            ..TargetSpec::default()
        },
        flows: 2,
        rate: Rate::new(2_000.0).unwrap(),
        timeout: Duration::from_secs(1),
        cooldown: Duration::from_millis(100),
        ..SurveyConfig::default()
    };
    let config = config.validate().unwrap();
    let no_names = |_: &str| -> io::Result<Vec<IpAddr>> { panic!("there are no names") };
    let loaded = pathsurvey::targets::load(&config.targets, &no_names, &mut |bad| panic!("{bad}"));
    let targets = Arc::new(loaded.unwrap().0);
    let network = lab(name);
    let options = TransportOptions {
        choice: TransportChoice::Auto,
        protocol: config.protocol,
        families: AddressFamilies {
            ipv4: true,
            ipv6: true,
        },
        source_port: config.source_port,
        flows: config.flows,
        origin: Origin::default(),
        rate: config.rate,
    };
    let transport = open(&options, network.clone()).unwrap();
    assert!(transport.capabilities.protocols.contains(&config.protocol));
    let (rows, tally) = run(&config, targets, transport);
    for row in &rows.hops {
        check(row, &network);
    }
    (rows, tally)
}

/// Checks that the responder of a row is the network's at that TTL, and that a reply has its round-trip time.
fn check(row: &HopRecord, network: &LabNetwork) {
    let (Some(src_port), Some(dst_port), Some(ttl)) = (row.src_port, row.dst_port, row.ttl) else {
        panic!("a UDP probe has ports and a TTL: {row:?}");
    };
    let flow = TruthFlow::udp(row.destination, src_port, dst_port);
    let flow = TruthFlow {
        flow_label: row.flow_label,
        ..flow
    };
    let truth = network.truth_of_every_ttl(flow, Ttl(32));
    let hop = truth.hop(ttl).expect("a hop for every TTL");
    assert_eq!(row.responder(), hop.responder(), "{row:?}");
    assert_eq!(row.rtt_us.is_some(), row.responder().is_some(), "{row:?}");
}

#[test]
fn the_engine_runs_over_a_transport_without_sockets() {
    let (rows, tally) = survey("clean", &["198.18.0.1", "198.18.1.9", "198.18.3.77"]);
    assert_eq!(rows.traces.len(), 3 * 2);
    assert!(rows.traces.iter().all(|trace| trace.reached));
    for trace in &rows.traces {
        let of_trace = rows
            .hops
            .iter()
            .filter(|row| row.trace_id == trace.trace_id);
        let mut ttls: Vec<u8> = of_trace.filter_map(|row| Some(row.ttl?.0)).collect();
        ttls.sort_unstable();
        ttls.dedup();
        assert!(ttls.starts_with(&[1, 2, 3, 4, 5]), "{ttls:?}");
    }
    let counts = &tally.statistics;
    assert_eq!(counts.probes(Status::Replied), counts.probes_sent());
    assert_eq!(tally.kernel_drops.receive_buffer, None);
}

#[test]
fn both_address_families_go_through_it() {
    let (rows, _) = survey("dual-stack", &["198.18.0.1", "2001:db8:1000::1"]);
    for ipv6 in [false, true] {
        let of_family = |address: &IpAddr| address.is_ipv6() == ipv6;
        let replies = rows.hops.iter().filter_map(|row| row.responder());
        assert!(replies.filter(of_family).count() > 0, "IPv6: {ipv6}");
    }
}

//! Runs whose parts break: they end, and account for what was sent.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use super::*;
use crate::engine::assembler::Assembled;
use crate::engine::format::ProbeFormat;
use crate::engine::limiter::Limits;
use crate::engine::tracker::{Timeouts, Tracker};
use crate::model::{Blocked, Consecutive, ProbeId, Rate, Status, Time, Ttl, UnsentReason};
use crate::strategy::Sweep;
use crate::transport::{Arrival, PacketBatch, PacketReceiver, Received, SendProgress, Stopped};
use crate::wire::token::{RunKey, TokenMaker};

/// Takes packets until it has had `takes`; then it breaks, or panics.
struct Fragile {
    takes: usize,
    panics: bool,
}

impl PacketSender for Fragile {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<SendProgress> {
        if self.takes == 0 {
            assert!(!self.panics, "the sender breaks, as this test wants");
            return Err(io::Error::from_raw_os_error(libc::ENODEV));
        }
        let taken = self.takes.min(batch.len() - first);
        self.takes -= taken;
        Ok(SendProgress {
            taken,
            stopped: None,
        })
    }

    fn source_for(&mut self, _: IpAddr) -> Result<IpAddr, UnsentReason> {
        Ok(Ipv4Addr::LOCALHOST.into())
    }
}

/// Has no room before `open` is set. Then it takes everything, and notes where it goes.
struct Gate {
    open: Arc<AtomicBool>,
    sent_to: Arc<Mutex<Vec<IpAddr>>>,
}

impl PacketSender for Gate {
    fn send(&mut self, batch: &PacketBatch, first: usize) -> io::Result<SendProgress> {
        if !self.open.load(Ordering::Acquire) {
            return Ok(SendProgress {
                taken: 0,
                stopped: Some(Stopped::Full),
            });
        }
        let packets = (first..batch.len()).filter_map(|at| Some(batch.get(at)?.0));
        self.sent_to.lock().expect("no panic").extend(packets);
        Ok(SendProgress {
            taken: batch.len() - first,
            stopped: None,
        })
    }

    fn source_for(&mut self, _: IpAddr) -> Result<IpAddr, UnsentReason> {
        Ok(Ipv4Addr::LOCALHOST.into())
    }
}

/// Hears nothing, or breaks at once.
struct Deaf {
    breaks: bool,
}

impl PacketReceiver for Deaf {
    fn receive(
        &mut self,
        timeout: Duration,
        _: &mut dyn FnMut(Arrival<'_>, Option<u64>),
    ) -> io::Result<Received> {
        if self.breaks {
            return Err(io::Error::from_raw_os_error(libc::ENETDOWN));
        }
        std::thread::park_timeout(timeout);
        Ok(Received::default())
    }

    fn dropped(&self) -> Option<u64> {
        None
    }
}

/// Takes everything, or refuses at once.
struct Disk {
    full: bool,
}

impl RecordSink for Disk {
    fn write(&mut self, records: &mut Assembled, _: Time) -> Result<(), SinkError> {
        if self.full {
            return Err("no room".into());
        }
        records.take_all();
        Ok(())
    }

    fn tick(&mut self, _: Time, _: &Tally) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Sweeps 100 targets with one probe each over these parts.
fn run(sender: impl PacketSender + 'static, receiver: Deaf, sink: Disk) -> LiveEnd<Disk> {
    watched(sender, receiver, sink, |_| None)
}

fn watched(
    sender: impl PacketSender + 'static,
    receiver: Deaf,
    sink: Disk,
    watch: impl FnMut(Progress) -> Option<Arc<dyn Blocked>>,
) -> LiveEnd<Disk> {
    let clock = Clock::start();
    let format = ProbeFormat::udp(1);
    let timeouts = Timeouts {
        timeout: Duration::from_millis(20),
        late_window: Duration::ZERO,
    };
    let targets = Arc::new(Consecutive {
        first: Ipv4Addr::new(198, 18, 0, 1),
        len: 100,
    });
    let sweep = Sweep::new(targets, 1, Ttl(1), Ttl(1), 1);
    let rate = Rate::new(1e6).expect("a rate");
    let run = LiveRun {
        core: Core::new(
            Box::new(sweep),
            &Limits::rate(rate),
            Tracker::new(
                format,
                timeouts,
                TokenMaker::new(RunKey::new([1; 16])),
                100,
                ProbeId(0),
            ),
            clock.started_at(),
            Duration::ZERO,
        ),
        assembler: Assembler::new(false, 1),
        sender: Box::new(sender),
        receiver: Box::new(receiver),
        sink,
        clock,
    };
    run.run(&Stop::default(), watch)
}

const WHOLE: usize = usize::MAX;

fn sender(takes: usize, panics: bool) -> Fragile {
    Fragile { takes, panics }
}

#[test]
fn a_run_without_a_fault_accounts_for_every_probe() {
    let end = run(
        sender(WHOLE, false),
        Deaf { breaks: false },
        Disk { full: false },
    );
    assert!(end.error.is_none());
    assert_eq!(end.tally.statistics.probes(Status::Timeout), 100);
}

#[test]
fn a_blocklist_holds_also_for_the_batch_that_waits_for_the_kernel() {
    struct Odd;
    impl Blocked for Odd {
        fn is_blocked(&self, address: IpAddr) -> bool {
            matches!(address, IpAddr::V4(address) if address.octets()[3] % 2 == 1)
        }
    }
    let open = Arc::new(AtomicBool::new(false));
    let sent_to = Arc::new(Mutex::new(Vec::new()));
    let gate = Gate {
        open: open.clone(),
        sent_to: sent_to.clone(),
    };
    let mut calls = 0;
    let watch = |_| -> Option<Arc<dyn Blocked>> {
        calls += 1;
        match calls {
            1 => Some(Arc::new(Odd)),
            // The list holds when the watcher is called again.
            _ => {
                open.store(true, Ordering::Release);
                None
            }
        }
    };
    let end = watched(gate, Deaf { breaks: false }, Disk { full: false }, watch);
    assert!(end.error.is_none());
    let sent_to = sent_to.lock().expect("no panic");
    assert!(
        sent_to.iter().all(|address| !Odd.is_blocked(*address)),
        "{sent_to:?}"
    );
    assert_eq!(sent_to.len(), 50);
    assert_eq!(end.tally.statistics.probes(Status::Skipped), 50);
    assert_eq!(end.tally.statistics.probes(Status::Timeout), 50);
}

#[test]
fn a_socket_that_breaks_while_sending_leaves_no_probe_unaccounted_for() {
    let end = run(
        sender(37, false),
        Deaf { breaks: false },
        Disk { full: false },
    );
    assert!(matches!(end.error, Some(LiveError::Send(_))));
    let counts = &end.tally.statistics;
    assert_eq!(counts.probes(Status::Timeout), 37);
    assert!(
        counts.probes(Status::SendError) > 0,
        "the rest of the batch was not sent"
    );
}

#[test]
fn a_socket_that_breaks_while_receiving_ends_the_run() {
    let end = run(
        sender(WHOLE, false),
        Deaf { breaks: true },
        Disk { full: false },
    );
    assert!(matches!(end.error, Some(LiveError::Receive(_))));
}

#[test]
fn a_disk_that_is_full_ends_the_run() {
    let end = run(
        sender(WHOLE, false),
        Deaf { breaks: false },
        Disk { full: true },
    );
    assert!(matches!(end.error, Some(LiveError::Sink(_))));
}

#[test]
fn a_panic_in_the_sender_ends_the_run() {
    let end = run(
        sender(10, true),
        Deaf { breaks: false },
        Disk { full: false },
    );
    assert!(matches!(end.error, Some(LiveError::Thread("sender"))));
}

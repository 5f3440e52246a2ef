//! The thread that carries packets between a device and a simulated network.

use std::io::{self, PipeReader, PipeWriter};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::device::{self, Device};
use super::schedule::Schedule;
use super::{DeviceKind, Lateness, Namespace, NamespaceError, sys};
use crate::lab::{Delivery, Respond};
use crate::model::Time;
use crate::transport::sys::wait_readable;

/// Packets read, and deliveries written, before the other gets its turn.
const BATCH: usize = 64;

/// Deliveries that may wait at a time; beyond it the lab drops, and says so. About 1 GiB.
const MOST_WAITING: usize = 4_000_000;

/// Waits shorter than this are not worth a system call that sleeps.
const SPIN: Duration = Duration::from_micros(5);

/// What a lab host did.
#[derive(Clone, Debug, Default)]
pub struct LabCounts {
    /// Packets that the vantage point sent and the network was given.
    pub read: u64,
    /// Packets that were none of the user's: the kernel's own multicast and neighbour chatter.
    pub ignored: u64,
    /// Packets written to the vantage point.
    pub delivered: u64,
    /// Deliveries that the vantage point's device refused.
    pub refused: u64,
    /// Deliveries dropped because too many were waiting.
    pub overflowed: u64,
    /// Deliveries that were still waiting when the host stopped.
    pub waiting: u64,
    /// Packets lost by the device on their way into the network because its queue was full; the sender is not told of them.
    /// `None` where the kernel does not tell us either.
    pub device_dropped: Option<u64>,
    /// How late the deliveries were written. RTTs contain it, besides the time it took to pick the probe up.
    pub lateness: Lateness,
}

/// A simulated network at work behind a device. Dropping it stops it.
pub struct LabHost {
    kind: DeviceKind,
    vantage_v6: Option<Ipv6Addr>,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    /// Closing it wakes the thread.
    waker: PipeWriter,
    thread: JoinHandle<io::Result<LabCounts>>,
}

impl LabHost {
    /// Puts `network` behind a new device of `namespace`, whose address becomes `vantage` and to which every route leads; and
    /// likewise in IPv6, where the network has that ([`Respond::vantage_v6`]) and the kernel, too.
    /// A TUN device, or where that is refused a veth pair. One host a namespace.
    pub fn start(
        namespace: &Namespace,
        network: Box<dyn Respond>,
        vantage: Ipv4Addr,
    ) -> Result<Self, NamespaceError> {
        Self::start_on(namespace, network, vantage, None)
    }

    /// As [`start`](LabHost::start), on a device of the `kind` given.
    pub fn start_on(
        namespace: &Namespace,
        network: Box<dyn Respond>,
        vantage: Ipv4Addr,
        kind: Option<DeviceKind>,
    ) -> Result<Self, NamespaceError> {
        ReadyLab::open(namespace, network, vantage, kind)?.start()
    }

    /// The device it runs on.
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// Our IPv6 address; `None` where the network has no IPv6, or the kernel refuses to have any.
    pub fn vantage_v6(&self) -> Option<Ipv6Addr> {
        self.vantage_v6
    }

    /// Packets that the network was given so far.
    pub fn packets_read(&self) -> u64 {
        self.running
            .as_ref()
            .map_or(0, |running| running.read.load(Ordering::Relaxed))
    }

    /// Stops the network at once and says what it did; an error if its device had failed.
    pub fn stop(mut self) -> io::Result<LabCounts> {
        self.end().unwrap_or_else(|| Ok(LabCounts::default()))
    }

    fn end(&mut self) -> Option<io::Result<LabCounts>> {
        let running = self.running.take()?;
        running.stop.store(true, Ordering::Relaxed);
        drop(running.waker);
        Some(
            running
                .thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("the lab's network panicked"))),
        )
    }
}

impl Drop for LabHost {
    fn drop(&mut self) {
        // Who wants to know how it went calls `stop`.
        let _ = self.end();
    }
}

/// A device that is up, and the network that is to answer behind it. Nothing answers yet.
///
/// Opening needs privileges, answering does not: whoever gives them up does so between the two.
pub struct ReadyLab {
    kind: DeviceKind,
    vantage_v6: Option<Ipv6Addr>,
    device: Box<dyn Device>,
    network: Box<dyn Respond>,
}

impl ReadyLab {
    /// Opens the device, as [`LabHost::start_on`] does.
    pub fn open(
        _namespace: &Namespace,
        network: Box<dyn Respond>,
        vantage: Ipv4Addr,
        kind: Option<DeviceKind>,
    ) -> Result<Self, NamespaceError> {
        let (device, kind) = device::open(vantage, kind)?;
        // Without IPv6 the network is whole but for that; who needs it asks `vantage_v6`.
        let vantage_v6 = network
            .vantage_v6()
            .filter(|address| device::add_ipv6(*address).is_ok());
        Ok(ReadyLab {
            kind,
            vantage_v6,
            device,
            network,
        })
    }

    /// Puts the network to work, in a thread with the privileges of the calling one.
    pub fn start(self) -> Result<LabHost, NamespaceError> {
        let step = NamespaceError::network;
        let (wake, waker) = io::pipe().map_err(step("opening a pipe"))?;
        let stop = Arc::new(AtomicBool::new(false));
        let read = Arc::new(AtomicU64::new(0));
        let host = Host {
            device: self.device,
            network: self.network,
            clock: Clock::start(),
            schedule: Schedule::default(),
            counts: LabCounts::default(),
            scratch: Vec::new(),
            stop: Arc::clone(&stop),
            read: Arc::clone(&read),
            wake,
        };
        let thread = std::thread::Builder::new()
            .name("lab".to_owned())
            .spawn(move || host.run())
            .map_err(step("starting the lab's thread"))?;
        Ok(LabHost {
            kind: self.kind,
            vantage_v6: self.vantage_v6,
            running: Some(Running {
                stop,
                read,
                waker,
                thread,
            }),
        })
    }
}

/// Monotonic, from the wall clock's reading at its start.
struct Clock {
    began: Instant,
    wall: Time,
}

impl Clock {
    fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Clock {
            began: Instant::now(),
            wall: Time::default() + since_epoch,
        }
    }

    fn now(&self) -> Time {
        self.wall + self.began.elapsed()
    }
}

/// What the thread owns.
struct Host {
    device: Box<dyn Device>,
    network: Box<dyn Respond>,
    clock: Clock,
    schedule: Schedule,
    counts: LabCounts,
    scratch: Vec<Delivery>,
    stop: Arc<AtomicBool>,
    /// What `counts.read` was at the last batch, for others to see.
    read: Arc<AtomicU64>,
    wake: PipeReader,
}

impl Host {
    fn run(mut self) -> io::Result<LabCounts> {
        sys::prepare_thread()?;
        while !self.stop.load(Ordering::Relaxed) {
            self.deliver_due();
            let taken_in = self.take_in()?;
            self.read.store(self.counts.read, Ordering::Relaxed);
            if taken_in < BATCH {
                self.wait()?;
            }
        }
        self.counts.waiting = self.schedule.len() as u64;
        self.counts.device_dropped = self.device.dropped();
        Ok(self.counts)
    }

    /// Writes what is due, a batch at most.
    fn deliver_due(&mut self) {
        for _ in 0..BATCH {
            let now = self.clock.now();
            let Some(delivery) = self.schedule.pop_due(now) else {
                return;
            };
            match self.device.write(&delivery.packet) {
                Ok(()) => {
                    self.counts.delivered += 1;
                    self.counts.lateness.record(now.since(delivery.at));
                }
                Err(_) => self.counts.refused += 1,
            }
        }
    }

    /// Lets the network answer what was sent, a batch at most.
    fn take_in(&mut self) -> io::Result<usize> {
        let (clock, network, counts) = (&self.clock, &mut self.network, &mut self.counts);
        let (schedule, scratch) = (&mut self.schedule, &mut self.scratch);
        self.device.read(BATCH, &mut |packet| {
            if is_chatter(packet) {
                counts.ignored += 1;
                return;
            }
            counts.read += 1;
            network.respond(packet, clock.now(), scratch);
            for delivery in scratch.drain(..) {
                if schedule.len() < MOST_WAITING {
                    schedule.push(delivery);
                } else {
                    counts.overflowed += 1;
                }
            }
        })
    }

    /// Sleeps until something is due, is sent, or the end.
    fn wait(&self) -> io::Result<()> {
        let timeout = self
            .schedule
            .next_due()
            .map(|due| due.since(self.clock.now()));
        if timeout.is_some_and(|timeout| timeout < SPIN) {
            std::hint::spin_loop();
            return Ok(());
        }
        wait_readable([self.device.as_fd(), self.wake.as_fd()], timeout).map(drop)
    }
}

/// What a kernel sends by itself once a device is up: multicast (group membership, IPv6 neighbour and router discovery),
/// what stays on the link (IPv6 neighbour discovery once more), and what is no IP at all.
fn is_chatter(packet: &[u8]) -> bool {
    match packet.first().map(|byte| byte >> 4) {
        Some(4) => packet.get(16).is_none_or(|byte| byte & 0xf0 == 0xe0),
        Some(6) => match packet.get(24..26) {
            Some([first, second]) => *first == 0xff || (*first, second & 0xc0) == (0xfe, 0x80),
            _ => true,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_own_packets_are_told_from_probes() {
        let mut ipv4 = [0_u8; 20];
        ipv4[0] = 0x45;
        ipv4[16..20].copy_from_slice(&[198, 51, 100, 1]);
        assert!(!is_chatter(&ipv4));
        ipv4[16..20].copy_from_slice(&[224, 0, 0, 22]);
        assert!(is_chatter(&ipv4));
        let mut ipv6 = [0_u8; 40];
        ipv6[0] = 0x60;
        assert!(!is_chatter(&ipv6));
        ipv6[24..26].copy_from_slice(&[0x20, 0x01]);
        assert!(!is_chatter(&ipv6));
        ipv6[24..26].copy_from_slice(&[0xfe, 0xc0]);
        assert!(!is_chatter(&ipv6));
        for on_link in [[0xff, 0x02], [0xfe, 0x80], [0xfe, 0xbf]] {
            ipv6[24..26].copy_from_slice(&on_link);
            assert!(is_chatter(&ipv6));
        }
        assert!(is_chatter(&[]) && is_chatter(&[0x45]));
    }
}

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

/// Packets read in a row before deliveries get their turn, and deliveries written in a row.
const BATCH: usize = 64;

/// Most deliveries that wait at a time. Beyond that the lab drops them, and counts them. About 1 GiB.
const MOST_WAITING: usize = 4_000_000;

/// Shorter waits are not worth a system call.
const SPIN: Duration = Duration::from_micros(5);

/// The counts of a lab host.
#[derive(Clone, Debug, Default)]
pub struct LabCounts {
    /// Packets that the vantage point sent and the network received.
    pub read: u64,
    /// Packets that no program sent: the kernel's own multicast and neighbour discovery.
    pub ignored: u64,
    /// Packets written to the vantage point.
    pub delivered: u64,
    /// Deliveries that the vantage point's device refused.
    pub refused: u64,
    /// Deliveries dropped because too many were waiting.
    pub overflowed: u64,
    /// Deliveries that were still waiting when the host stopped.
    pub waiting: u64,
    /// Packets that the device lost on their way into the network because its queue was full. The sender is not informed.
    /// `None` if the kernel does not report the number.
    pub device_dropped: Option<u64>,
    /// How late the deliveries were written. This is part of the measured RTTs, as is the time to read the probe.
    pub lateness: Lateness,
}

/// A simulated network that runs behind a device. Dropping this value stops it.
pub struct LabHost {
    kind: DeviceKind,
    vantage_v6: Option<Ipv6Addr>,
    running: Option<Running>,
}

struct Running {
    stop: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    /// Closing this end wakes the thread.
    waker: PipeWriter,
    thread: JoinHandle<io::Result<LabCounts>>,
}

impl LabHost {
    /// Starts `network` behind a new device of `namespace`. The device gets the address `vantage` and all routes.
    /// If both the network ([`Respond::vantage_v6`]) and the kernel have IPv6, the device gets an IPv6 address as well.
    ///
    /// The device is a TUN device, or a veth pair if TUN is refused. A namespace can have one host.
    pub fn start(
        namespace: &Namespace,
        network: Box<dyn Respond>,
        vantage: Ipv4Addr,
    ) -> Result<Self, NamespaceError> {
        Self::start_on(namespace, network, vantage, None)
    }

    /// Like [`start`](LabHost::start), on a device of the given `kind`.
    pub fn start_on(
        namespace: &Namespace,
        network: Box<dyn Respond>,
        vantage: Ipv4Addr,
        kind: Option<DeviceKind>,
    ) -> Result<Self, NamespaceError> {
        ReadyLab::open(namespace, network, vantage, kind)?.start()
    }

    /// The kind of the device.
    pub fn kind(&self) -> DeviceKind {
        self.kind
    }

    /// Our IPv6 address. `None` if the network has no IPv6, or if the kernel refuses it.
    pub fn vantage_v6(&self) -> Option<Ipv6Addr> {
        self.vantage_v6
    }

    /// The number of packets that the network received so far.
    pub fn packets_read(&self) -> u64 {
        self.running
            .as_ref()
            .map_or(0, |running| running.read.load(Ordering::Relaxed))
    }

    /// Stops the network at once and returns its counts. Returns an error if the device failed.
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
        // The counts are not needed: otherwise the caller would call `stop`.
        let _ = self.end();
    }
}

/// A device that is up, and the network behind it, which does not answer yet.
///
/// Opening needs privileges and answering does not, so privileges can be dropped between the two.
pub struct ReadyLab {
    kind: DeviceKind,
    vantage_v6: Option<Ipv6Addr>,
    device: Box<dyn Device>,
    network: Box<dyn Respond>,
}

impl ReadyLab {
    /// Opens the device, like [`LabHost::start_on`].
    pub fn open(
        _namespace: &Namespace,
        network: Box<dyn Respond>,
        vantage: Ipv4Addr,
        kind: Option<DeviceKind>,
    ) -> Result<Self, NamespaceError> {
        let (device, kind) = device::open(vantage, kind)?;
        // Without IPv6 the network still works in IPv4. Callers that need IPv6 check `vantage_v6`.
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

    /// Starts the network in a thread, which has the privileges of the calling thread.
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

/// A monotonic clock that starts at the wall clock's time.
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

/// The state of the thread.
struct Host {
    device: Box<dyn Device>,
    network: Box<dyn Respond>,
    clock: Clock,
    schedule: Schedule,
    counts: LabCounts,
    scratch: Vec<Delivery>,
    stop: Arc<AtomicBool>,
    /// The value of `counts.read` after the last batch, for other threads.
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

    /// Writes the deliveries that are due, at most one batch.
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

    /// Lets the network answer packets that were sent, at most one batch.
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

    /// Sleeps until a delivery is due, a packet is sent, or the host stops.
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

/// Whether a kernel sends this packet by itself when a device is up. That is multicast (group membership, IPv6 neighbour and router
/// discovery), traffic that stays on the link (IPv6 neighbour discovery again), and packets that are not IP.
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

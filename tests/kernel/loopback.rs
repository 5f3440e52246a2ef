//! What the test of the receiver before a survey finds.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use pathsurvey::lab::driver::enter_namespace;
use pathsurvey::transport::raw::{RawReceiver, RawSender};
use pathsurvey::transport::{Heard, PacketReceiver, Received, loopback_test};

use crate::support::{Ignored, Outcome};

/// A receiver that a firewall keeps ICMP messages of some types from.
struct Behind<'a>(RawReceiver, &'a [u8]);

impl PacketReceiver for Behind<'_> {
    fn receive(
        &mut self,
        timeout: Duration,
        visit: &mut dyn FnMut(&[u8], Option<u64>),
    ) -> io::Result<Received> {
        let dropped = self.1;
        self.0.receive(timeout, &mut |packet, stamp| {
            if !dropped.contains(&packet[20]) {
                visit(packet, stamp);
            }
        })
    }

    fn dropped(&self) -> Option<u64> {
        None
    }
}

pub fn tells_what_is_heard() -> Outcome {
    match enter_namespace() {
        Err(error) if error.is_refusal() => return Err(Ignored(error.to_string())),
        entered => drop(entered.unwrap()),
    }
    let mut sender = RawSender::open().unwrap();
    for (dropped, unreachable, time_exceeded) in [
        (&[][..], true, true),
        (&[11], true, false),
        (&[3], false, true),
        (&[3, 11], false, false),
    ] {
        // What is not dropped is there when the send returns: only for the others is it waited.
        let patience = Duration::from_secs(if dropped.is_empty() { 60 } else { 1 });
        let mut receiver = Behind(RawReceiver::open(1 << 20).unwrap(), dropped);
        let heard = loopback_test(&mut receiver, &mut sender, Ipv4Addr::LOCALHOST, patience);
        let expected = Heard {
            unreachable,
            time_exceeded: Some(time_exceeded),
        };
        assert_eq!(heard.unwrap(), expected, "without {dropped:?}");
    }
    Ok(())
}

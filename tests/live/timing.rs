//! Round-trip times against the delays of the network.

use std::time::Duration;

use pathsurvey::model::Time;

use super::lab::{config, network, survey};
use super::truth::truth_of;
use crate::support::Outcome;

/// What the kernel and our own stamps may add to the median.
const ALLOWED: i64 = 50;

fn micros(time: Time) -> i64 {
    time.as_micros()
}

fn median(mut values: Vec<i64>) -> i64 {
    values.sort_unstable();
    values[values.len() / 2]
}

pub fn round_trips() -> Outcome {
    let surveyed = survey(
        network("generated-clean.toml"),
        config(&["198.18.9.0/24", "198.18.200.0/24"]),
    )?;
    let accounted = surveyed.account();
    // Beside the network's delay a round trip has: until the lab picked the probe up, until it wrote the answer that was due,
    // and what the kernel and our stamps add. The first is known of each probe, the second in all.
    let (mut picked_up, mut beyond, mut round_trips) = (Vec::new(), Vec::new(), Vec::new());
    for probe in &accounted {
        let (row, happened) = (probe.own, probe.happened);
        let [delivery] = happened.deliveries.as_slice() else {
            panic!("a clean network answers once: {happened:?}");
        };
        let truth = truth_of(
            &surveyed.network,
            row.destination,
            row.src_port,
            row.dst_port,
        );
        let answer = truth.hops[usize::from(row.ttl) - 1].answer().unwrap();
        assert_eq!(delivery.at.since(happened.sent_at), answer.rtt);
        let (sent, received) = (row.sent_at.unwrap(), row.received_at.unwrap());
        assert!(received >= micros(delivery.at) - 1, "too early: {row:?}");
        // None where the machine held the sender up within a batch, and the stamp tells nothing.
        let Some(rtt) = row.rtt_us.map(i64::from) else {
            assert!(received < sent, "{row:?}");
            continue;
        };
        // Each is cut to whole microseconds by itself.
        assert!((received - sent).max(0).abs_diff(rtt) <= 1, "{row:?}");
        let pickup = micros(happened.sent_at) - sent;
        let delay = answer.rtt.as_micros() as i64;
        picked_up.push(pickup);
        beyond.push(rtt - delay - pickup);
        round_trips.push(rtt - delay);
    }
    let late = surveyed.end.lab.as_ref().unwrap().lateness.percentile(50.0);
    assert!(beyond.len() > accounted.len() / 2);
    let (picked_up, beyond) = (median(picked_up), median(beyond));
    println!(
        "median of {} probes: {} µs over the network's delay; picked up after {picked_up} µs, answered {beyond} µs late \
         of which the driver reports {late:?}",
        accounted.len(),
        median(round_trips),
    );
    assert!(picked_up >= 0);
    assert!(
        Duration::from_micros(beyond.max(0) as u64) <= late + Duration::from_micros(ALLOWED as u64)
    );
    let error = surveyed.dataset.manifest["rtt_error_us_p99"].as_f64();
    assert!(error.is_some(), "the manifest says how sure the stamps are");
    Ok(())
}

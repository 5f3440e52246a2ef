//! Loading a million targets, and looking them up as a sweep does.
//!
//! `cargo bench --bench targets`. Also prints the bytes that a target takes, which do not depend on the machine.

use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pathsurvey::model::{TargetId, Targets};
use pathsurvey::targets::{LoadReport, Loader, TargetSet, TargetSpec};

const MILLION: u32 = 1_000_000;

/// Nothing here has a name, and nothing may be asked.
fn no_names(_: &str) -> io::Result<Vec<IpAddr>> {
    Err(io::ErrorKind::Unsupported.into())
}

fn load(list: &str) -> (TargetSet, LoadReport) {
    let spec = TargetSpec::default();
    let mut on_bad = |bad: &_| panic!("{bad}");
    let mut loader = Loader::new(&spec, &no_names, &mut on_bad).expect("the rules are valid");
    loader
        .input(Path::new("memory"), list.as_bytes())
        .expect("memory can be read");
    loader.finish().expect("a million targets are allowed")
}

/// Distinct addresses from 16.0.0.0 on, in no order: multiplying by an odd number permutes the numbers below 2^28.
fn addresses() -> impl Iterator<Item = Ipv4Addr> {
    (0..MILLION)
        .map(|n| Ipv4Addr::from_bits((1 << 28) | n.wrapping_mul(2_654_435_761) & 0x0FFF_FFFF))
}

fn loading(criterion: &mut Criterion) {
    let plain: String = addresses().map(|address| format!("{address}\n")).collect();
    let labelled: String = std::iter::once("target,asn,country\n".to_owned())
        .chain(
            addresses()
                .zip(0..)
                .map(|(address, n)| format!("{address},AS{},C{}\n", n % 70_000, n % 200)),
        )
        .collect();
    let drawn = "16.0.0.0/5\n9.0.0.0/9\n".to_owned();
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for (name, list) in [
        ("1M plain", plain),
        ("1M labelled", labelled),
        ("drawn prefixes", drawn),
    ] {
        let (set, _) = load(&list);
        println!(
            "{name}: {} targets, {:.1} bytes each",
            set.len(),
            set.heap_bytes() as f64 / f64::from(set.len())
        );
        group.throughput(Throughput::Elements(u64::from(set.len())));
        group.bench_function(name, |bencher| bencher.iter(|| load(black_box(&list))));
    }
    group.finish();
}

fn looking_up(criterion: &mut Criterion) {
    let plain: String = addresses().map(|address| format!("{address}\n")).collect();
    let mut group = criterion.benchmark_group("look up");
    for (name, list) in [
        ("address, 1M plain", plain),
        ("address, drawn /4", "16.0.0.0/4\n".to_owned()),
    ] {
        let (set, _) = load(&list);
        let mut id = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                id = (id + 612_361) % set.len();
                set.address(TargetId(black_box(id)))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, loading, looking_up);
criterion_main!(benches);

//! Properties for any input: the set equals one that is built address by address, and arbitrary bytes are handled.

use std::collections::HashMap;

use ipnet::IpNet;
use proptest::prelude::*;

use super::*;

/// Computes the expected set address by address.
fn eager(
    spec: &TargetSpec,
    lines: &[(IpAddr, u8)],
    blocked: &[(IpAddr, u8)],
) -> (HashMap<IpAddr, String>, u64, u64) {
    let draw = prefixes::Draw::new(spec.target_seed, spec.per_prefix).unwrap();
    let mut owners: HashMap<IpAddr, String> = HashMap::new();
    let mut expanded = 0;
    for (address, length) in lines {
        let all: Vec<IpAddr> = match address {
            IpAddr::V4(address) => {
                use prefixes::Family;
                let first = address.to_bits().masked(*length);
                let bits = 32 - u32::from(*length);
                if *length >= 24 {
                    (0..1u32 << bits).map(|n| (first + n).ip()).collect()
                } else {
                    let blocks = (0..1u32 << (bits - 8)).map(|n| first + (n << 8));
                    blocks
                        .flat_map(|block| {
                            (0..spec.per_prefix).map(move |nth| u32::drawn(block, nth, &draw).ip())
                        })
                        .collect()
                }
            }
            IpAddr::V6(address) => {
                use prefixes::Family;
                let first = address.to_bits().masked(*length);
                let blocks = 1u128 << 48u8.saturating_sub(*length);
                (0..blocks)
                    .map(|n| {
                        u128::explicit(first + (n << 80), (*length).max(48), &draw)
                            .0
                            .ip()
                    })
                    .collect()
            }
        };
        expanded += all.len() as u64;
        for one in all {
            owners
                .entry(one)
                .or_insert_with(|| format!("{address}/{length}"));
        }
    }
    let distinct = owners.len() as u64;
    let excluded = prefixes_not_probed(spec, blocked);
    owners.retain(|address, _| !excluded.iter().any(|net| net.contains(address)));
    (owners, expanded, distinct)
}

/// The blocklist's prefixes and the special-use ranges that `spec` does not allow.
fn prefixes_not_probed(spec: &TargetSpec, blocked: &[(IpAddr, u8)]) -> Vec<IpNet> {
    let v4 = special::IPV4.map(|(address, length, special)| (address.into(), length, special));
    let v6 = special::IPV6.map(|(address, length, special)| (address.into(), length, special));
    let specials = v4.into_iter().chain(v6);
    specials
        .filter(|(_, _, special)| !spec.allow_special || special.never_because().is_some())
        .map(|(address, length, _)| (address, length))
        .chain(blocked.iter().copied())
        .map(|(address, length)| IpNet::new(address, length).unwrap())
        .collect()
}

/// Prefixes that often overlap, partly in special-use space.
fn prefix() -> impl Strategy<Value = (IpAddr, u8)> {
    let v4 = (0u32..1 << 13, prop_oneof![19u8..=32, Just(32)])
        .prop_map(|(low, length)| (Ipv4Addr::from_bits(0x09FF_F000 + low).into(), length));
    let v6 = (0u128..8, prop::bool::ANY, 44u8..=52).prop_map(|(block, high, length)| {
        let bits = (0x2a00_u128 << 112 | block << 80) | if high { 1 << 79 } else { 0 };
        (std::net::Ipv6Addr::from_bits(bits).into(), length)
    });
    prop_oneof![3 => v4, 1 => v6]
}

/// Prefixes around the first host that is drawn in 9.255.240.0/24, around its neighbours, or in one block of IPv6. So chains of nested
/// prefixes, longer and shorter than a block, are likely.
fn nested_prefix() -> impl Strategy<Value = (IpAddr, u8)> {
    let drawn = |nth: u32| {
        use prefixes::Family;
        let draw = prefixes::Draw::new(both().target_seed, 1).unwrap();
        u32::drawn(0x09FF_F000 + (nth << 8), 0, &draw)
    };
    let v4 = (0u32..2, 0u32..4, 19u8..=32).prop_map(move |(nth, flip, length)| {
        (Ipv4Addr::from_bits(drawn(nth) ^ flip).into(), length)
    });
    let v6 = (0u128..2, 45u8..=50).prop_map(|(block, length)| {
        let bits = 0x2a00_u128 << 112 | block << 80;
        (std::net::Ipv6Addr::from_bits(bits).into(), length)
    });
    prop_oneof![3 => v4, 1 => v6]
}

proptest! {
    #[test]
    fn the_set_equals_one_built_address_by_address(
        lines in prop::collection::vec(prefix(), 1..12),
        blocked in prop::collection::vec(prefix(), 0..8),
        per_prefix in prop_oneof![Just(1u8), 2u8..5, Just(254)],
        allow_special: bool,
    ) {
        let spec = TargetSpec { per_prefix, allow_special, ..both() };
        let text: String = lines.iter().map(|(address, length)| format!("{address}/{length}\n")).collect();
        let mut on_bad = |bad: &BadLine| panic!("{bad}");
        let mut loader = Loader::new(&spec, &no_dns, &mut on_bad).unwrap();
        loader.input(Path::new("list"), text.as_bytes()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("blocked");
        std::fs::write(&path, blocked.iter().map(|(a, l)| format!("{a}/{l}\n")).collect::<String>()).unwrap();
        loader.blocklist(&path).unwrap();
        let (set, report) = loader.finish().unwrap();
        check_sums(&report);
        let (expected, expanded, distinct) = eager(&spec, &lines, &blocked);
        prop_assert_eq!(report.expanded, expanded);
        prop_assert_eq!(report.duplicates, expanded - distinct);
        prop_assert_eq!(set.len() as usize, expected.len());
        // The count is right, every address is expected, and (below) no two are equal. So the sets are equal.
        let mut seen = std::collections::HashSet::new();
        for (id, address) in set.iter() {
            prop_assert!(seen.insert(address), "{} twice", address);
            let info = set.info(id);
            prop_assert_eq!(Some(info.input.as_ref()), expected.get(&address).map(String::as_str));
        }
    }

    #[test]
    fn rows_that_lose_labels_are_those_of_a_walk_address_by_address(
        rows in prop::collection::vec(
            (prop_oneof![nested_prefix(), prefix()], prop::sample::select(vec!["", "1", "2"])),
            1..8,
        ),
        per_prefix in prop_oneof![Just(1u8), Just(3)],
    ) {
        let spec = TargetSpec { per_prefix, allow_special: true, ..both() };
        let mut owners: HashMap<String, &str> = HashMap::new();
        let mut expected = Vec::new();
        let mut text = String::from("target,n\n");
        for (number, ((address, length), label)) in rows.iter().enumerate() {
            let prefix = format!("{address}/{length}");
            let (alone, ..) = load_lists(&spec, &[("alone", prefix.as_bytes())]).unwrap();
            let owned: Vec<&str> = addresses(&alone).into_iter().map(|one| *owners.entry(one).or_insert(label)).collect();
            if !label.is_empty() && owned.iter().any(|owner| owner != label) {
                expected.push(format!("list:{}", number + 2));
            }
            text += &format!("{prefix},{label}\n");
        }
        let (_, report, _) = load_lists(&spec, &[("list", text.as_bytes())]).unwrap();
        prop_assert_eq!(report.unused_labels, expected.len() as u64);
        expected.truncate(5);
        prop_assert_eq!(report.first_unused_labels, expected);
    }

    #[test]
    fn any_bytes_are_accepted_counted_or_reported(
        header in prop_oneof![Just(&b""[..]), Just(&b"target,a\n"[..]), Just(&b"a,target\r\n"[..]), Just(&b"target,a\r"[..])],
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..20),
                prop::sample::select(vec![
                    "\n", "\r\n", "\r", ",", "\"", "\"\"", "#", "9.0.0.1", "9.0.0.0/22", "9.9/8", "2a00::1", "two.example", " ", "\n\n", "x,9.0.0.7\n", "9.0.0.8,y\n",
                ]).prop_map(|part| part.as_bytes().to_vec()),
            ],
            0..60,
        ),
    ) {
        let list = [header.to_vec(), parts.concat()].concat();
        let (set, report, bad) = match load_lists(&both(), &[("list", &list)]) {
            Ok(loaded) => loaded,
            // Some lists name more targets than are accepted without a confirmation.
            Err(TargetError::Large(_)) => return Ok(()),
            // A list of another encoding is refused as a whole.
            Err(error) if list.starts_with(b"\xFF\xFE") || list.starts_with(b"\xFE\xFF") || list.contains(&0) => {
                let why = error.to_string();
                prop_assert!(why.contains("UTF-16") || why.contains("NUL bytes"), "{}", why);
                return Ok(());
            }
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(bad.len() as u64, report.bad_lines);
        let lone = list.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
        let ends = list.iter().filter(|b| **b == b'\n').count() + lone + usize::from(list.ends_with(b"\r"));
        let open = !list.is_empty() && !list.ends_with(b"\n") && !list.ends_with(b"\r");
        prop_assert_eq!(report.lines, ends as u64 + u64::from(open));
        prop_assert!(set.iter().len() as u64 == report.targets);
        // Messages name existing lines, in order.
        let lines: Vec<u64> = bad.iter().map(|m| m.split(':').nth(1).unwrap().parse().unwrap()).collect();
        prop_assert!(lines.is_sorted() && lines.iter().all(|line| (1..=report.lines).contains(line)), "{:?}", bad);
    }
}

use super::*;

/// A structure with one MPLS object of two labels and a valid checksum.
fn structure() -> Vec<u8> {
    let mut bytes = vec![0x20, 0, 0, 0, 0, 12, 1, 1];
    bytes.extend((16u32 << 12 | 5 << 9 | 1).to_be_bytes());
    bytes.extend((1_048_575u32 << 12 | 1 << 8 | 255).to_be_bytes());
    let checksum = Sum::default().bytes(&bytes).checksum();
    bytes[2..4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

#[test]
fn a_label_stack_is_read_field_by_field() {
    let labels = mpls_stack(&structure());
    let expected = [
        MplsLabel {
            label: 16,
            traffic_class: 5,
            bottom: false,
            ttl: 1,
        },
        MplsLabel {
            label: 1_048_575,
            traffic_class: 0,
            bottom: true,
            ttl: 255,
        },
    ];
    assert_eq!(labels, expected);
}

#[test]
fn compliant_and_legacy_places_are_found() {
    let structure = structure();
    let body = [vec![7; 128], structure.clone()].concat();
    for announced in [128, 0] {
        let (quote, found) = split(&body, announced);
        assert_eq!(
            (quote.len(), found),
            (128, Some(&structure[..])),
            "announced {announced}"
        );
    }
}

/// `structure` with its checksum removed.
fn unsummed(mut structure: Vec<u8>) -> Vec<u8> {
    structure[2..4].fill(0);
    structure
}

#[test]
fn with_a_wrong_length_the_structure_is_found_after_128_bytes() {
    for structure in [structure(), unsummed(structure())] {
        let body = [vec![7; 128], structure.clone()].concat();
        // Stated in bytes for IPv4 and IPv6, in the other family's words, inside the quote, and without room for the headers.
        for announced in [512, 1024, 64, 256, 68, 4] {
            let (quote, found) = split(&body, announced);
            assert_eq!(
                (quote.len(), found),
                (128, Some(&structure[..])),
                "announced {announced}"
            );
        }
        let stripped = split_stripped(&body[28..], None, 28);
        assert_eq!(stripped, (&body[28..128], Some(&structure[..])));
    }
}

#[test]
fn after_an_unpadded_quote_a_structure_needs_its_checksum() {
    let body = [vec![7; 44], structure()].concat();
    for (announced, stripped) in [(None, 0), (None, 28), (Some(400), 0)] {
        let (quote, found) = split_stripped(&body[stripped..], announced, stripped);
        assert_eq!((quote.len(), found), (44 - stripped, Some(&body[44..])));
    }
    let body = [vec![7; 44], unsummed(structure())].concat();
    assert_eq!(split(&body, 0), (&body[..], None));
    assert_eq!(split(&body, 44), (&body[..44], Some(&body[44..])));
}

#[test]
fn a_long_quote_is_not_taken_for_a_structure() {
    let mut body = vec![0x20; 200];
    assert_eq!(split(&body, 0), (&body[..], None));
    // Zeros after a byte that looks like a version are not objects.
    body[128..].fill(0);
    body[128] = 0x20;
    assert_eq!(split(&body, 0).1, None);
}

#[test]
fn without_a_checksum_a_structure_must_have_the_right_form() {
    let good = unsummed(structure());
    type Spoil = fn(&mut Vec<u8>);
    let flaws: [(&str, Spoil); 9] = [
        ("version", |bytes| bytes[0] = 0x10),
        ("reserved bits", |bytes| bytes[0] = 0x21),
        ("reserved byte", |bytes| bytes[1] = 1),
        ("checksum", |bytes| bytes[3] = 1),
        ("an object that ends too early", |bytes| bytes[5] = 8),
        ("an object that ends too late", |bytes| bytes[5] = 16),
        ("bytes behind the objects", |bytes| bytes.push(0)),
        ("a class that nobody has", |bytes| bytes[6] = 0),
        ("no object", |bytes| bytes.truncate(4)),
    ];
    for (flaw, spoil) in flaws {
        let mut structure = good.clone();
        spoil(&mut structure);
        let body = [vec![7; 128], structure].concat();
        for announced in [0, 128, 512] {
            assert_eq!(split(&body, announced).1, None, "{flaw}, {announced}");
        }
    }
}

#[test]
fn a_stated_length_ends_the_quote_even_without_a_structure() {
    let body = [7; 60];
    assert_eq!(split(&body, 40), (&body[..40], None));
    // No router quotes only 8 bytes.
    assert_eq!(split(&body, 8), (&body[..], None));
}

#[test]
fn objects_with_impossible_lengths_end_the_walk() {
    for length in [0u8, 3, 200] {
        let bytes = [0x20, 0, 0, 0, 0, length, 1, 1, 0, 0, 0, 0];
        assert_eq!(mpls_stack(&bytes), [], "length {length}");
    }
}

/// A structure with one interface information object.
fn interface(kind: u8, parts: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x20, 0, 0, 0, 0, (4 + parts.len()) as u8, 2, kind];
    bytes.extend(parts);
    bytes
}

#[test]
fn interface_information_is_read_part_by_part() {
    let parts = [
        &[0, 0, 0, 7][..],
        &[0, 1, 0, 0, 192, 0, 2, 9],
        b"\x08eth0\0\0\0",
        &[0, 0, 5, 220],
    ]
    .concat();
    let expected = InterfaceInfo {
        role: InterfaceRole::Incoming,
        ifindex: Some(7),
        address: Some(Ipv4Addr::new(192, 0, 2, 9).into()),
        name: Some("eth0".to_owned()),
        mtu: Some(1_500),
    };
    assert_eq!(interface_info(&interface(0x0f, &parts)), [expected]);

    let mut six = vec![0, 2, 0, 0];
    six.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
    let found = interface_info(&interface(0x84, &six));
    assert_eq!(found[0].role, InterfaceRole::Outgoing);
    assert_eq!(found[0].address, "2001:db8::7".parse().ok());
    assert_eq!((found[0].ifindex, found[0].mtu), (None, None));
}

#[test]
fn only_the_first_interface_objects_are_read() {
    let mut bytes = vec![0x20, 0, 0, 0];
    for _ in 0..400 {
        bytes.extend([0, 4, 2, 0]);
    }
    assert_eq!(interface_info(&bytes).len(), MOST_INTERFACES);
}

#[test]
fn parts_that_cannot_be_read_are_absent() {
    let cut = interface_info(&interface(0x0f, &[0, 0, 0, 7, 0, 1, 0]));
    assert_eq!((cut[0].ifindex, cut[0].address), (Some(7), None));
    let odd_family = interface_info(&interface(0x05, &[0, 9, 0, 0, 1, 2, 3, 4]));
    assert_eq!((odd_family[0].address, odd_family[0].mtu), (None, None));
    for name in [&b"\x00"[..], b"\x40abc", b"\x04\xff\xfe\0", b"\x04\0\0\0"] {
        assert_eq!(interface_info(&interface(0x02, name))[0].name, None);
    }
}

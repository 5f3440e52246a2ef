//! Messages made by hand, read; and torn ones.

use super::*;

/// An answer with its header.
fn answer(kind: u16, body: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
    packed(kind, 0, body, attributes)
}

#[test]
fn routes_neighbours_and_refusals_are_read() {
    let mut route = [0; ROUTE];
    (route[0], route[7]) = (libc::AF_INET as u8, libc::RTN_UNICAST);
    let interface = 7_u32.to_ne_bytes();
    let mut bytes = answer(
        libc::RTM_NEWROUTE,
        &route,
        &[
            (libc::RTA_OIF, &interface),
            (libc::RTA_GATEWAY, &[192, 0, 2, 1]),
        ],
    );
    let mut via = (libc::AF_INET6 as u16).to_ne_bytes().to_vec();
    via.extend(Ipv6Addr::LOCALHOST.octets());
    bytes.extend(answer(
        libc::RTM_NEWROUTE,
        &route,
        &[(RTA_VIA, &via), (libc::RTA_OIF, &interface)],
    ));
    bytes.extend(answer(
        libc::RTM_NEWROUTE,
        &route,
        &[(libc::RTA_OIF, &interface)],
    ));
    let ways: Vec<Way> = answers(&bytes).filter_map(|answer| answer.way()).collect();
    let way = |gateway: Option<&str>| Way {
        kind: libc::RTN_UNICAST,
        gateway: gateway.map(|text| text.parse().unwrap()),
        interface: 7,
    };
    assert_eq!(ways, [way(Some("192.0.2.1")), way(Some("::1")), way(None)]);

    let mut neighbour = [0; NEIGHBOUR];
    neighbour[8..10].copy_from_slice(&libc::NUD_INCOMPLETE.to_ne_bytes());
    let bytes = answer(libc::RTM_NEWNEIGH, &neighbour, &[]);
    let states: Vec<_> = answers(&bytes)
        .map(|answer| answer.neighbour_state())
        .collect();
    assert_eq!(states, [Some(libc::NUD_INCOMPLETE)]);

    let bytes = [
        answer(
            libc::RTM_NEWADDR,
            &[0; ADDRESS],
            &[
                (libc::IFA_ADDRESS, &[10, 0, 0, 2]),
                (libc::IFA_LOCAL, &[10, 0, 0, 1]),
            ],
        ),
        answer(
            libc::RTM_NEWADDR,
            &[0; ADDRESS],
            &[(libc::IFA_ADDRESS, &Ipv6Addr::LOCALHOST.octets())],
        ),
    ]
    .concat();
    let ours: Vec<_> = answers(&bytes)
        .map(|answer| answer.own_address().unwrap())
        .map(|(address, interface)| (address.to_string(), interface))
        .collect();
    let on = |address: &str| (address.to_owned(), 0);
    assert_eq!(ours, [on("10.0.0.1"), on("::1")]);

    let bytes = answer(
        libc::NLMSG_ERROR as u16,
        &(-libc::ENOENT).to_ne_bytes(),
        &[],
    );
    let refusals: Vec<_> = answers(&bytes).map(|answer| answer.refusal()).collect();
    assert_eq!(refusals, [Some(libc::ENOENT)]);
}

#[test]
fn a_route_over_two_next_hops_is_told_from_one() {
    for count in 0..4 {
        // With a gateway attribute each.
        let mut hop = vec![0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 5, 0, 10, 9, 1, 2];
        hop[..2].copy_from_slice(&16_u16.to_ne_bytes());
        hop[4..8].copy_from_slice(&2_u32.to_ne_bytes());
        let hops = hop.repeat(count);
        let attributes = [(7, &[1, 2, 3][..]), (libc::RTA_MULTIPATH, &hops)];
        let of = |kind| {
            let bytes = answer(kind, &[0; ROUTE], &attributes);
            let found: Vec<u32> = answers(&bytes)
                .flat_map(|answer| answer.several_next_hops().collect::<Vec<_>>())
                .collect();
            found
        };
        let expected = if count < 2 { 0 } else { count };
        assert_eq!(of(libc::RTM_NEWROUTE), vec![2; expected], "{count} hops");
        assert!(of(libc::RTM_DELROUTE).is_empty(), "{count} hops");
    }
}

#[test]
fn rules_and_routes_for_sources_are_told_from_others() {
    for (kind, length, is_so) in [
        (libc::RTM_NEWRULE, 0, false),
        (libc::RTM_NEWRULE, 32, true),
        (libc::RTM_DELRULE, 32, false),
        (libc::RTM_NEWROUTE, 64, true),
        (libc::RTM_NEWROUTE, 0, false),
    ] {
        let mut body = [0; RULE];
        (body[1], body[2]) = (24, length);
        let bytes = answer(kind, &body, &[]);
        let found: Vec<bool> = answers(&bytes)
            .map(|answer| answer.is_for_sources())
            .collect();
        assert_eq!(found, [is_so], "{kind} {length}");
    }
}

#[test]
fn next_hops_and_their_groups_are_read() {
    let number = |of: u32| of.to_ne_bytes();
    let one = answer(
        RTM_NEWNEXTHOP,
        &[0; NEXT_HOP_OBJECT],
        &[(NHA_ID, &number(1)), (NHA_OIF, &number(7))],
    );
    let members = [number(1), [0; 4], number(2), [0; 4]].concat();
    let group = answer(
        RTM_NEWNEXTHOP,
        &[0; NEXT_HOP_OBJECT],
        &[(NHA_ID, &number(3)), (NHA_GROUP, &members)],
    );
    let read = |bytes: &[u8]| answers(bytes).next()?.next_hop_object();
    let expected = |id, interface, members| {
        Some(NextHopObject {
            id,
            interface,
            members,
        })
    };
    assert_eq!(read(&one), expected(1, Some(7), Vec::new()));
    assert_eq!(read(&group), expected(3, None, vec![1, 2]));
    let route = answer(libc::RTM_NEWROUTE, &[0; ROUTE], &[]);
    assert_eq!(read(&route), None);
}

#[test]
fn destinations_of_routes_and_rules_are_read_with_their_ends() {
    let read = |kind, family: i32, length, prefix: [u8; 4]| {
        let mut body = [0; ROUTE];
        (body[0], body[1]) = (family as u8, length);
        let bytes = answer(kind, &body, &[(libc::RTA_DST, &prefix)]);
        answers(&bytes).next().unwrap().destinations_v4()
    };
    let (route, four) = (libc::RTM_NEWROUTE, libc::AF_INET);
    let slash_24 = Some((0xc612_0100, Some(0xc612_0200)));
    assert_eq!(read(route, four, 24, [198, 18, 1, 0]), slash_24);
    assert_eq!(read(libc::RTM_NEWRULE, four, 24, [198, 18, 1, 9]), slash_24);
    let one = Some((0xc612_014d, Some(0xc612_014e)));
    assert_eq!(read(route, four, 32, [198, 18, 1, 77]), one);
    assert_eq!(read(route, four, 1, [128, 0, 0, 0]), Some((1 << 31, None)));
    assert_eq!(read(route, four, 32, [255; 4]), Some((u32::MAX, None)));
    // A default route, another family, one that goes, a length that cannot be.
    assert_eq!(read(route, four, 0, [0; 4]), None);
    assert_eq!(read(route, libc::AF_INET6, 24, [198, 18, 1, 0]), None);
    assert_eq!(read(libc::RTM_DELROUTE, four, 24, [198, 18, 1, 0]), None);
    assert_eq!(read(route, four, 33, [198, 18, 1, 0]), None);
}

#[test]
fn torn_answers_are_no_answers() {
    let whole = answer(libc::RTM_NEWROUTE, &[0; ROUTE], &[(libc::RTA_OIF, &[1; 4])]);
    for length in 0..whole.len() {
        for answer in answers(&whole[..length]) {
            assert_eq!(answer.way(), None, "{length}");
            assert_eq!(answer.several_next_hops().count(), 0, "{length}");
        }
    }
    // A length of 0 must not be read for ever.
    assert_eq!(answers(&[0; 64]).count(), 0);
}

#[test]
fn requests_state_their_length() {
    for bytes in [
        ask_way(Ipv4Addr::LOCALHOST.into(), None, Some(3)),
        ask_way(
            Ipv6Addr::LOCALHOST.into(),
            Some(Ipv6Addr::LOCALHOST.into()),
            None,
        ),
        ask_link_named("eth0"),
        ask_link(1),
        ask_neighbour(Ipv4Addr::LOCALHOST.into(), 2),
        ask_neighbours(true),
        ask_addresses(),
        ask_routes(),
        ask_next_hops(),
        ask_rules(),
        ask_table(false),
    ] {
        let bytes = bytes.bytes;
        assert_eq!(word(&bytes, 0), Some(bytes.len() as u32));
        assert_eq!(bytes.len() % 4, 0);
    }
}

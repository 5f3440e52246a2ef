//! Several servers, and servers that are silent.

use hickory_resolver::proto::op::ResponseCode;

use super::*;

/// Soon over: for servers that never answer.
const IMPATIENT: Duration = Duration::from_millis(50);

#[test]
fn silence_is_told_and_ends_the_asking_for_good() {
    let server = DnsServer::start(|_| Reply::Silence);
    let resolver = DnsResolver::new(&[server.address]).with_patience(IMPATIENT);
    let spec = TargetSpec::default();
    let (set, report, told) = load_with(&spec, &resolver, &numbered_list(1_000)).unwrap();
    assert_eq!((set.len(), report.unresolved), (0, 1_000));
    let silent = |message: &&String| message.contains("no DNS server answered, asked 2 times");
    let spared = |message: &&String| message.contains("not asked, because no server answered");
    let (silent, spared) = (
        told.iter().filter(silent).count(),
        told.iter().filter(spared).count(),
    );
    assert_eq!(silent + spared, 1_000, "{told:#?}");
    // Two rounds of 64, and those that were under way by then.
    assert!(
        (128..192).contains(&silent),
        "{silent} names were waited for"
    );
    let mut asked: Vec<String> = server.asked().into_iter().map(|(name, ..)| name).collect();
    asked.dedup();
    assert_eq!(asked.len(), silent, "the others were not asked for");
    // What follows is not asked for either: the time does not grow with the list.
    let (_, _, told) = load_with(&spec, &resolver, "later.example\n").unwrap();
    assert!(told[0].contains("not asked"), "{told:?}");
    assert!(told[0].contains("--resolver"), "{told:?}");
}

#[test]
fn another_server_is_asked_where_one_is_of_no_use() {
    for code in [ResponseCode::Refused, ResponseCode::ServFail] {
        let first = DnsServer::start(move |_| Reply::Code(code));
        let second = DnsServer::start(numbered);
        let resolver = DnsResolver::new(&[first.address, second.address]).with_patience(PATIENT);
        let spec = TargetSpec::default();
        let (set, report, _) = load_with(&spec, &resolver, &numbered_list(100)).unwrap();
        assert_eq!((set.len(), report.unresolved), (100, 0));
    }
}

#[test]
fn no_such_name_is_an_answer_and_nobody_else_is_asked() {
    let first = DnsServer::start(|_| Reply::Code(ResponseCode::NXDomain));
    let second = DnsServer::start(|name| panic!("{name}"));
    let resolver = DnsResolver::new(&[first.address, second.address]).with_patience(PATIENT);
    let (set, report, _) =
        load_with(&TargetSpec::default(), &resolver, &numbered_list(10)).unwrap();
    assert_eq!((set.len(), report.unresolved), (0, 10));
    assert!(second.asked().is_empty());
}

#[test]
fn a_dead_server_costs_the_first_questions_their_time_and_no_others() {
    let first = DnsServer::start(|_| Reply::Silence);
    let second = DnsServer::start(numbered);
    // The second answers well within what the first is waited for.
    let resolver = DnsResolver::new(&[first.address, second.address]);
    let (set, report, told) =
        load_with(&TargetSpec::default(), &resolver, &numbered_list(300)).unwrap();
    assert_eq!((set.len(), report.unresolved), (300, 0), "{told:#?}");
    let mut asked: Vec<String> = first.asked().into_iter().map(|(name, ..)| name).collect();
    asked.dedup();
    assert_eq!(asked.len(), 64, "{asked:?}");
}

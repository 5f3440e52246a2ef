//! Files that are wrong.

use super::*;

#[test]
fn errors_name_the_line_and_the_remedy() {
    let router = "[[router]]\nname = \"a\"\naddress = \"10.0.0.1\"\n";
    let target = "[[target]]\nprefix = \"198.18.0.0/24\"\nat = \"a\"\n";
    for (text, expected) in [
        (
            format!("{router}next = [\"b\"]"),
            "t.toml:4: there is no router `b`; name one of a",
        ),
        (
            format!("{router}color = 3"),
            "t.toml:4: unknown field `color`",
        ),
        (
            format!("{router}{router}"),
            "t.toml:5: the name `a` is taken; give each router a name of its own",
        ),
        (
            format!("{router}line = {{ loss = 2.0 }}"),
            "t.toml:4: loss = 2 is no share; give a number from 0 to 1",
        ),
        (
            format!("{router}{target}{target}"),
            "t.toml:8: router `a` has two ways to 198.18.0.0/24",
        ),
        ("seed = 3".to_owned(), "t.toml:1: the network has no router"),
        (
            "[generated]\nloss = 3.0".to_owned(),
            "t.toml:1: loss = 3 is no share",
        ),
        (
            format!("{router}[[target]]\nprefix = \"10.0.0.0/24\"\nat = \"a\""),
            "t.toml:3: 10.0.0.1 lies among the targets",
        ),
        (
            format!("{router}[[target]]\nprefix = \"198.18.0.1/24\"\nat = \"a\""),
            "t.toml:5: `198.18.0.1/24` has bits set behind its length; write 198.18.0.0/24",
        ),
        (
            "[[router]]\nname = \"a\"".to_owned(),
            "t.toml:2: router `a` has no address; give it an address, an address6, or both",
        ),
        (
            format!("{router}address6 = \"10.0.0.1\""),
            "t.toml:4: `10.0.0.1` is no IPv6 address; write a plain IPv6 address",
        ),
        (
            format!("{router}address6 = \"fe80::1\""),
            "t.toml:4: no machine can have the address fe80::1",
        ),
        (
            format!("{router}address6 = \"2001:db8::1\""),
            "t.toml:4: 2001:db8::1 is the vantage point's address",
        ),
        (
            format!("{router}line = {{ mtu = 1279 }}"),
            "t.toml:4: mtu = 1279 is too small for IPv6",
        ),
        (
            format!("{router}rewrite = {{ from = \"198.18.0.0/24\", to = \"2001:d00::/24\" }}"),
            "t.toml:4: 198.18.0.0/24 and",
        ),
        (
            format!("{router}{target}tcp = \"open\""),
            "t.toml:7: unknown variant `open`",
        ),
        (
            "[generated]\nfiltered_targets = 0.7\nprohibited_targets = 0.4".to_owned(),
            "t.toml:1: filtered_targets + prohibited_targets = 1.1 is no share",
        ),
        (
            format!("{router}rate_limit = {{ per_second = 0.0, burst = 1 }}"),
            "t.toml:4: a limit of 0 a second",
        ),
    ] {
        let error = LabNetwork::from_toml(&text, "t.toml")
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}\n{text}");
    }
    let missing = LabNetwork::from_file(Path::new("no/such.toml"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.starts_with("cannot read the network `no/such.toml`"),
        "{missing}"
    );
}

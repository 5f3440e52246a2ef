//! Files with errors.

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
            format!("{router}quote_bytes = 7"),
            "t.toml:4: routers quote at least 8 bytes behind the IP header (RFC 792); give 8 or more",
        ),
        (
            format!("{router}quote_bytes = \"most\""),
            "t.toml:4: invalid value: string \"most\", expected a number of bytes from 8 to 65535, or \"all\"",
        ),
        (
            format!("{router}quote_bytes = 70000"),
            "t.toml:4: invalid value: integer `70000`, expected a number of bytes",
        ),
        (
            format!("{router}quote_length = \"lost\""),
            "t.toml:4: unknown variant `lost`, expected one of `kept`, `zeroed`, `swapped`",
        ),
        (
            format!("{router}extensions = \"no\""),
            "t.toml:4: unknown variant `no`, expected one of `compliant`, `legacy`, `in_bytes`",
        ),
        (
            format!(
                "{router}interfaces = [{{ role = \"incoming\" }},\n{{ role = \"sub_ip\", name = \"\" }}]"
            ),
            "t.toml:5: an interface's name is too long or empty; give 1 to 63 bytes",
        ),
        (
            format!("{router}interfaces = [{{ name = \"eth0\" }}]"),
            "t.toml:4: missing field `role`",
        ),
        (
            format!("{router}nat = {{ restore = \"full\" }}"),
            "t.toml:4: a NAT has a public address; give it public, public6, or both",
        ),
        (
            format!("{router}nat = {{ public6 = \"2001:db8:f::1\", restore = \"full\" }}"),
            "t.toml:4: the network has no IPv6 to translate; leave public6 out",
        ),
        (
            format!("{router}rewrite = {{ restore = \"full\" }}"),
            "t.toml:4: the box rewrites nothing; give it from and to, destination_port",
        ),
        (
            format!("{router}rewrite = {{ to = \"198.18.0.0/24\" }}"),
            "t.toml:4: nothing says which destinations are rewritten; give from = PREFIX",
        ),
        (
            format!("{router}rewrite = {{ ip_id = \"kept\" }}"),
            "t.toml:4: unknown variant `kept`, expected `hashed` or `zeroed`",
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

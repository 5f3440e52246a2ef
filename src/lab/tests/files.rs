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

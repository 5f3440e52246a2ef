//! The graph of one target: as DOT, GraphML and SVG, and which of several runs it comes from.

use super::*;

#[test]
fn the_graph_of_a_target_has_the_nodes_and_links_of_its_tables() {
    let (_place, root) = dataset(&MULTIPATH);
    let graphs = rows(&root, "graphs");
    let graph = &graphs[5];
    let target = graph["destination"].as_str().expect("an address");
    let of_target = |table: &str| {
        let rows = rows(&root, table).into_iter();
        rows.filter(|row| row["destination"] == target)
            .collect::<Vec<_>>()
    };
    let name =
        |row: &Value, ttl: u64, address: &str| format!("{ttl}-{}", row[address].as_str().unwrap());
    let (node_rows, link_rows) = (of_target("nodes"), of_target("links"));
    let nodes: BTreeSet<String> = { node_rows.iter() }
        .map(|row| name(row, number(row, "ttl"), "address"))
        .collect();
    let links: BTreeSet<String> = { link_rows.iter() }
        .map(|row| {
            let ttl = number(row, "ttl");
            let (near, far) = (name(row, ttl, "near"), name(row, ttl + 1, "far"));
            format!("source=\"{near}\" target=\"{far}\"")
        })
        .collect();
    assert_eq!(nodes.len() as u64, number(graph, "nodes"));
    assert_eq!(links.len() as u64, number(graph, "links"));

    let graphml = ecmp(&[&root, "--graphml", target]);
    assert_eq!(between(&graphml, "<node id=\"", "\""), nodes);
    assert_eq!(between(&graphml, "<edge ", ">"), links);
    let dot = ecmp(&[&root, "--dot", target]);
    let named: BTreeSet<String> = { nodes.iter() }
        .map(|node| node.replacen('-', " ", 1))
        .collect();
    assert_eq!(between(&dot, "    \"", "\" [label="), named);
    assert_eq!(dot.matches(" -> ").count(), links.len());
    let svg = ecmp(&[&root, "--svg", target]);
    let titles = between(&svg, "<g><title>", ":");
    let named: BTreeSet<String> = { nodes.iter() }
        .filter_map(|node| node.split_once('-'))
        .map(|(ttl, address)| format!("{address} at TTL {ttl}"))
        .collect();
    assert_eq!(titles, named);
    assert_eq!(svg.matches("<path class=\"link\"").count(), links.len());
    assert_eq!(
        svg.matches("class=\"of-diamond\"").count(),
        of_target("diamonds").len()
    );
    assert!(svg.contains("at most 0.05"), "{svg}");
}

#[test]
fn the_newest_run_of_several_is_drawn_and_a_note_says_so() {
    let place = Place::new();
    let root = place.text("out");
    surveyed(
        &root,
        &[&["-e", "7", "--vantage", "<a&\"b>"][..], &MULTIPATH].concat(),
    );
    surveyed(
        &root,
        &[&["-e", "8", "--vantage", "second"][..], &MULTIPATH].concat(),
    );
    surveyed(
        &root,
        &[&["-e", "9", "--vantage", "third"][..], &FLOWS].concat(),
    );

    let output = run(&["ecmp", &root, "--json"]);
    check(
        &output,
        0,
        &["1 run of trace with several flows left out", "--run "],
    );
    let found: Value = serde_json::from_str(&text(&output.stdout)).expect("JSON");
    // The targets of both runs are the same addresses.
    assert_eq!(
        (number(&found, "graphs"), number(&found, "targets")),
        (16, 8)
    );
    let runs = found["runs"].as_array().expect("runs");
    let ids: Vec<&str> = runs
        .iter()
        .map(|run| run["run_id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 2);
    let left_out = found["left_out"][0].as_str().expect("an id");
    assert_eq!(json(&[&root, "--run", left_out])["source"], "flows");
    assert_eq!(number(&json(&[&root, "--vantage", "second"]), "graphs"), 8);
    assert_eq!(
        number(
            &json(&[&root, "--date", "2026-01-01", "--run", ids[0]]),
            "graphs"
        ),
        8
    );

    let targets = csv_rows(&ecmp(&[&root, "--csv=targets", "--run", ids[0]]));
    let target = &targets[0]["destination"];
    let newest = run(&["ecmp", &root, "--graphml", target]);
    check(
        &newest,
        0,
        &["newest run", ids[1], &format!("--run {}", ids[0])],
    );
    let newest = text(&newest.stdout);
    assert!(newest.contains(&format!("<data key=\"graph-run_id\">{}</data>", ids[1])));
    // The name of a vantage point is no markup.
    let by_name = |option: &str| ecmp(&[&root, option, target, "--vantage", "<a&\"b>"]);
    assert!(
        by_name("--graphml").contains("<data key=\"graph-vantage\">&lt;a&amp;&quot;b&gt;</data>")
    );
    assert!(by_name("--svg").contains("from &lt;a&amp;&quot;b&gt;, "));
    assert!(by_name("--dot").contains("vantage=\"<a&amp;\\\"b>\""));
}

#[test]
fn a_target_is_named_by_its_address_or_its_text_in_the_list() {
    let place = Place::new();
    let root = place.text("out");
    let lab = [
        "--lab=labs/dual-stack.toml",
        "--virtual-time",
        "--quiet",
        "-e",
        "7",
    ];
    let targets = ["198.18.0.7", "2001:db8:1000::7", "-o", &root];
    check(
        &run(&[&["survey"][..], &lab, &MULTIPATH, &targets].concat()),
        0,
        &[],
    );
    let plain = ecmp(&[&root, "--dot", "2001:db8:1000::7"]);
    assert!(
        plain.starts_with("digraph \"2001:db8:1000::7\" {"),
        "{plain}"
    );
    assert_eq!(ecmp(&[&root, "--dot", "2001:DB8:1000:0::7"]), plain);
    assert_eq!(
        ecmp(&[&root, "--dot", "::ffff:198.18.0.7"]),
        ecmp(&[&root, "--dot", "198.18.0.7"])
    );
}

/// A survey that is stopped before it has finished many targets.
fn cut_short(root: &str, options: &[&str]) {
    let lab = ["--lab=labs/generated-clean.toml", "-r", "4", "-c", "0"];
    let stopped = ["--max-duration", "1", "-e", "8", TARGETS, "-o", root];
    let survey = ["survey", "--virtual-time", "--quiet"];
    check(
        &run(&[&survey[..], &lab, &stopped, options].concat()),
        5,
        &[],
    );
}

#[test]
fn a_run_that_finished_no_target_hides_no_other() {
    let (_place, root) = dataset(&FLOWS);
    let whole = json(&[&root]);
    cut_short(&root, &[&["--vantage", "second"][..], &MULTIPATH].concat());
    let found = json(&[&root]);
    assert_eq!(found["source"], "flows");
    assert_eq!(found["graphs"], whole["graphs"]);
}

#[test]
fn traces_that_were_cut_hide_no_older_graph() {
    let (_place, root) = dataset(&FLOWS);
    cut_short(&root, &[&["--vantage", "second"][..], &FLOWS].concat());
    let reasons = |row: &Value| row["stop_reason"] == "interrupted";
    let traces = rows(&root, "traces");
    let cut: BTreeSet<&str> = { traces.iter() }
        .filter(|row| reasons(row))
        .map(|row| row["destination"].as_str().expect("an address"))
        .collect();
    assert!(!cut.is_empty(), "a target was under way");
    for target in cut {
        let output = run(&["ecmp", &root, "--graphml", target]);
        check(&output, 0, &[]);
    }
}

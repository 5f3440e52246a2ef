//! The rules of the layout, checked on the text of the sources: which module may import which, how long a file may be, and
//! which modules may allow what a lint denies.
//!
//! Clippy finds clocks, sockets, `unsafe` and long functions themselves: see `[lints]` in Cargo.toml, and clippy.toml.
//!
//! What is understood: `crate::x`, `pathsurvey::x`, groups such as `crate::{x, y}` over any number of lines, and chains of
//! `super` that lead to the crate's root. Comments and the insides of string literals do not count.

use std::fmt;
use std::fs;
use std::path::Path;

/// The longest that a source file may be, in lines.
const LONGEST: usize = 450;

/// Which modules of the crate each may import, besides itself. Imports run downward: cli → survey, analyze, interop, lab →
/// engine, dataset, targets, enrich → strategy, wire, transport → model.
const MAY_IMPORT: [(&str, &[&str]); 15] = [
    ("model", &[]),
    ("strategy", &["model"]),
    ("wire", &["model"]),
    ("transport", &["model"]),
    ("targets", &["model"]),
    ("dataset", &["model"]),
    ("enrich", &["model"]),
    ("engine", &["model", "strategy", "wire", "transport"]),
    ("lab", &["model", "wire", "transport"]),
    ("config", &["model", "targets", "transport"]),
    ("analyze", &["model", "dataset"]),
    ("interop", &["model", "dataset"]),
    (
        // The composition root: it joins everything but the command line.
        "survey",
        &[
            "model",
            "strategy",
            "wire",
            "transport",
            "targets",
            "dataset",
            "enrich",
            "engine",
            "lab",
            "config",
        ],
    ),
    (
        "cli",
        &[
            "model", "targets", "dataset", "engine", "lab", "config", "survey", "analyze",
            "interop",
        ],
    ),
    // main.rs and lib.rs.
    ("", &["cli"]),
];

/// The lints that only some files may allow, each with the ends of those files' paths.
const MAY_ALLOW: [(&str, &[&str]); 2] = [
    ("unsafe_code", &["/sys.rs"]),
    (
        "disallowed_methods",
        &[
            "src/engine/clock.rs",
            "src/lab/driver/mod.rs",
            "src/transport/mod.rs",
        ],
    ),
];

/// A rule that is broken, and where.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    file: String,
    line: usize,
    what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

#[test]
fn the_sources_keep_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    assert!(files.len() > 80, "only {} sources found", files.len());
    let broken: Vec<String> = files
        .iter()
        .flat_map(|path| {
            let text = fs::read_to_string(path).expect("a source");
            let file = path.strip_prefix(root).expect("below the root");
            check(&file.to_string_lossy().replace('\\', "/"), &text)
        })
        .map(|violation| violation.to_string())
        .collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

/// The README leads a newcomer from a target line to its packet, and from a packet to its row.
#[test]
fn the_walk_in_the_readme_leads_through_files_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("a README");
    for title in [
        "From a target line to its packet:",
        "From a packet to its row:",
    ] {
        let (_, walk) = readme.split_once(title).expect(title);
        let files: Vec<&str> = walk
            .lines()
            .skip_while(|line| !line.starts_with('|'))
            .take_while(|line| line.starts_with('|'))
            .filter_map(|line| line.split('`').nth(1))
            .collect();
        assert!((8..=12).contains(&files.len()), "{title} {files:?}");
        for file in files {
            assert!(root.join(file).is_file(), "{title} {file} does not exist");
        }
    }
}

fn collect(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            files.push(path);
        }
    }
}

/// Every rule that a source breaks. `file` is relative to the crate's root, with `/`.
fn check(file: &str, text: &str) -> Vec<Violation> {
    let code = code_of(text);
    let mut broken = Vec::new();
    let mut tell = |line: usize, what: String| {
        broken.push(Violation {
            file: file.to_owned(),
            line,
            what,
        });
    };
    let length = text.lines().count();
    if length > LONGEST {
        tell(
            LONGEST + 1,
            format!("{length} lines, more than {LONGEST}: split the file"),
        );
    }
    check_imports(file, &code, &mut tell);
    for (lint, places) in MAY_ALLOW {
        if places.iter().any(|place| file.ends_with(place)) {
            continue;
        }
        for (at, _) in words(&code, lint) {
            tell(
                line_of(&code, at),
                format!(
                    "the lint `{lint}` may be allowed in {} alone",
                    places.join(", ")
                ),
            );
        }
    }
    broken
}

fn check_imports(file: &str, code: &str, tell: &mut dyn FnMut(usize, String)) {
    let path = module_path(file);
    let module = path.first().copied().unwrap_or_default();
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == module) else {
        tell(
            1,
            format!(
                "module `{module}` has no place in the layout: give it one in {}",
                file!()
            ),
        );
        return;
    };
    for (line, imported) in imports(code, path.len()) {
        let is_module = MAY_IMPORT.iter().any(|(name, _)| *name == imported);
        if is_module && imported != module && !allowed.contains(&imported.as_str()) {
            tell(line, format!("`{module}` may not import `{imported}`"));
        }
    }
}

/// The modules that lead to a file: `src/engine/live/mod.rs` is `engine`, `live`; the crate's roots are nothing.
fn module_path(file: &str) -> Vec<&str> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut modules: Vec<&str> = path.split('/').collect();
    if matches!(modules.last(), Some(&("mod" | "lib" | "main"))) {
        modules.pop();
    }
    modules
}

/// What is imported from the crate's root: line and name. `depth` is how many modules lead to the file.
fn imports(code: &str, depth: usize) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (root, supers) in [("crate", 0), ("pathsurvey", 0), ("super", 1)] {
        for (at, _) in words(code, root) {
            let mut rest = &code[at + root.len()..];
            let is_first = !code[..at].trim_end().ends_with("::");
            let mut climbed = supers;
            while let Some(further) = strip_path(rest, "super") {
                rest = further;
                climbed += 1;
            }
            let inline = inline_modules(&code[..at]);
            let is_root = supers == 0 || climbed == depth + inline;
            if let (true, true, Some(names)) =
                (is_first, is_root, rest.trim_start().strip_prefix("::"))
            {
                let line = line_of(code, at);
                found.extend(first_names(names).into_iter().map(|name| (line, name)));
            }
        }
    }
    found
}

/// Takes `:: word` off the front.
fn strip_path<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text
        .trim_start()
        .strip_prefix("::")?
        .trim_start()
        .strip_prefix(word)?;
    (!rest.starts_with(is_word)).then_some(rest)
}

/// The first name of each path: of `a::b` only `a`, of `{a::{b, c}, d}` both `a` and `d`.
fn first_names(text: &str) -> Vec<String> {
    let text = text.trim_start();
    let Some(group) = text.strip_prefix('{') else {
        return vec![text.chars().take_while(|c| is_word(*c)).collect()];
    };
    let mut depth = 0;
    let mut names = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(String::new()),
            _ => {}
        }
        if depth == 0 && !matches!(c, ',' | '}') {
            names.last_mut().expect("one at least").push(c);
        }
    }
    let first = |name: String| {
        name.trim()
            .chars()
            .take_while(|c| is_word(*c))
            .collect::<String>()
    };
    names
        .into_iter()
        .map(first)
        .filter(|name| !name.is_empty())
        .collect()
}

/// How many `mod x { … }` are open at the end of `code`, which is laid out by rustfmt.
fn inline_modules(code: &str) -> usize {
    let mut open: Vec<usize> = Vec::new();
    for line in code.lines() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim();
        let is_module = words.ends_with('{') && words.split_whitespace().any(|word| word == "mod");
        if is_module {
            open.push(indent);
        } else if words == "}" && open.last() == Some(&indent) {
            open.pop();
        }
    }
    open.len()
}

/// The text with comments, string and character literals blanked out; lines stay where they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let before = code.chars().next_back();
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !before.is_some_and(is_word)) {
            length
        } else if c == '"' {
            string(rest)
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.extend(
                rest[..skipped]
                    .chars()
                    .map(|c| if c == '\n' { c } else { ' ' }),
            );
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of the raw string that `text` begins with.
fn raw_string(text: &str) -> Option<usize> {
    let body = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = body.len() - body.trim_start_matches('#').len();
    let inside = body[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let length = inside.find(&end)? + end.len();
    Some(text.len() - inside.len() + length)
}

/// The length of the string that `text` begins with.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            _ => escaped = c == '\\' && !escaped,
        }
    }
    text.len()
}

/// The length of the character literal that `text` begins with; 0 where it is a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => text[3..].find('\'').map_or(0, |end| end + 4),
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where `word` stands as a word of its own: byte offset.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
    code.match_indices(word).filter(move |(at, _)| {
        let before = code[..*at].chars().next_back();
        let behind = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !behind.is_some_and(is_word)
    })
}

fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

/// The lines that break a rule, for a source in `file`.
fn broken(file: &str, text: &str) -> Vec<usize> {
    check(file, text)
        .iter()
        .map(|violation| violation.line)
        .collect()
}

#[test]
fn an_import_upward_is_found_however_it_is_written() {
    let upward = [
        "use crate::engine::ledger::Ledger;",
        "use crate::{model::Time, engine::{self, clock}};",
        "use crate::{\n    model::Time,\n    engine::clock,\n};",
        "fn f() -> crate::engine::clock::Clock { todo!() }",
        "use super::super::engine::clock;",
        "use super :: super :: { model , engine };",
        "mod tests {\n    use super::super::super::engine::clock;\n}",
        "pub use crate::engine;",
    ];
    for text in upward {
        let found = check("src/strategy/sweep.rs", text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert_eq!(found[0].what, "`strategy` may not import `engine`");
    }
    let shown = check("src/wire/udp.rs", "\n\nuse crate::transport::raw;")[0].to_string();
    assert_eq!(
        shown,
        "src/wire/udp.rs:3: `wire` may not import `transport`"
    );
}

#[test]
fn imports_downward_and_within_a_module_are_allowed() {
    let fine = [
        "use crate::model::Time;",
        "use crate::strategy::Permutation;",
        "use super::engine::of_our_own;",
        "mod tests {\n    use super::super::engine_room;\n    use super::super::Poll;\n}",
        "// use crate::engine::clock;",
        "/* use crate::engine::clock; */",
        "/// See [`crate::engine`].",
        "const TEXT: &str = \"crate::engine::clock \\\" crate::engine\";",
        "const TEXT: &str = r#\"crate::engine \" crate::engine\"#;",
        "const QUOTE: char = '\"'; // crate::engine \"",
        "use other::crate::engine;",
        "mod tests {\n    fn f() {}\n}\nuse super::super::model::Time;",
    ];
    for text in fine {
        assert_eq!(check("src/strategy/sweep.rs", text), [], "{text}");
    }
}

#[test]
fn dataset_and_engine_do_not_import_each_other_and_nothing_imports_the_command_line() {
    for (file, module) in [
        ("src/dataset/writer.rs", "engine"),
        ("src/engine/sink.rs", "dataset"),
        ("src/engine/live/sender.rs", "lab"),
        ("src/transport/raw/mod.rs", "engine"),
        ("src/analyze/diff.rs", "engine"),
        ("src/survey/mod.rs", "cli"),
    ] {
        assert_eq!(
            broken(file, &format!("use crate::{module}::x;")),
            [1],
            "{file}"
        );
    }
    assert_eq!(broken("src/cli/lab.rs", "use pathsurvey::wire::udp;"), [1]);
    assert_eq!(broken("src/cli/lab.rs", "use pathsurvey::survey::run;"), []);
    assert_eq!(
        broken("src/novelty/mod.rs", ""),
        [1],
        "a module without a place"
    );
}

#[test]
fn lints_are_allowed_in_their_places_alone() {
    let clock = "#![expect(clippy::disallowed_methods, reason = \"x\")]";
    for (file, lines) in [
        ("src/engine/clock.rs", &[][..]),
        ("src/transport/mod.rs", &[]),
        ("src/lab/driver/mod.rs", &[]),
        ("src/transport/loopback.rs", &[1]),
        ("src/lab/network/mod.rs", &[1]),
    ] {
        assert_eq!(broken(file, clock), lines, "{file}");
    }
    let system_call = "\n#![allow(unsafe_code)]";
    assert_eq!(broken("src/transport/raw/sys.rs", system_call), []);
    assert_eq!(broken("src/transport/raw/mod.rs", system_call), [2]);
    assert_eq!(broken("src/lib.rs", "// unsafe_code"), []);
}

/// The variants of the transport. Only `transport::open` and a variant's own folder may name it.
const VARIANTS: [&str; 2] = ["raw", "dgram"];

#[test]
fn only_the_place_that_opens_transports_names_their_variants() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    for path in files {
        let file = path.strip_prefix(root).expect("below the root");
        let file = file.to_string_lossy().replace('\\', "/");
        let code = code_of(&fs::read_to_string(&path).expect("a source"));
        for variant in VARIANTS {
            let chooses = matches!(&*file, "src/transport/mod.rs" | "src/transport/open.rs");
            if chooses || file.starts_with(&format!("src/transport/{variant}/")) {
                continue;
            }
            for parent in ["transport", "super"] {
                let named = format!("{parent}::{variant}::");
                assert!(!code.contains(&named), "{file} names {named}");
            }
        }
    }
}

#[test]
fn long_files_are_found() {
    let lines = |count| "\n".repeat(count);
    assert_eq!(broken("src/model/time.rs", &lines(LONGEST)), []);
    assert_eq!(
        broken("src/model/time.rs", &lines(LONGEST + 1)),
        [LONGEST + 1]
    );
}

//! The rules of the layout, checked on the text of the sources. They say which module may import which, how long a file may be,
//! and which files may allow what a lint denies.
//!
//! Clippy finds clocks, sockets, `unsafe` and long functions: see `[lints]` in Cargo.toml, and clippy.toml.
//!
//! | file | holds |
//! |---|---|
//! | `main` | the rules, and their tests |
//! | `source` | reading of source text |
//! | `imports` | the imports in it |
//! | `readme` | the walk in the README |

mod imports;
mod readme;
mod source;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use imports::{imports, module_path};
use source::{code_of, line_of, words};

/// The most lines of a source file.
const LONGEST: usize = 450;

/// The modules of the crate, and which others each may import. Imports run downward: cli → survey, analyze, interop, care, lab →
/// engine, dataset, targets, enrich → paths, strategy, wire, transport → model.
const MAY_IMPORT: [(&str, &[&str]); 17] = [
    ("model", &[]),
    ("strategy", &["model"]),
    ("wire", &["model"]),
    ("transport", &["model"]),
    ("targets", &["model"]),
    // Its anomalies compare checksums.
    ("paths", &["model", "wire"]),
    ("dataset", &["model", "paths"]),
    ("enrich", &["model"]),
    (
        "engine",
        &["model", "paths", "strategy", "wire", "transport"],
    ),
    ("lab", &["model", "wire", "transport"]),
    ("config", &["model", "targets", "transport"]),
    ("analyze", &["model", "dataset"]),
    ("interop", &["model", "dataset"]),
    ("care", &["model", "dataset"]),
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
            "interop", "care",
        ],
    ),
    // main.rs and lib.rs.
    ("", &["cli"]),
];

/// The lints that only some files may allow, with the ends of the paths of those files.
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

/// A broken rule, with its place.
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

/// Adds the sources below `directory` to `files`.
fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|suffix| suffix == "rs") {
            files.push(path);
        }
    }
}

/// Returns the violations in a source. `file` is relative to the crate's root, with `/`.
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

/// Reports every import that the layout does not allow.
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

/// Returns the lines of a source that break a rule.
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

//! Finds the imports in source text.
//!
//! It understands `crate::x`, `pathsurvey::x`, groups such as `crate::{x, y}` over any number of lines, and chains of `super` that
//! lead to the crate's root. The text must be without comments and string literals: see [`code_of`](crate::source::code_of).

use crate::source::{is_word, line_of, words};

/// Returns the path of the module in a file. `src/engine/live/mod.rs` gives `engine`, `live`. The crate's roots give an empty path.
pub fn module_path(file: &str) -> Vec<&str> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    let mut modules: Vec<&str> = path.split('/').collect();
    if matches!(modules.last(), Some(&("mod" | "lib" | "main"))) {
        modules.pop();
    }
    modules
}

/// Returns what the code imports from the crate's root: line and name. `depth` is the length of the file's module path.
pub fn imports(code: &str, depth: usize) -> Vec<(usize, String)> {
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

/// Returns the text after `:: word`. `None` if it does not start so.
fn strip_path<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text
        .trim_start()
        .strip_prefix("::")?
        .trim_start()
        .strip_prefix(word)?;
    (!rest.starts_with(is_word)).then_some(rest)
}

/// Returns the first name of each path. `a::b` gives `a`; `{a::{b, c}, d}` gives `a` and `d`.
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
            names.last_mut().expect("at least one").push(c);
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

/// Returns the number of `mod x { … }` that are open at the end of `code`. The layout is that of rustfmt.
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

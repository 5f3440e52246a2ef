//! The walk in the README: from a target line to its packet, and from a packet to its row.

use std::fs;
use std::path::Path;

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

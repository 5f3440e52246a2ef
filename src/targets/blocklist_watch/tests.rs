//! Lists that change in all the ways in which programs change files.

use std::fs::FileTimes;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::model::Blocked;

/// A list in a directory, and a watch that is polled in virtual time.
struct World {
    dir: TempDir,
    watch: BlocklistWatch,
    asked: Arc<AtomicBool>,
    now: Time,
}

impl World {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("block"), text).unwrap();
        World::over(dir, &["block"])
    }

    fn over(dir: TempDir, names: &[&str]) -> Self {
        let paths: Vec<PathBuf> = names.iter().map(|name| dir.path().join(name)).collect();
        let asked = Arc::<AtomicBool>::default();
        let watch = BlocklistWatch::new(&paths, false, asked.clone());
        World {
            dir,
            watch,
            asked,
            now: Time::from_nanos(1_000_000_000),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, text: &str) {
        fs::write(self.at("block"), text).unwrap();
    }

    /// Polls ten times a second for some seconds. Returns the last list in force, and the errors.
    fn after(&mut self, seconds: u64) -> (Option<Arc<Exclusions>>, Vec<String>) {
        let (mut last, mut errors) = (None, Vec::new());
        for _ in 0..seconds * 10 {
            self.now = self.now + Duration::from_millis(100);
            match self.watch.poll(self.now) {
                Some(Ok(list)) => last = Some(list),
                Some(Err(error)) => errors.push(error.to_string()),
                None => {}
            }
        }
        (last, errors)
    }

    /// The list that is in force a second later. No error is reported.
    #[track_caller]
    fn list(&mut self, seconds: u64) -> Arc<Exclusions> {
        let (list, errors) = self.after(seconds);
        assert!(errors.is_empty(), "{errors:?}");
        list.expect("a new list")
    }

    #[track_caller]
    fn nothing(&mut self, seconds: u64) {
        let (list, errors) = self.after(seconds);
        assert!(errors.is_empty() && list.is_none(), "{list:?} {errors:?}");
    }

    /// The only error within ten seconds. No list is reported.
    #[track_caller]
    fn error(&mut self) -> String {
        let (list, errors) = self.after(10);
        assert!(list.is_none() && errors.len() == 1, "{errors:?}");
        errors.into_iter().next().unwrap()
    }
}

#[track_caller]
fn check(list: &Exclusions, blocked: &[&str], free: &[&str]) {
    let is_blocked = |text: &&str| list.is_blocked(text.parse().unwrap());
    for text in blocked {
        assert!(is_blocked(text), "{text} is free");
    }
    for text in free {
        assert!(!is_blocked(text), "{text} is blocked");
    }
}

#[test]
fn a_new_entry_is_in_force_within_a_second() {
    let mut world = World::new("9.0.0.1\n");
    world.nothing(3);
    world.write("9.0.0.1\n9.0.1.0/24\n2a00::/32\n");
    let list = world.list(1);
    check(&list, &["9.0.0.1", "9.0.1.77", "2a00::5"], &["9.0.2.1"]);
    check(&list, &["10.0.0.1", "224.0.0.1"], &[]);
    world.nothing(20);
}

#[test]
fn an_entry_that_is_gone_stays_in_force_until_the_list_has_settled() {
    let mut world = World::new("9.0.0.1\n");
    world.write("9.0.0.2\n9.0.0.3\n");
    check(&world.list(1), &["9.0.0.2", "9.0.0.3"], &[]);
    world.write("9.0.0.4\n");
    check(&world.list(2), &["9.0.0.2", "9.0.0.3", "9.0.0.4"], &[]);
    check(&world.list(10), &["9.0.0.4"], &["9.0.0.2", "9.0.0.3"]);
    world.nothing(20);
}

#[test]
fn a_list_that_is_being_written_unblocks_nothing_and_its_open_line_does_not_count() {
    let mut world = World::new("# none\n");
    world.write("9.0.0.1\n9.0.0.2\n");
    check(&world.list(10), &["9.0.0.1", "9.0.0.2"], &[]);
    let mut file = File::create(world.at("block")).unwrap();
    world.nothing(2);
    file.write_all(b"9.0.0.1\n64.1.0.0/1").unwrap();
    world.nothing(2);
    file.write_all(b"6\n9.0.0").unwrap();
    check(&world.list(2), &["64.1.2.3", "9.0.0.2"], &["64.2.0.1"]);
    file.write_all(b".7").unwrap();
    check(&world.list(10), &["9.0.0.1", "9.0.0.7"], &["9.0.0.2"]);
}

#[test]
fn an_editor_that_renames_and_a_link_that_switches_are_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // As kubelet lays out a config map: block -> ..data/block, ..data -> ..1
    for (version, entry) in [("..1", "9.0.0.1\n"), ("..2", "9.0.0.2\n")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("block"), entry).unwrap();
    }
    // All times are equal, as on some volumes.
    let times = FileTimes::new().set_modified(std::time::UNIX_EPOCH + EVERY * 1_700_000_000);
    for version in ["..1", "..2"] {
        let file = File::options().append(true).open(at(version).join("block"));
        file.unwrap().set_times(times).unwrap();
    }
    symlink("..1", at("..data")).unwrap();
    symlink("..data/block", at("block")).unwrap();
    fs::write(at("other"), "9.1.0.1\n").unwrap();
    let mut world = World::over(dir, &["block", "other"]);
    world.nothing(2);
    symlink("..2", world.at("..data_tmp")).unwrap();
    fs::rename(world.at("..data_tmp"), world.at("..data")).unwrap();
    check(&world.list(10), &["9.0.0.2"], &["9.0.0.1"]);
    fs::write(world.at("other.tmp"), "9.1.0.2\n").unwrap();
    fs::rename(world.at("other.tmp"), world.at("other")).unwrap();
    check(&world.list(10), &["9.0.0.2", "9.1.0.2"], &[]);
}

#[test]
fn a_change_with_the_same_size_and_time_of_content_is_noticed() {
    let mut world = World::new("9.0.0.1\n");
    let modified = fs::metadata(world.at("block")).unwrap().modified().unwrap();
    world.write("9.0.0.2\n");
    let file = File::options().append(true).open(world.at("block"));
    let times = FileTimes::new().set_modified(modified);
    file.unwrap().set_times(times).unwrap();
    check(&world.list(1), &["9.0.0.2"], &[]);
}

/// File systems with coarse times show no second change within a second or two.
#[test]
fn a_second_change_that_the_file_system_does_not_show_is_read_when_the_list_settles() {
    let mut world = World::new("9.0.0.1\n");
    world.write("9.0.0.2\n");
    check(&world.list(1), &["9.0.0.2"], &[]);
    world.write("9.0.0.3\n");
    world.watch.lists[0].seen = see(&world.at("block"));
    check(&world.list(10), &["9.0.0.3"], &["9.0.0.2"]);
}

#[test]
fn a_bad_list_keeps_the_old_one_with_one_warning_and_is_read_when_it_changes() {
    let mut world = World::new("9.0.0.1\n");
    world.write("9.0.0.2\n");
    world.list(10);
    world.write("9.0.0.3\nnot an address\n");
    let error = world.error();
    assert!(error.contains("block:2: `not an address`"), "{error}");
    assert!(error.contains("stay in force"), "{error}");
    world.nothing(30);
    world.write("9.0.0.3\nstill not\n");
    assert!(world.error().contains("still not"));
    world.write("9.0.0.3\n");
    check(&world.list(10), &["9.0.0.3"], &["9.0.0.2"]);
}

#[test]
fn a_list_of_0_bytes_keeps_the_old_one_and_a_comment_line_empties_it() {
    let mut world = World::new("9.0.0.1\n");
    world.write("9.0.0.2\n");
    world.list(10);
    world.write("");
    let error = world.error();
    assert!(
        error.contains("is empty") && error.contains("comment line"),
        "{error}"
    );
    world.write("# nobody\n");
    check(&world.list(10), &["10.0.0.1"], &["9.0.0.2"]);
    let mut empty = World::new("");
    fs::write(empty.at("block"), "").unwrap();
    empty.nothing(10);
    empty.write("9.0.0.5\n");
    check(&empty.list(1), &["9.0.0.5"], &[]);
}

#[test]
fn a_list_that_is_missing_for_a_moment_is_no_error() {
    let mut world = World::new("9.0.0.1\n");
    fs::remove_file(world.at("block")).unwrap();
    world.nothing(3);
    world.write("9.0.0.2\n");
    check(&world.list(1), &["9.0.0.2"], &[]);
    fs::remove_file(world.at("block")).unwrap();
    let error = world.error();
    assert!(
        error.contains("cannot be opened") && error.contains("put the file back"),
        "{error}"
    );
    world.nothing(30);
    world.write("9.0.0.4\n");
    check(&world.list(10), &["9.0.0.4"], &["9.0.0.2"]);
}

#[test]
fn a_list_that_changes_all_the_time_is_reported_once_and_its_entries_count() {
    let mut world = World::new("9.0.0.1\n");
    let mut errors = Vec::new();
    for at in 0..60 {
        world.write(&format!("9.0.0.2\nbad {at}\n"));
        errors.extend(world.after(1).1);
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
    let mut grows = World::new("9.0.0.1\n");
    let mut text = String::new();
    for at in 0..20 {
        text = format!("{text}9.7.0.{at}\n");
        grows.write(&text);
        check(&grows.list(1), &["9.7.0.0", &format!("9.7.0.{at}")], &[]);
    }
}

#[test]
fn a_compressed_list_that_is_cut_off_keeps_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("block.zst");
    let text: String = (0..5_000)
        .map(|at| format!("9.{}.{}.0/24\n", at / 256, at % 256))
        .collect();
    let whole = zstd::encode_all(text.as_bytes(), 3).unwrap();
    fs::write(&path, zstd::encode_all(&b"8.8.8.8\n"[..], 3).unwrap()).unwrap();
    let mut world = World::over(dir, &["block.zst"]);
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = world.error();
    assert!(
        error.contains("block.zst") && error.contains("stay in force"),
        "{error}"
    );
    fs::write(&path, &whole).unwrap();
    check(&world.list(1), &["9.0.0.1", "9.19.135.1"], &["9.19.136.1"]);
}

#[test]
fn when_asked_all_lists_are_read_at_once_as_they_are() {
    let mut world = World::new("9.0.0.1\n");
    world.nothing(2);
    world.asked.store(true, Ordering::Relaxed);
    let list = world.watch.poll(world.now).unwrap().unwrap();
    check(&list, &["9.0.0.1"], &["9.0.0.2"]);
    world.nothing(10);
    world.write("9.0.0.2");
    world.asked.store(true, Ordering::Relaxed);
    let list = world.watch.poll(world.now).unwrap().unwrap();
    check(&list, &["9.0.0.2"], &["9.0.0.1"]);
    world.write("9.0.0.2 is bad");
    world.asked.store(true, Ordering::Relaxed);
    let error = world.watch.poll(world.now).unwrap().unwrap_err();
    assert!(matches!(error, RereadError::Line(_)), "{error}");
    world.nothing(10);
    let mut none = BlocklistWatch::new(&[], false, Arc::new(AtomicBool::new(true)));
    assert!(none.poll(world.now).is_none());
}

#[test]
fn if_one_list_is_bad_the_others_take_effect() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(dir.path().join(name), "9.0.0.1\n").unwrap();
    }
    let mut world = World::over(dir, &["a", "b"]);
    fs::write(world.at("a"), "bad line\n").unwrap();
    fs::write(world.at("b"), "9.0.0.2\n").unwrap();
    let (list, errors) = world.after(10);
    check(&list.unwrap(), &["9.0.0.2"], &["9.0.0.3"]);
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[test]
fn streams_are_named_once_and_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let asked = Arc::<AtomicBool>::default();
    let paths = [PathBuf::from("-"), fifo];
    let mut watch = BlocklistWatch::new(&paths, false, asked.clone());
    let obstacles = watch.obstacles();
    assert_eq!(obstacles.len(), 2);
    let streams = |error: &RereadError| matches!(error, RereadError::Stream(_));
    assert!(obstacles.iter().all(streams));
    let at = |seconds: u64| Time::from_nanos(seconds * 1_000_000_000);
    assert!(watch.poll(at(1)).is_none() && watch.poll(at(9)).is_none());
    asked.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        assert!(
            watch
                .poll(at(9))
                .unwrap()
                .is_err_and(|error| streams(&error))
        );
    }
    assert!(watch.poll(at(20)).is_none());
}

#[test]
fn a_list_that_cannot_be_opened_is_named_at_the_start_and_when_it_changes() {
    let mut world = World::new("9.0.0.1\n");
    assert!(world.watch.obstacles().is_empty());
    fs::remove_file(world.at("block")).unwrap();
    fs::create_dir(world.at("block")).unwrap();
    let obstacles = world.watch.obstacles();
    assert!(matches!(obstacles[..], [RereadError::Open { .. }]));
    let error = world.error();
    assert!(error.contains("not a regular file"), "{error}");
    let refused = RereadError::Open {
        path: PathBuf::from("block"),
        source: io::ErrorKind::PermissionDenied.into(),
    };
    let refused = refused.to_string();
    assert!(refused.contains("the right to read it"), "{refused}");
}

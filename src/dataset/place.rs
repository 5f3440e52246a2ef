//! Follows the path of a single file to its end, before anything is written.
//!
//! Nothing is created or changed here.
//!
//! | at the end of the path | treatment |
//! |---|---|
//! | a regular file, or nothing | the finished file replaces it |
//! | a link to one of these | the finished file replaces the file behind the link; the link stays |
//! | a regular file that is mounted by itself, as containers do | refused: it cannot be replaced |
//! | a stream: a FIFO, a character device, an inherited descriptor | it is written in place |
//! | anything else | refused |

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::RawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::sys;

/// The kernel's limit on chained links (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A file of a container, mounted alone. It can be written to, but no other file can take its name.
const MOUNTED: &str =
    "a file that is mounted by itself, which cannot be replaced (mount its directory instead)";

/// This process's descriptors. Each is a link to an open file.
const DESCRIPTORS: &str = "/proc/self/fd";

/// The end of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A regular file, or nothing yet. The new file is written beside it and renamed.
    File(PathBuf),
    /// A stream. It is written in place.
    Stream(Stream),
    /// Something that accepts no data, in words.
    Unfit(&'static str),
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    /// A FIFO or a character device.
    Node(PathBuf),
    /// A descriptor of this process, which is open already. `/dev/stdout` and a shell's `>(…)` name descriptors.
    Descriptor(RawFd),
}

impl Stream {
    /// Opens the stream. Opening a FIFO waits for its reader.
    pub(super) fn open(&self) -> io::Result<File> {
        match self {
            // Some names of regular files lead to no path, such as another process's descriptor of a deleted file. Appending keeps the content
            // of such a file.
            Stream::Node(path) => OpenOptions::new()
                .append(true)
                .custom_flags(libc::O_NOCTTY)
                .open(path),
            Stream::Descriptor(descriptor) => sys::duplicate(*descriptor).map(File::from),
        }
    }
}

/// Finds the end of `path`. Links that the kernel refuses to follow are not followed here either. Such links can be those of other users in
/// a directory that all may write to: see `fs.protected_symlinks` in proc_sys_fs(5).
pub(super) fn look(path: &Path) -> io::Result<Place> {
    let about = match fs::metadata(path) {
        Ok(about) => Some(about),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let end = follow(path)?;
    let Some(about) = about else {
        return Ok(match end {
            End::Name(real) => Place::File(real),
            // The descriptor was closed meanwhile, or was never open.
            End::Descriptor(_) => return Err(io::ErrorKind::NotFound.into()),
        });
    };
    if let Some(kind) = unfit(&about) {
        return Ok(Place::Unfit(kind));
    }
    Ok(match end {
        End::Descriptor(descriptor) => Place::Stream(Stream::Descriptor(descriptor)),
        End::Name(real) if about.is_file() && leads_to(&real, &about) => {
            match sys::is_mount_point(&real) {
                true => Place::Unfit(MOUNTED),
                false => Place::File(real),
            }
        }
        End::Name(_) => Place::Stream(Stream::Node(path.to_owned())),
    })
}

/// Returns the directory in which the file for `path` is created. If `path` is a FIFO or a device, returns `path`. `None` if nothing is
/// opened.
pub(crate) fn home(path: &Path) -> Option<PathBuf> {
    match look(path).ok()? {
        Place::File(real) => real.parent().map(Path::to_owned),
        Place::Stream(Stream::Node(node)) => Some(node),
        Place::Stream(Stream::Descriptor(_)) | Place::Unfit(_) => None,
    }
}

/// Returns the kind of the file, in words, if it accepts no data.
fn unfit(about: &Metadata) -> Option<&'static str> {
    let kind = about.file_type();
    match () {
        () if kind.is_dir() => Some("a directory"),
        () if kind.is_block_device() => Some("a block device"),
        () if kind.is_socket() => Some("a socket"),
        () if kind.is_file() || kind.is_fifo() || kind.is_char_device() => None,
        () => Some("neither a file nor a stream"),
    }
}

/// Whether `path` leads to the file of `about`.
fn leads_to(path: &Path, about: &Metadata) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|there| (there.dev(), there.ino()) == (about.dev(), about.ino()))
}

/// The end of a chain of links.
enum End {
    /// A path that is no link. There may be no file yet.
    Name(PathBuf),
    /// A descriptor of this process.
    Descriptor(RawFd),
}

/// Follows links from `path` to their end.
fn follow(path: &Path) -> io::Result<End> {
    let mut at = path.to_owned();
    for _ in 0..=MOST_LINKS {
        if !fs::symlink_metadata(&at).is_ok_and(|about| about.is_symlink()) {
            return Ok(End::Name(if at == path { at } else { plain(at) }));
        }
        if let Some(descriptor) = descriptor(&at) {
            return Ok(End::Descriptor(descriptor));
        }
        let target = fs::read_link(&at)?;
        at = match at.parent() {
            Some(directory) => directory.join(target),
            None => target,
        };
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

/// Returns `path` without the detours of links (`a/../b`), for display. If its directory does not exist, returns `path`.
fn plain(path: PathBuf) -> PathBuf {
    let directory = path.parent().map(fs::canonicalize);
    match (directory, path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path,
    }
}

/// Returns the descriptor of this process that a link leads to, if it leads to one.
fn descriptor(link: &Path) -> Option<RawFd> {
    let ours = fs::canonicalize(DESCRIPTORS).ok()?;
    let directory = fs::canonicalize(link.parent()?).ok()?;
    (directory == ours)
        .then(|| link.file_name()?.to_str()?.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn file(path: PathBuf) -> Place {
        Place::File(path)
    }

    #[test]
    fn links_lead_to_the_file_that_is_there_or_will_be() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("data")).unwrap();
        fs::write(at("data/one.csv"), "").unwrap();
        symlink("data/one.csv", at("relative")).unwrap();
        symlink(at("relative"), at("twice")).unwrap();
        symlink("data/two.csv", at("dangling")).unwrap();
        fs::create_dir(at("links")).unwrap();
        symlink("../new.csv", at("links/up")).unwrap();
        symlink("circle", at("circle")).unwrap();
        for (name, real) in [
            ("data/one.csv", "data/one.csv"),
            ("relative", "data/one.csv"),
            ("twice", "data/one.csv"),
            ("dangling", "data/two.csv"),
            ("links/up", "new.csv"),
            ("new.csv", "new.csv"),
        ] {
            assert_eq!(look(&at(name)).unwrap(), file(at(real)), "{name}");
            assert_eq!(home(&at(name)), at(real).parent().map(Path::to_owned));
        }
        let circle = look(&at("circle")).unwrap_err();
        assert_eq!(circle.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn what_is_no_file_is_a_stream_or_unfit() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(at("fifo"))
            .status();
        assert!(made.unwrap().success());
        symlink("fifo", at("link")).unwrap();
        assert_eq!(look(&at("socket")).unwrap(), Place::Unfit("a socket"));
        assert_eq!(look(directory.path()).unwrap(), Place::Unfit("a directory"));
        for name in ["fifo", "link"] {
            let node = Place::Stream(Stream::Node(at(name)));
            assert_eq!(look(&at(name)).unwrap(), node);
            assert_eq!(home(&at(name)), Some(at(name)));
        }
    }

    #[test]
    fn a_descriptor_of_ours_is_used_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let open = File::create(directory.path().join("log")).unwrap();
        let descriptor = open.as_raw_fd();
        let name = PathBuf::from(format!("/proc/self/fd/{descriptor}"));
        let link = directory.path().join("link");
        symlink(&name, &link).unwrap();
        for path in [&name, &link] {
            let stream = Place::Stream(Stream::Descriptor(descriptor));
            assert_eq!(look(path).unwrap(), stream);
            assert_eq!(home(path), None);
        }
    }
}

//! Notices that the file of keys has changed. Whoever holds it calls [`Follower::look`] again and again.
//!
//! That is done on a thread, and not on a request's way: a file system that hangs then holds up nobody, an idle gateway
//! tells of a bad file too, and requests pay nothing. Each look reads the whole file and compares what is in it. That is a
//! few pages from memory, and sees what times and lengths do not: the same file written again within a clock's tick,
//! and the kubelet's way, a symbolic link swapped two steps above.
//!
//! What was found counts when the next look finds the same, so that a file is not taken for changed while it is
//! written.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::digest::Digest;
use crate::file::KeyFileError;
use crate::keys::{Keys, contents};

pub struct Follower {
    keys: Arc<Keys>,
    last: Option<Sight>,
    /// What was put in force or refused.
    judged: Sight,
}

/// What a look found, as far as it has to be told from another.
#[derive(Clone)]
enum Sight {
    Contents(Digest),
    Unreadable(KeyFileError),
}

impl Follower {
    /// Between two looks.
    pub const PAUSE: Duration = Duration::from_secs(1);

    pub(crate) fn of(keys: Arc<Keys>) -> Self {
        let judged = Sight::Contents(keys.first);
        Self { keys, last: None, judged }
    }

    /// Puts in force what has changed for good, or tells why that cannot be.
    pub fn look(&mut self) {
        let contents = contents(self.keys.file());
        if self.is_news(Sight::of(&contents)) {
            self.keys.replace(contents);
        }
    }

    /// Whether it was found twice in a row, and is not what was judged before.
    fn is_news(&mut self, sight: Sight) -> bool {
        let settled = self.last.as_ref().is_some_and(|last| last.same(&sight));
        let news = settled && !self.judged.same(&sight);
        if news {
            self.judged = sight.clone();
        }
        self.last = Some(sight);
        news
    }
}

impl Sight {
    fn of(contents: &Result<Vec<u8>, KeyFileError>) -> Self {
        match contents {
            Ok(contents) => Self::Contents(Digest::of(contents)),
            Err(error) => Self::Unreadable(error.clone()),
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Contents(one), Self::Contents(other)) => one.same(other).into(),
            (Self::Unreadable(one), Self::Unreadable(other)) => one == other,
            _ => false,
        }
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("keys", &self.keys).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};

    use http::{HeaderMap, HeaderValue};
    use tidegate_telemetry::Telemetry;

    use super::*;
    use crate::{Door, Port, Scope};

    const KEY: &str = "0123456789abcdef-first";
    const NEXT: &str = "0123456789abcdef-next";

    struct Site {
        folder: tempfile::TempDir,
        telemetry: Arc<Telemetry>,
        keys: Arc<Keys>,
        follower: Follower,
    }

    impl Site {
        /// As the kubelet lays a secret out: the file is a link into `..data`, which is a link to a folder.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            publish(folder.path(), "..1", KEY);
            symlink("..data/api_key", folder.path().join("api_key")).unwrap();
            let telemetry = Telemetry::new();
            let keys = Keys::read(&folder.path().join("api_key"), &telemetry).unwrap();
            let follower = keys.follower();
            Self { folder, telemetry, keys, follower }
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("..data/api_key")
        }

        fn write(&self, text: &str) {
            fs::write(self.file(), text).unwrap();
        }

        fn look(&mut self, times: usize) {
            for _ in 0..times {
                self.follower.look();
            }
        }

        fn lets_in(&self, key: &str) -> bool {
            let door = Door::new(Arc::clone(&self.keys), Port::Data, false);
            let value = HeaderValue::from_str(key).unwrap();
            let headers = HeaderMap::from_iter([("x-api-key".parse().unwrap(), value)]);
            door.check(&headers, Scope::Predict).is_ok()
        }

        /// Who is let in, and what the gauge says.
        fn state(&self) -> ([bool; 2], bool) {
            let valid = self.telemetry.encode().contains("\ntidegate_api_keys_file_valid 1\n");
            ([KEY, NEXT].map(|key| self.lets_in(key)), valid)
        }
    }

    /// Another folder, and then the link to it, in one step.
    fn publish(volume: &Path, version: &str, key: &str) {
        fs::create_dir(volume.join(version)).unwrap();
        fs::write(volume.join(version).join("api_key"), key).unwrap();
        symlink(version, volume.join("..next")).unwrap();
        fs::rename(volume.join("..next"), volume.join("..data")).unwrap();
    }

    const OLD: ([bool; 2], bool) = ([true, false], true);
    const NEW: ([bool; 2], bool) = ([false, true], true);
    const OLD_AND_BAD: ([bool; 2], bool) = ([true, false], false);

    #[test]
    fn a_swapped_link_is_noticed() {
        let mut site = Site::new();
        assert_eq!(site.state(), OLD);
        site.look(3);
        publish(site.folder.path(), "..2", NEXT);
        site.look(2);
        assert_eq!(site.state(), NEW);
    }

    #[test]
    fn a_bad_file_keeps_the_old_keys_until_it_is_mended() {
        let mut site = Site::new();
        for bad in ["", "short", "a b c d e", "x 0123456789abcdef\nx 0123456789abcdefg\n"] {
            site.write(bad);
            site.look(2);
            assert_eq!(site.state(), OLD_AND_BAD, "{bad}");
        }
        site.write(KEY);
        site.look(2);
        assert_eq!(site.state(), OLD, "as it was");
        fs::remove_file(site.file()).unwrap();
        site.look(2);
        assert_eq!(site.state(), OLD_AND_BAD, "gone");
        site.write(NEXT);
        site.look(2);
        assert_eq!(site.state(), NEW);
    }

    #[test]
    fn a_file_that_is_being_written_is_not_believed() {
        let mut site = Site::new();
        site.look(1);
        site.write("");
        site.look(1);
        site.write(&NEXT[..17]);
        site.look(1);
        assert_eq!(site.state(), OLD);
        site.write(NEXT);
        site.look(1);
        assert_eq!(site.state(), OLD);
        site.look(1);
        assert_eq!(site.state(), NEW);
    }

    #[test]
    fn what_is_known_is_no_news() {
        let mut site = Site::new();
        let sight = |text: &str| Sight::Contents(Digest::of(text.as_bytes()));
        assert_eq!([KEY, KEY, KEY].map(|text| site.follower.is_news(sight(text))), [false; 3]);
        let news = ["x", "x", "x"].map(|text| site.follower.is_news(sight(text)));
        assert_eq!(news, [false, true, false]);
    }
}

//! Who may change a model: whoever holds `<model>/.versions.lock`. The system frees it however its holder ends, so a lock
//! that is held means that somebody is alive and at work, and one that is free that nobody is.
//!
//! The manifest itself cannot carry the lock: each write puts another file in its place. Everybody waits for a bounded
//! time only. The holder's name inside the file is for messages and means nothing.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

const LOCK_FILE: &str = ".versions.lock";

/// A file lock rings no bell when it is freed.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

const MAX_HOLDER: u64 = 256;

#[derive(Debug, Error)]
pub enum LockError {
    #[error("lock {}: cannot be {doing}: {error}", path.display())]
    Io { path: PathBuf, doing: &'static str, error: io::Error },
    #[error(
        "lock {}: still held{holder} after {} s: another `tidegate model` works on this model; wait for it, or allow \
         more time with --wait",
        path.display(),
        waited.as_secs_f32()
    )]
    Held { path: PathBuf, holder: String, waited: Duration },
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    path: PathBuf,
}

impl Lock {
    /// Alone in the model's folder, which is made if it is not there. `holder` is what others are told meanwhile.
    ///
    /// # Errors
    /// When somebody else holds it for longer than `wait`, or the file system has no locks.
    pub fn exclusive(model_folder: &Path, wait: Duration, holder: &str) -> Result<Self, LockError> {
        let path = model_folder.join(LOCK_FILE);
        let failed = |doing| failure(&path, doing);
        let until = Instant::now() + wait;
        loop {
            fs::create_dir_all(model_folder).map_err(failed("given a folder"))?;
            let opened =
                File::options().create(true).truncate(false).read(true).write(true).open(&path);
            let mut file = match opened {
                // Whoever made the folder in vain removes it again, perhaps just now.
                Err(error) if error.kind() == io::ErrorKind::NotFound && Instant::now() < until => {
                    continue;
                }
                opened => opened.map_err(failed("opened"))?,
            };
            until_locked(&path, &mut file, until, wait, File::try_lock)?;
            if is_still(&file, &path).map_err(failed("looked at"))? {
                // For others' messages only: a full disk shall not be the reason that nothing can be deleted.
                let _ = file.set_len(0).and_then(|()| writeln!(file, "{holder}"));
                return Ok(Self { _file: file, path });
            }
        }
    }

    /// Together with others that only read. `None` where nobody has ever written.
    ///
    /// # Errors
    /// As [`Lock::exclusive`].
    pub fn shared(model_folder: &Path, wait: Duration) -> Result<Option<Self>, LockError> {
        let path = model_folder.join(LOCK_FILE);
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(failure(&path, "opened"))?,
        };
        let until = Instant::now() + wait;
        until_locked(&path, &mut file, until, wait, File::try_lock_shared)?;
        Ok(Some(Self { _file: file, path }))
    }

    /// Removes the lock together with the folder that was made for it, if there is nothing else inside.
    pub fn remove_with_folder(self) -> io::Result<()> {
        fs::remove_file(&self.path)?;
        self.path.parent().map_or(Ok(()), fs::remove_dir)
    }
}

/// Returns once it is locked.
fn until_locked(
    path: &Path,
    file: &mut File,
    until: Instant,
    waited: Duration,
    try_lock: impl Fn(&File) -> Result<(), TryLockError>,
) -> Result<(), LockError> {
    loop {
        match try_lock(file) {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(failure(path, "locked")(error)),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => {
                let (path, holder) = (path.to_owned(), holder(file));
                return Err(LockError::Held { path, holder, waited });
            }
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK_AGAIN),
        }
    }
}

fn failure(path: &Path, doing: &'static str) -> impl Fn(io::Error) -> LockError {
    move |error| LockError::Io { path: path.to_owned(), doing, error }
}

/// Whether the name still stands for the file that was locked: its holder may have removed it meanwhile.
fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// ` by alice@host (process 17)`, or nothing where it cannot be known.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(MAX_HOLDER).read_to_string(&mut text));
    match text.trim() {
        holder if read.is_ok() && !holder.is_empty() => format!(" by {holder}"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_told_who_holds_it_and_a_third_gets_it_when_he_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("digits");
        let first = Lock::exclusive(&model, Duration::ZERO, "alice@host").unwrap();
        let error = Lock::exclusive(&model, Duration::ZERO, "bob@host").unwrap_err().to_string();
        assert!(error.contains("digits/.versions.lock: still held by alice@host"), "{error}");
        assert!(matches!(Lock::shared(&model, Duration::ZERO), Err(LockError::Held { .. })));
        drop(first);
        Lock::exclusive(&model, Duration::ZERO, "bob@host").unwrap();
    }

    #[test]
    fn who_waits_gets_it_when_it_is_freed() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("digits");
        let first = Lock::exclusive(&model, Duration::ZERO, "alice").unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| Lock::exclusive(&model, Duration::from_secs(60), "bob"));
            drop(first);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn readers_share_it_and_where_nobody_wrote_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("digits");
        assert!(Lock::shared(&model, Duration::ZERO).unwrap().is_none());
        drop(Lock::exclusive(&model, Duration::ZERO, "alice").unwrap());
        let _readers = [(); 2].map(|()| Lock::shared(&model, Duration::ZERO).unwrap().unwrap());
        let error = Lock::exclusive(&model, Duration::ZERO, "bob").unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
    }

    #[test]
    fn who_waited_for_a_folder_that_was_removed_makes_it_again() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("digits");
        let first = Lock::exclusive(&model, Duration::ZERO, "alice").unwrap();
        thread::scope(|scope| {
            let second = scope.spawn(|| Lock::exclusive(&model, Duration::from_secs(60), "bob"));
            first.remove_with_folder().unwrap();
            let _second = second.join().unwrap().unwrap();
            assert!(model.join(LOCK_FILE).is_file());
        });
    }
}

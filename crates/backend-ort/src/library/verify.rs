//! Decides whether a library file may be opened. Reads the whole file once (29 MB, about a tenth of
//! a second) to hash it; that is the price for never dying inside `dlopen`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::pin::{PIN, Pin};
use super::{Found, LibraryError, elf};

/// How much is known of a file that may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// It is the pinned build, byte for byte.
    Pinned,
    /// It was named explicitly, and it is as long as its headers say.
    Complete,
}

/// # Errors
/// When the file is unreadable, damaged, or not the build that its name claims.
pub(crate) fn verify(found: &Found) -> Result<Trust, LibraryError> {
    verify_against(found, PIN.as_ref())
}

fn verify_against(found: &Found, pin: Option<&Pin>) -> Result<Trust, LibraryError> {
    let path = &found.path;
    let unreadable = |source| LibraryError::Unreadable { path: path.clone(), source };
    if let Some(pin) = pin {
        let hash = sha256_of(path).map_err(unreadable)?;
        if hash == pin.sha256 {
            return Ok(Trust::Pinned);
        }
        if !found.explicit || claims_to_be(path, pin) {
            let (path, expected) = (path.clone(), pin.sha256);
            return Err(LibraryError::WrongHash { path, expected, found: hash });
        }
    }
    if cfg!(target_os = "linux") {
        let reason = elf::incomplete(path).map_err(unreadable)?;
        if let Some(reason) = reason {
            return Err(LibraryError::Incomplete { path: path.clone(), reason });
        }
    }
    Ok(Trust::Complete)
}

/// Links are followed: `libonnxruntime.so` often points to the file that carries the version.
fn claims_to_be(path: &Path, pin: &Pin) -> bool {
    let real = path.canonicalize();
    let name = real.as_deref().unwrap_or(path).file_name();
    name.is_some_and(|name| name == pin.file_name)
}

fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        let length = file.read(&mut block)?;
        if length == 0 {
            break;
        }
        digest.update(&block[..length]);
    }
    let mut hex = String::with_capacity(64);
    for byte in digest.finalize() {
        write!(hex, "{byte:02x}").expect("a String takes all text");
    }
    Ok(hex)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The hash of `good`.
    const PIN: Pin = Pin {
        file_name: "libpinned.so.1",
        sha256: "770e607624d689265ca6c44884d0807d9b054d23c473c106c72be9de08b7376c",
    };

    fn check(name: &str, content: &[u8], explicit: bool) -> Result<Trust, LibraryError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        verify_against(&Found { path, explicit }, Some(&PIN))
    }

    #[test]
    fn the_pinned_build_is_trusted_under_any_name() {
        assert_eq!(check("libpinned.so.1", b"good", false).unwrap(), Trust::Pinned);
        assert_eq!(check("other.so", b"good", true).unwrap(), Trust::Pinned);
    }

    #[test]
    fn a_truncated_pinned_library_is_refused_with_both_hashes() {
        let error = check("libpinned.so.1", b"goo", true).unwrap_err().to_string();
        assert!(error.contains(PIN.sha256), "{error}");
        assert!(error.contains(&sha256_of_bytes(b"goo")), "{error}");
    }

    #[test]
    fn a_link_to_a_damaged_pinned_library_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("libpinned.so.1"), b"goo").unwrap();
        let path = folder.path().join("lib.so");
        std::os::unix::fs::symlink("libpinned.so.1", &path).unwrap();
        let outcome = verify_against(&Found { path, explicit: true }, Some(&PIN));
        assert!(matches!(outcome, Err(LibraryError::WrongHash { .. })), "{outcome:?}");
    }

    #[test]
    fn an_unknown_library_must_be_named_explicitly_and_be_complete() {
        let found_by_chance = check("other.so", b"bad", false);
        assert!(matches!(found_by_chance, Err(LibraryError::WrongHash { .. })));
        if cfg!(target_os = "linux") {
            let named = check("other.so", b"bad", true);
            assert!(matches!(named, Err(LibraryError::Incomplete { .. })), "{named:?}");
            let program = std::env::current_exe().unwrap();
            let outcome = verify_against(&Found { path: program, explicit: true }, Some(&PIN));
            assert_eq!(outcome.unwrap(), Trust::Complete);
        }
    }

    fn sha256_of_bytes(bytes: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        sha256_of(file.path()).unwrap()
    }
}

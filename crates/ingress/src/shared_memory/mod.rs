//! System shared memory: regions that callers on the same machine register and name instead of sending values.
//! Off unless the configuration names the directory (`/dev/shm`) in which keys are looked up.
//!
//! The memory is read and written through its file and not mapped. A mapping would save a copy; but who shares
//! it may cut it off at any time, and the next touch of a mapping without memory behind it kills the process.
//! A read from a file that has become too short is an error like any other.

mod file;
mod over_http;
mod questions;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use bytes::Bytes;
use tidegate_inference::{Error, ErrorKind, Result};
use tidegate_proto::open_inference::SharedRegion;
use tidegate_proto::shared_memory::{NoRegions, Regions, Window};

use file::MemoryFile;
pub use questions::no_cuda_memory;

/// Each keeps a file open.
const MOST_REGIONS: usize = 256;
const LONGEST_NAME: usize = 256;

/// What one request may read and write.
pub fn regions(memory: &Option<Arc<SharedMemory>>) -> RequestRegions<'_> {
    let left = memory.as_ref().map_or(0, |memory| memory.max_bytes);
    RequestRegions { memory: memory.as_deref(), left: Cell::new(left) }
}

/// The regions, and how much a request may still read of them: a short one could name a large region many times.
pub struct RequestRegions<'m> {
    memory: Option<&'m SharedMemory>,
    left: Cell<usize>,
}

/// All regions that are registered.
#[derive(Debug)]
pub struct SharedMemory {
    directory: PathBuf,
    /// What one request may read in all, as for bodies.
    max_bytes: usize,
    regions: RwLock<BTreeMap<String, Arc<Region>>>,
}

#[derive(Debug)]
struct Region {
    key: String,
    /// Where it begins in its file.
    offset: usize,
    byte_size: usize,
    file: MemoryFile,
}

impl SharedMemory {
    pub fn new(directory: PathBuf, max_bytes: usize) -> Self {
        Self { directory, max_bytes, regions: RwLock::default() }
    }

    /// # Errors
    /// The name is taken, or there is no such memory of that size.
    pub fn register(&self, region: SharedRegion) -> Result<()> {
        let SharedRegion { name, key, offset, byte_size } = region;
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(Error::invalid(format!(
                "shared memory region: expected a name of 1 to {LONGEST_NAME} bytes, got {}",
                name.len()
            )));
        }
        let place = |error: Error| error.within(format_args!("shared memory region '{name}'"));
        let range = |length: u64| usize::try_from(length).ok();
        let (Some(offset), Some(byte_size)) = (range(offset), range(byte_size)) else {
            return Err(place(Error::invalid("its offset or size is more than memory can be")));
        };
        let file = MemoryFile::open(&self.directory, &key).map_err(place)?;
        file.check(offset, byte_size).map_err(place)?;
        let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        if regions.contains_key(&name) {
            return Err(place(Error::invalid("already in manager: unregister it first")));
        }
        if regions.len() >= MOST_REGIONS {
            let message = format!("there are {MOST_REGIONS} regions already, which is the most");
            return Err(place(Error::new(ErrorKind::TooLarge, message)));
        }
        regions.insert(name, Arc::new(Region { key, offset, byte_size, file }));
        Ok(())
    }

    /// One region, or all. Requests that use it now keep it until they are through.
    pub fn unregister(&self, name: Option<&str>) {
        let mut regions = self.regions.write().unwrap_or_else(PoisonError::into_inner);
        match name {
            Some(name) => drop(regions.remove(name)),
            None => regions.clear(),
        }
    }

    /// One region, or all.
    ///
    /// # Errors
    /// No region of that name.
    pub fn status(&self, name: Option<&str>) -> Result<Vec<SharedRegion>> {
        let regions = self.regions();
        let shown = |(name, region): (&String, &Arc<Region>)| SharedRegion {
            name: name.clone(),
            key: region.key.clone(),
            offset: region.offset as u64,
            byte_size: region.byte_size as u64,
        };
        match name {
            None => Ok(regions.iter().map(shown).collect()),
            Some(name) => {
                let found = regions.get_key_value(name).ok_or_else(|| unknown(name))?;
                Ok(vec![shown(found)])
            }
        }
    }

    fn regions(&self) -> RwLockReadGuard<'_, BTreeMap<String, Arc<Region>>> {
        self.regions.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The region of a window that lies inside it.
    fn region(&self, window: &Window) -> Result<Arc<Region>> {
        let region = self.regions().get(&window.region).map(Arc::clone);
        let region = region.ok_or_else(|| unknown(&window.region))?;
        let end = window.offset.checked_add(window.byte_size);
        if end.is_none_or(|end| end > region.byte_size) {
            return Err(Error::invalid(format!(
                "shared memory region '{:.64}': Invalid offset + byte size for shared memory region: {} + {} bytes, \
                 of a region of {} bytes",
                window.region, window.offset, window.byte_size, region.byte_size
            )));
        }
        Ok(region)
    }
}

impl Regions for RequestRegions<'_> {
    fn read(&self, window: &Window) -> Result<Bytes> {
        let Some(memory) = self.memory else { return NoRegions.read(window) };
        let left = self.left.get().checked_sub(window.byte_size).ok_or_else(|| {
            let message = format!(
                "a request's inputs in shared memory exceed the maximum of {} bytes",
                memory.max_bytes
            );
            Error::new(ErrorKind::TooLarge, message)
        })?;
        self.left.set(left);
        memory.read(window)
    }

    fn write(&self, window: &Window, bytes: &[u8]) -> Result<()> {
        match self.memory {
            Some(memory) => memory.write(window, bytes),
            None => NoRegions.write(window, bytes),
        }
    }
}

impl SharedMemory {
    fn read(&self, window: &Window) -> Result<Bytes> {
        let region = self.region(window)?;
        let bytes = region.file.read(region.offset + window.offset, window.byte_size);
        bytes
            .map_err(|error| error.within(format_args!("shared memory region '{}'", window.region)))
    }

    fn write(&self, window: &Window, bytes: &[u8]) -> Result<()> {
        let region = self.region(window)?;
        let written = region.file.write(region.offset + window.offset, bytes);
        written
            .map_err(|error| error.within(format_args!("shared memory region '{}'", window.region)))
    }
}

fn unknown(name: &str) -> Error {
    let message = format!("Unable to find shared memory region: '{name:.64}'");
    Error::new(ErrorKind::UnknownModel, message)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory with the file `data` of 64 bytes, 0, 1, 2, ...
    fn memory() -> (tempfile::TempDir, SharedMemory) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("data"), (0..64).collect::<Vec<u8>>()).unwrap();
        let shared = SharedMemory::new(directory.path().to_owned(), 1000);
        (directory, shared)
    }

    fn region(name: &str, key: &str, offset: u64, byte_size: u64) -> SharedRegion {
        SharedRegion { name: name.into(), key: key.into(), offset, byte_size }
    }

    fn window(offset: usize, byte_size: usize) -> Window {
        Window { region: "r".into(), offset, byte_size }
    }

    fn refusal<T>(result: Result<T>) -> String {
        result.err().expect("refused").message().to_owned()
    }

    #[test]
    fn what_is_in_the_file_is_read_and_written_in_its_region() {
        let (directory, memory) = memory();
        memory.register(region("r", "/data", 8, 16)).unwrap();
        assert_eq!(memory.read(&window(2, 3)).unwrap(), [10, 11, 12][..]);
        memory.write(&window(15, 1), &[99]).unwrap();
        assert_eq!(fs::read(directory.path().join("data")).unwrap()[22..25], [22, 99, 24]);
        assert_eq!(memory.status(None).unwrap(), [region("r", "/data", 8, 16)]);
        memory.unregister(Some("r"));
        assert!(refusal(memory.read(&window(0, 1))).contains("Unable to find"));
        assert!(refusal(memory.status(Some("r"))).contains("Unable to find"));
        memory.unregister(Some("r"));
    }

    #[test]
    fn nothing_outside_of_a_region_is_reached() {
        let (_directory, memory) = memory();
        memory.register(region("r", "data", 8, 16)).unwrap();
        for (offset, size) in [(0, 17), (16, 1), (usize::MAX, 1), (1, usize::MAX)] {
            assert!(memory.read(&window(offset, size)).is_err());
            assert!(memory.write(&window(offset, size), &[1]).is_err());
        }
        assert_eq!(memory.read(&window(16, 0)).unwrap(), [0_u8; 0][..]);
    }

    #[test]
    fn only_plain_files_of_the_directory_are_memory() {
        let (directory, memory) = memory();
        fs::create_dir(directory.path().join("folder")).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", directory.path().join("link")).unwrap();
        for (key, told) in [
            ("", "expected the name of a file"),
            ("/", "expected the name of a file"),
            ("..", "expected the name of a file"),
            ("../data", "expected the name of a file"),
            ("/a/b", "expected the name of a file"),
            ("a\0b", "expected the name of a file"),
            ("none", "cannot be opened"),
            ("link", "cannot be opened"),
            ("folder", "cannot be opened"),
        ] {
            let refused = refusal(memory.register(region("r", key, 0, 1)));
            assert!(refused.contains("region 'r'") && refused.contains(told), "{refused}");
        }
        let too_long = refusal(memory.register(region("r", "data", 60, 5)));
        assert!(too_long.contains("needs 65 bytes, there are 64"), "{too_long}");
        assert!(memory.register(region("r", "data", u64::MAX, 1)).is_err());
        assert!(memory.register(region("", "data", 0, 1)).is_err());
        memory.register(region("r", "data", 0, 1)).unwrap();
        assert!(refusal(memory.register(region("r", "data", 0, 1))).contains("already"));
    }

    #[test]
    fn memory_that_has_shrunk_or_gone_is_an_error() {
        let (directory, memory) = memory();
        memory.register(region("r", "data", 0, 64)).unwrap();
        let path = directory.path().join("data");
        fs::File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
        assert!(refusal(memory.read(&window(0, 64))).contains("has shrunk"));
        assert!(refusal(memory.write(&window(60, 1), &[1])).contains("has shrunk"));
        assert_eq!(fs::metadata(&path).unwrap().len(), 10, "a write does not make it longer");
        assert_eq!(memory.read(&window(0, 10)).unwrap().len(), 10);
        fs::remove_file(&path).unwrap();
        assert!(refusal(memory.read(&window(0, 1))).contains("no longer exists"));
    }

    #[test]
    fn there_is_an_end_to_regions_and_to_what_one_request_reads() {
        let (directory, memory) = memory();
        fs::write(directory.path().join("long"), vec![0; 2000]).unwrap();
        for number in 0..MOST_REGIONS {
            memory.register(region(&number.to_string(), "long", 0, 2000)).unwrap();
        }
        assert!(refusal(memory.register(region("r", "data", 0, 1))).contains("the most"));
        let all = Arc::new(memory);
        let memory = Some(Arc::clone(&all));
        let one_request = regions(&memory);
        let window = |byte_size| Window { region: "0".into(), offset: 0, byte_size };
        assert_eq!(one_request.read(&window(600)).unwrap().len(), 600);
        let refused = refusal(one_request.read(&window(401)));
        assert!(refused.contains("exceed the maximum of 1000 bytes"), "{refused}");
        assert!(one_request.read(&window(400)).is_ok());
        assert!(regions(&memory).read(&window(1000)).is_ok(), "the next request has its own");
        all.unregister(None);
        assert_eq!(all.status(None).unwrap(), []);
    }
}

//! Whether an ELF file is as long as its own headers say. Not a parser: three numbers of the file
//! header, and the extent of every program header, are all it reads.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

const HEADER_LENGTH: usize = 64;
const PROGRAM_HEADER_LENGTH: usize = 56;

/// Says what is missing, or `None` when everything is there.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn incomplete(path: &Path) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut header = [0; HEADER_LENGTH];
    if length < HEADER_LENGTH as u64 {
        return Ok(Some(format!("{length} bytes are not even an ELF header")));
    }
    file.read_exact(&mut header)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(Some("it is not a 64-bit little-endian ELF file".into()));
    }
    let end = end_of(&header, length, &mut file)?;
    Ok((end > length).then(|| format!("its headers say {end} bytes, the file has {length}")))
}

/// Where the last thing that the headers mention ends. The section headers come last in practice,
/// so a cut file mostly shows there already, before the program headers are read.
fn end_of(header: &[u8; HEADER_LENGTH], length: u64, file: &mut File) -> io::Result<u64> {
    let sections = table_end(u64_at(header, 0x28), u16_at(header, 0x3a), u16_at(header, 0x3c));
    let (offset, count) = (u64_at(header, 0x20), u16_at(header, 0x38));
    let programs = table_end(offset, u16_at(header, 0x36), count);
    let mut end = sections.max(programs);
    if end > length {
        return Ok(end);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut program = [0; PROGRAM_HEADER_LENGTH];
    for _ in 0..count {
        file.read_exact(&mut program)?;
        end = end.max(u64_at(&program, 0x08).saturating_add(u64_at(&program, 0x20)));
    }
    Ok(end)
}

fn table_end(offset: u64, entry: u16, count: u16) -> u64 {
    offset.saturating_add(u64::from(entry) * u64::from(count))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let word = bytes[at..at + 8].try_into().expect("the range has eight bytes");
    u64::from_le_bytes(word)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_whole_file_is_complete_and_any_cut_one_is_not() {
        let program = std::env::current_exe().unwrap();
        assert_eq!(incomplete(&program).unwrap(), None);

        let whole = fs::read(&program).unwrap();
        let cut = tempfile::NamedTempFile::new().unwrap();
        for length in [0, 3, 63, 64, 1000, whole.len() / 2, whole.len() - 1] {
            fs::write(cut.path(), &whole[..length]).unwrap();
            assert!(incomplete(cut.path()).unwrap().is_some(), "cut to {length} bytes");
        }
    }

    #[test]
    fn another_kind_of_file_is_named_as_such() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), [b'x'; 200]).unwrap();
        let reason = incomplete(file.path()).unwrap().unwrap();
        assert_eq!(reason, "it is not a 64-bit little-endian ELF file");
    }
}

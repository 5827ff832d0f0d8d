//! Request bodies from files, as they are. A `.json` file is a body, a `.bin` file one with tensors behind its
//! JSON, and each line of a `.jsonl` file a recorded request, with its answer if that is known. What is wrong in a
//! body is for the server to say: questions that break the protocol are questions too.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tidegate_proto::JsonLimits;
use tidegate_proto::json::{members, value_length};

use super::{MOST_BYTES, MOST_QUESTIONS};
use crate::Failure;

/// One body, where it is from, and the answer that was recorded with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body {
    /// For errors: the file, and the line where it has several.
    pub(super) place: String,
    /// The file's name, by which a folder of expected answers is searched.
    pub(super) file: String,
    pub(super) bytes: Bytes,
    /// How much of it is JSON, where tensors follow.
    pub(super) json_length: Option<usize>,
    pub(super) recorded: Option<Bytes>,
}

/// Reads a file, or every `.json`, `.bin` and `.jsonl` file of a folder in the order of their names.
pub(super) fn read(path: &Path) -> Result<Vec<Body>, Failure> {
    let mut bodies = Vec::new();
    for file in files(path)? {
        bodies.extend(read_file(&file)?);
        if bodies.len() > MOST_QUESTIONS {
            return Err(
                Failure::new(format!("more than {MOST_QUESTIONS} requests")).within(path.display())
            );
        }
    }
    Ok(bodies)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let place = |error: std::io::Error| Failure::from(error).within(path.display());
    if !fs::metadata(path).map_err(place)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(place)?;
    let mut files: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(place)?;
    files.retain(|file| matches!(extension(file), "json" | "bin" | "jsonl") && file.is_file());
    files.sort();
    if files.is_empty() {
        return Err(Failure::new("no .json, .bin or .jsonl file in it").within(path.display()));
    }
    let size = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum();
    check_size(path, size)?;
    Ok(files)
}

fn read_file(path: &Path) -> Result<Vec<Body>, Failure> {
    let bytes = contents(path)?;
    let place = path.display().to_string();
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match extension(path) {
        "jsonl" => recorded(&place, &file, &bytes),
        "bin" => {
            let json_length = Some(json_length(&place, &bytes)?);
            Ok(vec![Body { place, file, bytes, json_length, recorded: None }])
        }
        _ => Ok(vec![Body { place, file, bytes, json_length: None, recorded: None }]),
    }
}

/// A file's bytes, unless it is too large or empty.
pub(super) fn contents(path: &Path) -> Result<Bytes, Failure> {
    let place = |error: std::io::Error| Failure::from(error).within(path.display());
    check_size(path, fs::metadata(path).map_err(place)?.len())?;
    let bytes = fs::read(path).map_err(place)?;
    if bytes.is_empty() {
        return Err(Failure::new("it is empty").within(path.display()));
    }
    Ok(bytes.into())
}

fn check_size(path: &Path, size: u64) -> Result<(), Failure> {
    if size > MOST_BYTES as u64 {
        let refusal = format!("{size} bytes, at most {MOST_BYTES} are read");
        return Err(Failure::new(refusal).within(path.display()));
    }
    Ok(())
}

/// Where the JSON of a body with binary tensors ends: where its braces close.
pub(super) fn json_length(place: &str, bytes: &[u8]) -> Result<usize, Failure> {
    value_length(bytes, JsonLimits::default()).map_err(|error| {
        Failure::new(format!("{error} (a .bin file is a JSON body with its tensors behind it)"))
            .within(place)
    })
}

pub(super) fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

/// The lines that are not blank, each with its place.
pub(super) fn lines(place: &str, bytes: &Bytes) -> Vec<(String, Bytes)> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines.map(|(index, line)| (format!("{place}:{}", index + 1), bytes.slice_ref(line))).collect()
}

fn recorded(place: &str, file: &str, bytes: &Bytes) -> Result<Vec<Body>, Failure> {
    let lines = lines(place, bytes);
    if lines.is_empty() {
        return Err(Failure::new("it has no lines").within(place));
    }
    lines.into_iter().map(|(place, line)| recorded_line(place, file, &line)).collect()
}

fn recorded_line(place: String, file: &str, line: &Bytes) -> Result<Body, Failure> {
    let form = "expected {\"request\": ..., \"expected\": ...} on a line";
    let fault = |problem: String| Failure::new(format!("{problem}: {form}")).within(&place);
    let (mut request, mut expected) = (None, None);
    for (key, value) in
        members(line, JsonLimits::default()).map_err(|error| fault(error.to_string()))?
    {
        match &*key {
            "request" => request = Some(value),
            "expected" => expected = Some(value),
            _ => return Err(fault(format!("unknown key '{key:.40}'"))),
        }
    }
    let bytes = request.ok_or_else(|| fault("no 'request'".to_owned()))?;
    Ok(Body { file: file.to_owned(), bytes, json_length: None, recorded: expected, place })
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    #[test]
    fn a_folder_is_read_in_the_order_of_its_names() {
        let folder = folder(&[
            ("b.json", b"{\"inputs\":[]}"),
            ("a.bin", b"{\"x\":\"}\"}\x01\x02"),
            ("c.jsonl", b"{\"request\": {\"a\":NaN}}\n\n{\"expected\":[1],\"request\":2}\n"),
            ("notes.txt", b"not a request"),
        ]);
        let bodies = read(folder.path()).unwrap();
        let seen: Vec<(&[u8], Option<usize>)> =
            bodies.iter().map(|body| (&*body.bytes, body.json_length)).collect();
        assert_eq!(
            seen,
            [
                (&b"{\"x\":\"}\"}\x01\x02"[..], Some(9)),
                (b"{\"inputs\":[]}", None),
                (b"{\"a\":NaN}", None),
                (b"2", None)
            ]
        );
        assert!(bodies[3].place.ends_with("c.jsonl:3"), "{}", bodies[3].place);
        assert_eq!(bodies[3].recorded.as_deref(), Some(&b"[1]"[..]));
    }

    #[test]
    fn a_body_that_breaks_the_protocol_is_still_a_question() {
        let folder = folder(&[("poison.json", b"{{{")]);
        assert_eq!(read(folder.path()).unwrap()[0].bytes, "{{{");
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_its_place() {
        let read_one = |name: &str, bytes: &[u8]| {
            let folder = folder(&[(name, bytes)]);
            let refused = read(&folder.path().join(name)).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
            refused
        };
        for (name, bytes, problem) in [
            ("a.json", &b""[..], "it is empty"),
            ("a.bin", b"\x01\x02", "a .bin file is a JSON body with its tensors behind it"),
            ("a.bin", b"{\"inputs\":[", "not JSON: The document is empty or cut short."),
            ("a.jsonl", b"\n \n", "it has no lines"),
            ("a.jsonl", b"{\"request\":1}\n[]", "a.jsonl:2: not JSON: Invalid value. at offset 0"),
            ("a.jsonl", b"{\"inputs\":[]}", "unknown key 'inputs': expected {\"request\""),
            ("a.jsonl", b"{\"expected\":1}", "no 'request'"),
            ("a.jsonl", b"{\"request\":1} x", "must not be followed by other values"),
        ] {
            let refused = read_one(name, bytes);
            assert!(refused.contains(problem), "{refused}");
        }
        let missing = read(Path::new("/no/such/folder")).unwrap_err().to_string();
        assert!(missing.starts_with("/no/such/folder: No such file"), "{missing}");
        let empty = read(folder(&[("a.txt", b"x")]).path()).unwrap_err().to_string();
        assert!(empty.ends_with("no .json, .bin or .jsonl file in it"), "{empty}");
    }

    #[test]
    fn a_file_that_is_too_large_is_not_read() {
        let folder = folder(&[("a.json", b"")]);
        let path = folder.path().join("a.json");
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(MOST_BYTES as u64 + 1)
            .unwrap();
        for path in [&*path, folder.path()] {
            assert!(read(path).unwrap_err().to_string().contains("bytes, at most"));
        }
    }
}

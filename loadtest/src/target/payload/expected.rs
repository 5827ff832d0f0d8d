//! What is right, from files: one answer for each question, paired by place or by name.

use std::path::Path;

use bytes::Bytes;

use super::files::{self, Body};
use crate::Failure;

/// An answer's body, where it is from, and how much of it is JSON where tensors follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) place: String,
    pub(super) bytes: Bytes,
    pub(super) json_length: Option<usize>,
}

/// One for each body, in their order; `None` where nothing is known of it.
pub(super) fn pair(
    bodies: &[Body],
    given: Option<&Path>,
) -> Result<Vec<Option<Expected>>, Failure> {
    let Some(path) = given else {
        return Ok(bodies.iter().map(recorded).collect());
    };
    if let Some(body) = bodies.iter().find(|body| body.recorded.is_some()) {
        let problem = "it was recorded with its answer: leave out --expected";
        return Err(Failure::new(problem).within(&body.place));
    }
    if path.is_dir() {
        return bodies.iter().map(|body| read(&path.join(&body.file)).map(Some)).collect();
    }
    let answers = if files::extension(path) == "jsonl" {
        let place = path.display().to_string();
        let lines = files::lines(&place, &files::contents(path)?).into_iter();
        lines.map(|(place, bytes)| Expected { place, bytes, json_length: None }).collect()
    } else {
        vec![read(path)?]
    };
    if answers.len() != bodies.len() {
        let problem = format!(
            "{} answers for {} requests: expected as many lines of a .jsonl file, or a folder of files \
             named like the payload's",
            answers.len(),
            bodies.len()
        );
        return Err(Failure::new(problem).within(path.display()));
    }
    Ok(answers.into_iter().map(Some).collect())
}

fn recorded(body: &Body) -> Option<Expected> {
    let place = format!("{} (expected)", body.place);
    body.recorded.clone().map(|bytes| Expected { place, bytes, json_length: None })
}

fn read(path: &Path) -> Result<Expected, Failure> {
    let bytes = files::contents(path)?;
    let place = path.display().to_string();
    let json_length = match files::extension(path) {
        "bin" => Some(files::json_length(&place, &bytes)?),
        _ => None,
    };
    Ok(Expected { place, bytes, json_length })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn body(file: &str, recorded: Option<&'static str>) -> Body {
        Body {
            place: file.to_owned(),
            file: file.to_owned(),
            bytes: Bytes::new(),
            json_length: None,
            recorded: recorded.map(Bytes::from),
        }
    }

    #[test]
    fn answers_pair_by_name_by_line_or_as_they_were_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a.json"), "A").unwrap();
        fs::write(at("b.json"), "B").unwrap();
        fs::write(at("all.jsonl"), "B\n\nA\n").unwrap();
        let bodies = [body("b.json", None), body("a.json", None)];
        let found = |given: Option<&Path>, bodies: &[Body]| -> Vec<Option<Bytes>> {
            let pairs = pair(bodies, given).unwrap();
            pairs.into_iter().map(|expected| expected.map(|expected| expected.bytes)).collect()
        };
        let both = [Some(Bytes::from("B")), Some(Bytes::from("A"))];
        assert_eq!(found(Some(folder.path()), &bodies), both);
        assert_eq!(found(Some(&at("all.jsonl")), &bodies), both);
        assert_eq!(found(Some(&at("a.json")), &bodies[..1]), [Some(Bytes::from("A"))]);
        assert_eq!(
            found(None, &[body("r", Some("R")), body("s", None)]),
            [Some(Bytes::from("R")), None]
        );
    }

    #[test]
    fn what_does_not_pair_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one.json");
        fs::write(&one, "{}").unwrap();
        let refusal =
            |bodies: &[Body], given: &Path| pair(bodies, Some(given)).unwrap_err().to_string();
        let two = [body("a.json", None), body("b.json", None)];
        assert!(refusal(&two, &one).contains("1 answers for 2 requests: expected as many lines"));
        assert!(refusal(&two, folder.path()).contains("a.json: No such file"));
        assert!(refusal(&two, Path::new("/none.json")).contains("/none.json: No such file"));
        assert!(refusal(&[body("r.jsonl", Some("R"))], &one).contains("leave out --expected"));
        fs::write(folder.path().join("a.json"), "").unwrap();
        assert!(refusal(&two[..1], folder.path()).contains("it is empty"));
        fs::write(folder.path().join("x.bin"), "\0").unwrap();
        assert!(refusal(&two[..1], &folder.path().join("x.bin")).contains("not JSON"));
    }
}

//! Each line that is good and each that is bad; and that a mistake never shows a word of its line.

use super::*;
use crate::scope::Scope;

const KEY: &str = "0123456789abcdef-a-key";
const OTHER: &str = "0123456789abcdef-another";
const HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn read(text: &str) -> Result<Vec<Entry>, String> {
    parse(Path::new("/keys/api_key"), text.as_bytes()).map_err(|error| error.to_string())
}

fn names(text: &str) -> Vec<String> {
    read(text).unwrap().into_iter().map(|entry| entry.name).collect()
}

fn is_key(entry: &Entry, key: &str) -> bool {
    entry.digest.same(&Digest::of(key.as_bytes())).into()
}

#[test]
fn a_lone_key_goes_by_the_files_name_and_may_do_everything() {
    for text in [KEY.to_owned(), format!("{KEY}\n"), format!("# ours\n\n  {KEY}\r\n")] {
        let entries = read(&text).unwrap();
        assert_eq!((entries.len(), &*entries[0].name), (1, "api_key"));
        assert!(is_key(&entries[0], KEY));
        assert_eq!(entries[0].scopes, Scopes::ALL);
    }
}

#[test]
fn names_scopes_and_hashes_are_read() {
    let text = format!(
        "web\t{KEY} predict\n  # an old one: x\nops {OTHER}\nscraper {HASH} metrics,predict\n"
    );
    let entries = read(&text).unwrap();
    assert_eq!(names(&text), ["web", "ops", "scraper"]);
    let may = |entry: &Entry| Scope::ALL.map(|scope| entry.scopes.contains(scope));
    let expected = [[true, false, false], [true, true, true], [true, false, true]];
    assert_eq!(entries.iter().map(may).collect::<Vec<_>>(), expected);
    assert!(is_key(&entries[2], "abc"));
}

#[test]
fn every_mistake_is_told_by_its_line_and_shows_no_word_of_it() {
    let long = "k".repeat(513);
    for (text, expected) in [
        ("", "/keys/api_key: expected a key, got none"),
        ("# nothing\n\n", "/keys/api_key: expected a key, got none"),
        ("secret", "/keys/api_key:1: expected a key of 16 to 512 characters, got one of 6"),
        (&*long, "/keys/api_key:1: expected a key of 16 to 512 characters, got one of 513"),
        ("a secret-secret-secrét", ":1: expected a key of printable ASCII characters"),
        ("a sha256:secret", ":1: expected 64 hexadecimal digits behind 'sha256:'"),
        (&format!("a sha256:{}", "g".repeat(64)), ":1: expected 64 hexadecimal digits"),
        (&format!("a {KEY}\n\n{OTHER}"), ":3: expected NAME KEY: a key without a name must be"),
        (&format!("1234567890123456 {KEY}"), ":1: expected a name as the first word"),
        (&format!("secret/secret {KEY}"), ":1: expected a name as the first word"),
        (&format!("a {KEY} secret"), ":1: expected scopes as the third word: predict, admin"),
        (&format!("a {KEY} predict, admin"), ":1: expected NAME KEY SCOPES, got 4 words"),
        (&format!("a {KEY}\nb {OTHER}\na {HASH}"), ":3: expected another name than in line 1"),
        (&format!("a {KEY}\nb {KEY}"), ":2: expected another key than in line 1"),
        (&format!("a {HASH}\nb {HASH}"), ":2: expected another key than in line 1"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
        for word in ["secret", KEY, OTHER, &HASH[7..], &long] {
            assert!(!error.contains(word), "{error}");
        }
    }
}

#[test]
fn a_key_and_its_hash_are_one_key() {
    let mut hex = String::new();
    for byte in <sha2::Sha256 as sha2::Digest>::digest(KEY.as_bytes()) {
        hex.push_str(&format!("{byte:02x}"));
    }
    let error = read(&format!("a {KEY}\nb sha256:{hex}")).unwrap_err();
    assert!(error.ends_with(":2: expected another key than in line 1"), "{error}");
}

#[test]
fn all_mistakes_are_told_together_up_to_a_limit() {
    let error = read(&format!("a short\nb {KEY}\nc short\n")).unwrap_err();
    assert!(
        error.contains("/keys/api_key:1: ") && error.contains("; /keys/api_key:3: "),
        "{error}"
    );
    let many = parse(Path::new("k"), "a x\n".repeat(100).as_bytes()).unwrap_err();
    assert_eq!(many.mistakes.len(), MAX_MISTAKES);
}

#[test]
fn a_file_has_a_size_a_number_of_keys_and_an_encoding() {
    let keys = |count: usize| (0..count).map(|n| format!("k{n} {KEY}{n}\n")).collect::<String>();
    assert_eq!(names(&keys(MAX_KEYS)).len(), MAX_KEYS);
    let error = read(&keys(MAX_KEYS + 1)).unwrap_err();
    assert_eq!(error, "/keys/api_key: expected at most 256 keys, got 257");
    let large = format!("{KEY}\n#{}", " ".repeat(MAX_BYTES));
    assert!(read(&large).unwrap_err().ends_with("expected at most 65536 bytes, got more"));
    let error = parse(Path::new("k"), b"a b\n\xff").unwrap_err().to_string();
    assert_eq!(error, "k:2: expected text in UTF-8");
}

#[test]
fn a_file_whose_name_is_no_name_needs_one_in_it() {
    let alone =
        |file: &str| parse(Path::new(file), KEY.as_bytes()).map(|entries| entries[0].name.clone());
    assert_eq!(alone("/run/secrets/k.txt"), Ok("k.txt".to_owned()));
    let error = alone("/run/secrets/.key").unwrap_err().to_string();
    assert!(error.contains("the file's name cannot name the key"), "{error}");
}

#[test]
fn what_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    assert!(contents(folder.path()).unwrap_err().to_string().contains("it is no file"));
    assert!(contents(&folder.path().join("none")).is_err());
    let file = folder.path().join("large");
    std::fs::write(&file, vec![b'#'; 3 * MAX_BYTES]).unwrap();
    assert_eq!(contents(&file).unwrap().len(), MAX_BYTES + 1);
}

#[test]
fn whoever_shows_a_key_takes_the_first_one() {
    let first =
        |text: &str| first_key(Path::new("k"), text.as_bytes()).map_err(|error| error.to_string());
    assert_eq!(first(&format!("# ours\n{KEY}\n")), Ok(KEY.to_owned()));
    assert_eq!(first(&format!("a {KEY} admin\nb {OTHER}\n")), Ok(KEY.to_owned()));
    let hash = first(&format!("\na {HASH}\nb {OTHER}\n")).unwrap_err();
    assert_eq!(hash, "k:2: expected the key itself, got a hash of it");
    assert!(first("short").unwrap_err().contains("expected a key of 16 to 512"));
}

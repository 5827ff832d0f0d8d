//! Whatever is killed, and wherever: what is visible is whole, and what is not is tidied up by the next one.
//!
//! First every state that a command leaves between two of its steps, made by hand; then a process that is really killed,
//! over and over, some way into its work.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use tidegate_repository::{Finding, Manifest, Source};

use crate::site::{Site, push, source_folder, version};

const ROUNDS: u64 = 40;
const FOLDER: &str = "TIDEGATE_TEST_PUSHES_TO";

#[test]
fn a_half_copy_is_invisible_and_goes_with_the_next_command() {
    let site = Site::new();
    site.push(1, "one", &[]);
    fs::create_dir_all(site.model_folder().join(".push-2-0123/samples")).unwrap();
    fs::write(site.model_folder().join(".push-2-0123/model.onnx"), "ha").unwrap();
    fs::write(site.model_folder().join("versions.json.tmp"), "{\"sche").unwrap();
    assert_eq!(site.findings(), []);
    let findings = site.folder().verify(std::time::Duration::ZERO).unwrap();
    assert_eq!(findings.leftovers, [site.model_folder().join(".push-2-0123")]);
    site.push(2, "two", &[]);
    assert_eq!(site.names(), ["1", "2", "versions.json"]);
}

#[test]
fn a_version_that_was_not_listed_any_more_is_whole_and_taken_in_by_the_same_push() {
    let site = Site::new();
    site.push(1, "one", &[]);
    let before = fs::read(site.model_folder().join("versions.json")).unwrap();
    site.push(2, "two", &["green"]);
    fs::write(site.model_folder().join("versions.json"), before).unwrap();
    assert_eq!(site.findings(), [Finding::Extra(version(2))]);
    site.push(2, "two", &["green"]);
    assert_eq!(site.findings(), []);
    assert_eq!(site.open().manifest().labels().len(), 1);
}

#[test]
fn a_version_that_was_moved_aside_and_not_deleted_is_put_back() {
    let site = Site::new();
    site.push(1, "one", &[]);
    let aside = site.model_folder().join(".delete-1-0123");
    fs::rename(site.model_folder().join("1"), &aside).unwrap();
    assert_eq!(site.findings(), [Finding::Missing(version(1))]);
    site.push(2, "two", &[]);
    assert_eq!(site.findings(), []);
    assert_eq!(site.names(), ["1", "2", "versions.json"]);
}

#[test]
fn a_version_that_was_deleted_and_not_removed_is_removed() {
    let site = Site::new();
    site.push(1, "one", &[]);
    site.push(2, "two", &[]);
    let aside = site.model_folder().join(".delete-2-0123");
    fs::create_dir(&aside).unwrap();
    fs::rename(site.model_folder().join("2"), aside.join("rest")).unwrap();
    site.open().delete(version(2), false).unwrap();
    // Its folder was not there: the entry went, and the next one finds the rest of the folder.
    drop(site.open());
    assert_eq!(site.names(), ["1", "versions.json"]);
    assert_eq!(site.findings(), []);
}

/// The process that is killed: pushes and deletes until then, and tells of each version that it is done with.
#[test]
#[ignore = "started by the test below, which kills it"]
fn push_until_killed() {
    let folder = PathBuf::from(env::var_os(FOLDER).expect("the folder to push to"));
    let repository = folder.join("repository");
    let highest = Manifest::read(&repository.join("digits")).unwrap();
    let highest = highest.map_or(0, |manifest| manifest.revision());
    // Revisions count every write, so no number is given twice.
    for number in highest + 1.. {
        let source = Source::at(&source_folder(&folder, &format!("content {number}"))).unwrap();
        push(&repository, number, &source, &["latest"]).unwrap();
        let site = crate::site::terms(&repository);
        let mut writer = tidegate_repository::Writer::open(&site, &crate::site::digits()).unwrap();
        writer.activate(version(number)).unwrap();
        let oldest = writer.manifest().versions()[0].version();
        if writer.manifest().versions().len() > 3 {
            writer.delete(oldest, false).unwrap();
        }
        println!("pushed {number}");
    }
}

#[test]
fn after_kill_9_at_any_moment_every_visible_version_is_whole() {
    let site = Site::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..ROUNDS {
        let pushed = killed_after(site.0.path(), 1 + round % 3, next(&mut seed) % 4000);
        let manifest = Manifest::read(&site.model_folder()).unwrap().unwrap();
        assert!(
            manifest.active().is_some_and(|active| active.version >= version(pushed)),
            "round {round}: {pushed} was acknowledged, {:?} is active",
            manifest.active()
        );
        for finding in site.findings() {
            // A push before its manifest, or a delete before its manifest: never half a version.
            assert!(
                matches!(finding, Finding::Extra(_) | Finding::Missing(_)),
                "round {round}: {finding}"
            );
            if let Finding::Extra(number) = finding {
                let copied = Source::at(&site.model_folder().join(number.to_string())).unwrap();
                assert_eq!(copied.entries().unwrap().len(), 3, "round {round}: version {number}");
                let mut writer = site.open();
                writer.delete(number, false).unwrap();
            }
        }
        drop(site.open());
        assert_eq!(site.findings(), [], "round {round}: tidied up");
        let hidden = site.names().into_iter().filter(|name| name.starts_with('.')).count();
        assert_eq!(hidden, 0, "round {round}: {:?}", site.names());
    }
}

/// Starts the process above and kills it after so many versions and a little more. Says which was the last that it
/// was done with.
fn killed_after(folder: &Path, versions: u64, more: u64) -> u64 {
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "crash::push_until_killed", "--ignored", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
    let mut pushed = lines.filter_map(|line| {
        let (_, number) = line.split_once("pushed ")?;
        number.parse::<u64>().ok()
    });
    let last = (&mut pushed).take(versions as usize).last().expect("it pushes until it is killed");
    (0..more).for_each(|_| thread::yield_now());
    child.kill().unwrap();
    child.wait().unwrap();
    pushed.last().unwrap_or(last)
}

/// xorshift: the same rounds every time, as far as a kill can be repeated.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

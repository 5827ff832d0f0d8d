//! Who is compared: the gateway as it is by default, and each peer as benches/peers starts it.
//!
//! A contender that is not installed is skipped, with the reason that the installer left.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// For every peer alike; the gateway keeps its defaults.
pub const MAX_BATCH: usize = 32;
pub const INSTANCES: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contender {
    /// In tables.
    pub label: &'static str,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Gateway,
    Peer {
        /// Its folder under benches/peers.
        name: &'static str,
        /// How long a batch waits for company.
        delay_ms: u32,
    },
}

/// The gateway comes first: the others are told as ratios to it.
pub const CONTENDERS: [Contender; 6] = [
    Contender { label: "Tidegate", kind: Kind::Gateway },
    peer("Triton, delay 4 ms", "triton", 4),
    peer("Triton, delay 0", "triton", 0),
    peer("mosec, delay 4 ms", "mosec", 4),
    peer("MLServer, delay 4 ms", "mlserver", 4),
    peer("LitServe, delay 4 ms", "litserve", 4),
];

const fn peer(label: &'static str, name: &'static str, delay_ms: u32) -> Contender {
    Contender { label, kind: Kind::Peer { name, delay_ms } }
}

/// Where things lie.
#[derive(Debug, clap::Args)]
pub struct Folders {
    /// Where benches/peers/install.py put the peers
    #[arg(long, value_name = "FOLDER", default_value = ".deps/peers")]
    pub installed: PathBuf,
    /// Where the peers' launchers lie
    #[arg(long, value_name = "FOLDER", default_value = "benches/peers")]
    pub launchers: PathBuf,
    /// The repository that benches/models/make_models.py wrote
    #[arg(long, value_name = "FOLDER", default_value = ".deps/bench-models")]
    pub bench_models: PathBuf,
    /// The gateway's program; otherwise the one that was built beside this one
    #[arg(long, value_name = "FILE")]
    pub gateway: Option<PathBuf>,
}

/// What a server is started with.
pub struct Job<'a> {
    pub model: &'a str,
    /// Of the model; absolute, because launchers change their folder.
    pub file: &'a Path,
    /// The first of a few free ones.
    pub port: u16,
    /// Empty, and removed afterwards.
    pub folder: &'a Path,
}

impl Contender {
    /// Why it cannot be started here, if that is known beforehand.
    pub fn is_missing(&self, folders: &Folders) -> Option<String> {
        let Kind::Peer { name, .. } = self.kind else { return None };
        if let Ok(reason) = fs::read_to_string(folders.installed.join(format!("{name}.skipped"))) {
            return Some(reason.trim().to_owned());
        }
        if folders.installed.join(name).join("installed").is_file() {
            return None;
        }
        Some("not installed; `python benches/peers/install.py` does it".to_owned())
    }

    /// The command line that serves the job.
    pub fn command(&self, folders: &Folders, job: &Job<'_>) -> std::io::Result<Vec<OsString>> {
        match self.kind {
            Kind::Gateway => gateway(folders, job),
            Kind::Peer { name, delay_ms } => peers(folders, job, name, delay_ms),
        }
    }
}

fn gateway(folders: &Folders, job: &Job<'_>) -> std::io::Result<Vec<OsString>> {
    let program = match &folders.gateway {
        Some(program) => program.clone(),
        None => std::env::current_exe()?.with_file_name("tidegate"),
    };
    // A repository of this one model, because the peers serve no other either.
    let version = job.folder.join("repository").join(job.model).join("1");
    fs::create_dir_all(&version)?;
    std::os::unix::fs::symlink(job.file, version.join("model.onnx"))?;
    let mut command = vec![program.into(), "serve".into()];
    let local = |port: u16| OsString::from(format!("127.0.0.1:{port}"));
    let options = [
        ("--data-address", local(job.port)),
        ("--admin-address", local(job.port + 1)),
        ("--model-repository", job.folder.join("repository").into()),
        ("--state", job.folder.join("state").into()),
    ];
    command.extend(options.into_iter().flat_map(|(name, value)| [name.into(), value]));
    Ok(command)
}

fn peers(
    folders: &Folders,
    job: &Job<'_>,
    name: &str,
    delay_ms: u32,
) -> std::io::Result<Vec<OsString>> {
    // Not canonical: an environment's interpreter is a link, and knows its packages by it.
    let python = std::path::absolute(folders.installed.join(name).join("bin/python"))?;
    let launcher = fs::canonicalize(folders.launchers.join(name).join("launch.py"))?;
    let mut command = vec![python.into(), launcher.into()];
    let options: [(&str, OsString); 7] = [
        ("--file", job.file.into()),
        ("--model", job.model.into()),
        ("--port", job.port.to_string().into()),
        ("--folder", job.folder.into()),
        ("--max-batch", MAX_BATCH.to_string().into()),
        ("--delay-ms", delay_ms.to_string().into()),
        ("--instances", INSTANCES.to_string().into()),
    ];
    command.extend(options.into_iter().flat_map(|(name, value)| [name.into(), value]));
    Ok(command)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn folders(installed: &Path) -> Folders {
        Folders {
            installed: installed.to_owned(),
            launchers: "benches/peers".into(),
            bench_models: PathBuf::new(),
            gateway: None,
        }
    }

    #[test]
    fn the_gateway_comes_first_and_is_never_missing() {
        let nowhere = folders(Path::new("/nowhere"));
        assert_eq!(CONTENDERS[0].kind, Kind::Gateway);
        assert_eq!(CONTENDERS[0].is_missing(&nowhere), None);
    }

    #[test]
    fn a_peer_is_skipped_for_the_reason_that_the_installer_left() {
        let installed = TempDir::new().unwrap();
        let mosec = peer("mosec", "mosec", 4);
        let missing = || mosec.is_missing(&folders(installed.path()));
        assert!(missing().unwrap().starts_with("not installed"));

        fs::create_dir(installed.path().join("mosec")).unwrap();
        fs::write(installed.path().join("mosec/installed"), "").unwrap();
        assert_eq!(missing(), None);

        fs::write(installed.path().join("mosec.skipped"), "no wheel for this machine\n").unwrap();
        assert_eq!(missing().unwrap(), "no wheel for this machine");
    }
}

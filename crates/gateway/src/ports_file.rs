//! Tells whoever started the gateway on port 0 which ports it got.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tidegate_ingress::ListenAddress;

use crate::running::Running;

/// Writes `{"data":"127.0.0.1:1234","admin":"127.0.0.1:1235","listeners":["127.0.0.1:1234"]}`; `data` is the first
/// of the listeners that is a TCP address, or null. Whoever sees the file sees all of it: it is written beside
/// and then renamed.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write(path: &Path, running: &Running) -> io::Result<()> {
    write_addresses(path, &running.listeners, running.data(), running.admin)
}

fn write_addresses(
    path: &Path,
    listeners: &[ListenAddress],
    data: Option<SocketAddr>,
    admin: SocketAddr,
) -> io::Result<()> {
    let listeners: Vec<String> = listeners.iter().map(ListenAddress::to_string).collect();
    let data = data.map(|address| address.to_string());
    let addresses =
        serde_json::json!({ "data": data, "admin": admin.to_string(), "listeners": listeners });
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, format!("{addresses}\n"))?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_there_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ports.json");
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let socket: ListenAddress = "unix:/run/tidegate.sock".parse().unwrap();
        for port in [1, 2] {
            let listeners = [socket.clone(), address(port).into()];
            write_addresses(&path, &listeners, Some(address(port)), address(9)).unwrap();
            let text = std::fs::read_to_string(&path).unwrap();
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["data"], format!("127.0.0.1:{port}"));
            assert_eq!(read["admin"], "127.0.0.1:9");
            assert_eq!(read["listeners"][0], "unix:/run/tidegate.sock");
            assert_eq!(read["listeners"][1], read["data"]);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

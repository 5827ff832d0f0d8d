//! Where the data port listens: TCP addresses and Unix sockets, several of them, each of which speaks everything.
//!
//! A Unix socket is a file, and a process that was killed leaves it behind. Whoever starts next asks it: nobody
//! answers, and it is removed; somebody answers, and starting is an error.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixSocket, UnixStream};

use crate::stream::Stream;

/// Hundreds of callers may connect in the same instant; the usual 128 makes some of them wait for seconds.
const BACKLOG: u32 = 1024;

/// Its user and its group may connect, nobody else.
const SOCKET_MODE: u32 = 0o660;

/// Bytes of a Unix socket's path; one more is the terminating zero.
const LONGEST_PATH: usize = 107;

const UNIX: &str = "unix:";

/// `127.0.0.1:8501`, `[::1]:8501` or `unix:/run/tidegate.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// It is no address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

impl FromStr for ListenAddress {
    type Err = NoAddress;

    /// A socket's path is absolute, and as short as the kernel wants it.
    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let Some(path) = text.strip_prefix(UNIX) else {
            return text.parse().map(Self::Tcp).map_err(|_| NoAddress);
        };
        let fits = path.len() <= LONGEST_PATH && path.starts_with('/') && !path.ends_with('/');
        if fits { Ok(Self::Unix(path.into())) } else { Err(NoAddress) }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// A bound address; closed, and its file removed, when dropped.
#[derive(Debug)]
pub struct Listener {
    address: ListenAddress,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

impl Listener {
    /// # Errors
    /// When the address cannot be bound: it is taken, or not this machine's, or a file that is no socket.
    pub async fn bind(address: &ListenAddress) -> io::Result<Self> {
        match address {
            ListenAddress::Tcp(address) => {
                let listener = bind_tcp(*address)?;
                let address = ListenAddress::Tcp(listener.local_addr()?);
                Ok(Self { address, kind: Kind::Tcp(listener) })
            }
            ListenAddress::Unix(path) => {
                remove_if_stale(path).await?;
                let (listener, file) = bind_unix(path)?;
                Ok(Self { address: address.clone(), kind: Kind::Unix { listener, _file: file } })
            }
        }
    }

    /// With the port that was given, where any was asked for.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        match &self.kind {
            Kind::Tcp(listener) => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Stream::Tcp(stream))
            }
            Kind::Unix { listener, .. } => {
                listener.poll_accept(cx).map_ok(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Nobody gets in before the permissions stand: until it listens, it refuses.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    let file = SocketFile::of(path)?;
    std::fs::set_permissions(path, PermissionsExt::from_mode(SOCKET_MODE))?;
    Ok((socket.listen(BACKLOG)?, file))
}

/// Removes the socket of a process that is gone.
async fn remove_if_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let message = "the file is there and is no socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
        }
        Ok(_) => {}
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        // With a full backlog it is alive as well.
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "a process listens on it already")),
        Err(error) => Err(error),
    }
}

/// Removes the file when dropped, unless another process has put its own in its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // What cannot be removed is stale from now on, and whoever starts next deals with it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// All listeners of the data port, accepted from in turn: a crowd at one does not close the others.
#[derive(Debug)]
pub struct Listeners {
    all: Vec<Listener>,
    /// Asked first the next time.
    first: usize,
}

impl Listeners {
    pub fn new(all: Vec<Listener>) -> Self {
        Self { all, first: 0 }
    }

    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let count = self.all.len();
        for step in 0..count {
            let index = (self.first + step) % count;
            if let Poll::Ready(accepted) = self.all[index].poll_accept(cx) {
                self.first = (index + 1) % count;
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_it_is_shown() {
        for text in ["127.0.0.1:8501", "[::1]:0", "unix:/run/tidegate.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_socket_needs_an_absolute_path_that_the_kernel_takes() {
        let longest = format!("unix:/{}", "x".repeat(LONGEST_PATH - 1));
        assert!(longest.parse::<ListenAddress>().is_ok());
        let too_long = format!("{longest}x");
        for bad in ["", "localhost:80", "unix:", "unix:run.sock", "unix:/run/", &too_long] {
            assert_eq!(bad.parse::<ListenAddress>(), Err(NoAddress), "{bad}");
        }
    }

    fn socket(folder: &tempfile::TempDir) -> (PathBuf, ListenAddress) {
        let path = folder.path().join("data.sock");
        (path.clone(), ListenAddress::Unix(path))
    }

    #[tokio::test]
    async fn the_socket_is_for_its_user_and_group_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let (path, address) = socket(&folder);
        let listener = Listener::bind(&address).await.unwrap();
        assert_eq!(listener.address(), &address);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, SOCKET_MODE);
        drop(listener);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_process_socket_is_replaced_and_a_live_ones_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let (path, address) = socket(&folder);
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "std leaves the file behind, as a killed process does");
        let _alive = Listener::bind(&address).await.unwrap();
        let taken = Listener::bind(&address).await.unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (path, address) = socket(&folder);
        std::fs::write(&path, "precious").unwrap();
        let refused = Listener::bind(&address).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }

    #[tokio::test]
    async fn a_socket_that_another_process_put_there_is_not_removed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, address) = socket(&folder);
        let listener = Listener::bind(&address).await.unwrap();
        let beside = folder.path().join("other.sock");
        let _others = std::os::unix::net::UnixListener::bind(&beside).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        drop(listener);
        assert!(path.exists());
    }
}

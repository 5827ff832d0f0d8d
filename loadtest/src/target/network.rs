//! Where a target's host really is. Load goes to this machine unless it was said otherwise: a name counts by
//! the addresses that it stands for, all of them.

use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::address::Target;
use crate::Failure;
use crate::load::Endpoint;

/// How long to try each address of a name that has several.
const PATIENCE: Duration = Duration::from_secs(1);

impl Target {
    /// The address to ask: the first of the host's that takes a connection, as `localhost` may have one for each
    /// version of IP and a server on only one of them.
    ///
    /// # Errors
    /// When the host is not known, or is not this machine and `allow_remote` is false.
    pub fn endpoint(&self, allow_remote: bool) -> Result<Endpoint, Failure> {
        let addresses = self.addresses()?;
        let remote = addresses.iter().find(|address| !is_loopback(address.ip()));
        if let Some(remote) = remote.filter(|_| !allow_remote) {
            return Err(Failure::new(format!(
                "'{}' is not this machine (it is {}): pass --allow-remote if its owner agrees to the load",
                self.host,
                remote.ip()
            )));
        }
        let listening =
            |address: &&SocketAddr| TcpStream::connect_timeout(address, PATIENCE).is_ok();
        let address = match &addresses[..] {
            [address] => address,
            several => several.iter().find(listening).unwrap_or(&several[0]),
        };
        let mut endpoint = Endpoint::tcp(*address);
        endpoint.authority = self.authority();
        Ok(endpoint)
    }

    /// At least one.
    fn addresses(&self) -> Result<Vec<SocketAddr>, Failure> {
        let unknown = |why: &str| Failure::new(format!("host '{}' is not known: {why}", self.host));
        let addresses: Vec<SocketAddr> = (&*self.host, self.port)
            .to_socket_addrs()
            .map_err(|error| unknown(&error.to_string()))?
            .collect();
        if addresses.is_empty() {
            return Err(unknown("it has no address"));
        }
        Ok(addresses)
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn target(host: &str, port: u16) -> Target {
        Target::parse(&format!("http://{host}:{port}/v2/models/m"), false).unwrap()
    }

    #[test]
    fn only_this_machine_is_asked_without_leave() {
        for host in ["127.0.0.1", "127.8.8.8", "[::1]", "[::ffff:127.0.0.1]"] {
            assert!(target(host, 1).endpoint(false).is_ok(), "{host}");
        }
        for host in ["192.0.2.1", "[2001:db8::1]", "0.0.0.0", "[::ffff:192.0.2.1]"] {
            let refused = target(host, 1).endpoint(false).unwrap_err().to_string();
            assert!(refused.contains("is not this machine"), "{refused}");
            assert!(refused.contains("--allow-remote"), "{refused}");
            assert!(target(host, 1).endpoint(true).is_ok(), "{host}");
        }
    }

    #[test]
    fn of_several_addresses_the_one_that_listens_is_asked() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let endpoint = target("localhost", port).endpoint(false).unwrap();
        assert_eq!(endpoint.authority, format!("localhost:{port}"));
    }

    #[test]
    fn an_unknown_host_is_called_so() {
        let refused = target("no-such-host.invalid", 1).endpoint(true).unwrap_err().to_string();
        assert!(refused.starts_with("host 'no-such-host.invalid' is not known: "), "{refused}");
    }
}

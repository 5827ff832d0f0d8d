//! Salvoes: so many callers ask at one moment, each on a connection that is open already.
//!
//! The engine of the load tests spreads what it sends over time, as callers do. To put known requests
//! into one batch they must arrive within its delay, so here all connections are opened first and
//! then written to by one thread, in a fraction of a millisecond. Nothing is timed here.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tidegate_loadtest::question::{Answer, Prepared};

/// Sends each request on a connection of its own, and reads all answers, in the same order.
pub fn salvo(
    address: SocketAddr,
    requests: &[&Prepared],
    patience: Duration,
) -> io::Result<Vec<io::Result<Answer>>> {
    let mut connections = Vec::with_capacity(requests.len());
    for _ in requests {
        let connection = TcpStream::connect_timeout(&address, patience)?;
        connection.set_nodelay(true)?;
        connection.set_read_timeout(Some(patience))?;
        connections.push(connection);
    }
    let written: Vec<Vec<u8>> = requests.iter().map(|request| write(request, address)).collect();
    for (connection, bytes) in connections.iter_mut().zip(&written) {
        connection.write_all(bytes)?;
    }
    Ok(connections.into_iter().map(read).collect())
}

/// One question on a connection of its own.
pub fn ask(address: SocketAddr, request: &Prepared, patience: Duration) -> io::Result<Answer> {
    let answers = salvo(address, &[request], patience)?;
    answers.into_iter().next().unwrap_or_else(|| Err(malformed("there is no answer")))
}

fn write(request: &Prepared, address: SocketAddr) -> Vec<u8> {
    let mut bytes = format!("POST {} HTTP/1.1\r\nhost: {address}\r\n", request.path).into_bytes();
    for (name, value) in &request.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let length = request.body.len();
    bytes.extend_from_slice(
        format!("connection: close\r\ncontent-length: {length}\r\n\r\n").as_bytes(),
    );
    bytes.extend_from_slice(&request.body);
    bytes
}

/// Reads as long as the answer says that it is, or else to the connection's end.
fn read(mut connection: TcpStream) -> io::Result<Answer> {
    let mut received = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        match connection.read(&mut piece)? {
            0 => return parse(&received)?.ok_or_else(|| malformed("the answer was cut short")),
            length => received.extend_from_slice(&piece[..length]),
        }
        if let Some(answer) = parse(&received)?
            && answer.headers.contains_key(http::header::CONTENT_LENGTH)
        {
            return Ok(answer);
        }
    }
}

/// `None` while there is more to come.
fn parse(received: &[u8]) -> io::Result<Option<Answer>> {
    let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&received[..end]).map_err(|_| malformed("a head in UTF-8"))?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status: StatusCode = status.ok_or_else(|| malformed("an answer without a status"))?;
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let (name, value) = (name.parse::<HeaderName>(), HeaderValue::from_str(value.trim()));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let body = &received[end + 4..];
    let length = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| body.len() < length) {
        return Ok(None);
    }
    let body = Bytes::copy_from_slice(&body[..length.unwrap_or(body.len())]);
    Ok(Some(Answer { status, headers, body, trailers: HeaderMap::new() }))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_answer_is_read_to_the_length_that_it_states() {
        let whole =
            b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\nretry-after: 1\r\n\r\n{}";
        let answer = parse(whole).unwrap().unwrap();
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (503, &b"{}"[..]));
        assert_eq!(answer.headers["retry-after"], "1");
        assert!(parse(&whole[..whole.len() - 1]).unwrap().is_none());
        assert!(parse(b"HTTP/1.1\r\n\r\n").is_err());
    }

    #[test]
    fn all_of_a_salvo_are_connected_before_the_first_is_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let mut both: Vec<TcpStream> = (0..2).map(|_| listener.accept().unwrap().0).collect();
            for (index, connection) in both.iter_mut().enumerate() {
                connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                assert!(connection.read(&mut [0; 4096]).unwrap() > 0);
                write!(connection, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{index}").unwrap();
            }
        });
        let request = Prepared {
            path: "/".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"{}"),
        };
        let answers = salvo(address, &[&request, &request], Duration::from_secs(10)).unwrap();
        server.join().unwrap();
        let bodies: Vec<Bytes> = answers.into_iter().map(|answer| answer.unwrap().body).collect();
        assert_eq!(bodies, ["0", "1"]);
    }
}

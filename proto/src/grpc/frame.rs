//! A gRPC message as it stands in a body: behind five bytes, which say whether it is compressed and how long it is.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use crate::DecodeError;

/// Bytes in front of each message.
pub const PREFIX: usize = 5;

/// What the bytes in front of a message say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    pub compressed: bool,
    pub length: usize,
}

impl Prefix {
    /// # Errors
    /// When the first byte is neither 0 nor 1.
    pub fn read([flag, length @ ..]: [u8; PREFIX]) -> Result<Self, DecodeError> {
        if flag > 1 {
            return Err(DecodeError::invalid(format!(
                "a gRPC message begins with 0 or 1 (compressed), got {flag}"
            )));
        }
        Ok(Self { compressed: flag == 1, length: u32::from_be_bytes(length) as usize })
    }
}

/// The body of a call with one message, not compressed.
pub fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut body = BytesMut::with_capacity(PREFIX + length);
    let length = u32::try_from(length).expect("a message that fits into memory and 4 GiB");
    begin(&mut body, length);
    message.encode(&mut body).expect("the buffer grows");
    body.freeze()
}

/// Says that a message of so many bytes follows, not compressed.
pub(super) fn begin(body: &mut BytesMut, length: u32) {
    body.put_u8(0);
    body.put_u32(length);
}

/// The one message of an answer's body.
///
/// # Errors
/// When the body is cut short, holds another number of messages, or a compressed one.
pub fn unframe<M: Message + Default>(body: &Bytes) -> Result<M, DecodeError> {
    let mut rest = body.clone();
    if rest.len() < PREFIX {
        return Err(DecodeError::invalid(format!("{} bytes are no gRPC message", rest.len())));
    }
    if rest.get_u8() != 0 {
        return Err(DecodeError::unimplemented(
            "a compressed gRPC message, which was not asked for",
        ));
    }
    let length = rest.get_u32() as usize;
    if length != rest.len() {
        return Err(DecodeError::invalid(format!(
            "expected one gRPC message of {length} bytes, got {} bytes",
            rest.len()
        )));
    }
    M::decode(rest).map_err(|error| DecodeError::invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::inference::ModelReadyRequest;

    #[test]
    fn a_message_comes_out_of_its_frame_as_it_went_in() {
        let message = ModelReadyRequest { name: "m".into(), version: String::new() };
        let body = frame(&message);
        assert_eq!(body[..], [0, 0, 0, 0, 3, 0x0a, 1, b'm']);
        assert_eq!(unframe::<ModelReadyRequest>(&body).unwrap(), message);
    }

    #[test]
    fn other_bodies_are_refused() {
        for (body, problem) in [
            (&b""[..], "0 bytes are no gRPC message"),
            (b"\0\0\0\0", "4 bytes are no gRPC message"),
            (b"\x01\0\0\0\0", "a compressed gRPC message"),
            (b"\0\0\0\0\x02\x0a", "expected one gRPC message of 2 bytes, got 1 bytes"),
            (b"\0\0\0\0\0\0\0\0\0\0", "expected one gRPC message of 0 bytes, got 5 bytes"),
            (b"\0\0\0\0\x01\x0a", "failed to decode Protobuf message"),
        ] {
            let refused = unframe::<ModelReadyRequest>(&Bytes::from_static(body)).unwrap_err();
            assert!(refused.to_string().contains(problem), "{refused}");
        }
    }
}

//! The shared memory extension's own requests and answers in JSON.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::DecodeError;
use crate::json::to_body;

/// A region under the name that requests use, and the memory behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SharedRegion {
    pub name: String,
    /// As `shm_open` knows the memory.
    pub key: String,
    /// Where in the memory the region begins, in bytes.
    pub offset: u64,
    pub byte_size: u64,
}

#[derive(Deserialize)]
struct Registration {
    key: String,
    #[serde(default)]
    offset: u64,
    byte_size: u64,
}

/// The body of a registration.
///
/// # Errors
/// When it is not of this form.
pub fn decode_registration(name: String, body: &[u8]) -> Result<SharedRegion, DecodeError> {
    let Registration { key, offset, byte_size } = serde_json::from_slice(body).map_err(|error| {
        DecodeError::invalid(format!(
            "shared memory region '{name:.64}': expected {{\"key\": string, \"offset\": integer, \"byte_size\": \
             integer}}: {error}"
        ))
    })?;
    Ok(SharedRegion { name, key, offset, byte_size })
}

/// The regions as a list.
pub fn memory_status(regions: &[SharedRegion]) -> Bytes {
    to_body(&regions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_read_and_what_is_none_is_refused() {
        let decode = |body: &str| decode_registration("r".into(), body.as_bytes());
        let region = decode(r#"{"key":"/k","byte_size":8}"#).unwrap();
        assert_eq!(
            region,
            SharedRegion { name: "r".into(), key: "/k".into(), offset: 0, byte_size: 8 }
        );
        let listed = memory_status(&[region]);
        assert_eq!(listed, r#"[{"name":"r","key":"/k","offset":0,"byte_size":8}]"#);
        for body in ["", "{}", r#"{"key":"k"}"#, r#"{"key":"k","byte_size":-1}"#] {
            let refused = decode(body).unwrap_err().to_string();
            assert!(
                refused.starts_with("shared memory region 'r': expected {\"key\""),
                "{refused}"
            );
        }
    }
}

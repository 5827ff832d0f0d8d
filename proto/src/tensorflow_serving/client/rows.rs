//! How many rows a request carries, by its outermost arrays alone: no metadata is needed for it.

use crate::JsonLimits;
use crate::json::{JsonError, Kind, Reader, Result};

/// Of a predict request's body; `None` where it is no such body, or has no rows.
pub fn request_rows(body: &[u8], limits: JsonLimits) -> Option<usize> {
    let mut rows = None;
    let read = Reader::new(body, limits).object(|key, reader| match key {
        "instances" => length(reader).map(|length| rows = length),
        "inputs" if reader.peek()? == Kind::Object => reader.object(|_, reader| {
            let own = length(reader)?;
            rows = rows.or(own);
            Ok(())
        }),
        "inputs" => length(reader).map(|length| rows = length),
        _ => reader.skip(),
    });
    read.ok().and(rows)
}

/// Of the array that comes next, if it is one.
fn length(reader: &mut Reader<'_>) -> Result<Option<usize>, Box<JsonError>> {
    if reader.peek()? != Kind::Array {
        return reader.skip().map(|()| None);
    }
    let mut length = 0;
    reader.array(|reader| {
        length += 1;
        reader.skip()
    })?;
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_the_outermost_elements() {
        let rows = |body: &str| request_rows(body.as_bytes(), JsonLimits::default());
        assert_eq!(rows(r#"{"signature_name":"s","instances":[[1,2],[3,4],[5,6]]}"#), Some(3));
        assert_eq!(rows(r#"{"inputs":{"a":[1,2],"b":[[1],[2]]}}"#), Some(2));
        assert_eq!(rows(r#"{"inputs":[1,2,3,4]}"#), Some(4));
        for body in ["", "{}", r#"{"inputs":1}"#, r#"{"instances":[1"#, "[1]"] {
            assert_eq!(rows(body), None, "{body}");
        }
    }
}

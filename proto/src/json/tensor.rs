//! JSON values straight into a tensor's buffer: no tree in between, and no memory for elements that
//! are declared but not there. Arrays may be flat or nested; their shape is found on the way.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use tidegate_inference::{DataType, Shape, Tensor, TensorData};

use super::JsonError;
use super::layout::Layout;
use super::reader::{Kind, Reader, Result};
use super::run::read_numbers;
use crate::role::Role;

/// Padding may be missing, as TensorFlow Serving has it.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How a byte string may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// As a string.
    Plain,
    /// As a string or as `{"b64": "..."}`.
    OrBase64,
}

#[derive(Debug)]
pub(crate) struct TensorReader<'n> {
    role: Role,
    name: &'n str,
    datatype: DataType,
    text: Text,
    layout: Layout,
    fixed: Vec<u8>,
    strings: Vec<Bytes>,
}

impl<'n> TensorReader<'n> {
    pub(crate) fn new(role: Role, name: &'n str, datatype: DataType, text: Text) -> Self {
        let layout = Layout::default();
        Self { role, name, datatype, text, layout, fixed: Vec::new(), strings: Vec::new() }
    }

    /// For a tensor whose items along the first dimension come one by one ([`Self::item`]).
    pub(crate) fn of_items(role: Role, name: &'n str, datatype: DataType, text: Text) -> Self {
        Self { layout: Layout::of_items(), ..Self::new(role, name, datatype, text) }
    }

    /// Makes room for `elements`, as far as the text left can hold them.
    pub(crate) fn reserve(&mut self, reader: &Reader<'_>, elements: usize) {
        let possible = elements.min(reader.remaining() / 2 + 1);
        match self.datatype.size() {
            Some(size) => self.fixed.reserve_exact(possible * size),
            None => self.strings.reserve_exact(possible),
        }
    }

    /// Reads the whole tensor.
    pub(crate) fn value(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        self.nested(reader, 0)
    }

    /// Reads one item along the first dimension.
    pub(crate) fn item(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        self.nested(reader, 1)
    }

    /// The tensor, in the shape that its arrays have.
    pub(crate) fn finish(self) -> Result<Tensor> {
        let shape = self.layout.shape();
        self.finish_as(shape)
    }

    /// The tensor of [`Self::item`]s, of which there were `items`.
    pub(crate) fn finish_items(mut self, items: usize) -> Result<Tensor> {
        self.layout.close(0, items).map_err(|problem| self.refuse(&problem))?;
        self.finish()
    }

    /// The tensor, in a declared shape; nested arrays are flattened, as Triton does.
    pub(crate) fn finish_declared(self, shape: Shape) -> Result<Tensor> {
        let found = match self.datatype.size() {
            Some(size) => self.fixed.len() / size,
            None => self.strings.len(),
        };
        if let Some(elements) = shape.elements().filter(|elements| *elements != found) {
            return Err(self.refuse(&format!(
                "Shape does not match true shape of 'data' field: {shape} has {elements} elements, \
                 got {found}"
            )));
        }
        self.finish_as(shape)
    }

    pub(crate) fn found_shape(&self) -> Shape {
        self.layout.shape()
    }

    pub(crate) fn finish_as(self, shape: Shape) -> Result<Tensor> {
        let data = match self.datatype.size() {
            Some(_) => TensorData::Fixed(self.fixed.into()),
            None => TensorData::Strings(self.strings),
        };
        Ok(Tensor::new(self.name, self.datatype, shape, data)?)
    }

    fn nested(&mut self, reader: &mut Reader<'_>, depth: usize) -> Result<()> {
        let kind = reader.peek()?;
        if kind != Kind::Array {
            self.layout.values(depth).map_err(|problem| self.refuse(&problem))?;
            return self.elements(reader, kind, 1).map(drop);
        }
        self.layout.open(depth).map_err(|problem| self.refuse(&problem))?;
        // One look at the layout is enough for all values of an array: after it, none can open deeper.
        let (mut length, mut holds_values) = (0, false);
        reader.array(|reader| {
            let kind = reader.peek()?;
            if kind == Kind::Array {
                length += 1;
                return self.nested(reader, depth + 1);
            }
            if !holds_values {
                self.layout.values(depth + 1).map_err(|problem| self.refuse(&problem))?;
                holds_values = true;
            }
            length += self.elements(reader, kind, usize::MAX)?;
            Ok(())
        })?;
        self.layout.close(depth, length).map_err(|problem| self.refuse(&problem))
    }

    /// Reads one value, or a run of up to `limit` numbers, and says how many there were.
    fn elements(&mut self, reader: &mut Reader<'_>, kind: Kind, limit: usize) -> Result<usize> {
        match (self.datatype, kind) {
            (datatype, Kind::Number) => {
                let run = read_numbers(reader, datatype, limit, &mut self.fixed)?;
                return match run.unfit {
                    None => Ok(run.count),
                    Some(number) => Err(self.unfit(&format!("{:.40}", number.token()))),
                };
            }
            (DataType::Bool, Kind::Bool) => self.fixed.push(u8::from(reader.bool()?)),
            (DataType::Bytes, Kind::String) => {
                self.strings.push(Bytes::copy_from_slice(reader.string()?.as_bytes()));
            }
            (DataType::Bytes, Kind::Object) if self.text == Text::OrBase64 => {
                let decoded = self.base64(reader)?;
                self.strings.push(decoded);
            }
            (_, kind) => return Err(self.unfit(kind.described())),
        }
        Ok(1)
    }

    fn base64(&self, reader: &mut Reader<'_>) -> Result<Bytes> {
        let text = base64_member(reader)?
            .ok_or_else(|| self.unfit("an object that is not {\"b64\": \"<base64>\"}"))?;
        BASE64
            .decode(text.as_bytes())
            .map(Bytes::from)
            .map_err(|error| self.refuse(&format!("Unable to base64 decode: {error}")))
    }

    #[cold]
    fn unfit(&self, found: &str) -> Box<JsonError> {
        self.refuse(&format!("expected {}, got {found}", self.datatype))
    }

    #[cold]
    fn refuse(&self, problem: &str) -> Box<JsonError> {
        JsonError::refused(format!("{} '{}': {problem}", self.role, self.name))
    }
}

/// Reads an object; the text of `{"b64": "<text>"}` if that is what it is.
fn base64_member(reader: &mut Reader<'_>) -> Result<Option<String>> {
    let (mut text, mut members) = (None, 0);
    reader.object(|key, reader| {
        members += 1;
        if key == "b64" && reader.peek()? == Kind::String {
            text = Some(reader.string()?.into_owned());
            return Ok(());
        }
        reader.skip()
    })?;
    Ok(text.filter(|_| members == 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JsonLimits;

    fn read_as(datatype: DataType, text: &str) -> Result<Tensor> {
        let mut reader = Reader::new(text.as_bytes(), JsonLimits::default());
        let mut tensor = TensorReader::new(Role::Input, "x", datatype, Text::OrBase64);
        tensor.value(&mut reader)?;
        reader.finish()?;
        tensor.finish()
    }

    fn refusal(datatype: DataType, text: &str) -> String {
        read_as(datatype, text).unwrap_err().to_string()
    }

    #[test]
    fn the_shape_is_found_on_the_way_down() {
        for (text, shape) in [
            ("7", &[][..]),
            ("[]", &[0]),
            ("[1]", &[1]),
            ("[[1,2,3],[4,5,6]]", &[2, 3]),
            ("[[[1],[2]]]", &[1, 2, 1]),
            ("[[],[]]", &[2, 0]),
        ] {
            assert_eq!(&**read_as(DataType::Uint8, text).unwrap().shape(), shape, "{text}");
        }
    }

    #[test]
    fn ragged_arrays_are_refused_wherever_they_turn_ragged() {
        assert_eq!(
            refusal(DataType::Int32, "[[1,2,3],[4,5]]"),
            "input 'x': ragged array: Expecting tensor size: 3 but got: 2"
        );
        for text in ["[1,[2]]", "[[1],2]", "[[],1]", "[[],[1]]", "[[[]],[[1]]]", "[[1],[[2]]]"] {
            assert!(refusal(DataType::Int32, text).contains("ragged array: Expecting"), "{text}");
        }
    }

    #[test]
    fn elements_of_another_kind_are_refused_by_name() {
        for (datatype, text, expected) in [
            (DataType::Int32, "[1.5]", "expected INT32, got 1.5"),
            (DataType::Uint8, "[256]", "expected UINT8, got 256"),
            (DataType::Fp32, "[\"1\"]", "expected FP32, got a string"),
            (DataType::Fp32, "[null]", "expected FP32, got null"),
            (DataType::Fp32, "[true]", "expected FP32, got a boolean"),
            (DataType::Bool, "[1]", "expected BOOL, got 1"),
            (DataType::Bytes, "[1]", "expected BYTES, got 1"),
            (DataType::Fp32, "[{\"b64\":\"\"}]", "expected FP32, got an object"),
        ] {
            assert_eq!(refusal(datatype, text), format!("input 'x': {expected}"), "{text}");
        }
    }

    #[test]
    fn byte_strings_come_as_text_or_base64() {
        let text = r#"["plain", "\u00e9", {"b64": "/wA="}, {"b64": "/w"}]"#;
        let expected = ["plain".as_bytes(), "é".as_bytes(), b"\xff\x00", b"\xff"];
        let TensorData::Strings(strings) = read_as(DataType::Bytes, text).unwrap().data().clone()
        else {
            panic!("BYTES holds strings")
        };
        assert_eq!(strings, expected);
    }

    #[test]
    fn bad_base64_is_refused() {
        assert!(refusal(DataType::Bytes, r#"[{"b64": "a"}]"#).contains("Unable to base64 decode"));
        for text in [r#"[{"b64": 1}]"#, r#"[{"b64": "", "x": 1}]"#, "[{}]", r#"[{"B64": ""}]"#] {
            assert!(refusal(DataType::Bytes, text).contains("is not {\"b64\""), "{text}");
        }
    }

    #[test]
    fn the_deepest_nesting_that_can_be_allowed_fits_into_half_a_worker_threads_stack() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let read = move || {
            let limits = JsonLimits { max_depth: usize::MAX };
            for (depth, fits) in [(JsonLimits::MAX_DEPTH, true), (100_000, false)] {
                let text = deep(depth);
                let skipped = Reader::new(text.as_bytes(), limits).skip();
                let mut tensor = TensorReader::new(Role::Input, "x", DataType::Fp32, Text::Plain);
                let read = tensor.value(&mut Reader::new(text.as_bytes(), limits));
                assert_eq!((skipped.is_ok(), read.is_ok()), (fits, fits));
            }
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(read).unwrap().join().unwrap();
    }

    #[test]
    fn declared_sizes_take_no_memory() {
        let text = "[1]";
        let mut reader = Reader::new(text.as_bytes(), JsonLimits::default());
        let mut tensor = TensorReader::new(Role::Input, "x", DataType::Fp64, Text::Plain);
        tensor.reserve(&reader, usize::MAX);
        tensor.value(&mut reader).unwrap();
        assert!(tensor.fixed.capacity() <= 64);
        let refused = tensor.finish_declared(Shape::new(&[1_000_000_000])).unwrap_err();
        assert!(refused.to_string().contains("has 1000000000 elements, got 1"), "{refused}");
    }
}

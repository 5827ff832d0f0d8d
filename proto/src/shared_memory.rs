//! Triton's system shared memory extension, as far as the wire goes: a tensor whose values stand in a region that
//! was registered before, and an output that is to be written into one. Nothing is read or written here; whoever
//! keeps the regions does.

use bytes::Bytes;
use tidegate_inference::{Error, ErrorKind, ParameterValue, Tensor};

use crate::open_inference::binary::serialize;

/// Some bytes of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub region: String,
    /// From the region's own beginning.
    pub offset: usize,
    pub byte_size: usize,
}

/// The regions that were registered.
pub trait Regions {
    /// # Errors
    /// No such region, outside of it, or the memory behind it has gone or shrunk.
    fn read(&self, window: &Window) -> Result<Bytes, Error>;

    /// Writes at the window's beginning; `bytes` are no longer than the window.
    ///
    /// # Errors
    /// As for reading.
    fn write(&self, window: &Window, bytes: &[u8]) -> Result<(), Error>;
}

/// Where no memory is shared.
#[derive(Clone, Copy, Debug)]
pub struct NoRegions;

impl NoRegions {
    fn refuse(window: &Window) -> Error {
        let message = format!(
            "region '{:.64}': shared memory is not offered here: the server's configuration names no shared_memory.path",
            window.region
        );
        Error::new(ErrorKind::Unimplemented, message)
    }
}

impl Regions for NoRegions {
    fn read(&self, window: &Window) -> Result<Bytes, Error> {
        Err(Self::refuse(window))
    }

    fn write(&self, window: &Window, _: &[u8]) -> Result<(), Error> {
        Err(Self::refuse(window))
    }
}

/// What a tensor's parameters say of shared memory, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    region: Option<String>,
    offset: usize,
    byte_size: Option<usize>,
}

impl Claim {
    /// Takes a parameter if it is one of these; says whether it was.
    ///
    /// # Errors
    /// What is wrong with its value.
    pub(crate) fn take(&mut self, key: &str, value: &ParameterValue) -> Result<bool, String> {
        match key {
            "shared_memory_region" => match value {
                ParameterValue::String(region) => self.region = Some(region.clone()),
                _ => return Err(format!("parameter '{key}': expected a string")),
            },
            "shared_memory_offset" => self.offset = size(key, value)?,
            "shared_memory_byte_size" => self.byte_size = Some(size(key, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// # Errors
    /// A region without a size. A size without a region says nothing, as in Triton.
    pub(crate) fn window(self) -> Result<Option<Window>, String> {
        let Some(region) = self.region else { return Ok(None) };
        let byte_size = self.byte_size.ok_or_else(|| {
            format!("shared memory region '{region:.64}': parameter 'shared_memory_byte_size' is missing")
        })?;
        Ok(Some(Window { region, offset: self.offset, byte_size }))
    }
}

fn size(key: &str, value: &ParameterValue) -> Result<usize, String> {
    let size = match value {
        ParameterValue::Int64(size) => usize::try_from(*size).ok(),
        ParameterValue::Uint64(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    size.ok_or_else(|| format!("parameter '{key}': expected a non-negative integer"))
}

/// Writes an output into its window and says how many bytes it took.
pub(crate) fn put(regions: &dyn Regions, window: &Window, tensor: &Tensor) -> Result<usize, Error> {
    let bytes = serialize(tensor)?;
    if bytes.len() > window.byte_size {
        return Err(Error::invalid(format!(
            "shared memory size specified with the request for output '{}' ({} bytes) should be at least {} bytes to \
             hold the results",
            tensor.name(),
            window.byte_size,
            bytes.len()
        )));
    }
    regions.write(window, &bytes)?;
    Ok(bytes.len())
}

#[cfg(test)]
pub(crate) mod testing {
    use std::cell::RefCell;

    use super::*;

    /// One region, `r`.
    pub struct OneRegion(pub RefCell<Vec<u8>>);

    impl Regions for OneRegion {
        fn read(&self, window: &Window) -> Result<Bytes, Error> {
            assert_eq!(window.region, "r");
            let memory = self.0.borrow();
            Ok(Bytes::copy_from_slice(&memory[window.offset..window.offset + window.byte_size]))
        }

        fn write(&self, window: &Window, bytes: &[u8]) -> Result<(), Error> {
            assert_eq!(window.region, "r");
            self.0.borrow_mut()[window.offset..window.offset + bytes.len()].copy_from_slice(bytes);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tidegate_inference::{DataType, ModelName, Shape, Signature, TensorData, Version};

    use super::testing::OneRegion;
    use super::*;
    use crate::grpc::inference::{ModelInferRequest, ModelInferResponse};
    use crate::grpc::open_inference::Within;
    use crate::grpc::{self, unframe};
    use crate::open_inference::{self, InferRequest};
    use crate::{DecodeError, JsonLimits};

    fn region() -> OneRegion {
        OneRegion(RefCell::new((0..32).collect()))
    }

    fn json(body: &str, regions: &dyn Regions) -> Result<InferRequest, DecodeError> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        let signature = Signature { inputs: vec![], outputs: vec![] };
        open_inference::decode_infer(&body, None, &signature, JsonLimits::default(), regions)
    }

    /// One input `x` of four bytes with these parameters, and more members.
    fn input(parameters: &str, more: &str) -> String {
        format!(
            r#"{{"inputs":[{{"name":"x","datatype":"UINT8","shape":[4],"parameters":{{{parameters}}}{more}}}]}}"#
        )
    }

    fn values(request: &InferRequest) -> &[u8] {
        let TensorData::Fixed(bytes) = request.inputs[0].data() else { panic!("UINT8") };
        bytes
    }

    fn output(bytes: usize) -> Tensor {
        let data = TensorData::Fixed(vec![9; bytes].into());
        Tensor::new("y", DataType::Uint8, Shape::new(&[bytes]), data).unwrap()
    }

    /// An answer of `y` into these four bytes of the region.
    fn answering() -> open_inference::Reply {
        let window = Window { region: "r".into(), offset: 8, byte_size: 4 };
        let output = open_inference::RequestedOutput {
            name: "y".into(),
            binary: None,
            classification: None,
            shared: Some(window),
        };
        open_inference::Reply { outputs: vec![output], ..open_inference::Reply::default() }
    }

    const HERE: &str =
        r#""shared_memory_region":"r","shared_memory_offset":3,"shared_memory_byte_size":4"#;

    #[test]
    fn values_are_taken_from_where_the_parameters_say() {
        let request = json(&input(HERE, ""), &region()).unwrap();
        assert_eq!(values(&request), [3, 4, 5, 6]);
    }

    #[test]
    fn over_grpc_tensors_in_memory_have_no_raw_contents() {
        let tensors = [output(2), output(2).renamed("z".into())];
        let mut request =
            grpc::open_inference::encode_request("m", "", &tensors, &Default::default()).unwrap();
        let text = |text: &str| ParameterValue::String(text.to_owned());
        for (key, value) in [
            ("shared_memory_region", text("r")),
            ("shared_memory_byte_size", ParameterValue::Uint64(2)),
        ] {
            let one = tidegate_inference::Parameters::from([(key.to_owned(), value)]);
            let one = grpc::open_inference::encode_request("", "", &[], &one).unwrap();
            request.inputs[0].parameters.extend(one.parameters);
        }
        let decode = |request: &ModelInferRequest| {
            grpc::open_inference::decode_infer(request.clone(), &region())
        };
        let refused = decode(&request).unwrap_err().to_string();
        assert!(refused.contains("expected one for each of the 1 inputs"), "{refused}");
        request.raw_input_contents.remove(0);
        let read = decode(&request).unwrap();
        assert_eq!(values(&read), [0, 1]);
        assert_eq!(read.inputs[1], tensors[1]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let region = region();
        for (parameters, more, told) in [
            (r#""shared_memory_region":"r""#, "", "'shared_memory_byte_size' is missing"),
            (r#""shared_memory_region":7"#, "", "'shared_memory_region': expected a string"),
            (r#""shared_memory_offset":-1"#, "", "expected a non-negative integer"),
            (HERE, r#","data":[1,2,3,4]"#, "must not be given in the request as well"),
            (r#""shared_memory_region":"r","shared_memory_byte_size":5"#, "", "Expected 4, got 5"),
        ] {
            let refused = json(&input(parameters, more), &region).unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
        let refused = json(&input(HERE, ""), &NoRegions).unwrap_err().to_string();
        assert!(
            refused.contains("input 'x': region 'r': shared memory is not offered"),
            "{refused}"
        );
    }

    #[test]
    fn an_output_is_written_and_its_place_is_told() {
        let (model, version) = (ModelName::new("m").unwrap(), Version::new(1).unwrap());
        let memory = region();
        let encoded =
            open_inference::encode_infer(&model, version, &answering(), &[output(3)], &memory);
        let expected = r#"{"model_name":"m","model_version":"1","outputs":[{"name":"y","datatype":"UINT8","shape":[3],"parameters":{"shared_memory_region":"r","shared_memory_byte_size":3,"shared_memory_offset":8}}]}"#;
        assert_eq!(encoded.unwrap().chunks, [expected]);
        assert_eq!(memory.0.borrow()[7..12], [7, 9, 9, 9, 11]);

        let memory = region();
        let (reply, call) = (answering(), Within::Call);
        let encode = |outputs: &[Tensor]| {
            grpc::open_inference::encode_infer(&model, version, &reply, outputs, call, &memory)
        };
        let chunks = encode(&[output(4)]).unwrap();
        let response: ModelInferResponse = unframe(&chunks.concat().into()).unwrap();
        assert_eq!(response.raw_output_contents, [Bytes::new()], "one for each output");
        assert_eq!(response.outputs[0].parameters.len(), 3);
        assert_eq!(memory.0.borrow()[7..13], [7, 9, 9, 9, 9, 12]);
        let refused = encode(&[output(5)]).unwrap_err();
        assert!(refused.message().contains("(4 bytes) should be at least 5 bytes"), "{refused}");
    }
}

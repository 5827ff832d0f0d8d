//! The wire formats against golden vectors: bytes as standard clients send them are read as exactly these tensors and
//! parameters, and our answers are byte for byte those that the same clients read. `golden/make_vectors.py` made the
//! files with the clients' own libraries, so neither side of a comparison is ours.
//!
//! The requests are the seeds of the fuzz targets, too; hence one folder a codec. A request or answer with a binary
//! section begins with the length of its JSON, two bytes, little-endian, because a file has no headers.

use bytes::Bytes;
use prost::Message;
use tidegate_inference::{
    DataType, Dim, ModelName, ParameterValue, Parameters, Signature, Tensor, TensorData,
    TensorSpec, Version,
};
use tidegate_proto::grpc::inference::ModelInferRequest;
use tidegate_proto::grpc::open_inference::Within;
use tidegate_proto::grpc::tensorflow::serving::PredictRequest;
use tidegate_proto::open_inference::{Encoded, HeaderLength, InferRequest, Reply, RequestedOutput};
use tidegate_proto::predict::Samples;
use tidegate_proto::shared_memory::NoRegions;
use tidegate_proto::tensorflow_serving::Form;
use tidegate_proto::{JsonLimits, grpc, open_inference, predict, tensorflow_serving};

const LIMITS: JsonLimits = JsonLimits { max_depth: 100 };

/// What most requests bring: `pixels`, two rows of three.
const ROWS: [f32; 6] = [1.5, -2.0, 3.25, 0.1, 65504.0, -0.0];
/// The same as half floats.
const HALVES: [u16; 6] = [0x3e00, 0xc000, 0x4280, 0x2e66, 0x7bff, 0x8000];
const EXTREMES: [i64; 2] = [i64::MIN, i64::MAX];

macro_rules! golden {
    ($name:literal) => {
        Bytes::from_static(include_bytes!(concat!("golden/", $name)))
    };
}

fn tensor(name: &str, datatype: DataType, shape: &[usize], data: TensorData) -> Tensor {
    Tensor::new(name, datatype, shape.iter().copied().collect(), data).expect("a sound tensor")
}

macro_rules! fixed {
    ($name:literal, $datatype:ident, $shape:expr, $values:expr) => {{
        let bytes: Vec<u8> = $values.into_iter().flat_map(|value| value.to_le_bytes()).collect();
        tensor($name, DataType::$datatype, &$shape, TensorData::Fixed(bytes.into()))
    }};
}

fn strings(name: &str, shape: &[usize], values: &[&'static [u8]]) -> Tensor {
    let values = values.iter().map(|value| Bytes::from_static(value)).collect();
    tensor(name, DataType::Bytes, shape, TensorData::Strings(values))
}

fn flags() -> Tensor {
    fixed!("flags", Bool, [2], [1_u8, 0])
}

fn pixels() -> Tensor {
    fixed!("pixels", Fp32, [2, 3], ROWS)
}

fn ids() -> Tensor {
    fixed!("ids", Int64, [1, 2], EXTREMES)
}

fn spec(name: &str, datatype: DataType, shape: &[Dim]) -> TensorSpec {
    TensorSpec { name: name.into(), datatype, shape: shape.to_vec() }
}

fn pixels_spec() -> TensorSpec {
    spec("pixels", DataType::Fp32, &[Dim::Dynamic, Dim::Fixed(3)])
}

fn signature(inputs: impl Into<Vec<TensorSpec>>) -> Signature {
    Signature { inputs: inputs.into(), outputs: Vec::new() }
}

fn of_pixels() -> Signature {
    signature([pixels_spec()])
}

fn of_pixels_and_texts() -> Signature {
    signature([pixels_spec(), spec("texts", DataType::Bytes, &[Dim::Dynamic])])
}

fn digits() -> (ModelName, Version) {
    (ModelName::new("digits").expect("a name"), Version::new(2).expect("a version"))
}

fn outputs() -> Vec<Tensor> {
    vec![
        fixed!("probabilities", Fp32, [2, 2], [0.25_f32, 0.75, 0.5, 0.5]),
        fixed!("labels", Int64, [2], [1_i64, 0]),
    ]
}

fn blobs() -> Tensor {
    strings("blobs", &[2], &[b"\x00\xff", b""])
}

fn wish(name: &str, binary: Option<bool>, classification: Option<usize>) -> RequestedOutput {
    RequestedOutput { name: name.into(), binary, classification, shared: None }
}

fn text(value: &str) -> ParameterValue {
    ParameterValue::String(value.to_owned())
}

fn parameters<const N: usize>(all: [(&str, ParameterValue); N]) -> Parameters {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn with_length(file: &Bytes) -> (Bytes, Option<HeaderLength>) {
    let length = i16::from_le_bytes([file[0], file[1]]).to_string();
    (file.slice(2..), Some(HeaderLength::parse(length.as_bytes()).expect("a number")))
}

fn v2(file: &Bytes) -> InferRequest {
    open_inference::decode_infer(file, None, &of_pixels(), LIMITS, &NoRegions).expect("a request")
}

fn v2_binary(file: &Bytes) -> InferRequest {
    let (body, length) = with_length(file);
    open_inference::decode_infer(&body, length, &of_pixels(), LIMITS, &NoRegions)
        .expect("a request")
}

fn v2_grpc(file: Bytes) -> InferRequest {
    let request = ModelInferRequest::decode(file).expect("a message");
    assert_eq!(request.model_name, "digits");
    grpc::open_inference::decode_infer(request, &NoRegions).expect("a request")
}

fn tensorflow(file: &[u8], signature: &Signature) -> (Form, Vec<Tensor>) {
    let request = tensorflow_serving::decode_predict(file, signature, LIMITS).expect("a request");
    (request.form, request.inputs)
}

#[test]
fn v2_json_of_tritonclient_is_read_exactly() {
    let request = v2(&golden!("v2-json/client.json"));
    let texts = strings("texts", &[2, 2], &["grüß".as_bytes(), b"", b"a\"b", b"\n"]);
    assert_eq!(request.inputs, [pixels(), ids(), texts, flags()]);
    let expected = parameters([
        ("priority", ParameterValue::Int64(3)),
        ("timeout", ParameterValue::Int64(250_000)),
        ("note", text("ä")),
        ("exact", ParameterValue::Bool(true)),
        ("size", ParameterValue::Int64(-7)),
        ("ratio", ParameterValue::Double(0.5)),
    ]);
    assert_eq!(request.parameters, expected);
    let reply = Reply {
        id: Some("request 1".to_owned()),
        outputs: vec![
            wish("probabilities", Some(false), None),
            wish("labels", Some(false), Some(2)),
        ],
        binary_default: false,
    };
    assert_eq!(request.reply, reply);
}

#[test]
fn v2_json_may_be_nested_and_in_any_order() {
    let request = v2(&golden!("v2-json/nested.json"));
    assert_eq!((request.inputs, request.reply), (vec![pixels()], Reply::default()));
}

#[test]
fn v2_binary_of_tritonclient_is_read_exactly() {
    let request = v2_binary(&golden!("v2-binary/client"));
    let texts = strings("texts", &[2], &[b"\x00\xff", b""]);
    assert_eq!(request.inputs, [pixels(), ids(), texts, fixed!("halves", Fp16, [2, 3], HALVES)]);
    let reply = Reply {
        id: Some("request 2".to_owned()),
        outputs: vec![wish("probabilities", Some(true), None), wish("labels", Some(false), None)],
        binary_default: false,
    };
    assert_eq!(request.reply, reply);
    let request = v2_binary(&golden!("v2-binary/all-binary"));
    let all = Reply { binary_default: true, ..Reply::default() };
    assert_eq!((request.inputs, request.reply), (vec![pixels()], all));
}

#[test]
fn a_raw_v2_body_is_one_row_of_the_only_input() {
    let request = v2_binary(&golden!("v2-binary/raw"));
    let row = fixed!("pixels", Fp32, [1, 3], ROWS[..3].iter());
    assert_eq!(request.inputs, [row]);
    assert_eq!(request.reply, Reply { binary_default: true, ..Reply::default() });
}

#[test]
fn v2_grpc_of_tritonclient_is_read_exactly() {
    let request = v2_grpc(golden!("v2-grpc/raw"));
    let texts = strings("texts", &[2], &[b"\x00\xff", b""]);
    assert_eq!(request.inputs, [pixels(), ids(), texts]);
    let expected = parameters([
        ("sequence_id", ParameterValue::Int64(7)),
        ("sequence_start", ParameterValue::Bool(true)),
        ("sequence_end", ParameterValue::Bool(false)),
        ("priority", ParameterValue::Uint64(3)),
        ("timeout", ParameterValue::Int64(250_000)),
        ("note", text("ä")),
    ]);
    assert_eq!(request.parameters, expected);
    let reply = Reply {
        id: Some("request 3".to_owned()),
        outputs: vec![wish("probabilities", None, None), wish("labels", None, Some(2))],
        binary_default: true,
    };
    assert_eq!(request.reply, reply);
}

#[test]
fn v2_grpc_values_by_type_and_parameters_of_every_kind_are_read_exactly() {
    let request = v2_grpc(golden!("v2-grpc/typed"));
    let expected = [
        flags(),
        fixed!("bytes", Int8, [2], [-128_i8, 127]),
        fixed!("ints", Int32, [2], [i32::MIN, i32::MAX]),
        ids(),
        fixed!("shorts", Uint16, [2], [0_u16, 65535]),
        fixed!("sizes", Uint64, [1], [u64::MAX]),
        pixels(),
        fixed!("wide", Fp64, [1], [0.1_f64]),
        strings("texts", &[2], &[b"\x00\xff", b""]),
    ];
    assert_eq!(request.inputs, expected);
    let expected = parameters([
        ("bool", ParameterValue::Bool(true)),
        ("int64", ParameterValue::Int64(i64::MIN)),
        ("string", text("ä")),
        ("double", ParameterValue::Double(0.5)),
        ("uint64", ParameterValue::Uint64(u64::MAX)),
    ]);
    assert_eq!(request.parameters, expected);
}

#[test]
fn tensorflow_rows_and_columns_are_read_exactly() {
    let (form, inputs) = tensorflow(&golden!("tensorflow-json/rows.json"), &of_pixels_and_texts());
    let texts = strings("texts", &[2], &[b"\x00\xff", b""]);
    assert_eq!((form, inputs), (Form::Row, vec![pixels(), texts]));
    let (form, inputs) = tensorflow(&golden!("tensorflow-json/bare-rows.json"), &of_pixels());
    let row = fixed!("pixels", Fp32, [1, 3], ROWS[..3].iter());
    assert_eq!((form, inputs), (Form::Row, vec![row]));
    let (form, inputs) =
        tensorflow(&golden!("tensorflow-json/columns.json"), &of_pixels_and_texts());
    let with_nan = fixed!("pixels", Fp32, [2, 3], [1.5, -2.0, 3.25, 0.1, 65504.0, f32::NAN]);
    let texts = strings("texts", &[2], &["grüß".as_bytes(), b"b"]);
    assert_eq!((form, inputs), (Form::Column, vec![with_nan, texts]));
}

#[test]
fn predict_bodies_are_read_exactly() {
    let read = |file: Bytes| predict::decode(&file, &of_pixels(), LIMITS).expect("a request");
    let one = read(golden!("predict-json/image.json"));
    let row = fixed!("pixels", Fp32, [1, 3], ROWS[..3].iter());
    assert_eq!((one.samples, one.inputs), (Samples::One, vec![row]));
    let many = read(golden!("predict-json/instances.json"));
    assert_eq!((many.samples, many.inputs), (Samples::Many, vec![pixels()]));
}

/// The inputs, by name, and the request itself.
fn tensorflow_grpc(file: Bytes) -> (PredictRequest, Vec<Tensor>, Vec<String>) {
    let request = PredictRequest::decode(file).expect("a message");
    let (inputs, outputs) =
        grpc::tensorflow_serving::decode_request(request.clone()).expect("a request");
    (request, inputs, outputs.iter().map(ToString::to_string).collect())
}

#[test]
fn tensorflow_grpc_content_is_read_exactly() {
    let (request, inputs, outputs) = tensorflow_grpc(golden!("tensorflow-grpc/tensor-content"));
    assert_eq!(inputs, [pixels(), strings("texts", &[2], &[b"\x00\xff", b""])]);
    assert_eq!(outputs, ["probabilities"]);
    let asked = grpc::tensorflow_serving::Asked::of(request.model_spec).expect("a model");
    let signature_name = "serving_default".to_owned();
    let expected = grpc::tensorflow_serving::Asked {
        model: "digits".to_owned(),
        version: Some(2),
        label: None,
        signature_name,
    };
    assert_eq!(asked, expected);
}

#[test]
fn tensorflow_grpc_values_by_type_are_read_exactly() {
    let (request, inputs, outputs) = tensorflow_grpc(golden!("tensorflow-grpc/typed"));
    let expected = [
        fixed!("bytes", Int8, [2], [-128_i8, 127]),
        flags(),
        fixed!("halves", Fp16, [2, 3], HALVES),
        ids(),
        fixed!("sizes", Uint64, [1], [u64::MAX]),
        fixed!("wide", Fp64, [1], [0.1_f64]),
    ];
    assert_eq!(inputs, expected);
    assert!(outputs.is_empty());
    let asked = grpc::tensorflow_serving::Asked::of(request.model_spec).expect("a model");
    assert_eq!((asked.version, asked.label.as_deref()), (None, Some("stable")));
}

#[test]
fn the_last_tensorflow_value_is_repeated_as_often_as_the_shape_needs() {
    let (_, inputs, _) = tensorflow_grpc(golden!("tensorflow-grpc/splat"));
    let expected = [
        fixed!("ids", Int64, [4], [1_i64, 2, 2, 2]),
        fixed!("pixels", Fp32, [2, 3], [0.5_f32; 6]),
        fixed!("scale", Int32, [], [7_i32]),
    ];
    assert_eq!(inputs, expected);
}

fn v2_answer(reply: &Reply, outputs: &[Tensor]) -> Encoded {
    let (model, version) = digits();
    open_inference::encode_infer(&model, version, reply, outputs, &NoRegions).expect("an answer")
}

#[test]
fn v2_answers_are_what_tritonclient_reads() {
    let mut all = outputs();
    all.push(strings("texts", &[2, 2], &["grüß".as_bytes(), b"", b"a\"b", b"\n"]));
    let reply = Reply { id: Some("request 1".to_owned()), ..Reply::default() };
    let answer = v2_answer(&reply, &all);
    assert_eq!(answer.chunks.concat(), golden!("answers/v2.json"));
    assert_eq!(answer.json_length, None);

    let mut all = outputs();
    all.push(blobs());
    let labels = vec![wish("probabilities", None, None), wish("labels", Some(false), None)];
    let reply = Reply { outputs: labels, binary_default: true, ..Reply::default() };
    let answer = v2_answer(&reply, &all);
    let file = golden!("answers/v2-binary");
    assert_eq!(answer.chunks.concat(), file[2..]);
    assert_eq!(answer.json_length, Some(usize::from(u16::from_le_bytes([file[0], file[1]]))));
}

#[test]
fn v2_grpc_answers_are_what_tritonclient_reads() {
    let (model, version) = digits();
    let reply = Reply { id: Some("request 3".to_owned()), ..Reply::default() };
    let mut all = outputs();
    all.push(blobs());
    let encode = grpc::open_inference::encode_infer;
    let answer =
        encode(&model, version, &reply, &all, Within::Call, &NoRegions).expect("an answer");
    assert_eq!(answer.concat()[grpc::PREFIX..], golden!("answers/v2-grpc"));
}

#[test]
fn tensorflow_answers_are_what_its_clients_read() {
    let encode = |form| tensorflow_serving::encode_predict(form, &outputs()).expect("an answer");
    assert_eq!(encode(Form::Row), golden!("answers/tensorflow-rows.json"));
    assert_eq!(encode(Form::Column), golden!("answers/tensorflow-columns.json"));
    let (model, version) = digits();
    let mut all = outputs();
    all.push(blobs());
    let answer = grpc::tensorflow_serving::encode_predict(&model, version, &all);
    let answer = answer.expect("an answer");
    assert_eq!(answer[grpc::PREFIX..], golden!("answers/tensorflow-grpc"));
}

#[test]
fn predict_answers_are_one_row_or_lists() {
    let one = [
        fixed!("probabilities", Fp32, [1, 2], [0.25_f32, 0.75]),
        fixed!("labels", Int64, [1], [1_i64]),
    ];
    let answer = predict::encode(Samples::One, &one).expect("an answer");
    assert_eq!(answer, golden!("answers/predict-image.json"));
    let answer = predict::encode(Samples::Many, &outputs()).expect("an answer");
    assert_eq!(answer, golden!("answers/predict-instances.json"));
}

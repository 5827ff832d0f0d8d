//! Question: what does it cost to make a tensor of a V2 JSON request, over a bare scan of the same
//! floats (split at the commas, `str::parse`, into a `Vec<f32>`: no JSON at all)?
//!
//! Beside it stand the fastest general readers, as one would use them without a reader of one's own:
//! sonic-rs into a struct that knows its fields, and sonic-rs and simd-json into a value tree, from
//! which the floats would still have to be fetched. Their builds are as portable as the gateway's: no
//! `target-cpu=native`, which sonic-rs asks for to be at its best; simd-json looks at the CPU when it starts.
//!
//! Two spellings: the shortest that gives the `f32` back (JavaScript, Go, Rust), and the seventeen digits
//! of Python, whose floats are doubles.

use std::hint::black_box;

use bytes::Bytes;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use tidegate_inference::Signature;
use tidegate_proto::shared_memory::NoRegions;
use tidegate_proto::{JsonLimits, open_inference};

use super::measure::{Arm, Case, Ways};

/// So many that the instructions of a small body are counted in a blink.
const COUNTED: u64 = 500;

/// What the struct reader is told: the fields that `decode_infer` looks at as well.
#[derive(Deserialize)]
struct Body {
    inputs: Vec<Input>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "read for the sake of the reading")]
struct Input {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    data: Vec<f32>,
}

/// How a client writes a float.
type Spell = fn(f32) -> String;

fn spell_short(value: f32) -> String {
    value.to_string()
}

fn spell_double(value: f32) -> String {
    f64::from(value).to_string()
}

pub fn cases() -> Vec<Case> {
    let spellings = [("short", spell_short as Spell), ("Python's", spell_double)];
    let mut cases = Vec::new();
    for (numbers, counted) in [(16, true), (150_528, false)] {
        for (spelling, spell) in spellings {
            let name = format!("{numbers} numbers, {spelling}");
            let case = Case::new(name, move || ways(numbers, spell));
            cases.push(if counted { case.counting(COUNTED) } else { case });
        }
    }
    cases
}

fn ways(numbers: usize, spell: Spell) -> Ways {
    let signature = Signature { inputs: Vec::new(), outputs: Vec::new() };
    let list = list(numbers, spell);
    let body = body(numbers, &list);
    let bytes = Some(body.len());
    let [ours, fields, tree, simd] = [(); 4].map(|()| body.clone());
    let arms = vec![
        Arm::new("bare scan", move || {
            let floats = list.split(',').map(str::parse::<f32>);
            floats.collect::<Result<Vec<f32>, _>>().expect("floats")
        }),
        Arm::new("Tidegate", move || {
            open_inference::decode_infer(&ours, None, &signature, JsonLimits::default(), &NoRegions)
                .expect("a right body")
        }),
        Arm::new("sonic-rs, struct", move || {
            sonic_rs::from_slice::<Body>(&fields).expect("a right body").inputs
        }),
        Arm::new("sonic-rs, tree", move || {
            sonic_rs::from_slice::<sonic_rs::Value>(&tree).expect("a right body")
        }),
        Arm::new("simd-json, tree", move || {
            // It writes into what it reads, so it gets a copy of its own, as it would of a request.
            let mut text = simd.to_vec();
            drop(black_box(simd_json::to_borrowed_value(&mut text).expect("a right body")));
        }),
    ];
    Ways { arms, bytes }
}

fn body(numbers: usize, list: &str) -> Bytes {
    format!(
        r#"{{"inputs":[{{"name":"x","shape":[1,{numbers}],"datatype":"FP32","data":[{list}]}}]}}"#
    )
    .into()
}

/// Values as a normalised image or a row of features has them.
fn list(numbers: usize, spell: Spell) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let values: Vec<String> =
        (0..numbers).map(|_| spell(random.random_range(-3.0_f32..3.0))).collect();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use tidegate_inference::TensorData;

    use super::*;

    #[test]
    fn every_reader_finds_the_same_floats() {
        let list = list(100, spell_double);
        let scanned: Vec<f32> = list.split(',').map(|number| number.parse().unwrap()).collect();
        let body = body(100, &list);
        let signature = Signature { inputs: Vec::new(), outputs: Vec::new() };
        let ours = open_inference::decode_infer(
            &body,
            None,
            &signature,
            JsonLimits::default(),
            &NoRegions,
        )
        .unwrap();
        let TensorData::Fixed(bytes) = ours.inputs[0].data() else { panic!("FP32 is fixed") };
        assert_eq!(
            bytes,
            &scanned.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()
        );
        let theirs: Body = sonic_rs::from_slice(&body).unwrap();
        assert_eq!(theirs.inputs[0].data, scanned);
    }
}

//! Models that cannot be served are refused with a reason that says what to do.

use super::{backend, load};

#[test]
fn a_model_that_cannot_be_served_says_what_to_do_about_it() {
    let Some(backend) = backend() else { return };
    let expected: [(&str, &[&str]); 7] = [
        ("seq_map", &["is not a tensor", "tensors only"]),
        ("custom_op", &["custom operator", "com.example.vision"]),
        ("new_ir", &["older IR version", "99"]),
        ("locale", &["install that locale", "xx_YY"]),
        ("not_onnx", &["not an ONNX model"]),
        ("truncated", &["cut short"]),
        ("no_such_model", &["there is no file", "no_such_model/1/model.onnx"]),
    ];
    for (model, parts) in expected {
        let error = match load(&backend, model) {
            Ok(_) => panic!("{model} was loaded"),
            Err(error) => error.to_string(),
        };
        eprintln!("{model}: {error}");
        for part in parts {
            assert!(error.contains(part), "{model}: '{part}' is not in: {error}");
        }
    }
}

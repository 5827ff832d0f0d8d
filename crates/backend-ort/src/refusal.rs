//! Turns ONNX Runtime's own words about a model that it cannot load into what to do about it.
//!
//! Its messages are kept, since they name the node and the operator; what is added is the remedy.
//! They are recognised by their text, because the error codes are nearly all the same one.

use crate::message::plain;

/// A piece of the message, and what mends it.
const REMEDIES: [(&str, &str); 8] = [
    ("IR version", "the model is newer than this ONNX Runtime: export it with an older IR version"),
    ("opset", "the model is newer than this ONNX Runtime: export it with an older opset"),
    (
        "is not a registered function/op",
        "the model needs a custom operator, and none can be registered here: export it with \
         standard operators",
    ),
    (
        "No Op registered for",
        "the model needs an operator that this ONNX Runtime does not have: export it with \
         standard operators",
    ),
    (
        "locale",
        "install that locale in the system or image (Debian: package `locales`, then locale-gen; \
         most models want en_US.UTF-8)",
    ),
    (
        "Protobuf parsing failed",
        "model.onnx is damaged, cut short, or not an ONNX model: copy or export it again",
    ),
    ("External data", "a file with the model's weights is missing beside model.onnx: copy it too"),
    ("external data", "a file with the model's weights is missing beside model.onnx: copy it too"),
];

pub(crate) fn refusal(message: &str) -> String {
    let message = plain(message);
    match REMEDIES.iter().find(|(sign, _)| message.contains(sign)) {
        Some((_, remedy)) => format!("{remedy} (ONNX Runtime says: {message})"),
        None => format!("ONNX Runtime cannot load the model: {message}"),
    }
}

//! Runs batches on ONNX Runtime; the only crate that knows it.

//! Makes Rust of the .proto files, without `protoc`: nothing has to be installed for a build.

use std::error::Error;

const FILES: [&str; 3] = ["inference.proto", "tensorflow/tensor.proto", "tensorflow/serving.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=protobuf");
    if std::env::var_os("CARGO_FEATURE_GRPC").is_none() {
        return Ok(());
    }
    let files = protox::compile(FILES, ["protobuf"])?;
    tonic_prost_build::configure()
        // Tensors become windows into the message, as everywhere on this wire.
        .bytes(".")
        // The same message is the same bytes every time.
        .btree_map(".")
        .compile_fds(files)?;
    Ok(())
}

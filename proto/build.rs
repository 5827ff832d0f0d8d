//! Makes Rust of the .proto files, without `protoc`: nothing has to be installed for a build.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

const FILES: [&str; 4] =
    ["inference.proto", "tensorflow/tensor.proto", "tensorflow/serving.proto", "grpc/health.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=protobuf");
    let files = protox::compile(FILES, ["protobuf"])?;
    // What server reflection answers from.
    let descriptors = PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin");
    fs::write(descriptors, files.encode_to_vec())?;
    tonic_prost_build::configure()
        // Tensors become windows into the message, as everywhere on this wire.
        .bytes(".")
        // The same message is the same bytes every time.
        .btree_map(".")
        // A server for a test offers what that test asks.
        .generate_default_stubs(true)
        .compile_fds(files)?;
    Ok(())
}

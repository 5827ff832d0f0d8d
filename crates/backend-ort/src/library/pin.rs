//! Which build of ONNX Runtime this gateway was tested with, and what its file must hash to.
//!
//! The same numbers stand in `scripts/fetch_onnxruntime.py`, which brings the file; a new version is
//! entered in both places.

/// The version that `make onnxruntime` brings.
pub const PINNED_VERSION: &str = "1.31.1";

/// One platform's library file.
pub(super) struct Pin {
    pub file_name: &'static str,
    pub sha256: &'static str,
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub(super) const PIN: Option<Pin> = Some(Pin {
    file_name: "libonnxruntime.so.1.31.1",
    sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
});

#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
pub(super) const PIN: Option<Pin> = Some(Pin {
    file_name: "libonnxruntime.so.1.31.1",
    sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
});

#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
pub(super) const PIN: Option<Pin> = Some(Pin {
    file_name: "libonnxruntime.1.31.1.dylib",
    sha256: "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
});

/// Elsewhere no build is known, so only a library that is named explicitly can be opened.
#[cfg(not(any(
    all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")),
    all(target_os = "macos", target_arch = "aarch64")
)))]
pub(super) const PIN: Option<Pin> = None;

//! What a person says about whom to ask and what: flags of every subcommand that takes a load to a server.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TE, TRANSFER_ENCODING,
};
use tidegate_inference::ParameterValue;

use super::difference::Tolerance;

#[derive(Args, Clone, Debug)]
pub struct Arguments {
    /// URL of the model: http://HOST:PORT/v2/models/MODEL (Open Inference Protocol) or /v1/models/MODEL
    /// (TensorFlow Serving), and the same with grpc://
    #[arg(value_name = "TARGET")]
    pub target: String,
    #[command(flatten)]
    pub options: TargetOptions,
}

/// How a target is asked.
#[derive(Args, Clone, Debug)]
pub struct TargetOptions {
    /// Send and ask for tensors in binary form (http:// and /v2/models only)
    #[arg(long)]
    pub binary: bool,
    /// Allow a target that is not this machine
    #[arg(long)]
    pub allow_remote: bool,
    /// Ask what stands in a request body (.json, .bin), in a recorded set (.jsonl: one
    /// {"request": ..., "expected": ...} a line), or in a folder of them; default: random values within the
    /// model's metadata
    #[arg(long, value_name = "FILE|FOLDER")]
    pub payload: Option<PathBuf>,
    /// Different random questions, asked in turn
    #[arg(long, value_name = "N", default_value_t = 16, conflicts_with = "payload")]
    pub variants: usize,
    /// Rows of each random question: the first dimension of inputs that leave it open [default: 1]
    #[arg(long, value_name = "N", conflicts_with = "payload")]
    pub rows: Option<usize>,
    /// Dimensions of an input that leaves them open, with or without the rows: ids=128 or ids=8,128
    #[arg(long = "shape", value_name = "NAME=D,D...", value_parser = named_shape, conflicts_with = "payload")]
    pub shapes: Vec<NamedShape>,
    /// Signature to ask (TensorFlow Serving) [default: serving_default]
    #[arg(long, value_name = "NAME")]
    pub signature_name: Option<String>,
    /// Parameter of every request (Open Inference Protocol), such as priority=1
    #[arg(long = "parameter", value_name = "KEY=VALUE", value_parser = parameter)]
    pub parameters: Vec<(String, ParameterValue)>,
    /// Header of every request
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = header)]
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is right: a response body for the one payload, one a line (.jsonl), or a folder of files named
    /// like the payload's
    #[arg(long, value_name = "FILE|FOLDER", requires = "payload", conflicts_with = "check")]
    pub expected: Option<PathBuf>,
    /// Ask each question once before the load, and hold all answers against that one
    #[arg(long, value_name = "AGAINST")]
    pub check: Option<Check>,
    /// How far a float may lie from what is expected: this much, and this share of it
    #[arg(long, value_name = "T", default_value_t = Tolerance::DEFAULT)]
    pub tolerance: f64,
}

/// What answers are held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Check {
    /// The server's own answer before the load
    #[value(name = "self")]
    Itself,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedShape {
    pub input: String,
    pub dims: Vec<usize>,
}

impl Default for TargetOptions {
    fn default() -> Self {
        Self {
            binary: false,
            allow_remote: false,
            payload: None,
            variants: 16,
            rows: None,
            shapes: Vec::new(),
            signature_name: None,
            parameters: Vec::new(),
            headers: Vec::new(),
            expected: None,
            check: None,
            tolerance: Tolerance::DEFAULT,
        }
    }
}

/// `ids=8,128`
///
/// # Errors
/// When it is not of that form.
pub fn named_shape(text: &str) -> Result<NamedShape, String> {
    let form = || format!("'{text}': expected NAME=D,D..., such as ids=128 or ids=8,128");
    let (input, dims) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(form)?;
    let dims = dims.split(',').map(|dim| dim.trim().parse().map_err(|_| form()));
    Ok(NamedShape { input: input.to_owned(), dims: dims.collect::<Result<_, _>>()? })
}

/// `priority=1`: a boolean or a number where it reads as one, else a string.
///
/// # Errors
/// When it is not of that form.
pub fn parameter(text: &str) -> Result<(String, ParameterValue), String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("'{text}': expected KEY=VALUE, such as priority=1"))?;
    let value = match value {
        "true" => ParameterValue::Bool(true),
        "false" => ParameterValue::Bool(false),
        _ => number(value).unwrap_or_else(|| ParameterValue::String(value.to_owned())),
    };
    Ok((key.to_owned(), value))
}

fn number(text: &str) -> Option<ParameterValue> {
    let finite = |value: &f64| value.is_finite();
    text.parse()
        .map(ParameterValue::Int64)
        .or_else(|_| text.parse().map(ParameterValue::Uint64))
        .ok()
        .or_else(|| text.parse().ok().filter(finite).map(ParameterValue::Double))
}

/// Those that say how a body is framed are the connection's own.
const RESERVED: [HeaderName; 6] =
    [HOST, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, CONNECTION, TE];

/// `authorization: Bearer x`
///
/// # Errors
/// When it is not of that form, or a header that is written by this program.
pub fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) =
        text.split_once(':').ok_or_else(|| format!("'{text}': expected NAME:VALUE"))?;
    let name: HeaderName =
        name.trim().parse().map_err(|_| format!("'{name}' is not a header's name"))?;
    if RESERVED.contains(&name) {
        return Err(format!("header '{name}' is written by this program"));
    }
    let value = value.trim().parse().map_err(|_| format!("'{name}': not a header's value"))?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn parse(flags: &[&str]) -> Result<TargetOptions, String> {
        let all = ["load", "http://h:1/v2/models/m"].into_iter().chain(flags.iter().copied());
        Command::try_parse_from(all)
            .map(|command| command.arguments.options)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn without_flags_the_options_are_the_defaults() {
        let parsed = parse(&[]).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{:?}", TargetOptions::default()));
    }

    #[test]
    fn flags_become_typed_values() {
        let options = parse(&[
            "--shape=ids=8,128",
            "--parameter=priority=1",
            "--parameter=deep=0.5",
            "--parameter=on=true",
            "--parameter=id=a=b",
            "--header=X-Key: v:1",
            "--check=self",
        ])
        .unwrap();
        assert_eq!(options.shapes, [NamedShape { input: "ids".into(), dims: vec![8, 128] }]);
        let values: Vec<_> = options.parameters.into_iter().map(|(_, value)| value).collect();
        let text = ParameterValue::String("a=b".into());
        assert_eq!(
            values,
            [
                ParameterValue::Int64(1),
                ParameterValue::Double(0.5),
                ParameterValue::Bool(true),
                text
            ]
        );
        assert_eq!(options.headers[0].0, "x-key");
        assert_eq!(options.headers[0].1, "v:1");
        assert_eq!(options.check, Some(Check::Itself));
    }

    #[test]
    fn what_does_not_read_is_refused_with_its_form() {
        for (flag, problem) in [
            ("--shape=8,128", "expected NAME=D,D..."),
            ("--shape=ids=", "expected NAME=D,D..."),
            ("--shape=ids=8x128", "expected NAME=D,D..."),
            ("--shape=ids=-1", "expected NAME=D,D..."),
            ("--parameter=priority", "expected KEY=VALUE"),
            ("--header=authorization", "expected NAME:VALUE"),
            ("--header=a b:c", "is not a header's name"),
            ("--header=Host: x", "is written by this program"),
            ("--header=a:\u{1}", "not a header's value"),
            ("--check=other", "invalid value"),
            ("--expected=f.json", "--payload"),
            ("--variants=many", "invalid digit"),
        ] {
            let refused = parse(&[flag]).unwrap_err();
            assert!(refused.contains(problem), "{flag}: {refused}");
        }
    }
}

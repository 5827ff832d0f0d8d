//! Writes a tree as text format, one field a line: the readers' other half, for their tests.

use std::fmt::Write;

use super::{Message, Value};

pub(super) fn print(message: &Message) -> String {
    let mut out = String::new();
    fields(&mut out, message, 0);
    out
}

fn fields(out: &mut String, message: &Message, depth: usize) {
    for field in &message.fields {
        let indent = "  ".repeat(depth);
        match &field.value {
            Value::Message(inner) => {
                writeln!(out, "{indent}{} {{", field.name).unwrap();
                fields(out, inner, depth + 1);
                writeln!(out, "{indent}}}").unwrap();
            }
            value => writeln!(out, "{indent}{}: {}", field.name, scalar(value)).unwrap(),
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) if number.is_finite() => format!("{number:e}"),
        Value::Float(number) => number.to_string(),
        Value::Text(bytes) => {
            let escaped = bytes.iter().map(|byte| match byte {
                b'"' | b'\\' => format!("\\{}", *byte as char),
                0x20..0x7f => (*byte as char).to_string(),
                _ => format!("\\{byte:03o}"),
            });
            format!("\"{}\"", escaped.collect::<String>())
        }
        Value::Word(word) => word.clone(),
        Value::Message(_) => unreachable!("messages have lines of their own"),
    }
}

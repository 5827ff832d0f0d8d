use proptest::prelude::*;

use super::print::print;
use super::*;

fn text(text: &str) -> Message {
    read_text(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn refusal(text: &str) -> String {
    match read_text(text.as_bytes()) {
        Err(error) => error.to_string(),
        Ok(message) => panic!("read as {message:?}: {text}"),
    }
}

/// As it was written, wherever that was.
fn anywhere(mut message: Message) -> Message {
    for field in &mut message.fields {
        field.place = None;
        if let Value::Message(inner) = &mut field.value {
            *inner = anywhere(std::mem::take(inner));
        }
    }
    message
}

fn field(name: &str, value: Value) -> Field {
    Field { name: name.to_owned(), place: None, value }
}

/// The values of a document whose fields are all called `a`.
fn values(document: &str) -> Vec<Value> {
    let fields = text(document).fields;
    assert!(fields.iter().all(|field| field.name == "a"), "{document}");
    fields.into_iter().map(|field| field.value).collect()
}

fn number(number: i128) -> Value {
    Value::Integer(number)
}

fn string(text: &str) -> Value {
    Value::Text(text.as_bytes().to_vec())
}

fn word(text: &str) -> Value {
    Value::Word(text.to_owned())
}

#[test]
fn a_message_is_read_however_it_is_punctuated() {
    let inner = Message { fields: vec![field("b", number(1)), field("c", word("X"))] };
    let expected = Message { fields: vec![field("a", Value::Message(inner))] };
    for written in [
        "a { b: 1 c: X }",
        "a: { b: 1, c: X }",
        "a <b:1;c:X;>",
        "a: <\n b: 1 # one\n c: X>",
        "a [{ b: 1 c: X }]",
        "a: [<b: 1 c: X>],",
        "# first\na{b:1,c:X}",
    ] {
        assert_eq!(anywhere(text(written)), expected, "{written}");
    }
}

#[test]
fn a_list_is_its_field_several_times() {
    let expected = [number(1), number(2), number(-1)];
    assert_eq!(values("a: [1, 2, -1]"), expected);
    assert_eq!(values("a: 1 a: [2, -1] a: []"), expected);
    assert_eq!(values("a: [ X, Y ]"), [word("X"), word("Y")]);
    assert_eq!(values("a [ {}, <> ]").len(), 2);
}

#[test]
fn numbers_come_in_three_bases_and_as_floats() {
    for (written, value) in [
        ("0", number(0)),
        ("017", number(15)),
        ("0x1F", number(31)),
        ("- 0X1f", number(-31)),
        ("18446744073709551615", number(u64::MAX.into())),
        ("-9223372036854775808", number(i64::MIN.into())),
        ("18446744073709551616", Value::Float(18_446_744_073_709_551_616.0)),
        ("1.5", Value::Float(1.5)),
        (".5", Value::Float(0.5)),
        ("1.", Value::Float(1.0)),
        ("-2e-3", Value::Float(-0.002)),
        ("3E+2", Value::Float(300.0)),
        ("10f", Value::Float(10.0)),
        ("1.5F", Value::Float(1.5)),
        ("inf", Value::Float(f64::INFINITY)),
        ("-Infinity", Value::Float(f64::NEG_INFINITY)),
    ] {
        assert_eq!(values(&format!("a: {written}")), [value], "{written}");
    }
    assert!(matches!(values("a: nan")[..], [Value::Float(number)] if number.is_nan()));
    assert!(matches!(values("a: -NaN")[..], [Value::Float(number)] if number.is_nan()));
}

#[test]
fn strings_have_all_escapes_and_those_beside_one_another_are_one() {
    assert_eq!(
        values(
            r#"a: "x" 'y' # and
            "z""#
        ),
        [string("xyz")]
    );
    assert_eq!(values(r#"a: 'say "it"'"#), [string("say \"it\"")]);
    assert_eq!(
        values(r#"a: "\a\b\f\n\r\t\v\?\\\'\"\0\7\101\x41\xfG""#),
        [Value::Text(b"\x07\x08\x0c\n\r\t\x0b?\\'\"\0\x07AA\x0fG".to_vec())]
    );
    assert_eq!(values(r#"a: "\u00fc\U0001F600\uD83D\uDE00ü""#), [string("ü😀😀ü")]);
    assert_eq!(values(r#"a: "\377\xff""#), [Value::Text(vec![255, 255])]);
}

#[test]
fn what_is_no_message_is_told_by_place_with_what_was_expected_and_what_came() {
    for (written, expected) in [
        ("a", "line 1, column 2: expected ':' or a message in braces, got the end"),
        ("a 1", "line 1, column 3: expected ':' or a message in braces, got 1"),
        ("a: 1c: X", "line 1, column 4: expected a number, got '1c'"),
        ("a: ", "line 1, column 4: expected a value, got the end"),
        ("a: }", "line 1, column 4: expected a value, got '}'"),
        ("\n a: 1 }", "line 2, column 7: expected a field, got '}'"),
        ("a { b: 1", "line 1, column 9: expected a field or '}', got the end"),
        ("a < b: 1 }", "line 1, column 10: expected a field or '>', got '}'"),
        ("a: [1 2]", "line 1, column 7: expected ',' or ']', got 2"),
        ("a: [1,]", "line 1, column 7: expected a value, got ']'"),
        ("a: [[1]]", "line 1, column 5: expected a value, got '['"),
        ("a [1]", "line 1, column 4: expected ':' or a message in braces, got 1"),
        ("1: 2", "line 1, column 1: expected a field, got 1"),
        ("a: 1,, b: 2", "line 1, column 6: expected a field, got ','"),
        ("a: 08", "line 1, column 4: expected a number, got '08'"),
        ("a: 0x", "line 1, column 4: expected a number, got '0x'"),
        ("a: 1.2.3", "line 1, column 4: expected a number, got '1.2.3'"),
        ("a: 1e", "line 1, column 4: expected a number, got '1e'"),
        ("a: 010.5", "line 1, column 4: expected a number, got '010.5'"),
        (
            "a: 0x10000000000000000",
            "line 1, column 4: expected a number, got '0x10000000000000000'",
        ),
        ("a: - X", "line 1, column 6: expected a number after '-', got 'X'"),
        (
            "a: -9223372036854775809",
            "line 1, column 5: expected at most 9223372036854775808 after '-', got 9223372036854775809",
        ),
        ("a: \"x", "line 1, column 6: expected the string's closing \", got the end"),
        ("a: 'x\n'", "line 1, column 6: expected the string's closing ', got the end of the line"),
        (r#"a: "ü\q""#, r"line 1, column 6: expected an escape, got '\q'"),
        (r#"a: "\400""#, r"line 1, column 5: expected an escape of a byte, got '\\400'"),
        (r#"a: "\x""#, r"line 1, column 5: expected an escape of a byte, got '\\x'"),
        (
            r#"a: "\uD83D""#,
            r#"line 1, column 5: expected an escape of a character, got '\\uD83D\"'"#,
        ),
        (
            r#"a: "\u+123""#,
            r#"line 1, column 5: expected an escape of a character, got '\\u+123\"'"#,
        ),
        ("a: ü", "line 1, column 4: expected a field or a value, got 'ü'"),
        (
            "[x.y]: 1",
            "line 1, column 1: expected a field, got [x.y]: an extension is not understood here",
        ),
        (
            "a { [type.googleapis.com/x.Y] { } }",
            "line 1, column 5: expected a field, got [type.googleapis.com/x.Y]: an Any is not understood here",
        ),
    ] {
        assert_eq!(refusal(written), expected, "{written}");
    }
    let error = read_text(b"a: 1\nb: \"\xff\"").unwrap_err();
    assert_eq!(error.to_string(), "expected UTF-8, got other bytes in line 2");
}

#[test]
fn size_depth_and_number_of_fields_have_limits() {
    let nested = |depth| format!("{}{}", "a{".repeat(depth), "}".repeat(depth));
    text(&nested(Limits::DEPTH));
    let too_deep = refusal(&nested(Limits::DEPTH + 1));
    assert_eq!(
        too_deep,
        "line 1, column 130: expected at most 64 messages inside one another, got more"
    );
    text(&"a:1 ".repeat(Limits::FIELDS));
    assert!(refusal(&"a:1 ".repeat(Limits::FIELDS + 1)).contains("at most 100000 fields"));
    assert!(refusal(&format!("a: [{}1]", "1,".repeat(Limits::FIELDS))).contains("100000 fields"));
    assert_eq!(
        refusal(&" ".repeat(Limits::BYTES + 1)),
        "expected at most 1048576 bytes, got 1048577"
    );
}

#[test]
fn json_is_the_same_tree() {
    let json =
        br#"{"a": [1, "2", -3], "b": {"c": true, "d": null, "e": 0.5}, "f": [{}, {"g": "X"}]}"#;
    let written = r#"a: [1] a: "2" a: -3 b { c: true e: 0.5 } f {} f { g: "X" }"#;
    assert_eq!(read_json(json).unwrap(), anywhere(text(written)));
}

#[test]
fn json_that_is_no_message_is_refused() {
    let refusal = |text: &str| read_json(text.as_bytes()).unwrap_err().to_string();
    assert!(refusal("[]").starts_with("invalid type: sequence, expected an object"));
    assert!(refusal("{\"a\": 1").starts_with("EOF while parsing"));
    assert!(refusal("{} x").starts_with("trailing characters"));
    assert!(refusal("{\"a\": [[1]]}").starts_with("expected a value in 'a', got an array"));
    let nested = |depth| format!("{}{{}}{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    read_json(nested(Limits::DEPTH).as_bytes()).unwrap();
    assert!(refusal(&nested(Limits::DEPTH + 1)).contains("messages inside one another"));
    assert!(refusal(&nested(5000)).contains("messages inside one another"));
    let many = format!("{{\"a\": [{}1]}}", "1,".repeat(Limits::FIELDS));
    assert!(refusal(&many).contains("at most 100000 fields"));
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(|number| Value::Integer(number.into())),
        any::<u64>().prop_map(|number| Value::Integer(number.into())),
        any::<f64>()
            .prop_filter("NaN is not equal to itself", |number| !number.is_nan())
            .prop_map(Value::Float),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::Text),
        "[A-Z_][A-Z0-9_]{0,8}"
            .prop_filter("a float", |name| !matches!(name.as_str(), "INF" | "NAN" | "INFINITY"))
            .prop_map(Value::Word),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    let of = |value: BoxedStrategy<Value>| {
        proptest::collection::vec(("[a-z_][a-z0-9_]{0,8}", value), 0..6).prop_map(|fields| {
            Message {
                fields: fields.into_iter().map(|(name, value)| field(&name, value)).collect(),
            }
        })
    };
    of(any_value().boxed()).prop_recursive(4, 64, 6, move |inner| {
        of(prop_oneof![any_value(), inner.prop_map(Value::Message)].boxed())
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(message in any_message()) {
        prop_assert_eq!(anywhere(text(&print(&message))), message);
    }

    #[test]
    fn whatever_comes_the_readers_return(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_text(&bytes);
        let _ = read_json(&bytes);
    }

    /// Near misses reach deeper than random bytes.
    #[test]
    fn cut_and_spoilt_documents_return_too(message in any_message(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = print(&message).into_bytes();
        if !bytes.is_empty() {
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = read_text(&bytes);
            bytes.truncate(at);
            let _ = read_text(&bytes);
        }
    }
}

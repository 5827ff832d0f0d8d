//! A quoted string of text format, unescaped: C's escapes, bytes in octal and hexadecimal, and Unicode.

use super::shown;

/// Reads the string that `text` begins with, its quotes included: its bytes, and how long it was. An error comes
/// with where it is, in bytes from the start.
pub(super) fn read(text: &str, quote: char) -> Result<(Vec<u8>, usize), (usize, String)> {
    let mut bytes = Vec::new();
    let mut at = quote.len_utf8();
    loop {
        let next = text[at..].chars().next();
        match next {
            None | Some('\n') => {
                let got = if next.is_none() { "the end" } else { "the end of the line" };
                return Err((at, format!("expected the string's closing {quote}, got {got}")));
            }
            Some('\\') => {
                at += escape(&text[at..], &mut bytes).map_err(|message| (at, message))?;
            }
            Some(next) => {
                at += next.len_utf8();
                if next == quote {
                    return Ok((bytes, at));
                }
                bytes.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

/// Appends what the escape at the start of `text` stands for, and says how long it is.
fn escape(text: &str, bytes: &mut Vec<u8>) -> Result<usize, String> {
    let Some(kind) = text[1..].chars().next() else {
        return Err("expected an escape, got the end".to_owned());
    };
    let plain = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '?' | '\\' | '\'' | '"' => kind as u8,
        '0'..='7' => return numbered(text, 1, 3, 8, bytes),
        'x' | 'X' => return numbered(text, 2, 2, 16, bytes),
        'u' | 'U' => return unicode(text, bytes),
        other => return Err(format!("expected an escape, got '\\{}'", shown(&other.to_string()))),
    };
    bytes.push(plain);
    Ok(2)
}

/// One byte, by its number after `start`.
fn numbered(
    text: &str,
    start: usize,
    most: usize,
    radix: u32,
    bytes: &mut Vec<u8>,
) -> Result<usize, String> {
    let rest = &text[start..];
    let digits = rest.chars().take(most).take_while(|next| next.is_digit(radix)).count();
    let byte = u8::from_str_radix(&rest[..digits], radix).map_err(|_| {
        format!("expected an escape of a byte, got '{}'", shown(&text[..start + digits]))
    })?;
    bytes.push(byte);
    Ok(start + digits)
}

/// `\u` and four digits, `\U` and eight, or two of the first kind that are one character in UTF-16.
fn unicode(text: &str, bytes: &mut Vec<u8>) -> Result<usize, String> {
    let wrong = || format!("expected an escape of a character, got '{}'", shown(text));
    let (first, mut length) = code(text).ok_or_else(wrong)?;
    let mut character = char::from_u32(first);
    if let (0xd800..=0xdbff, Some((second @ 0xdc00..=0xdfff, more))) =
        (first, code(&text[length..]))
    {
        character = char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        length += more;
    }
    let character = character.ok_or_else(wrong)?;
    bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    Ok(length)
}

/// The number of a Unicode escape, and how long it is.
fn code(text: &str) -> Option<(u32, usize)> {
    let digits = match text.as_bytes() {
        [b'\\', b'u', ..] => 4,
        [b'\\', b'U', ..] => 8,
        _ => return None,
    };
    let number = text.get(2..2 + digits)?;
    let are_digits = number.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_digits
        .then(|| u32::from_str_radix(number, 16).ok())
        .flatten()
        .map(|code| (code, 2 + digits))
}

//! Short lines of ASCII, put together on the stack. `write!` into the same room takes ten times as many
//! instructions, and two of these lines are written for every answer.

use http::HeaderValue;

/// What does not fit is left out, from the first piece on that does not.
pub struct AsciiLine<const ROOM: usize> {
    text: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> AsciiLine<ROOM> {
    pub fn new() -> Self {
        Self { text: [0; ROOM], length: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn push(&mut self, piece: &str) {
        self.push_bytes(piece.as_bytes());
    }

    /// Decimal, with zeros in front up to `digits`.
    pub fn push_decimal(&mut self, number: u64, digits: usize) {
        self.push_number::<10>(number, digits);
    }

    /// Lower-case hexadecimal, with zeros in front up to `digits`.
    pub fn push_hex(&mut self, number: u64, digits: usize) {
        self.push_number::<16>(number, digits);
    }

    // A base that is known lets the compiler divide without dividing: more instructions, two thirds of the time.
    fn push_number<const BASE: u64>(&mut self, mut number: u64, digits: usize) {
        // As many digits as the largest number has in base ten.
        let mut text = [b'0'; 20];
        let mut start = text.len();
        while number > 0 {
            start -= 1;
            text[start] = b"0123456789abcdef"[(number % BASE) as usize];
            number /= BASE;
        }
        self.push_bytes(&text[start.min(text.len().saturating_sub(digits.max(1)))..]);
    }

    fn push_bytes(&mut self, piece: &[u8]) {
        match self.text[self.length..].get_mut(..piece.len()) {
            Some(room) => {
                room.copy_from_slice(piece);
                self.length += piece.len();
            }
            None => debug_assert!(false, "a line of {ROOM} bytes is too short"),
        }
    }

    /// As a header's value; empty when what was pushed is not visible ASCII.
    pub fn into_header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.text[..self.length])
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(write: impl FnOnce(&mut AsciiLine<64>)) -> HeaderValue {
        let mut line = AsciiLine::new();
        write(&mut line);
        line.into_header()
    }

    #[test]
    fn numbers_read_as_they_are_usually_printed() {
        for number in [0, 1, 9, 10, 255, 1_000_000, u64::MAX] {
            assert_eq!(line(|line| line.push_decimal(number, 1)), number.to_string());
            assert_eq!(line(|line| line.push_decimal(number, 3)), format!("{number:03}"));
            assert_eq!(line(|line| line.push_hex(number, 8)), format!("{number:08x}"));
        }
    }

    #[test]
    fn pieces_follow_each_other() {
        assert_eq!(
            line(|line| {
                line.push("a=");
                line.push_decimal(7, 1);
                line.push(";");
            }),
            "a=7;"
        );
    }
}

//! Numbers as people read them: three digits that say something, thousands in groups, units where they are needed.

/// Milliseconds with three digits, without the unit.
pub fn ms(value: f64) -> String {
    three_digits(value)
}

/// Milliseconds, with the unit.
pub fn ms_unit(value: f64) -> String {
    format!("{} ms", ms(value))
}

/// Milliseconds that somebody chose, as they were chosen: `50 ms`.
pub fn chosen_ms(value: f64) -> String {
    format!("{} ms", trimmed(&format!("{value:.3}")))
}

/// Per second, without the unit.
pub fn rate(value: f64) -> String {
    three_digits(value)
}

/// A share of 0 to 1 as per cent. What is not quite all is never shown as 100 %, nor what is not quite nothing as 0 %.
pub fn share(value: f64) -> String {
    match value {
        v if !v.is_finite() => "-".to_owned(),
        v if v > 0.0 && v < 0.0001 => "< 0.01 %".to_owned(),
        v if v < 1.0 && v > 0.9999 => "> 99.99 %".to_owned(),
        v if v == 0.0 || v == 1.0 => format!("{:.0} %", v * 100.0),
        v if !(0.1..=0.9).contains(&v) => format!("{:.2} %", v * 100.0),
        v => format!("{:.1} %", v * 100.0),
    }
}

pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// A count of things, in singular where it is one.
pub fn counted(value: u64, thing: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", count(value))
}

/// A length of time that somebody chose, such as `10 s` or `2 min 30 s`.
pub fn seconds(value: f64) -> String {
    if value < 120.0 {
        return format!("{} s", trimmed(&format!("{value:.2}")));
    }
    let whole = value.round() as u64;
    let (minutes, rest) = (whole / 60, whole % 60);
    if rest == 0 { format!("{minutes} min") } else { format!("{minutes} min {rest} s") }
}

/// In GiB or MiB.
pub fn bytes(value: u64) -> String {
    let mib = value as f64 / f64::from(1 << 20);
    if mib >= 1024.0 { format!("{:.1} GiB", mib / 1024.0) } else { format!("{mib:.0} MiB") }
}

/// A number with a decimal point, without the zeros that say nothing.
pub fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text from outside on one line of a terminal: without control characters, and cut at `most` characters.
pub fn plain(text: &str, most: usize) -> String {
    let clean = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    if text.chars().count() <= most {
        return text.chars().map(clean).collect();
    }
    let cut = text.chars().take(most.saturating_sub(1)).map(clean);
    cut.chain(['…']).collect()
}

fn three_digits(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if !size.is_finite() => "-".to_owned(),
        _ if size >= 99.95 => grouped(&format!("{value:.0}")),
        _ if size >= 9.995 => format!("{value:.1}"),
        _ if size >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        let left = digits.len() - index;
        if index > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_are_enough_for_any_size() {
        let shown = [0.0, 0.0404, 0.9996, 1.234, 9.996, 12.34, 99.96, 1234.0, 1_234_567.8].map(ms);
        let expected =
            ["0.000", "0.040", "1.00", "1.23", "10.0", "12.3", "100", "1,234", "1,234,568"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_not_all_is_never_shown_as_all() {
        assert_eq!(share(0.999_999), "> 99.99 %");
        assert_eq!(share(0.000_001), "< 0.01 %");
        assert_eq!(share(1.0), "100 %");
        assert_eq!(share(0.0), "0 %");
        assert_eq!(share(0.9956), "99.56 %");
        assert_eq!(share(0.5), "50.0 %");
    }

    #[test]
    fn times_are_said_in_minutes_when_they_are_long() {
        assert_eq!(seconds(10.0), "10 s");
        assert_eq!(seconds(2.5), "2.5 s");
        assert_eq!(seconds(150.0), "2 min 30 s");
        assert_eq!(seconds(600.0), "10 min");
    }

    #[test]
    fn numbers_that_are_none_are_a_dash() {
        assert_eq!(ms(f64::NAN), "-");
        assert_eq!(rate(f64::INFINITY), "-");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(grouped("-1234"), "-1,234");
    }

    #[test]
    fn text_from_outside_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[31m\nb", 20), "a\u{fffd}[31m\u{fffd}b");
        assert_eq!(plain("abcdef", 4), "abc…");
    }
}

//! Floats as text, as Python's `repr` writes them.

use zmij::Buffer;

/// The longest text of a float: `-2.2250738585072014e-308`.
const MAX_LEN: usize = 24;

/// Powers of ten that a double holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

/// Calls `write` with the text of `value`.
///
/// Every NaN becomes `nan`: the text has no room for a sign or a payload.
pub(crate) fn with_text<R>(value: f64, write: impl FnOnce(&[u8]) -> R) -> R {
    if !value.is_finite() {
        let text: &[u8] = match value {
            _ if value.is_nan() => b"nan",
            _ if value > 0.0 => b"inf",
            _ => b"-inf",
        };
        return write(text);
    }
    let mut buffer = Buffer::new();
    let shortest = buffer.format_finite(value).as_bytes();
    // Between these bounds, and for zero, Rust and Python write the same.
    let magnitude = value.abs();
    if (1e-4..1e16).contains(&magnitude) || magnitude == 0.0 {
        return write(shortest);
    }
    let mut text = Text { bytes: [0; MAX_LEN], len: 0 };
    text.lay_out(shortest);
    write(&text.bytes[..text.len])
}

/// Reads what [`with_text`] writes, and every other text of the same shape: an optional `-`,
/// digits, optionally a point and digits, optionally `e`, a sign and digits; or `inf`, `-inf`,
/// `nan`.
pub(crate) fn parse(text: &[u8]) -> Option<f64> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let mut mantissa = 0_u64;
    let whole = digits(rest, &mut mantissa);
    if whole == 0 {
        return match text {
            b"inf" => Some(f64::INFINITY),
            b"-inf" => Some(f64::NEG_INFINITY),
            b"nan" => Some(f64::NAN),
            _ => None,
        };
    }
    let mut rest = &rest[whole..];
    let mut fraction = 0;
    if let [b'.', after @ ..] = rest {
        fraction = digits(after, &mut mantissa);
        if fraction == 0 {
            return None;
        }
        rest = &after[fraction..];
    }
    if !rest.is_empty() {
        let exponent = match rest {
            [b'e', b'+' | b'-', digits @ ..] | [b'e', digits @ ..] => digits,
            _ => return None,
        };
        if exponent.is_empty() || !exponent.iter().all(u8::is_ascii_digit) {
            return None;
        }
    } else if whole + fraction <= 19 && mantissa <= 1 << 53 && fraction < POWERS.len() {
        // Both operands are exact, so that the one division rounds correctly.
        let value = mantissa as f64 / POWERS[fraction];
        return Some(if negative { -value } else { value });
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// Counts the digits that `text` begins with, and appends them to `mantissa`, which may wrap.
#[inline]
fn digits(text: &[u8], mantissa: &mut u64) -> usize {
    let mut count = 0;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    count
}

/// A small buffer for text laid out anew.
struct Text {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Text {
    /// Writes a number below 1e-4 or from 1e16 in scientific notation, with two digits of exponent
    /// at least, from any notation of its shortest digits.
    fn lay_out(&mut self, shortest: &[u8]) {
        let (negative, shortest) = match shortest {
            [b'-', rest @ ..] => (true, rest),
            _ => (false, shortest),
        };
        let (mantissa, mut exponent) = match shortest.iter().position(|&byte| byte == b'e') {
            Some(at) => (&shortest[..at], small_int(&shortest[at + 1..])),
            None => (shortest, 0),
        };
        let point = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
        exponent += i32::try_from(point).unwrap_or(0) - 1;
        let mut significant = [0; MAX_LEN];
        let mut count = 0;
        for &byte in mantissa.iter().filter(|&&byte| byte != b'.') {
            if byte == b'0' && count == 0 {
                exponent -= 1;
            } else {
                significant[count] = byte;
                count += 1;
            }
        }
        while count > 1 && significant[count - 1] == b'0' {
            count -= 1;
        }
        if negative {
            self.push(b'-');
        }
        self.push(significant[0]);
        if count > 1 {
            self.push(b'.');
            for &byte in &significant[1..count] {
                self.push(byte);
            }
        }
        self.push(b'e');
        self.push(if exponent < 0 { b'-' } else { b'+' });
        let magnitude = exponent.unsigned_abs();
        if magnitude >= 100 {
            self.push(digit(magnitude / 100));
        }
        self.push(digit(magnitude / 10 % 10));
        self.push(digit(magnitude % 10));
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

/// Reads an exponent.
fn small_int(text: &[u8]) -> i32 {
    let magnitude = text
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .fold(0, |sum, byte| sum * 10 + i32::from(byte - b'0'));
    if text.first() == Some(&b'-') { -magnitude } else { magnitude }
}

/// Returns the character of a number below ten.
fn digit(value: u32) -> u8 {
    b'0' + (value % 10) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: f64) -> String {
        with_text(value, |text| String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn floats_are_laid_out_as_by_repr() {
        for expected in [
            "0.0",
            "-0.0",
            "1.0",
            "-1.5",
            "0.1",
            "0.0001",
            "0.00012",
            "1e-05",
            "1.2345e-05",
            "9.99e-05",
            "1e-06",
            "1e-10",
            "-1e-100",
            "1e+16",
            "-1.5e+16",
            "1e+22",
            "1e+100",
            "1.7976931348623157e+308",
            "5e-324",
            "-2.2250738585072014e-308",
            "1000000000000000.0",
            "9999999999999998.0",
            "123456789.12345679",
            "5.684341886080802e-14",
            "inf",
            "-inf",
            "nan",
        ] {
            let value = parse(expected.as_bytes()).unwrap();
            assert_eq!(text(value), expected);
        }
        assert_eq!(text(-f64::NAN), "nan");
    }

    #[test]
    fn texts_that_repr_does_not_write_are_refused() {
        for wrong in [
            "",
            "-",
            "+1.0",
            ".5",
            "5.",
            "1e",
            "1e+",
            "1e5.0",
            "1E5",
            "1_0.0",
            " 1.0",
            "1.0 ",
            "0x1p3",
            "infinity",
            "Inf",
            "NaN",
            "-nan",
            "+inf",
            "1.0.0",
            "--1.0",
            "1,0",
            "\u{661}.0",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_quick_way_and_the_slow_way_agree() {
        for value in
            (0..100_000).map(|i| f64::from(i) * 0.37 + 0.125).chain((0..600).map(|i| 1.7_f64.powi(i - 300)))
        {
            assert_eq!(parse(text(value).as_bytes()).map(f64::to_bits), Some(value.to_bits()));
        }
        assert_eq!(parse(b"00012.50"), Some(12.5));
        assert_eq!(parse(b"99999999999999999999999999.5"), Some(1e26));
        assert_eq!(parse(b"1e400"), Some(f64::INFINITY));
    }
}

//! Integers as decimal text, and [`BigInt`] for those of any size.

#[cfg(feature = "serde")]
mod typed;

use std::{
    cmp::Ordering,
    fmt,
    str::{self, FromStr},
};

use thiserror::Error;

/// The longest text that certainly fits an `i64`.
const QUICK_LEN: usize = 18;

/// An integer of any size, as its decimal digits.
///
/// There is no arithmetic: it carries numbers that no primitive type holds to and from a library
/// that has it.
///
/// ```
/// use chopsticks_pencode::BigInt;
///
/// let big: BigInt = "-170141183460469231731687303715884105729".parse()?;
/// assert!(i128::try_from(&big).is_err());
/// assert_eq!(BigInt::from(7_u64).to_string(), "7");
/// # Ok::<(), chopsticks_pencode::ParseBigIntError>(())
/// ```
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct BigInt(String);

impl BigInt {
    /// Returns the digits, in front of them `-` if the number is below zero.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the number is below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.0.starts_with('-')
    }

    pub(crate) fn from_canonical(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Ord for BigInt {
    fn cmp(&self, other: &Self) -> Ordering {
        let magnitudes = || self.0.len().cmp(&other.0.len()).then_with(|| self.0.cmp(&other.0));
        match (self.is_negative(), other.is_negative()) {
            (false, false) => magnitudes(),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (true, true) => magnitudes().reverse(),
        }
    }
}

impl PartialOrd for BigInt {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BigInt({})", self.0)
    }
}

impl Default for BigInt {
    fn default() -> Self {
        Self("0".to_owned())
    }
}

impl fmt::Display for BigInt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.strip_prefix('-');
        f.pad_integral(digits.is_none(), "", digits.unwrap_or(&self.0))
    }
}

impl FromStr for BigInt {
    type Err = ParseBigIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match parse(text.as_bytes()).ok_or(ParseBigIntError(()))? {
            Parsed::Small(value) => Ok(value.into()),
            Parsed::Big(text) => Ok(Self::from_canonical(text)),
            Parsed::Padded(digits) => Ok(Self(format!("-{digits}"))),
        }
    }
}

macro_rules! conversions {
    ($($int:ty)*) => {$(
        impl From<$int> for BigInt {
            fn from(value: $int) -> Self {
                Self(itoa::Buffer::new().format(value).to_owned())
            }
        }

        impl TryFrom<&BigInt> for $int {
            type Error = std::num::ParseIntError;

            fn try_from(value: &BigInt) -> Result<Self, Self::Error> {
                value.0.parse()
            }
        }
    )*};
}

conversions!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize);

/// A text is not an integer: an optional `-` and digits.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("not an integer: expected an optional minus sign and decimal digits")]
pub struct ParseBigIntError(());

/// An integer that was read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Parsed<'a> {
    /// One that fits.
    Small(i64),
    /// A larger one, in the only way that a writer writes it.
    Big(&'a str),
    /// The digits of a larger one below zero that has zeros between its sign and them.
    Padded(&'a str),
}

/// Reads `-?[0-9]+`. Leading zeros do not change the value, as in Python's `int()`; `-0` is 0.
pub(crate) fn parse(text: &[u8]) -> Option<Parsed<'_>> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    if digits.len() <= QUICK_LEN {
        let mut value = 0;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            value = value * 10 + i64::from(digit);
        }
        return (!digits.is_empty()).then_some(Parsed::Small(if negative { -value } else { value }));
    }
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let text = str::from_utf8(text).ok()?;
    if let Ok(value) = text.parse() {
        return Some(Parsed::Small(value));
    }
    let significant = text[usize::from(negative)..].trim_start_matches('0');
    match (negative, significant.len() == digits.len()) {
        (_, true) => Some(Parsed::Big(text)),
        (false, false) => Some(Parsed::Big(significant)),
        (true, false) => Some(Parsed::Padded(significant)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_at_the_edges_of_i64() {
        for value in
            [0, 1, -1, i64::MAX, i64::MIN, i64::MAX - 1, 999_999_999_999_999_999, 1_000_000_000_000_000_000]
        {
            assert_eq!(parse(value.to_string().as_bytes()), Some(Parsed::Small(value)));
        }
        assert_eq!(parse(b"9223372036854775808"), Some(Parsed::Big("9223372036854775808")));
        assert_eq!(parse(b"-9223372036854775809"), Some(Parsed::Big("-9223372036854775809")));
    }

    #[test]
    fn leading_zeros_do_not_change_the_value() {
        assert_eq!(parse(b"007"), Some(Parsed::Small(7)));
        assert_eq!(parse(b"-0"), Some(Parsed::Small(0)));
        assert_eq!(parse(b"-0000000000000000000000000001"), Some(Parsed::Small(-1)));
        assert_eq!(parse(b"0000009223372036854775808"), Some(Parsed::Big("9223372036854775808")));
        assert_eq!(parse(b"-009223372036854775809"), Some(Parsed::Padded("9223372036854775809")));
    }

    #[test]
    fn what_is_not_an_integer_is_refused() {
        for wrong in [
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "1_000",
            "0x1",
            "1.0",
            "--1",
            "1e5",
            "9223372036854775808x",
            "\u{661}",
        ] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong:?}");
            assert_eq!(wrong.parse::<BigInt>(), Err(ParseBigIntError(())));
        }
    }

    #[test]
    fn big_integers_are_ordered_by_value() {
        let sorted: Vec<BigInt> = ["-100", "-99", "-9", "-1", "0", "1", "2", "10", "99", "100"]
            .map(|text| text.parse().unwrap())
            .into();
        for (at, left) in sorted.iter().enumerate() {
            for (other, right) in sorted.iter().enumerate() {
                assert_eq!(left.cmp(right), at.cmp(&other), "{left} and {right}");
            }
        }
    }

    #[test]
    fn big_integers_convert_and_print() {
        assert_eq!(BigInt::from(u128::MAX).to_string(), u128::MAX.to_string());
        assert_eq!(i128::try_from(&BigInt::from(i128::MIN)), Ok(i128::MIN));
        assert!(u8::try_from(&BigInt::from(256)).is_err());
        assert_eq!(format!("{:>5}|{:?}", BigInt::from(-7), BigInt::default()), "   -7|BigInt(0)");
        assert!("-000".parse::<BigInt>().is_ok_and(|zero| !zero.is_negative() && zero == BigInt::default()));
    }
}

//! Large integers: 15-bit digits, the lowest first.

use super::{
    MAX_INTEGER_DIGITS,
    error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind},
};

/// Bits in one digit.
const SHIFT: u32 = 15;

/// The bits of one digit.
const DIGIT: u16 = (1 << SHIFT) - 1;

/// The bits of four digits.
const LIMB: u64 = (1 << (4 * SHIFT)) - 1;

/// The most digits that an integer of [`MAX_INTEGER_DIGITS`] decimal ones has: 14,285 bits.
const MAX_LEN: usize = MAX_INTEGER_DIGITS * 2215 / 10_000 + 1;

/// The largest power of ten in 64 bits.
const GROUP: u64 = 10_u64.pow(GROUP_LEN as u32);

/// Decimal digits that are converted at a time.
const GROUP_LEN: usize = 19;

/// An integer of any size, in a buffer: its digits are in range, and the highest is not zero.
#[derive(Clone, Copy, Debug)]
pub struct Digits<'de> {
    negative: bool,
    bytes: &'de [u8],
}

impl<'de> Digits<'de> {
    /// Takes digits as they stand in a buffer; `None` if one is out of range or the highest is
    /// zero.
    pub(super) fn new(negative: bool, bytes: &'de [u8]) -> Option<Self> {
        let digits = Self { negative, bytes };
        let in_range = digits.iter().all(|digit| digit >> SHIFT == 0);
        let normal = digits.iter().next_back().is_none_or(|digit| digit != 0);
        (in_range && normal).then_some(digits)
    }

    /// Returns the number of digits, of 15 bits each.
    #[must_use]
    pub fn len(self) -> usize {
        self.bytes.len() / 2
    }

    /// Returns whether there is no digit, as in zero.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns whether the integer is less than zero.
    #[must_use]
    pub fn is_negative(self) -> bool {
        self.negative && !self.is_empty()
    }

    /// Returns the integer if it fits.
    #[must_use]
    pub fn to_i64(self) -> Option<i64> {
        self.to_i128()?.try_into().ok()
    }

    pub(super) fn to_u64(self) -> Option<u64> {
        self.to_u128()?.try_into().ok()
    }

    /// Returns the integer if it fits.
    #[must_use]
    pub fn to_i128(self) -> Option<i128> {
        let magnitude = self.magnitude()?;
        match self.negative {
            true => 0_i128.checked_sub_unsigned(magnitude),
            false => magnitude.try_into().ok(),
        }
    }

    pub(super) fn to_u128(self) -> Option<u128> {
        self.magnitude().filter(|&magnitude| !self.negative || magnitude == 0)
    }

    /// Returns the float that is equal, for integers of up to 128 bits.
    pub(super) fn to_f64(self) -> Option<f64> {
        let magnitude = self.magnitude()?;
        let spread = (u128::BITS - magnitude.leading_zeros()).saturating_sub(magnitude.trailing_zeros());
        let value = if self.negative { -(magnitude as f64) } else { magnitude as f64 };
        (spread <= f64::MANTISSA_DIGITS).then_some(value)
    }

    /// Returns the integer in decimal, unless that would take too long.
    pub(super) fn checked_decimal(self, start: usize) -> Result<String, DecodeError> {
        let large = || {
            let kind = DecodeErrorKind::LargeInteger { max_digits: MAX_INTEGER_DIGITS };
            DecodeError::new(start, kind)
        };
        if self.len() > MAX_LEN {
            return Err(large());
        }
        let decimal = self.to_decimal();
        let digits = decimal.len() - usize::from(self.negative);
        if digits > MAX_INTEGER_DIGITS { Err(large()) } else { Ok(decimal) }
    }

    /// Takes time quadratic in the number of digits.
    fn to_decimal(self) -> String {
        let mut limbs = self.limbs();
        let mut groups = Vec::with_capacity(limbs.len() + limbs.len() / 64 + 1);
        while !limbs.is_empty() {
            let mut rest = 0;
            for limb in limbs.iter_mut().rev() {
                let value = u128::from(rest) << 64 | u128::from(*limb);
                // It fits, because the rest is below the base.
                *limb = (value / u128::from(GROUP)) as u64;
                rest = (value % u128::from(GROUP)) as u64;
            }
            groups.push(rest);
            while limbs.last() == Some(&0) {
                limbs.pop();
            }
        }
        let mut decimal = String::with_capacity(groups.len() * GROUP_LEN + 1);
        if self.negative {
            decimal.push('-');
        }
        let highest = groups.pop().unwrap_or(0);
        decimal.push_str(itoa::Buffer::new().format(highest));
        for group in groups.into_iter().rev() {
            let mut buffer = itoa::Buffer::new();
            let digits = buffer.format(group);
            decimal.extend(std::iter::repeat_n('0', GROUP_LEN - digits.len()));
            decimal.push_str(digits);
        }
        decimal
    }

    /// Returns the magnitude in bytes, the lowest first, in time linear in their number.
    #[must_use]
    pub fn to_le_bytes(self) -> Vec<u8> {
        self.limbs().into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Returns the magnitude in 64-bit digits, the lowest first, the highest not zero.
    fn limbs(self) -> Vec<u64> {
        let mut limbs = Vec::with_capacity(self.len() * 15 / 64 + 1);
        let (mut pending, mut bits) = (0_u128, 0);
        for digit in self.iter() {
            pending |= u128::from(digit) << bits;
            bits += SHIFT;
            if bits >= 64 {
                limbs.push(pending as u64);
                pending >>= 64;
                bits -= 64;
            }
        }
        if pending != 0 {
            limbs.push(pending as u64);
        }
        limbs
    }

    fn magnitude(self) -> Option<u128> {
        // Nine digits are 135 bits, so that the highest may hold 8.
        if self.len() > 9 || self.len() == 9 && self.iter().next_back()? >> 8 != 0 {
            return None;
        }
        Some(self.iter().rev().fold(0, |value, digit| value << SHIFT | u128::from(digit)))
    }

    fn iter(self) -> impl DoubleEndedIterator<Item = u16> + use<'de> {
        let (digits, _) = self.bytes.as_chunks::<2>();
        digits.iter().map(|digit| u16::from_le_bytes(*digit))
    }
}

/// Appends the size and the digits of an integer.
pub(super) fn write(out: &mut Vec<u8>, negative: bool, mut magnitude: u128) {
    let mut digits = [0; 2 * 9];
    let mut count = 0;
    while magnitude != 0 {
        digits[2 * count..][..2].copy_from_slice(&(magnitude as u16 & DIGIT).to_le_bytes());
        magnitude >>= SHIFT;
        count += 1;
    }
    let size = if negative { -(count as i32) } else { count as i32 };
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&digits[..2 * count]);
}

/// Appends the size and the digits of an integer in decimal, unless that would take too long.
pub(super) fn write_decimal(out: &mut Vec<u8>, decimal: &str) -> Result<(), EncodeError> {
    let (negative, text) = match decimal.strip_prefix('-') {
        Some(text) => (true, text),
        None => (false, decimal),
    };
    if text.len() > MAX_INTEGER_DIGITS {
        let kind = EncodeErrorKind::LargeInteger { max_digits: MAX_INTEGER_DIGITS };
        return Err(EncodeError::new(kind));
    }
    // Groups of 18 decimal digits go into limbs of four binary ones.
    let mut limbs: Vec<u64> = Vec::with_capacity(text.len() / GROUP_LEN + 1);
    for group in text.as_bytes().rchunks(GROUP_LEN - 1).rev() {
        let mut carry =
            group.iter().fold(0, |value, digit| value * 10 + u128::from(digit.wrapping_sub(b'0')));
        let scale = 10_u128.pow(group.len() as u32);
        for limb in &mut limbs {
            let value = u128::from(*limb) * scale + carry;
            *limb = value as u64 & LIMB;
            carry = value >> LIMB.count_ones();
        }
        if carry != 0 {
            limbs.push(carry as u64);
        }
    }
    let mut digits: Vec<u16> = limbs
        .iter()
        .flat_map(|limb| [0, 1, 2, 3].map(|index| (limb >> (index * SHIFT)) as u16 & DIGIT))
        .collect();
    digits.truncate(digits.iter().rposition(|&digit| digit != 0).map_or(0, |last| last + 1));
    let size = if negative { -(digits.len() as i32) } else { digits.len() as i32 };
    out.extend_from_slice(&size.to_le_bytes());
    out.extend(digits.into_iter().flat_map(u16::to_le_bytes));
    Ok(())
}

//! Integers of any size in serde's data model.

use serde::de::{Error, Unexpected, Visitor};

use crate::{
    error::{DecodeError, DecodeErrorKind},
    int::Parsed,
};

/// Shows an integer that is no `i64` to a visitor.
pub(crate) fn visit_big<'de, V: Visitor<'de>>(
    parsed: Parsed<'_>,
    visitor: V,
) -> Result<V::Value, DecodeError> {
    let negated;
    let text = match parsed {
        Parsed::Small(value) => return visitor.visit_i64(value),
        Parsed::Big(text) => text,
        Parsed::Padded(digits) => {
            negated = format!("-{digits}");
            &negated
        }
    };
    if let Ok(value) = text.parse() {
        return visitor.visit_u64(value);
    }
    if let Ok(value) = text.parse() {
        return visitor.visit_i128(value);
    }
    if let Ok(value) = text.parse() {
        return visitor.visit_u128(value);
    }
    let digits = text.trim_start_matches('-').len();
    Err(DecodeError::unplaced(DecodeErrorKind::IntegerOutOfRange { digits }))
}

/// Shows an integer to the visitor of a float, if a float holds it exactly.
pub(crate) fn visit_float<'de, V: Visitor<'de>>(
    parsed: Parsed<'_>,
    visitor: V,
) -> Result<V::Value, DecodeError> {
    let value = match parsed {
        Parsed::Small(value) => exact(value),
        Parsed::Big(text) => exact_text(text),
        Parsed::Padded(digits) => exact_text(digits).map(|value| -value),
    };
    match value {
        Some(value) => visitor.visit_f64(value),
        None => {
            Err(DecodeError::invalid_value(Unexpected::Other("integer that no float is equal to"), &visitor))
        }
    }
}

/// Shows the digits of an integer to the visitor of a [`BigInt`](crate::BigInt).
pub(crate) fn visit_digits<'de, V: Visitor<'de>>(
    parsed: Parsed<'_>,
    visitor: V,
) -> Result<V::Value, DecodeError> {
    match parsed {
        Parsed::Small(value) => visitor.visit_i64(value),
        Parsed::Big(text) => visitor.visit_str(text),
        Parsed::Padded(digits) => visitor.visit_string(format!("-{digits}")),
    }
}

fn exact(value: i64) -> Option<f64> {
    let float = value as f64;
    (float as i128 == i128::from(value)).then_some(float)
}

/// The exact digits of a float are at most 309, so that longer text never gets this far.
fn exact_text(text: &str) -> Option<f64> {
    let float: f64 = text.parse().ok()?;
    (float.is_finite() && format!("{float:.0}") == text).then_some(float)
}

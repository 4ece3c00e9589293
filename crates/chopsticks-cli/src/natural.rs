//! The order of names in which people count: web2 comes before web10.

use std::cmp::Ordering;

/// Compares two names. Digits in them count as numbers.
pub(crate) fn compare(left: &str, right: &str) -> Ordering {
    let (mut one, mut other) = (left.as_bytes(), right.as_bytes());
    loop {
        let (number, its) = (digits(one), digits(other));
        let ordering = match (number.is_empty() || its.is_empty(), one.first(), other.first()) {
            (_, None, None) => return left.cmp(right),
            (true, first, its_first) => first.cmp(&its_first),
            (false, ..) => {
                let (number, its) = (significant(number), significant(its));
                number.len().cmp(&its.len()).then_with(|| number.cmp(its))
            }
        };
        if ordering != Ordering::Equal {
            return ordering;
        }
        one = &one[number.len().max(1)..];
        other = &other[its.len().max(1)..];
    }
}

fn digits(text: &[u8]) -> &[u8] {
    let len = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    &text[..len]
}

fn significant(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names =
            ["web10", "web2", "db", "web1", "web02", "web2.b", "web2.a", "10.0.0.9", "10.0.0.10", ""];
        names.sort_by(|left, right| compare(left, right));
        let expected =
            ["", "10.0.0.9", "10.0.0.10", "db", "web1", "web02", "web2", "web2.a", "web2.b", "web10"];
        assert_eq!(names, expected);
        let long = "9".repeat(100);
        assert_eq!(compare(&format!("{long}1"), &format!("{long}2")), Ordering::Less);
    }
}

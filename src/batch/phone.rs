//! Text becomes an E.164 number, or a fault.

use std::fmt;
use std::sync::LazyLock;

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, ValidationError};
use serde::{Deserialize, Serialize};

use super::fault::Code;
use super::read::PhoneCheck;

/// The most digits that a number can have.
const DIGITS_MAX: usize = 15;
/// The fewest digits taken, country code included.
const DIGITS_MIN: usize = 7;
/// What is said to be expected of every number.
const EXPECTED: &str = "an E.164 number such as +31612345678";

/// A phone number in E.164 form: `+` and up to 15 digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone(String);

/// What is wrong with a text that should be a number. It never holds a digit of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneFault {
    /// What kind of fault it is.
    pub code: Code,
    /// What should have stood there.
    pub expected: String,
    /// What stood there: a kind or a length.
    pub found: String,
    /// How to mend it.
    pub hint: String,
}

impl Phone {
    /// The number as `+` and digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a number that is written in E.164 already: a plus sign and 7 to 15 digits, the first
    /// of which is not 0. `None` for anything else.
    pub fn from_e164(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let good = (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| Self(text.into()))
    }

    /// Reads a number as senders of files write it. Only with `lenient` are spaces, dots, dashes,
    /// slashes, brackets and a leading `00` taken.
    pub fn parse(text: &str, check: PhoneCheck, lenient: bool) -> Result<Self, PhoneFault> {
        let mut number = String::with_capacity(DIGITS_MAX + 1);
        number.push('+');
        let rest = text.strip_prefix('+').unwrap_or(text);
        if rest.len() <= DIGITS_MAX && rest.bytes().all(|byte| byte.is_ascii_digit()) {
            number.push_str(rest);
        } else {
            gather(text, lenient, &mut number)?;
        }
        let international = text.starts_with('+');
        if !international && number.starts_with("+00") {
            if !lenient {
                return Err(fault(
                    Code::PhoneCharacters,
                    "a number that starts with `00`",
                    "write `+` instead of `00`",
                ));
            }
            number.drain(1..3);
        }
        let digits = &number[1..];
        if digits.is_empty() {
            return Err(fault(
                Code::PhoneMissing,
                "no digits",
                "write the country code and the whole number",
            ));
        }
        if digits.starts_with('0') {
            return Err(fault(
                Code::PhoneCountry,
                "a number that starts with 0",
                "write the country code in front and leave out the leading 0",
            ));
        }
        if digits.len() < DIGITS_MIN {
            return Err(fault(
                Code::PhoneTooShort,
                plural(digits.len()),
                "write the country code and the whole number",
            ));
        }
        if digits.len() > DIGITS_MAX {
            return Err(fault(
                Code::PhoneTooLong,
                plural(digits.len()),
                "a number has at most 15 digits, country code included",
            ));
        }
        match check {
            PhoneCheck::Format => {}
            PhoneCheck::Possible => possible(digits)?,
            PhoneCheck::Valid => {
                possible(digits)?;
                valid(digits)?;
            }
        }
        Ok(Self(number))
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn fault(code: Code, found: impl Into<String>, hint: &str) -> PhoneFault {
    PhoneFault {
        code,
        expected: EXPECTED.into(),
        found: found.into(),
        hint: hint.into(),
    }
}

fn plural(digits: usize) -> String {
    match digits {
        1 => "1 digit".into(),
        _ => format!("{digits} digits"),
    }
}

/// Gathers the digits of a text that is not made of digits alone, or says what else is in it.
fn gather(text: &str, lenient: bool, number: &mut String) -> Result<(), PhoneFault> {
    let mut separators = false;
    for (at, character) in text.chars().enumerate() {
        match character {
            '0'..='9' => number.push(character),
            '+' if at == 0 => {}
            ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' => separators = true,
            '+' => {
                return Err(fault(
                    Code::PhoneCharacters,
                    "a `+` that is not the first character",
                    "write one number, with `+` in front of its country code",
                ));
            }
            ',' | ';' => {
                return Err(fault(
                    Code::PhoneCharacters,
                    "a comma or semicolon",
                    "write one number in each row",
                ));
            }
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}' => {
                return Err(fault(
                    Code::PhoneCharacters,
                    "an invisible character",
                    "type the number again: it was copied together with an invisible mark",
                ));
            }
            _ if character.is_alphabetic() => {
                return Err(fault(
                    Code::PhoneCharacters,
                    "letters",
                    "write digits only, with `+` in front",
                ));
            }
            _ => {
                return Err(fault(
                    Code::PhoneCharacters,
                    "characters that are not digits",
                    "write digits only, with `+` in front",
                ));
            }
        }
    }
    if separators && !lenient {
        return Err(fault(
            Code::PhoneCharacters,
            "spaces, dots, dashes or brackets",
            "leave them out: a plus sign and digits only",
        ));
    }
    Ok(())
}

/// What the numbering plans say of one country code, for each count of digits after it.
type Lengths = [Length; DIGITS_MAX + 1];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Possible,
    TooShort,
    TooLong,
    Impossible,
}

/// The plans, asked once: the answer depends on nothing but the country code and the length, and
/// asking for each number would be the dearest step of reading a row.
static PLANS: LazyLock<Vec<Option<Lengths>>> = LazyLock::new(|| {
    let mut plans = vec![None; 1000];
    for country_code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        let mut lengths = [Length::TooShort; DIGITS_MAX + 1];
        let mut national_number: u64 = 0;
        for length in &mut lengths[1..] {
            national_number = national_number * 10 + 1;
            let number = PhoneNumber {
                country_code,
                national_number,
                ..PhoneNumber::default()
            };
            *length = match PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number) {
                Ok(NumberLengthType::IsPossible) => Length::Possible,
                Ok(NumberLengthType::IsPossibleLocalOnly) | Err(ValidationError::TooShort) => {
                    Length::TooShort
                }
                Err(ValidationError::TooLong) => Length::TooLong,
                Err(ValidationError::InvalidLength | ValidationError::InvalidCountryCode) => {
                    Length::Impossible
                }
            };
        }
        if let Some(plan) = usize::try_from(country_code)
            .ok()
            .and_then(|code| plans.get_mut(code))
        {
            *plan = Some(lengths);
        }
    }
    plans
});

/// The country code that a number starts with: how many digits it has, and its plan.
fn country(digits: &str) -> Option<(usize, &'static Lengths)> {
    (1..=3).find_map(|length| {
        let code: usize = digits.get(..length)?.parse().ok()?;
        Some((length, PLANS.get(code)?.as_ref()?))
    })
}

fn possible(digits: &str) -> Result<(), PhoneFault> {
    let Some((code_length, lengths)) = country(digits) else {
        return Err(fault(
            Code::PhoneCountry,
            "a country code that no country has",
            "write the country code in front of the number",
        ));
    };
    let found = || format!("{} for this country code", plural(digits.len()));
    match lengths[digits.len() - code_length] {
        Length::Possible => Ok(()),
        Length::TooShort => Err(fault(
            Code::PhoneTooShort,
            found(),
            "write the country code and the whole number",
        )),
        Length::TooLong => Err(fault(
            Code::PhoneTooLong,
            found(),
            "leave out a 0 between country code and number, and anything after the number",
        )),
        Length::Impossible => Err(fault(
            Code::PhoneInvalid,
            found(),
            "no number of this country has as many digits; look for a missing or doubled one",
        )),
    }
}

fn valid(digits: &str) -> Result<(), PhoneFault> {
    let number = format!("+{digits}");
    let known = PHONE_NUMBER_UTIL
        .parse(&number, None)
        .is_ok_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number));
    if known {
        return Ok(());
    }
    Err(fault(
        Code::PhoneInvalid,
        "a number that is in no range of its country",
        "look for a wrong digit after the country code",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, check: PhoneCheck, lenient: bool) -> Result<String, Code> {
        Phone::parse(text, check, lenient)
            .map(|phone| phone.to_string())
            .map_err(|fault| fault.code)
    }

    /// A number taken wrongly goes to a stranger; one refused wrongly reaches nobody.
    #[test]
    fn numbers_are_taken_as_their_senders_write_them() {
        use PhoneCheck::{Format, Possible, Valid};
        for (text, check, lenient, expected) in [
            ("+31612345678", Possible, false, Ok("+31612345678")),
            ("31612345678", Possible, false, Ok("+31612345678")),
            ("+5215512345678", Format, false, Ok("+5215512345678")),
            ("+5491123456789", Possible, false, Ok("+5491123456789")),
            ("+15550001111", Possible, false, Ok("+15550001111")),
            ("+15550001111", Valid, false, Err(Code::PhoneInvalid)),
            ("+31612345678", Valid, false, Ok("+31612345678")),
            ("+3906123456", Valid, false, Ok("+3906123456")),
            ("+31 6 1234-5678", Possible, true, Ok("+31612345678")),
            (
                "+31 6 1234-5678",
                Possible,
                false,
                Err(Code::PhoneCharacters),
            ),
            ("0031612345678", Possible, true, Ok("+31612345678")),
            ("0031612345678", Possible, false, Err(Code::PhoneCharacters)),
            ("0612345678", Possible, true, Err(Code::PhoneCountry)),
            ("+3161234567a", Possible, true, Err(Code::PhoneCharacters)),
            ("+316123", Possible, false, Err(Code::PhoneTooShort)),
            ("12", Possible, false, Err(Code::PhoneTooShort)),
            ("", Possible, false, Err(Code::PhoneMissing)),
            ("+", Possible, true, Err(Code::PhoneMissing)),
            ("+336123456789", Possible, false, Err(Code::PhoneTooLong)),
            ("+4407911123456", Possible, false, Err(Code::PhoneTooLong)),
            ("1234567890123456", Possible, false, Err(Code::PhoneTooLong)),
            ("+9991234567", Possible, false, Err(Code::PhoneCountry)),
            ("+9991234567", Format, false, Ok("+9991234567")),
            (
                "+31612345678,+31612345679",
                Possible,
                true,
                Err(Code::PhoneCharacters),
            ),
            (
                "\u{202a}+31612345678",
                Possible,
                true,
                Err(Code::PhoneCharacters),
            ),
            ("٣١٦١٢٣٤٥٦٧٨", Possible, true, Err(Code::PhoneCharacters)),
        ] {
            let expected = expected.map(String::from);
            assert_eq!(parse(text, check, lenient), expected, "{text} {check:?}");
        }
    }

    /// Settings, stores and results hold numbers as plain texts.
    #[test]
    fn a_number_is_a_plain_text_at_rest() {
        let phone = Phone::from_e164("+31612345678").expect("a number");
        assert_eq!(
            serde_json::to_string(&phone).expect("JSON"),
            "\"+31612345678\""
        );
        for bad in [
            "31612345678",
            "+0612345678",
            "+123456",
            "+1234567890123456",
            "+3161234567x",
        ] {
            assert_eq!(Phone::from_e164(bad), None, "{bad}");
        }
    }

    /// The plans were asked once for each length: they must say what the library says.
    #[test]
    fn the_plans_are_those_of_the_library() {
        for text in [
            "+31612345678",
            "+493012345",
            "+390612345678",
            "+6591234567",
            "+8801712345678",
        ] {
            let number = PHONE_NUMBER_UTIL.parse(text, None).expect("a number");
            assert!(PHONE_NUMBER_UTIL.is_possible_number(&number), "{text}");
            assert!(parse(text, PhoneCheck::Possible, false).is_ok(), "{text}");
        }
    }
}

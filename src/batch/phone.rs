//! Text becomes an E.164 number, or a fault.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use rlibphonenumber::{
    NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat, ValidationError,
};
use serde::{Deserialize, Serialize, Serializer};

use super::fault::Code;
use super::read::PhoneCheck;

/// The most digits that a number can have.
const DIGITS_MAX: usize = 15;
/// The fewest digits taken, country code included.
const DIGITS_MIN: usize = 7;
/// What is said to be expected of every number.
const EXPECTED: &str = "an E.164 number such as +31612345678";

/// A phone number in E.164 form: `+` and 7 to 15 digits. It is a text at rest.
// Every message has two of them: they are kept without a text of their own on the heap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "Cow<'_, str>")]
pub struct Phone {
    /// The text; zeros follow it.
    text: [u8; DIGITS_MAX + 1],
    length: u8,
}

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
        std::str::from_utf8(&self.text[..usize::from(self.length)]).expect("a plus sign and digits")
    }

    /// The digits, as one number.
    pub fn digits(&self) -> u64 {
        let digits = &self.text[1..usize::from(self.length)];
        digits
            .iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    }

    /// A number that nothing needs to be said about, read without a detour; `None` for one that has
    /// to be looked at closely.
    fn plainly(text: &str, check: PhoneCheck) -> Option<Self> {
        let phone = Self::from_e164(text)?;
        match check {
            PhoneCheck::Format => Some(phone),
            PhoneCheck::Possible => possible(&text[1..]).is_ok().then_some(phone),
            PhoneCheck::Valid => None,
        }
    }

    /// A plus sign and at most 15 digits.
    fn of(number: &str) -> Self {
        let mut text = [0; DIGITS_MAX + 1];
        text[..number.len()].copy_from_slice(number.as_bytes());
        Self {
            text,
            length: number.len() as u8,
        }
    }

    /// Takes a number that is written in E.164 already: a plus sign and 7 to 15 digits, the first
    /// of which is not 0. `None` for anything else.
    pub fn from_e164(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('+')?;
        let good = (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        good.then(|| Self::of(text))
    }

    /// Reads a number as senders of files write it. Only with `lenient` are spaces, dots, dashes,
    /// slashes, brackets and a leading `00` taken.
    pub fn parse(text: &str, check: PhoneCheck, lenient: bool) -> Result<Self, PhoneFault> {
        if let Some(phone) = Self::plainly(text, check) {
            return Ok(phone);
        }
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
        Ok(Self::of(&number))
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Phone").field(&self.as_str()).finish()
    }
}

impl Serialize for Phone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl TryFrom<Cow<'_, str>> for Phone {
    type Error = &'static str;

    fn try_from(text: Cow<'_, str>) -> Result<Self, Self::Error> {
        Self::from_e164(&text).ok_or("not a number in E.164 form")
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
    // It is dialled within the country only: with it the number is another one, or none.
    let unspaced: String = text.split_whitespace().collect();
    if unspaced.contains("(0)") {
        return Err(fault(
            Code::PhoneCharacters,
            "a 0 in brackets",
            "leave it out: write the number as it is dialled from abroad",
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
    let length = digits.len() - code_length - usize::from(is_former_mexican(digits));
    match lengths[length] {
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

/// Mexican mobile numbers had a 1 behind their country code until 2019. WhatsApp knows many
/// accounts by that form still, and numbers are not to be rewritten.
fn is_former_mexican(digits: &str) -> bool {
    digits.len() == 13 && digits.starts_with("521")
}

fn valid(digits: &str) -> Result<(), PhoneFault> {
    let number = if is_former_mexican(digits) {
        format!("+52{}", &digits[3..])
    } else {
        format!("+{digits}")
    };
    // A 0 that is dialled within the country only is passed over by the library, not by others.
    let known = PHONE_NUMBER_UTIL.parse(&number, None).is_ok_and(|known| {
        PHONE_NUMBER_UTIL.is_valid_number(&known)
            && known.format_as(PhoneNumberFormat::E164) == number
    });
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
            ("+5215512345678", Possible, false, Ok("+5215512345678")),
            ("+5215512345678", Valid, false, Ok("+5215512345678")),
            ("+52155123456789", Possible, false, Err(Code::PhoneTooLong)),
            ("+5491123456789", Possible, false, Ok("+5491123456789")),
            ("+310612345678", Valid, false, Err(Code::PhoneInvalid)),
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
            ("+44 (7911) 123456", Possible, true, Ok("+447911123456")),
            (
                "+49 (0)171 1234567",
                Possible,
                true,
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

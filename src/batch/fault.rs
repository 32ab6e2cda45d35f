//! A fault: what is wrong in a customer's file, where, and how to mend it. How faults are found is
//! the business of the files beside this one; how they are written into a report is `report`'s.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One thing wrong with a file. It never holds a value of the customer's: only kinds, lengths and
/// names of keys that are ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// What kind of fault it is.
    pub code: Code,
    /// JSON Pointer (RFC 6901) to the value; in JSON Lines it starts at the row's own line. Empty
    /// means the whole file.
    pub pointer: String,
    /// The line, from 1; 0 when the fault has no place in the text.
    pub line: u64,
    /// The column in characters, from 1; 0 when the fault has no place in the text.
    pub column: u64,
    /// The index of the message, from 0; `None` for a fault of the file or its head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// What should have stood there.
    pub expected: String,
    /// What stood there: a kind or a length, never the value.
    pub found: String,
    /// How to mend it; empty when `expected` says it all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl Fault {
    /// A fault of the whole file, without a place in its text.
    pub fn whole(code: Code, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            code,
            pointer: String::new(),
            line: 0,
            column: 0,
            index: None,
            expected: expected.into(),
            found: found.into(),
            hint: String::new(),
        }
    }

    /// The same fault with a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// What is wrong, before it is known where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) code: Code,
    pub(super) expected: String,
    pub(super) found: String,
    pub(super) hint: String,
}

impl Trouble {
    pub(super) fn new(code: Code, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            code,
            expected: expected.into(),
            found: found.into(),
            hint: String::new(),
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// What is wrong with one value or key of a row or of a member of the head, and the byte at which
/// it begins there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) at: usize,
    pub(super) trouble: Trouble,
}

impl Misfit {
    pub(super) fn new(at: usize, trouble: Trouble) -> Self {
        Self { at, trouble }
    }
}

/// Declares the codes once: the enum, its text, and the list that the manual is held against.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The stable, dotted name of a kind of fault. `docs/faults.md` tells cause and cure of
        /// each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code, in the order of the manual.
            pub const ALL: &[Code] = &[$(Code::$name,)*];

            /// The code as written in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Code::$name => $text,)*
                }
            }
        }
    };
}

codes! {
    /// The file holds nothing.
    FileEmpty = "file.empty",
    /// The file is not UTF-8 text.
    FileEncoding = "file.encoding",
    /// The same content was sent before.
    FileDuplicate = "file.duplicate",
    /// The file is larger than allowed.
    FileTooLarge = "file.too_large",
    /// The compressed file cannot be expanded.
    FileContainer = "file.container",
    /// The content is not what the name says.
    FileWrongEnding = "file.wrong_ending",
    /// A form of compression that is not read.
    FileCompression = "file.compression",
    /// One compressed file in another.
    FileNested = "file.nested",
    /// A zip that holds something else than one batch file.
    FileZipContent = "file.zip_content",
    /// The file expands to far more than a batch does.
    FileExpansion = "file.expansion",
    /// Reading this file took the daemon down before.
    FileQuarantined = "file.quarantined",
    /// The name ends in nothing that counts.
    FileUnknownEnding = "file.unknown_ending",
    /// The file is encrypted.
    FileEncrypted = "file.encrypted",
    /// The name says that something is still to come, and for a day nothing came.
    FileAbandoned = "file.abandoned",
    /// The file may not be read.
    FileUnreadable = "file.unreadable",
    /// The file asks for something to be done with a batch that is not running.
    FileSteeringUnknown = "file.steering_unknown",
    /// The file asks for something that the operator's pause does not let be done.
    FileSteeringDenied = "file.steering_denied",
    /// The bytes are not those that the companion's checksum was taken of.
    FileChecksumMismatch = "file.checksum_mismatch",
    /// The companion holds no checksum.
    FileChecksumGarbled = "file.checksum_garbled",
    /// A newer file of the name came before this one was released.
    FileReplaced = "file.replaced",
    /// The text is not JSON.
    JsonSyntax = "json.syntax",
    /// The text ends before the JSON does.
    JsonTruncated = "json.truncated",
    /// Objects and arrays are nested too deeply.
    JsonTooDeep = "json.too_deep",
    /// An object has the same key twice.
    JsonDuplicateKey = "json.duplicate_key",
    /// The file is JSON, but not a batch.
    BatchShape = "batch.shape",
    /// A key that must be there is missing.
    BatchMissingKey = "batch.missing_key",
    /// A key has a value of the wrong kind.
    BatchWrongKind = "batch.wrong_kind",
    /// A value is outside of what the key takes.
    BatchBadValue = "batch.bad_value",
    /// A key that nobody knows.
    BatchUnknownKey = "batch.unknown_key",
    /// A key that resembles a known one.
    BatchMisspeltKey = "batch.misspelt_key",
    /// A key of the format that this version cannot honour.
    BatchUnsupportedKey = "batch.unsupported_key",
    /// A number given as a JSON number where text belongs.
    BatchNumberForText = "batch.number_for_text",
    /// The keys beside the rows take too much room.
    BatchHeadTooLong = "batch.head_too_long",
    /// There are no rows.
    BatchNoRows = "batch.no_rows",
    /// There are more rows than allowed.
    BatchTooManyRows = "batch.too_many_rows",
    /// `rows` and the number of rows differ.
    BatchRowCount = "batch.row_count",
    /// A row is longer than allowed.
    BatchRowTooLong = "batch.row_too_long",
    /// Every row is wrong, or more rows than the tenant allows.
    BatchTooManyInvalid = "batch.too_many_invalid",
    /// Its messages go in more ways than can be told apart.
    BatchTooVaried = "batch.too_varied",
    /// One row is wrong, and the file asked to be refused then.
    BatchRejectedByRow = "batch.rejected_by_row",
    /// The sender is not one of the tenant's numbers.
    BatchUnknownSender = "batch.unknown_sender",
    /// No approved template has this name.
    TemplateUnknown = "template.unknown",
    /// The template has no approved text in this language.
    TemplateLanguage = "template.language",
    /// The template is not approved.
    TemplateNotApproved = "template.not_approved",
    /// The template needs a component that this version cannot fill.
    TemplateUnsupported = "template.unsupported",
    /// The text in the file is not the approved text.
    TemplateTextChanged = "template.text_changed",
    /// The declared placeholder names are not the template's.
    TemplatePlaceholders = "template.placeholders",
    /// A header of another kind than the template's.
    TemplateHeaderKind = "template.header_kind",
    /// A button of another kind than the template's.
    TemplateButtonKind = "template.button_kind",
    /// A component of the template is given no value.
    TemplateComponentMissing = "template.component_missing",
    /// A value for a component that does not exist or does not vary.
    TemplateComponentUnknown = "template.component_unknown",
    /// The carousel has another number of cards.
    TemplateCardCount = "template.card_count",
    /// The body and the button are given different one-time codes.
    TemplateCodesDiffer = "template.codes_differ",
    /// A placeholder has no value.
    ParameterMissing = "parameter.missing",
    /// A value for a placeholder that does not exist.
    ParameterUnknown = "parameter.unknown",
    /// The wrong number of values.
    ParameterCount = "parameter.count",
    /// A value is not text.
    ParameterWrongKind = "parameter.wrong_kind",
    /// A value is empty.
    ParameterEmpty = "parameter.empty",
    /// A value has a line break, a tab or a long run of spaces.
    ParameterWhitespace = "parameter.whitespace",
    /// A value has the mark of a placeholder in it.
    ParameterMarks = "parameter.marks",
    /// The text after substitution is too long.
    ParameterTooLong = "parameter.too_long",
    /// The end of a link has characters that must be encoded.
    ParameterUrl = "parameter.url",
    /// A one-time code has blanks, links or other signs.
    ParameterOneTimeCode = "parameter.one_time_code",
    /// An amount of money is not written as one.
    ParameterCurrency = "parameter.currency",
    /// A date is not written as one, or there is no such day.
    ParameterDate = "parameter.date",
    /// Latitude or longitude are none.
    ParameterCoordinates = "parameter.coordinates",
    /// Too many products or sections, or none.
    ParameterProducts = "parameter.products",
    /// The recipient is missing.
    PhoneMissing = "phone.missing",
    /// The recipient is not text.
    PhoneWrongKind = "phone.wrong_kind",
    /// Characters that a number cannot have.
    PhoneCharacters = "phone.characters",
    /// Too few digits.
    PhoneTooShort = "phone.too_short",
    /// Too many digits.
    PhoneTooLong = "phone.too_long",
    /// No country has this code.
    PhoneCountry = "phone.country",
    /// No number of this country looks like this.
    PhoneInvalid = "phone.invalid",
    /// A file is missing.
    MediaMissing = "media.missing",
    /// The kind of file does not fit where it stands.
    MediaKind = "media.kind",
    /// The address of a file is none that it can be fetched from.
    MediaUrl = "media.url",
    /// The name of a document is too long.
    MediaFilename = "media.filename",
    /// Both an address and an id of one file.
    MediaSource = "media.source",
    /// The name of an uploaded file leads elsewhere.
    MediaPath = "media.path",
    /// An uploaded file is larger than WhatsApp takes.
    MediaTooLarge = "media.too_large",
    /// The provider takes no uploaded files.
    MediaNoUpload = "media.no_upload",
    /// Too few or too many of what a session message holds several of.
    SessionCount = "session.count",
    /// Two things in a session message that must differ do not.
    SessionDoubled = "session.doubled",
    /// A text of a session message is empty or too long.
    SessionLength = "session.length",
    /// The session text uses the marks of templates.
    SessionMarks = "session.marks",
    /// A row says more than one thing, or none that there is.
    SessionType = "session.type",
    /// The row expires before it could be sent.
    PolicyExpired = "policy.expired",
    /// The hours in which the row may be sent begin after it expires.
    PolicyWindowClosed = "policy.window_closed",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

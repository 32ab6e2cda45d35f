//! What the errors in Infobip's reports mean: why a message that was taken did not reach its
//! recipient. Nothing is sent again because of one; the classes say whether a mended row could be.

use crate::provider::cause::Cause;
use crate::provider::meaning::Class;

/// What is known about an error.
pub(super) fn meaning(id: i64) -> Option<(Class, Cause)> {
    let known = TABLE.iter().find(|(known, ..)| *known == id)?;
    Some((known.1, known.2))
}

/// By their ids.
#[rustfmt::skip]
pub(super) const TABLE: &[(i64, Class, Cause)] = &[
    (351, Class::BadRow, Cause::Recipient),
    (352, Class::BadRow, Cause::Recipient),
    (433, Class::Never, Cause::Account),
    (2052, Class::Never, Cause::RecipientOptedOut),
    (2053, Class::Never, Cause::SenderRestricted),
    (4099, Class::Never, Cause::Account),
    (4101, Class::Never, Cause::Expired),
    (4103, Class::Never, Cause::PairRate),
    (4104, Class::Never, Cause::PairRate),
    (7002, Class::BadRow, Cause::Recipient),
    (7003, Class::Never, Cause::RecipientOptedOut),
    (7004, Class::Never, Cause::Permission),
    (7005, Class::Never, Cause::Permission),
    (7006, Class::BadRow, Cause::Parameter),
    (7008, Class::BadRow, Cause::Parameter),
    (7009, Class::Never, Cause::TemplateMissing),
    (7010, Class::Never, Cause::Session),
    (7011, Class::Never, Cause::Account),
    (7013, Class::BadRow, Cause::Media),
    (7014, Class::Never, Cause::Media),
    (7015, Class::BadRow, Cause::Media),
    (7016, Class::Never, Cause::SenderRestricted),
    (7017, Class::Never, Cause::Throttled),
    (7019, Class::Never, Cause::Account),
    (7021, Class::Never, Cause::SenderRestricted),
    (7022, Class::BadRow, Cause::Media),
    (7025, Class::Never, Cause::Recipient),
    (7027, Class::Never, Cause::Policy),
    (7030, Class::Never, Cause::RecipientOptedOut),
    (7031, Class::BadRow, Cause::Parameter),
    (7032, Class::Never, Cause::RecipientLimited),
    (7033, Class::Never, Cause::RecipientOptedOut),
    (7034, Class::Never, Cause::Sender),
    (7036, Class::Never, Cause::TemplateRefused),
    (7037, Class::Never, Cause::TemplateMissing),
    (7046, Class::Never, Cause::RecipientLimited),
    (7048, Class::Never, Cause::RecipientLimited),
    (7050, Class::Never, Cause::Unavailable),
    (7051, Class::Never, Cause::Unavailable),
    (7201, Class::Never, Cause::Recipient),
];

//! What an approved template consists of, and which of it varies.

use super::text::Text;
use crate::batch::content::MediaKind;

/// All components of a template.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// Header, body and buttons.
    pub(super) face: Face,
    /// The words beneath the body; empty if there are none.
    pub(super) footer: String,
    /// The cards of a carousel.
    pub(super) cards: Vec<Face>,
    /// Whether it has a limited-time offer.
    pub(super) offer: Offer,
    /// Whether the first placeholder is a one-time code.
    pub(super) code: bool,
}

/// What is seen at once: the message itself, or one card of its carousel.
#[derive(Clone, Debug, Default)]
pub(super) struct Face {
    /// The header.
    pub(super) header: HeaderKind,
    /// The body.
    pub(super) body: Text,
    /// All buttons, those that vary and those that do not.
    pub(super) buttons: Vec<ButtonPart>,
}

/// The kinds of headers.
#[derive(Clone, Debug, Default)]
pub(super) enum HeaderKind {
    /// None at all.
    #[default]
    None,
    /// A text, with at most one placeholder.
    Text(Text),
    /// A file.
    Media(MediaKind),
    /// A place on the map.
    Location,
    /// A product of the catalogue.
    Product,
}

/// A button.
#[derive(Clone, Debug)]
pub(super) struct ButtonPart {
    /// What stands on it; empty where WhatsApp writes it.
    pub(super) label: String,
    /// What it does.
    pub(super) kind: ButtonKind,
}

/// What a button does, as far as a row has a say in it.
#[derive(Clone, Debug)]
pub(super) enum ButtonKind {
    /// Nothing in it varies; a link has its address here.
    Fixed(String),
    /// It sends an answer.
    QuickReply,
    /// It opens a link whose end varies.
    Url(Link),
    /// It copies a code.
    CopyCode(String),
    /// It copies or fills in the one-time code, which the body has too.
    OneTimeCode,
    /// It opens a flow.
    Flow,
    /// It opens the catalogue.
    Catalog,
    /// It lists products.
    MultiProduct,
    /// It shows an order to be paid.
    OrderDetails,
    /// It starts a call.
    VoiceCall,
}

/// A link whose end varies.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// What stands before the value.
    pub(super) stem: String,
    /// The placeholder's name; `None` if it is numbered.
    pub(super) name: Option<String>,
    /// An example for the value; empty if the definition has none.
    pub(super) example: String,
}

/// Whether there is a limited-time offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Offer {
    /// There is none.
    #[default]
    None,
    /// There is one, and it does not say when it ends.
    Open,
    /// There is one that ends at a moment the row names.
    Ends,
}

/// The longest body, in characters with all values in place.
pub(super) const BODY_CHARS_MAX: usize = 1024;
/// The same above a limited-time offer.
const OFFER_BODY_CHARS_MAX: usize = 600;
/// The same on a card.
pub(super) const CARD_BODY_CHARS_MAX: usize = 160;
/// The longest header, in characters with its value in place.
pub(super) const HEADER_CHARS_MAX: usize = 60;
/// The longest link, in characters with its value in place.
pub(super) const LINK_CHARS_MAX: usize = 2000;
/// The most buttons that a template has.
pub(super) const BUTTONS_MAX: usize = 10;
/// The most cards that a carousel has.
pub(super) const CARDS_MAX: usize = 10;

impl Shape {
    /// The longest body of the message itself, in characters with all values in place.
    pub(super) fn body_chars_max(&self) -> usize {
        match self.offer {
            Offer::None => BODY_CHARS_MAX,
            Offer::Open | Offer::Ends => OFFER_BODY_CHARS_MAX,
        }
    }

    /// Whether a row says when an offer ends.
    pub(super) fn offer_ends(&self) -> bool {
        self.offer == Offer::Ends
    }
}

impl Face {
    /// Whether a row says something to its header.
    pub(super) fn header_varies(&self) -> bool {
        match &self.header {
            HeaderKind::None => false,
            HeaderKind::Text(text) => !text.names.is_empty(),
            HeaderKind::Media(_) | HeaderKind::Location | HeaderKind::Product => true,
        }
    }

    /// Whether a row says something to one of its buttons.
    pub(super) fn buttons_vary(&self) -> bool {
        self.buttons.iter().any(|button| button.kind.varies())
    }
}

impl ButtonKind {
    /// Whether a row says something to it.
    pub(super) fn varies(&self) -> bool {
        !matches!(self, Self::Fixed(_))
    }

    /// Whether a row must say something to it.
    pub(super) fn is_required(&self) -> bool {
        matches!(
            self,
            Self::Url(_) | Self::CopyCode(_) | Self::MultiProduct | Self::OrderDetails
        )
    }

    /// The words for it in `type`; the first is the one that is shown.
    pub(super) fn types(&self) -> &'static [&'static str] {
        match self {
            Self::Fixed(_) => &[],
            Self::QuickReply => &["quick-reply"],
            Self::Url(_) => &["url", "cta"],
            Self::CopyCode(_) => &["copy-code"],
            Self::OneTimeCode => &["url", "cta", "copy-code"],
            Self::Flow => &["flow"],
            Self::Catalog => &["catalog"],
            Self::MultiProduct => &["multi-product"],
            Self::OrderDetails => &["order-details"],
            Self::VoiceCall => &["voice-call"],
        }
    }
}

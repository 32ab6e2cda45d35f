//! What a recipient will get, in the one form that every dialect becomes and every provider is
//! given. Which values a template needs is for `template` to know.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::{Moment, is_false};

/// What the recipient will get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Content {
    /// An approved template and its values.
    Template(Filling),
    /// Free text, allowed within 24 hours of the recipient's last message, like all that follows.
    Text {
        /// The text after substitution.
        body: String,
        /// Whether the first link in the text is shown as a preview.
        preview_url: bool,
    },
    /// A file of one of the kinds that WhatsApp shows.
    Media {
        /// What kind of file it is.
        kind: MediaKind,
        /// The file.
        media: Media,
        /// The text beneath it; `None` for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        caption: Option<String>,
        /// Whether a sound is shown as one that was spoken into the phone; `None` if nothing is
        /// said about it, which is the same as `false`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        voice: Option<bool>,
    },
    /// A place on the map.
    Location(Location),
    /// Contact cards, an array as in the Cloud API.
    Contacts(Json),
    /// Buttons, a list, a link or a flow, an object as in the Cloud API.
    Interactive(Json),
    /// An emoji under a message of the recipient's.
    Reaction {
        /// The provider's id of that message.
        message_id: String,
        /// The emoji; empty takes it back.
        emoji: String,
    },
}

/// A template and the values for everything in it that varies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Filling {
    /// The template's name.
    pub name: String,
    /// The template's language code, as approved.
    pub language: String,
    /// The header, where it varies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The values of the body's placeholders, in the order of the template.
    pub body: Vec<Parameter>,
    /// The buttons that vary, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
    /// The cards of a carousel, in the order of the template.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<Card>,
    /// When a limited-time offer ends; `None` if the template has none that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offer_expires_at: Option<Moment>,
    /// Whether the template is for marketing, which some providers send by another way.
    #[serde(default, skip_serializing_if = "is_false")]
    pub marketing: bool,
    /// How the provider knows the template; `None` where its name and language say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<Box<Handle>>,
}

/// How a provider knows a template that it does not call by its name, as the definition says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Handle {
    /// The provider's id of it; empty if the definition has none.
    pub id: String,
    /// The provider's name for what varies in the header; `None` if the definition has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The provider's names for the placeholders of the body, in their order: those in
    /// `variables`, otherwise the placeholder's own name or number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<String>,
    /// The provider's names for what varies in buttons, by their index: those in `variables`,
    /// otherwise those in the button's link, and that of the body's code for a button that copies
    /// it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<(u8, String)>,
    /// What stands on the buttons that vary, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<(u8, String)>,
    /// Whether it is an authentication template, in which one code fills body and button.
    #[serde(default, skip_serializing_if = "is_false")]
    pub one_time_code: bool,
}

/// The value of one placeholder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// The placeholder's name in a template with named placeholders; `None` in a numbered one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What stands in its place, as everybody can read it.
    pub text: String,
    /// What it is besides a text, for providers that write it as the recipient's country does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub typed: Option<Typed>,
}

impl Parameter {
    /// A plain text for a numbered placeholder.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            name: None,
            text: text.into(),
            typed: None,
        }
    }
}

/// A value that is more than a text; the text that stands in for it is the parameter's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Typed {
    /// An amount of money.
    Currency {
        /// ISO 4217, three capital letters.
        code: String,
        /// The amount in thousandths.
        amount_1000: i64,
    },
    /// A date or a time.
    DateTime,
}

/// The header of a template, where it varies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Header {
    /// The value of the one placeholder in its text.
    Text(Parameter),
    /// A file: image, video, document or animation.
    Media(MediaKind, Media),
    /// A place on the map.
    Location(Location),
    /// A product of the business's catalogue.
    Product {
        /// The retailer's own id of the product.
        retailer_id: String,
        /// The catalogue; `None` for the one that is linked to the account.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        catalog_id: Option<String>,
    },
}

/// The kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaKind {
    /// JPEG or PNG.
    Image,
    /// MP4 or 3GPP.
    Video,
    /// PDF and office files.
    Document,
    /// A sound; never in a header.
    Audio,
    /// WebP; never in a header.
    Sticker,
    /// A short MP4 that repeats; only in a header.
    Gif,
}

/// Where a file lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Where it is fetched from.
    pub source: MediaSource,
    /// The name that the recipient sees; only for documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
}

/// Where a file is fetched from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum MediaSource {
    /// From this address.
    Link(String),
    /// From the provider, which knows it under this id.
    Id(String),
    /// It is one that the tenant has uploaded; adapters are given the id that it gets at the
    /// provider.
    File(MediaFile),
}

/// A file that the tenant has uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaFile {
    /// Its name in the folder.
    pub name: String,
    /// SHA-256 of its content, in hexadecimal, by which it is kept.
    pub sha256: String,
    /// What it is, for the provider.
    pub mime_type: String,
    /// Its size.
    pub size_bytes: u64,
}

impl MediaFile {
    /// A file of this name that nobody has looked at.
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sha256: String::new(),
            mime_type: String::new(),
            size_bytes: 0,
        }
    }
}

impl MediaSource {
    /// The address, where it is one.
    pub fn link(&self) -> Option<&str> {
        match self {
            Self::Link(link) => Some(link),
            Self::Id(_) | Self::File(_) => None,
        }
    }

    /// The provider's id, where it is one.
    pub fn id(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Link(_) | Self::File(_) => None,
        }
    }

    /// The tenant's own file, where it is one.
    pub fn file(&self) -> Option<&MediaFile> {
        match self {
            Self::File(file) => Some(file),
            Self::Link(_) | Self::Id(_) => None,
        }
    }
}

/// Where in a message a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaPlace {
    /// In the header of its template.
    Header,
    /// In the header of the card at this place.
    Card(usize),
    /// It is the message.
    Content,
}

impl Content {
    /// What it has of files, wherever they are fetched from.
    pub fn media(&self) -> impl Iterator<Item = &Media> {
        let (filling, own) = match self {
            Self::Template(filling) => (Some(filling), None),
            Self::Media { media, .. } => (None, Some(media)),
            _ => (None, None),
        };
        let headers = filling.into_iter().flat_map(|filling| {
            let cards = filling.cards.iter().map(|card| card.header.as_ref());
            std::iter::once(filling.header.as_ref()).chain(cards)
        });
        let of_headers = headers.filter_map(|header| match header {
            Some(Header::Media(_, media)) => Some(media),
            _ => None,
        });
        of_headers.chain(own)
    }

    /// The same, to be changed, with where each stands and its kind.
    pub fn media_mut(&mut self) -> Vec<(MediaPlace, MediaKind, &mut Media)> {
        let filling = match self {
            Self::Template(filling) => filling,
            Self::Media { kind, media, .. } => return vec![(MediaPlace::Content, *kind, media)],
            _ => return Vec::new(),
        };
        let cards = filling.cards.iter_mut().enumerate();
        let cards = cards.map(|(at, card)| (MediaPlace::Card(at), card.header.as_mut()));
        let own = (MediaPlace::Header, filling.header.as_mut());
        std::iter::once(own)
            .chain(cards)
            .filter_map(|(place, header)| match header {
                Some(Header::Media(kind, media)) => Some((place, *kind, media)),
                _ => None,
            })
            .collect()
    }

    /// The files of the tenant that it has.
    pub fn files(&self) -> impl Iterator<Item = &MediaFile> {
        self.media().filter_map(|media| media.source.file())
    }
}

/// A place on the map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north, −90 to 90.
    pub latitude: f64,
    /// Degrees east, −180 to 180.
    pub longitude: f64,
    /// What the place is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A button that varies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Button {
    /// Its place among all the buttons of the template, from 0.
    pub index: u8,
    /// What varies in it.
    pub value: ButtonValue,
}

/// What varies in a button.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum ButtonValue {
    /// What comes back when it is tapped.
    QuickReply(String),
    /// The end of its link.
    Url(Parameter),
    /// The code that it copies.
    CopyCode(String),
    /// The flow that it opens.
    Flow {
        /// What tells this run of the flow; `None` for none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// What its first screen is given, an object; `None` for nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Json>,
    },
    /// The catalogue that it opens.
    Catalog {
        /// The product whose picture is shown; `None` for the first one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thumbnail: Option<String>,
    },
    /// The products that it lists.
    MultiProduct {
        /// The product whose picture is shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        thumbnail: Option<String>,
        /// The products, in sections.
        sections: Vec<ProductSection>,
    },
    /// The order that it lets the recipient pay: an object as in the Cloud API.
    OrderDetails(Json),
    /// The call that it starts.
    VoiceCall {
        /// For how many minutes it can be tapped; `None` for the provider's default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minutes: Option<u32>,
        /// What comes with the call; `None` for nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
    },
}

/// Products under one heading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductSection {
    /// The heading.
    pub title: String,
    /// The retailer's own ids of the products.
    pub products: Vec<String>,
}

/// One card of a carousel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Card {
    /// The card's header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The values of its body's placeholders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub body: Vec<Parameter>,
    /// Its buttons that vary, by their index.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buttons: Vec<Button>,
}

//! The calls that send messages, and what each wants to be told.

use super::shape::Need::{May, Must};
use super::shape::Shape::{Any, Flag, Line, Link, List, Number, Object, Text, Typed, Whole, Word};
use super::shape::{Member, Shape};

/// The call for templates, which takes several messages.
pub(super) const TEMPLATE: &str = "template";

/// Many enough that nobody counts.
const MANY: usize = usize::MAX;

/// What a message of the call holds; `None` if there is no such call.
pub(super) fn message(call: &str) -> Option<&'static Shape> {
    let known = CALLS.iter().find(|(known, ..)| *known == call)?;
    Some(&known.1)
}

const FROM: Member = ("from", Text(1, 24), Must);
const TO: Member = ("to", Text(1, 150), Must);
const ID: Member = ("messageId", Text(0, 200), May);
const DATA: Member = ("callbackData", Text(0, 4000), May);
const NOTIFY: Member = ("notifyUrl", Text(0, 2048), May);
const ENTITY: Member = ("entityId", Text(0, 255), May);
const APPLICATION: Member = ("applicationId", Text(0, 255), May);
const CONTEXT: Member = (
    "context",
    Object(&[("replyToMessageId", Text(1, MANY), Must)]),
    May,
);
const URLS: Member = (
    "urlOptions",
    Object(&[
        ("shortenUrl", Flag, May),
        ("trackClicks", Flag, May),
        ("trackingUrl", Text(0, MANY), May),
        ("removeProtocol", Flag, May),
        ("customDomain", Text(0, MANY), May),
    ]),
    May,
);
const SMS: Member = (
    "smsFailover",
    Object(&[("from", Text(1, 24), Must), ("text", Text(1, 4096), Must)]),
    May,
);

/// A message with links, and one without.
macro_rules! message {
    (links $content:expr) => {
        message!($content, URLS)
    };
    (plain $content:expr) => {
        message!($content)
    };
    ($content:expr $(, $more:expr)*) => {
        Object(&[
            FROM, TO, ID, ("content", $content, Must), DATA, NOTIFY, ENTITY, APPLICATION, CONTEXT,
            $($more,)*
        ])
    };
}

const CALLS: &[(&str, Shape)] = &[
    (TEMPLATE, message!(Object(TEMPLATE_CONTENT), URLS, SMS)),
    (
        "text",
        message!(links Object(&[("text", Text(1, 4096), Must), ("previewUrl", Flag, May)])),
    ),
    (
        "image",
        message!(links Object(&[("mediaUrl", Link, Must), CAPTION])),
    ),
    (
        "video",
        message!(links Object(&[("mediaUrl", Link, Must), CAPTION])),
    ),
    (
        "document",
        message!(links Object(&[("mediaUrl", Link, Must), CAPTION, FILENAME])),
    ),
    (
        "audio",
        message!(plain Object(&[("mediaUrl", Link, Must), ("voice", Flag, May)])),
    ),
    (
        "sticker",
        message!(plain Object(&[("mediaUrl", Link, Must)])),
    ),
    ("location", message!(plain Object(PLACE))),
    (
        "contact",
        message!(plain Object(&[("contacts", List(1, MANY, &CONTACT), Must)])),
    ),
    (
        "interactive/buttons",
        message!(links Object(&[BODY, BUTTONS, HEADER, FOOTER])),
    ),
    (
        "interactive/list",
        message!(links Object(&[BODY, CHOICES, TEXT_HEADER, FOOTER])),
    ),
    (
        "interactive/url-button",
        message!(links Object(&[BODY, LINK, HEADER, FOOTER])),
    ),
    (
        "interactive/product",
        message!(links Object(&[PRODUCT, MAY_BODY, FOOTER])),
    ),
    (
        "interactive/multi-product",
        message!(links Object(&[BODY, PRODUCTS, MUST_HEADER, FOOTER])),
    ),
    (
        "interactive/flow",
        message!(links Object(&[BODY, FLOW, TEXT_HEADER, FOOTER])),
    ),
    (
        "interactive/location-request",
        message!(links Object(&[BODY])),
    ),
    (
        "interactive/request-contact-info",
        message!(links Object(&[BODY])),
    ),
];

const CAPTION: Member = ("caption", Text(0, 3000), May);
const FILENAME: Member = ("filename", Text(0, 240), May);
const LATITUDE: Member = ("latitude", Number(-90.0, 90.0), Must);
const LONGITUDE: Member = ("longitude", Number(-180.0, 180.0), Must);
const PLACE: &[Member] = &[
    LATITUDE,
    LONGITUDE,
    ("name", Text(0, 1000), May),
    ("address", Text(0, 1000), May),
];

const ANY_TEXT: Shape = Text(0, MANY);
const HOME_OR_WORK: Member = ("type", Word(&["HOME", "WORK"]), May);
const CONTACT: Shape = Object(&[
    (
        "name",
        Object(&[
            ("firstName", Text(1, MANY), Must),
            ("formattedName", Text(1, MANY), Must),
            ("lastName", ANY_TEXT, May),
            ("middleName", ANY_TEXT, May),
            ("nameSuffix", ANY_TEXT, May),
            ("namePrefix", ANY_TEXT, May),
        ]),
        Must,
    ),
    (
        "addresses",
        List(
            0,
            MANY,
            &Object(&[
                ("street", ANY_TEXT, May),
                ("city", ANY_TEXT, May),
                ("state", ANY_TEXT, May),
                ("zip", ANY_TEXT, May),
                ("country", ANY_TEXT, May),
                ("countryCode", ANY_TEXT, May),
                HOME_OR_WORK,
            ]),
        ),
        May,
    ),
    ("birthday", ANY_TEXT, May),
    (
        "emails",
        List(0, MANY, &Object(&[("email", ANY_TEXT, May), HOME_OR_WORK])),
        May,
    ),
    (
        "org",
        Object(&[
            ("company", ANY_TEXT, May),
            ("department", ANY_TEXT, May),
            ("title", ANY_TEXT, May),
        ]),
        May,
    ),
    (
        "phones",
        List(
            0,
            MANY,
            &Object(&[
                ("phone", ANY_TEXT, May),
                (
                    "type",
                    Word(&["CELL", "MAIN", "IPHONE", "HOME", "WORK"]),
                    May,
                ),
                ("waId", ANY_TEXT, May),
            ]),
        ),
        May,
    ),
    (
        "urls",
        List(0, MANY, &Object(&[("url", ANY_TEXT, May), HOME_OR_WORK])),
        May,
    ),
]);

const TEXT_BODY: Shape = Object(&[("text", Text(1, 1024), Must)]);
const BODY: Member = ("body", TEXT_BODY, Must);
const MAY_BODY: Member = ("body", TEXT_BODY, May);
const FOOTER: Member = ("footer", Object(&[("text", Text(1, 60), Must)]), May);
const SMALL: &[Member] = &[("text", Text(1, 60), Must)];
const TEXT_HEADER: Member = ("header", Typed(&[("TEXT", SMALL)]), May);
const MUST_HEADER: Member = ("header", Typed(&[("TEXT", SMALL)]), Must);
const HEADER: Member = (
    "header",
    Typed(&[
        ("TEXT", SMALL),
        ("IMAGE", &[("mediaUrl", Link, Must)]),
        ("VIDEO", &[("mediaUrl", Link, Must)]),
        ("DOCUMENT", &[("mediaUrl", Link, Must), FILENAME]),
    ]),
    May,
);
const BUTTONS: Member = (
    "action",
    Object(&[(
        "buttons",
        List(
            1,
            3,
            &Typed(&[(
                "REPLY",
                &[("id", Text(1, 256), Must), ("title", Text(1, 20), Must)],
            )]),
        ),
        Must,
    )]),
    Must,
);
const CHOICES: Member = (
    "action",
    Object(&[
        ("title", Text(1, 20), Must),
        (
            "sections",
            List(
                1,
                10,
                &Object(&[
                    ("title", Text(0, 24), May),
                    (
                        "rows",
                        List(
                            1,
                            10,
                            &Object(&[
                                ("id", Text(1, 200), Must),
                                ("title", Text(1, 24), Must),
                                ("description", Text(0, 72), May),
                            ]),
                        ),
                        Must,
                    ),
                ]),
            ),
            Must,
        ),
    ]),
    Must,
);
const LINK: Member = (
    "action",
    Object(&[("displayText", Text(1, 20), Must), ("url", Link, Must)]),
    Must,
);
const PRODUCT: Member = (
    "action",
    Object(&[
        ("catalogId", Text(1, MANY), Must),
        ("productRetailerId", Text(1, MANY), Must),
    ]),
    Must,
);
const SECTIONS: Shape = List(
    1,
    10,
    &Object(&[
        ("title", Text(0, 24), May),
        ("productRetailerIds", List(0, MANY, &Text(0, 3000)), Must),
    ]),
);
const PRODUCTS: Member = (
    "action",
    Object(&[
        ("catalogId", Text(1, MANY), Must),
        ("sections", SECTIONS, Must),
    ]),
    Must,
);
const FLOW: Member = (
    "action",
    Object(&[
        ("flowToken", Text(1, MANY), Must),
        ("flowId", Text(1, MANY), Must),
        ("callToActionButton", Text(1, 20), Must),
        ("mode", Word(&["DRAFT", "PUBLISHED"]), May),
        ("flowMessageVersion", Whole(0, i32::MAX as i64), May),
        ("flowAction", Word(&["NAVIGATE", "DATA_EXCHANGE"]), May),
        (
            "flowActionPayload",
            Object(&[("screen", Text(1, MANY), Must), ("data", Any, May)]),
            May,
        ),
    ]),
    Must,
);

const TEMPLATE_CONTENT: &[Member] = &[
    ("templateName", Text(1, 512), Must),
    ("language", Text(1, MANY), Must),
    (
        "templateData",
        Object(&[
            ("body", VALUES, Must),
            ("header", TEMPLATE_HEADER, May),
            ("buttons", List(0, 10, &Typed(TEMPLATE_BUTTONS)), May),
            (
                "carousel",
                Object(&[("cards", List(1, 10, &CARD), Must)]),
                May,
            ),
            (
                "limitedTimeOffer",
                Object(&[("expirationTime", Text(1, MANY), Must)]),
                May,
            ),
            (
                "orderStatus",
                Object(&[("orderStatuses", List(1, MANY, &Any), Must)]),
                May,
            ),
        ]),
        Must,
    ),
];
const VALUES: Shape = Object(&[("placeholders", List(0, MANY, &Text(1, MANY)), Must)]);
const TEMPLATE_HEADER: Shape = Typed(&[
    ("TEXT", &[("placeholder", Line, Must)]),
    ("IMAGE", &[("mediaUrl", Link, Must)]),
    ("VIDEO", &[("mediaUrl", Link, Must)]),
    ("GIF", &[("mediaUrl", Link, Must)]),
    (
        "DOCUMENT",
        &[("mediaUrl", Link, Must), ("filename", Text(1, 240), Must)],
    ),
    ("LOCATION", &[LATITUDE, LONGITUDE]),
]);
const CARD: Shape = Object(&[
    ("header", TEMPLATE_HEADER, Must),
    ("body", VALUES, May),
    ("buttons", List(1, 2, &Typed(CARD_BUTTONS)), May),
]);
const REPLY: (&str, &[Member]) = ("QUICK_REPLY", &[("parameter", Text(1, 128), Must)]);
const URL: (&str, &[Member]) = ("URL", &[("parameter", Text(1, MANY), Must)]);
const CARD_BUTTONS: &[(&str, &[Member])] = &[REPLY, URL];
const THUMBNAIL: Member = ("thumbnailProductRetailerId", Text(0, 3000), May);
const TEMPLATE_BUTTONS: &[(&str, &[Member])] = &[
    REPLY,
    URL,
    ("COPY_CODE", &[("parameter", Text(1, 15), Must)]),
    (
        "FLOW",
        &[("flowToken", Text(0, 3000), May), ("data", Any, May)],
    ),
    ("CATALOG", &[THUMBNAIL]),
    ("MULTI_PRODUCT", &[THUMBNAIL, ("sections", SECTIONS, Must)]),
    ("ORDER_DETAILS", &[("action", Object(ORDER), Must)]),
    (
        "VOICE_CALL",
        &[
            ("callValidityPeriod", Whole(1, 43_200), May),
            ("callContextPayload", Text(1, 512), May),
        ],
    ),
];
const AMOUNT: Shape = Object(&[("value", Whole(i32::MIN as i64, i32::MAX as i64), Must)]);
const ORDER: &[Member] = &[
    ("payment", Any, Must),
    ("paymentConfiguration", Text(1, 60), May),
    ("orderCurrency", Word(&["INR", "BRL"]), Must),
    (
        "orderType",
        Word(&["PHYSICAL_GOODS", "DIGITAL_GOODS"]),
        Must,
    ),
    ("totalAmount", AMOUNT, Must),
    ("order", Any, Must),
];

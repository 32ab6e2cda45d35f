//! An order that the recipient pays from within the message. Files may say it as Infobip does, or
//! as the Cloud API does; what of the latter has no known counterpart is not sent, for it is about
//! money.

use serde_json::{Value as Json, json};

/// What is said of an order that cannot be sent.
type Expected = String;

/// The members without which there is no order, at Infobip.
const NEEDED: [&str; 5] = [
    "payment",
    "orderCurrency",
    "orderType",
    "totalAmount",
    "order",
];
/// The longest id of a payment, in characters.
const ID_CHARS_MAX: usize = 35;
/// What amounts are counted in: hundredths.
const OFFSET: u64 = 100;
/// The longest name of an item, in characters.
const NAME_CHARS_MAX: usize = 60;

/// The order in Infobip's words, or what it would have to be.
pub(super) fn action(order: &Json) -> Result<Json, Expected> {
    let action = if order.get("orderCurrency").is_some() {
        order.clone()
    } else {
        from_cloud(order.get("order_details").unwrap_or(order))?
    };
    for key in NEEDED {
        if action.get(key).is_none_or(Json::is_null) {
            return Err(format!("an order with `{key}`"));
        }
    }
    adds_up(&action)?;
    Ok(action)
}

/// The sums that are checked over there as well.
fn adds_up(action: &Json) -> Result<(), Expected> {
    let order = &action["order"];
    let amount = |amount: &Json| amount["value"].as_i64();
    let optional = |it: &Json| if it.is_null() { Some(0) } else { amount(it) };
    let sum = || {
        let before = amount(&order["subtotal"])?.checked_add(amount(&order["tax"])?)?;
        let sent = before.checked_add(optional(&order["shipping"])?)?;
        sent.checked_sub(optional(&order["discount"]["amount"])?)
    };
    let total = amount(&action["totalAmount"]);
    if total.is_none() || sum() != total {
        let expected = "a total that is the subtotal with tax and shipping, less the discount";
        return Err(expected.into());
    }
    for item in order["items"].as_array().into_iter().flatten() {
        let (full, sale) = (amount(&item["amount"]), amount(&item["saleAmount"]));
        if sale.is_some() && sale >= full {
            return Err("items whose sale price is below their price".into());
        }
    }
    Ok(())
}

fn from_cloud(details: &Json) -> Result<Json, Expected> {
    let word = |key: &str| details[key].as_str().unwrap_or_default();
    let kind = match word("type") {
        "physical-goods" => "PHYSICAL_GOODS",
        "digital-goods" => "DIGITAL_GOODS",
        _ => return Err("an order of the `type` `physical-goods` or `digital-goods`".into()),
    };
    if !matches!(word("currency"), "INR" | "BRL") {
        return Err("an order in the currency `INR` or `BRL`".into());
    }
    let (payment, configuration) = payment(details)?;
    let mut action = json!({
        "payment": payment,
        "orderCurrency": word("currency"),
        "orderType": kind,
        "totalAmount": amount(&details["total_amount"])?,
        "order": order(&details["order"])?,
    });
    if let Some(name) = configuration {
        action["paymentConfiguration"] = json!(name);
    }
    Ok(action)
}

/// How it is paid, and which of the account's configurations is used for it.
fn payment(details: &Json) -> Result<(Json, Option<&str>), Expected> {
    let id = details["reference_id"].as_str().unwrap_or_default();
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !(1..=ID_CHARS_MAX).contains(&id.len()) || !id.bytes().all(good) {
        return Err(format!(
            "a `reference_id` of at most {ID_CHARS_MAX} letters, digits, `-`, `_` and `.`"
        ));
    }
    let settings = details["payment_settings"].as_array();
    match settings.map_or(&[][..], Vec::as_slice) {
        [gateway] if gateway["type"] == "payment_gateway" => {
            let gateway = &gateway["payment_gateway"];
            let configuration = gateway["configuration_name"].as_str();
            Ok((self::gateway(id, gateway)?, configuration))
        }
        [one] => Ok((brazilian(id, one)?, None)),
        [first, second] => {
            let payments = [brazilian(id, first)?, brazilian(id, second)?];
            Ok((
                json!({ "type": "BRAZIL_PAYMENTS", "payments": payments }),
                None,
            ))
        }
        _ => Err("an order with one or two ways to pay (`payment_settings`)".into()),
    }
}

fn gateway(id: &str, gateway: &Json) -> Result<Json, Expected> {
    match gateway["type"].as_str() {
        Some("razorpay") => {
            let mut payment = json!({ "type": "PG_RAZORPAY", "id": id });
            if gateway["razorpay"]["notes"].is_object() {
                payment["callbackData"] = gateway["razorpay"]["notes"].clone();
            }
            Ok(payment)
        }
        Some("payu") => {
            let fields = ["udf1", "udf2", "udf3", "udf4"];
            let values = fields
                .iter()
                .filter_map(|key| gateway["payu"][key].as_str());
            let values: Vec<&str> = values.collect();
            let mut payment = json!({ "type": "PG_PAYU", "id": id });
            if !values.is_empty() {
                payment["callbackData"] = json!(values);
            }
            Ok(payment)
        }
        _ => Err("a payment gateway of the type `razorpay` or `payu`".into()),
    }
}

fn brazilian(id: &str, setting: &Json) -> Result<Json, Expected> {
    let text = |kind: &str, key: &str| {
        let text = setting[kind][key].as_str().filter(|it| !it.is_empty());
        text.ok_or_else(|| format!("`{key}` in `{kind}`"))
    };
    match setting["type"].as_str() {
        Some(kind @ "pix_dynamic_code") => Ok(json!({
            "type": "BRAZIL_PIX_DC",
            "id": id,
            "code": text(kind, "code")?,
            "merchantName": text(kind, "merchant_name")?,
            "keyType": text(kind, "key_type")?,
            "key": text(kind, "key")?,
        })),
        Some(kind @ "payment_link") => Ok(json!({
            "type": "BRAZIL_LINK", "id": id, "paymentLink": text(kind, "uri")?,
        })),
        Some(kind @ "boleto") => Ok(json!({
            "type": "BRAZIL_BOLETO", "id": id, "code": text(kind, "digitable_line")?,
        })),
        _ => Err("a way to pay by gateway, Pix, link or boleto".into()),
    }
}

fn amount(amount: &Json) -> Result<Json, Expected> {
    let offset = amount["offset"].as_u64().unwrap_or(OFFSET);
    let value = amount["value"]
        .as_i64()
        .and_then(|it| i32::try_from(it).ok());
    match value {
        Some(value) if offset == OFFSET => Ok(json!({ "value": value })),
        _ => Err("amounts in hundredths: a whole `value` and an `offset` of 100".into()),
    }
}

/// The same with what is said of it.
fn described(of: &Json) -> Result<Json, Expected> {
    let mut described = amount(of)?;
    if let Some(text) = of["description"].as_str() {
        described["description"] = json!(text);
    }
    Ok(described)
}

fn order(order: &Json) -> Result<Json, Expected> {
    // Whether over there it is a moment or a length of time is not documented.
    if !order["expiration"].is_null() {
        return Err("an order without `expiration`".into());
    }
    let items = order["items"].as_array().into_iter().flatten().map(item);
    let mut written = json!({
        "items": items.collect::<Result<Vec<Json>, Expected>>()?,
        "subtotal": amount(&order["subtotal"])?,
        "tax": described(&order["tax"])?,
    });
    if let Some(id) = order["catalog_id"].as_str() {
        written["catalogId"] = json!(id);
    }
    if order["shipping"].is_object() {
        written["shipping"] = described(&order["shipping"])?;
    }
    let discount = &order["discount"];
    if discount.is_object() {
        written["discount"] = json!({ "amount": described(discount)? });
        if let Some(name) = discount["discount_program_name"].as_str() {
            written["discount"]["programName"] = json!(name);
        }
    }
    Ok(written)
}

fn item(item: &Json) -> Result<Json, Expected> {
    let text = |key: &str| {
        let text = item[key].as_str().filter(|it| !it.is_empty());
        text.ok_or_else(|| format!("items with `{key}`"))
    };
    let name = text("name")?;
    if name.chars().count() > NAME_CHARS_MAX {
        return Err(format!(
            "names of items with at most {NAME_CHARS_MAX} characters"
        ));
    }
    let quantity = item["quantity"]
        .as_u64()
        .filter(|it| i32::try_from(*it).is_ok());
    let mut written = json!({
        "retailerId": text("retailer_id")?,
        "name": name,
        "amount": amount(&item["amount"])?,
        "quantity": quantity.ok_or("items with a `quantity`")?,
    });
    if item["sale_amount"].is_object() {
        written["saleAmount"] = amount(&item["sale_amount"])?;
    }
    // Importers have members of their own on both sides, which are not known to mean the same.
    if item.get("country_of_origin").is_some() || item.get("importer_name").is_some() {
        return Err("items of a catalogue, without importers".into());
    }
    Ok(written)
}

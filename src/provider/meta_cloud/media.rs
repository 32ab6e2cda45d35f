//! Files that are uploaded to the Cloud API before messages name them.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use crate::delivery::Reason;
use crate::provider::meaning::{self, Answer};
use crate::provider::{Credential, Request, TIMEOUT, Upload};

/// How long messages may name a file by its id.
pub(super) const KEPT: Duration = Duration::from_hours(30 * 24);

/// How many bytes a second a line must carry at least; a slower one is given up.
const BYTES_PER_SECOND_MIN: u64 = 128 << 10;

/// The form that uploads a file, with a boundary that no file holds: it would have to hold its own
/// sum.
pub(super) fn request(url: String, file: &Upload<'_>, credential: &Credential) -> Request {
    let Upload {
        sha256,
        mime_type,
        content,
        ..
    } = file;
    let boundary = format!("dropcast-{sha256}");
    let field = |name: &str, value: &str| {
        format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        )
    };
    let head = format!(
        "{}{}--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
         Content-Type: {mime_type}\r\n\r\n",
        field("messaging_product", "whatsapp"),
        field("type", mime_type),
        file_name(file.name),
    );
    let tail = format!("\r\n--{boundary}--\r\n");
    let mut body = Vec::with_capacity(head.len() + content.len() + tail.len());
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(content);
    body.extend_from_slice(tail.as_bytes());
    let more = Duration::from_secs(content.len() as u64 / BYTES_PER_SECOND_MIN);
    Request {
        content_type: Cow::Owned(format!("multipart/form-data; boundary={boundary}")),
        timeout: TIMEOUT + more,
        ..Request::post(url, body, credential)
    }
}

/// A name as a form can carry it, written as browsers do.
fn file_name(name: &str) -> String {
    let mut written = String::with_capacity(name.len());
    for char in name.chars() {
        match char {
            '"' => written.push_str("%22"),
            '\r' => written.push_str("%0D"),
            '\n' => written.push_str("%0A"),
            char => written.push(char),
        }
    }
    written
}

/// The id that an answer gives a file.
pub(super) fn id(answer: &Answer<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Success {
        id: String,
    }
    if !answer.is_success() {
        return None;
    }
    let success: Success = serde_json::from_slice(answer.body).ok()?;
    meaning::provider_id(&success.id)
}

/// Whether a message was refused because its file is not there any more, or never was.
pub(super) fn is_lost(reason: &Reason) -> bool {
    match reason.provider_code.as_str() {
        "131052" | "131053" => true,
        // The code of every wrong parameter; only the words say which it is.
        "100" | "131009" => reason.detail.contains("media attachment ID"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Scheme, Secret};

    /// The form must be what servers read: one byte off and every upload is refused.
    #[test]
    fn a_file_is_uploaded_as_a_form() {
        let credential = Credential::new(Scheme::Bearer, Secret::new("token"));
        let file = Upload {
            sha256: "5e5e",
            mime_type: "image/jpeg",
            name: "a \"shoe\".jpg",
            content: b"\xff\xd8\xff",
        };
        let request = request(
            "https://graph.example/v25.0/1/media".into(),
            &file,
            &credential,
        );
        assert_eq!(
            request.content_type,
            "multipart/form-data; boundary=dropcast-5e5e"
        );
        let mut expected = b"--dropcast-5e5e\r\nContent-Disposition: form-data; \
            name=\"messaging_product\"\r\n\r\nwhatsapp\r\n--dropcast-5e5e\r\nContent-Disposition: \
            form-data; name=\"type\"\r\n\r\nimage/jpeg\r\n--dropcast-5e5e\r\nContent-Disposition: \
            form-data; name=\"file\"; filename=\"a %22shoe%22.jpg\"\r\nContent-Type: \
            image/jpeg\r\n\r\n"
            .to_vec();
        expected.extend_from_slice(b"\xff\xd8\xff\r\n--dropcast-5e5e--\r\n");
        assert_eq!(
            String::from_utf8_lossy(&request.body),
            String::from_utf8_lossy(&expected)
        );
        assert_eq!(request.timeout, TIMEOUT);
    }

    /// A file whose id ran out must be uploaded anew, and a row that is wrong must not be.
    #[test]
    fn a_lost_file_is_told_from_a_wrong_value() {
        let reason = |code: &str, detail: &str| Reason {
            provider_code: code.into(),
            detail: detail.into(),
            ..Reason::new("provider.parameter", "a test")
        };
        let lost = "(#100) Param image['id'] is not a valid whatsapp business account media \
            attachment ID";
        assert!(is_lost(&reason("100", lost)));
        assert!(is_lost(&reason("131053", "")));
        assert!(!is_lost(&reason("100", "(#100) Invalid parameter")));
        assert!(!is_lost(&reason("131026", lost)));
    }
}

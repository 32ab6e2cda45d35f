//! The service's own HTTP client in a bare loop with nothing kept: what sending could reach at
//! most.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use dropcast::batch::{
    BatchId, Content, Filling, Message, Moment, Options, Parameter, Phone, Priority,
};
use dropcast::delivery::{AttemptId, Sender};
use dropcast::provider::http::Client;
use dropcast::provider::{
    self, Account, CallbackSecrets, Load, Next, Reply, Secret, Settings, meta_cloud,
};
use tokio::sync::Semaphore;

use crate::service::{Outcome, SENDER};

/// As many as the service has under way for one number.
pub(crate) const IN_FLIGHT: usize = 512;

/// Messages a second to the Cloud API at this address.
pub(crate) async fn rate(address: SocketAddr, round: u64, messages: u64) -> Outcome<f64> {
    let number = Phone::from_e164(SENDER).ok_or("a number")?;
    let message = Arc::new(message(&number)?);
    let sender = Sender {
        number,
        provider_id: "106540352242922".into(),
        messages_per_second: 100_000.0,
    };
    let settings = Settings {
        base_url: format!("http://{address}/v25.0"),
        access_token: Secret::new("bench-token"),
        access_token_file: None,
        ca_file: None,
        proxy: None,
        callbacks: CallbackSecrets::default(),
        account: Account::MetaCloud(meta_cloud::Settings::default()),
    };
    let adapter = provider::adapter(&settings, None);
    let client = Client::new(None)?;
    let permits = Arc::new(Semaphore::new(IN_FLIGHT));
    let batch = BatchId::new(Moment::from_millis(0), u32::try_from(round)?.into());
    let began = Instant::now();
    for index in 0..messages {
        let permit = Arc::clone(&permits).acquire_owned().await?;
        let id = AttemptId {
            batch: batch.clone(),
            index,
            attempt: 1,
        };
        let load = Load {
            sender: &sender,
            ids: &[id],
            messages: &[&message],
            at: Moment::from_millis(0),
        };
        let Next::Send(request) = adapter.next(&load, &[]) else {
            return Err("a request".into());
        };
        let client = client.clone();
        tokio::spawn(async move {
            if !matches!(
                client.send(&request).await,
                Reply::Answer { status: 200, .. }
            ) {
                println!("a request of the bare loop was not accepted");
            }
            drop(permit);
        });
    }
    let _all = permits.acquire_many(u32::try_from(IN_FLIGHT)?).await?;
    Ok(messages as f64 / began.elapsed().as_secs_f64())
}

fn message(from: &Phone) -> Outcome<Message> {
    let body = ["Ana", "A-1", "3", "Rotterdam", "Monday"].map(|text| Parameter {
        name: Some("first".into()),
        ..Parameter::text(text)
    });
    Ok(Message {
        index: 0,
        line: 1,
        to: Phone::from_e164("+31612345678").ok_or("a number")?,
        from: from.clone(),
        reference: None,
        callback_data: None,
        scheduled_at: None,
        expires_at: Moment::from_millis(i64::MAX),
        priority: Priority::default(),
        send_window: None,
        ignore_quiet_hours: false,
        options: Options::default(),
        content: Content::Template(Filling {
            name: "parcel".into(),
            language: "en".into(),
            body: body.into(),
            ..Filling::default()
        }),
    })
}

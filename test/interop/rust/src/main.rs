//! Gets credentials from wherever the AWS SDK for Rust looks for them by itself.
//!
//! ```text
//! judge credentials    prints them as a credential_process would
//! judge caller         prints the access key that STS has seen
//! judge refresh TIME   prints two such keys as a JSON array, seen so many milliseconds apart
//! ```

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::{Credentials, provider::ProvideCredentials};
use aws_sdk_sts::{Client, error::DisplayErrorContext};
use aws_smithy_types::date_time::{DateTime, Format};
use serde_json::json;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let http = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await;
    let client = Client::new(&config);
    let answer = match argument(1).as_str() {
        "credentials" => {
            let credentials = retrieve(&config).await;
            let expiration = DateTime::from(credentials.expiry().expect("an expiry"));
            json!({
                "AccessKeyId": credentials.access_key_id(),
                "SecretAccessKey": credentials.secret_access_key(),
                "SessionToken": credentials.session_token(),
                "Expiration": expiration.fmt(Format::DateTime).expect("a date"),
            })
            .to_string()
        }
        "caller" => caller(&client).await,
        "refresh" => {
            let first = caller(&client).await;
            tokio::time::sleep(Duration::from_millis(argument(2).parse().expect("a time"))).await;
            json!([first, caller(&client).await]).to_string()
        }
        _ => panic!("credentials, caller or refresh"),
    };
    println!("{answer}");
}

fn argument(index: usize) -> String {
    std::env::args().nth(index).expect("an argument")
}

async fn retrieve(config: &SdkConfig) -> Credentials {
    let provider = config.credentials_provider().expect("a provider");
    match provider.provide_credentials().await {
        Ok(credentials) => credentials,
        Err(error) => panic!("{}", DisplayErrorContext(error)),
    }
}

async fn caller(client: &Client) -> String {
    match client.get_caller_identity().send().await {
        Ok(identity) => identity
            .user_id()
            .and_then(|id| id.split(':').nth(1))
            .expect("a key")
            .to_owned(),
        Err(error) => panic!("{}", DisplayErrorContext(error)),
    }
}

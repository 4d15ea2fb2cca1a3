//! Makes tokens (`sluice token`).

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::jwt::{SignError, sign};
use super::pattern::StreamPattern;
use super::scope::{Action, Limits, Scope};
use super::token_file::{check_name, line};

/// In front of every static token, so that a scanner for leaked secrets can find it.
const MARK: &str = "sluice_";

/// What a new token allows.
#[derive(Debug, clap::Args)]
pub struct Issue {
    /// What the token allows: publish, watch, admin
    #[arg(long, value_name = "ACTION[,ACTION]", value_delimiter = ',', required = true)]
    allow: Vec<Action>,

    /// Streams that it may publish and watch; * stands for any characters
    #[arg(long, value_name = "PATTERN[,PATTERN]", value_delimiter = ',', default_value = "*")]
    stream: Vec<StreamPattern>,

    /// Name of its holder, for the log and for revocation (sub)
    #[arg(long, value_name = "NAME", default_value = "token", value_parser = name)]
    name: String,

    /// Largest encoding that a viewer is sent, by its place in the order of size from 0
    #[arg(long, value_name = "N")]
    max_layer: Option<u8>,

    /// Most bits per second: of a publisher, or of the video encoding that a viewer is sent
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u64).range(1..))]
    max_bitrate: Option<u64>,

    /// Most viewers of one stream at a time with this token
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_viewers: Option<u32>,

    /// Make a JSON Web Token instead, signed with this private key (PEM, PKCS #8) or the secret of HS256 as text
    #[arg(long, value_name = "FILE")]
    jwt_key: Option<PathBuf>,

    /// Seconds until the JSON Web Token expires
    #[arg(long, value_name = "SECONDS", default_value = "86400", requires = "jwt_key")]
    lifetime: u32,

    /// Issuer of the JSON Web Token, as --jwt-issuer of the relay
    #[arg(long, value_name = "ISSUER", requires = "jwt_key")]
    issuer: Option<String>,

    /// Audience of the JSON Web Token, as --jwt-audience of the relay
    #[arg(long, value_name = "AUDIENCE", requires = "jwt_key")]
    audience: Option<String>,

    /// Id of the key, for a relay that knows several (kid)
    #[arg(long, value_name = "ID", requires = "jwt_key")]
    key_id: Option<String>,
}

impl Issue {
    /// A new token: a JSON Web Token alone, or a static token with the line to put into the token file. A static token is
    /// shown once: the line does not hold it.
    ///
    /// # Errors
    /// [`SignError`], if the key cannot sign.
    pub fn run(&self) -> Result<String, SignError> {
        if let Some(key) = &self.jwt_key {
            return sign(key, self.key_id.as_deref(), &self.claims(SystemTime::now())).map(|token| token + "\n");
        }
        let token = MARK.to_owned() + &random_text::<32>();
        let limits = Limits {
            max_layer: self.max_layer,
            max_bitrate: self.max_bitrate,
            max_viewers: self.max_viewers.map(|viewers| viewers as usize),
        };
        let scope = Scope { actions: self.allow.clone(), streams: self.stream.clone(), limits };
        Ok(format!(
            "token, for the client; it is shown this once:\n{token}\n\nline for the file that --token-file names:\n{}\n",
            line(&self.name, &token, &scope)
        ))
    }

    fn claims(&self, now: SystemTime) -> serde_json::Value {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = serde_json::json!({
            "sub": self.name,
            "jti": random_text::<16>(),
            "iat": seconds(now),
            "exp": seconds(now + Duration::from_secs(self.lifetime.into())),
            "actions": self.allow.iter().map(|action| action.as_str()).collect::<Vec<_>>(),
            "streams": self.stream.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "iss": self.issuer,
            "aud": self.audience,
            "max_layer": self.max_layer,
            "max_bitrate": self.max_bitrate,
            "max_viewers": self.max_viewers,
        });
        if let Some(members) = claims.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        claims
    }
}

/// This many random octets, as base64url.
fn random_text<const OCTETS: usize>() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; OCTETS]>())
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

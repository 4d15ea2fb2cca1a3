//! Makes tokens (`sluice token`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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

    /// Name of its holder, for the log and for revocation
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
}

impl Issue {
    /// A new token, and the line to put into the token file. Both are shown once: the line does not hold the token.
    pub fn run(&self) -> String {
        let token = MARK.to_owned() + &URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        let scope = Scope { actions: self.allow.clone(), streams: self.stream.clone(), limits: self.limits() };
        format!(
            "token, for the client; it is shown this once:\n{token}\n\nline for the file that --token-file names:\n{}\n",
            line(&self.name, &token, &scope)
        )
    }

    fn limits(&self) -> Limits {
        Limits {
            max_layer: self.max_layer,
            max_bitrate: self.max_bitrate,
            max_viewers: self.max_viewers.map(|viewers| viewers as usize),
        }
    }
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

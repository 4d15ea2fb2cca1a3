//! What an operator can set of media.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use super::Config;
use super::config::one_for_each_core;
use crate::forward::PictureLimits;
use crate::setting;

/// The section `[media]`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "media")]
pub struct Settings {
    /// Where media is received and sent: one UDP port for everything
    #[arg(id = "media.listen", long = "media", env = "SLUICE_MEDIA", value_name = "ADDR:PORT")]
    #[arg(value_parser = setting::address, default_value = "0.0.0.0:8081")]
    listen: SocketAddr,

    /// Addresses that clients are told to send media to, when this machine's own are not the ones they reach (NAT)
    #[arg(long, env = "SLUICE_ADVERTISE", value_name = "IP[,IP]", value_delimiter = ',')]
    #[arg(value_parser = setting::ip)]
    advertise: Vec<IpAddr>,

    /// Threads that forward media; without it one for each core
    #[arg(long, env = "SLUICE_WORKERS", value_name = "N")]
    workers: Option<NonZeroUsize>,

    /// What viewers send on data channels reaches the publisher
    #[arg(long, env = "SLUICE_VIEWER_MESSAGES", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    viewer_messages: bool,

    /// Who wants to watch a stream that nobody publishes is told to try again (409) instead of waiting for its publisher
    #[arg(long, env = "SLUICE_REFUSE_EARLY_VIEWERS", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    refuse_early_viewers: bool,

    /// Publishers that cannot turn their pictures leave it to viewers; those that do not know how (Firefox) see them lie
    /// on their side
    #[arg(long, env = "SLUICE_VIDEO_ORIENTATION", value_name = "BOOL", action = clap::ArgAction::Set)]
    #[arg(num_args = 0..=1, default_missing_value = "true", default_value = "false")]
    video_orientation: bool,

    /// Viewers wait for so long for a publisher that has gone, then their sessions end
    #[arg(long, env = "SLUICE_GRACE", value_name = "SECONDS", default_value = "60")]
    grace: u32,

    /// A standby (?standby=1) takes over once the live publisher has been silent for so long
    #[arg(long, env = "SLUICE_STANDBY_AFTER", value_name = "SECONDS", default_value = "1")]
    standby_after: NonZeroU32,

    /// Pictures are kept since the last keyframe for so long, so that late viewers have one at once; 0 for none
    #[arg(long, env = "SLUICE_FAST_START", value_name = "SECONDS", default_value = "20")]
    fast_start: u32,

    /// Memory for them at most, for each published video
    #[arg(long, env = "SLUICE_FAST_START_SIZE", value_name = "MIB", default_value = "16")]
    fast_start_size: u32,

    /// Sessions go on for so long when the relay is asked to stop (SIGTERM); it takes no new ones meanwhile
    #[arg(long, env = "SLUICE_DRAIN", value_name = "SECONDS", default_value = "10")]
    drain: u32,
}

impl From<Settings> for Config {
    fn from(settings: Settings) -> Self {
        Self {
            media: settings.listen,
            advertise: settings.advertise,
            workers: settings.workers.unwrap_or_else(one_for_each_core),
            small_stream: Self::default().small_stream,
            gathered_publishers: Self::default().gathered_publishers,
            viewer_messages: settings.viewer_messages,
            refuse_early_viewers: settings.refuse_early_viewers,
            video_orientation: settings.video_orientation,
            grace: Duration::from_secs(settings.grace.into()),
            standby_after: Duration::from_secs(settings.standby_after.get().into()),
            pictures: pictures(settings.fast_start, settings.fast_start_size),
            drain: Duration::from_secs(settings.drain.into()),
        }
    }
}

/// The limits of what is kept since a keyframe; 60 pictures a second are plenty.
fn pictures(seconds: u32, mebibytes: u32) -> PictureLimits {
    if seconds == 0 {
        return PictureLimits::NONE;
    }
    PictureLimits {
        octets: (mebibytes as usize).saturating_mul(1 << 20),
        frames: seconds.saturating_mul(60),
        age: Duration::from_secs(seconds.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_seconds_of_pictures_are_none() {
        assert_eq!(pictures(0, 16), PictureLimits::NONE);
        assert_eq!(pictures(20, 16), PictureLimits::default());
    }
}
